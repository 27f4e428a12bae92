"""`lvsd pair init` and `join`, as a person types them."""

from __future__ import annotations

import io
import stat
import sys
from pathlib import Path

import pytest

from lvs.cli import main
from lvs.io import pairkey


@pytest.fixture
def made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    path = tmp_path / "here" / "pair.key"
    assert main(["pair", "init", "--key", str(path)]) == 0
    capsys.readouterr()
    return path


def given(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


def test_init_says_what_comes_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "pair.key"
    assert main(["pair", "init", "--key", str(path)]) == 0
    said = capsys.readouterr().out
    assert f"ssh root@OTHER lvsd pair join < {path}" in said
    assert pairkey.read(path).fingerprint in said
    assert "PRIVATE" not in said


def test_init_overwrites_nothing(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = made.read_bytes()
    assert main(["pair", "init", "--key", str(made)]) == 1
    assert "is there already" in capsys.readouterr().err
    made.write_bytes(b"something else")
    assert main(["pair", "init", "--key", str(made)]) == 1
    assert made.read_bytes() == b"something else" != before


def test_join_from_standard_input(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "there" / "pair.key"
    given(monkeypatch, made.read_bytes())
    assert main(["pair", "join", "--key", str(path)]) == 0
    assert path.read_bytes() == made.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert pairkey.read(made).fingerprint in capsys.readouterr().out
    assert main(["pair", "join", str(made), "--key", str(path)]) == 0
    assert "is there already" in capsys.readouterr().out


def test_join_replaces_another_only_if_told(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "pair.key"
    pairkey.install(path, pairkey.make())
    assert main(["pair", "join", str(made), "--key", str(path)]) == 1
    assert "is another key (fingerprint" in capsys.readouterr().err
    assert main(["pair", "join", str(made), "--key", str(path), "--replace"]) == 0
    assert path.read_bytes() == made.read_bytes()


@pytest.mark.parametrize("content", [b"", b"-----BEGIN CERTIFICATE-----\n", b"\xff" * 100, b"x" * 100_000])
def test_join_takes_no_garbage(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given(monkeypatch, content)
    assert main(["pair", "join", "--key", str(tmp_path / "pair.key")]) == 1
    assert "standard input is no" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_join_of_a_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pair", "join", str(tmp_path / "nothing"), "--key", str(tmp_path / "pair.key")]) == 1
    assert "no such file" in capsys.readouterr().err


def test_status_needs_the_daemon(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pair", "status", "--run-dir", str(tmp_path)]) == 3
    assert main(["pair", "resolve", "--use", "here", "--run-dir", str(tmp_path)]) == 3
    assert "no lvsd answers" in capsys.readouterr().err
