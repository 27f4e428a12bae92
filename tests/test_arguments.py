"""FILE, standard input and its language, the socket: the same for every command that takes them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lvs import arguments, cli
from lvs.errors import Exit
from typed import BOTH, VALID, Standard


@pytest.fixture
def valid(tmp_path: Path) -> Path:
    path = tmp_path / "lvs.toml"
    path.write_text(VALID)
    return path


@pytest.mark.parametrize("command", [["check"], ["plan"], ["convert", "--to", "cf"]])
def test_a_file_that_is_not_there(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*command, str(tmp_path / "none.toml")]) == Exit.FAILED
    assert capsys.readouterr().err == (f"lvsd: cannot read {tmp_path}/none.toml: no such file or directory\n")


@pytest.mark.parametrize("command", [["check"], ["plan"], ["convert", "--to", "cf"]])
def test_standard_input_in_no_language(
    command: list[str], valid: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is never guessed; nor is what a file's name says overruled."""
    monkeypatch.setattr(sys, "stdin", Standard(BOTH))
    assert cli.main([*command, "-"]) == Exit.PROBLEMS
    assert capsys.readouterr().err == (
        "lvsd: standard input has no name to tell its language: say --format toml or --format cf\n"
    )
    assert cli.main([*command, str(valid), "--format", "cf"]) == Exit.PROBLEMS
    said = "lvsd: --format is for standard input (-); the language of a file is told by its name\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("command", ["status", "reload", "plan"])
def test_no_daemon(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([command, "--run-dir", str(tmp_path)]) == Exit.NO_DAEMON
    assert capsys.readouterr().err == (
        f"lvsd: no lvsd answers on {tmp_path}/lvsd.sock; start it: systemctl start lvs, or lvsd run\n"
    )


@pytest.mark.parametrize(
    ("present", "found"), [((), "lvs.toml"), (("lvs.toml",), "lvs.toml"), (("lvs.cf",), "lvs.cf")]
)
def test_the_file_in_etc(
    present: tuple[str, ...], found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arguments, "CONFIG_DIRECTORY", tmp_path)
    for name in present:
        (tmp_path / name).touch()
    assert arguments.config_file(None) == tmp_path / found
    assert arguments.config_file(Path("x.cf")) == Path("x.cf")


@pytest.mark.parametrize("command", [["run"], ["firewall"], ["cloud-init", "real1"], ["pair", "init"]])
def test_both_files_in_etc(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(arguments, "CONFIG_DIRECTORY", tmp_path)
    (tmp_path / "lvs.toml").touch()
    (tmp_path / "lvs.cf").touch()
    assert cli.main(command) == Exit.PROBLEMS
    assert f"both {tmp_path}/lvs.toml and {tmp_path}/lvs.cf exist" in capsys.readouterr().err
