"""`lvsd check` and `convert`: what each prints where, and its exit code."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from lvs import cli
from lvs.config.load import load
from lvs.errors import Exit
from typed import BOTH, VALID, Standard


@pytest.fixture
def valid(tmp_path: Path) -> Path:
    path = tmp_path / "lvs.toml"
    path.write_text(VALID)
    return path


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    path = tmp_path / "lvs.toml"
    path.write_text(VALID.replace("weight = 1", "weight = -4"))
    return path


def test_check(valid: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", str(valid)]) == Exit.OK
    said = capsys.readouterr()
    assert said.out == f"{valid}: valid, serial 7, 1 virtual server, 1 real server\n"


def test_check_of_a_wrong_file(wrong: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", str(wrong)]) == Exit.PROBLEMS
    said = capsys.readouterr()
    assert said.out == ""
    assert re.match(rf"{re.escape(str(wrong))}:\d+: virtual\[0\]\.server\[0\]\.weight: .*-4", said.err)


def test_check_looks_for_what_the_file_needs(valid: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = VALID.replace('scheduler = "wlc"', 'send_program = "/nowhere/check %h"')
    valid.write_text(text)
    assert cli.main(["check", str(valid)]) == Exit.PROBLEMS
    line = text.split("\n").index('send_program = "/nowhere/check %h"') + 1
    said = f"{valid}:{line}: virtual[0].send_program: there is no program /nowhere/check\n"
    assert capsys.readouterr().err == said
    assert cli.main(["check", "--elsewhere", str(valid)]) == Exit.OK


@pytest.mark.parametrize("language", ["cf", "toml"])
def test_standard_input(
    language: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", Standard(BOTH))
    assert cli.main(["check", "--format", language, "-"]) == Exit.OK
    said = capsys.readouterr()
    assert said.out == f"stdin.{language}: valid, serial 3, 0 virtual servers, 0 real servers\n"
    assert said.err == ""


@pytest.mark.parametrize("language", ["cf", "toml"])
def test_standard_input_is_read_in_the_language_that_is_given(
    language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A text that is valid in both means what its language says."""
    out = Standard()
    monkeypatch.setattr(sys, "stdin", Standard(BOTH))
    monkeypatch.setattr(sys, "stdout", out)
    assert cli.main(["convert", "--to", "toml", "-", "--format", language]) == Exit.OK
    meant = load(BOTH, f"lvs.{language}").config
    assert meant is not None
    assert load(out.buffer.getvalue(), "lvs.toml").config == meant
    assert meant.pair.deadtime_s == {"cf": 5, "toml": 0.8}[language]


@pytest.mark.parametrize("language", ["cf", "toml"])
def test_convert_there_and_back(
    language: str, valid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = Standard()
    monkeypatch.setattr(sys, "stdout", out)
    assert cli.main(["convert", "--to", language, str(valid)]) == Exit.OK
    converted = load(out.buffer.getvalue(), f"lvs.{language}")
    assert converted.config == load(VALID, "lvs.toml").config
    assert converted.config is not None


def test_what_lvs_cf_cannot_say_is_told_where_it_stands(
    valid: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    valid.write_text(VALID + "[[virtual.check]]\ntype = 'icmp'\n")
    line = VALID.count("\n") + 1
    assert cli.main(["convert", "--to", "cf", str(valid)]) == Exit.PROBLEMS
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == f"lvsd: {valid}:{line}: virtual[0].check: lvs.cf has no [[virtual.check]]\n"


def test_convert_of_a_wrong_file(wrong: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["convert", "--to", "cf", str(wrong)]) == Exit.PROBLEMS
    said = capsys.readouterr()
    assert said.out == ""
    assert "-4" in said.err
