"""History and diff, as commands on a real repository."""

from __future__ import annotations

import getpass
from pathlib import Path

import pytest

from lvs import cli
from lvs.io import bare
from lvs.io.git import Git
from lvs.repository.history import Person
from lvs.repository.tree import Entry
from lvs.repository.wishes import MAIN

FILE = b'serial_no = %d\nprimary = "10.0.0.1"\nnetwork = "direct"\n'


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    directory = tmp_path / "config.git"
    bare.make(directory, tmp_path, getpass.getuser())
    git, tip, alice = Git(directory), "", Person("Alice \x1b[1m", "a@x")
    for number, content in enumerate((FILE % 1, FILE % 7, b"broken = [")):
        tree = git.make_tree([Entry("100644", "blob", git.write(content), 0, b"lvs.toml")])
        made = git.commit(tree, (tip,) if tip else (), alice, alice, f"change {number}\n", at=1700000000)
        git.move("made", (MAIN, made, tip))
        tip = made
    return directory


def test_history(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["history", "--repository", str(repository), "-n", "2"]) == 0
    _, last, before = capsys.readouterr().out.splitlines()
    assert last.split()[3:] == ["-", "Alice", "\\x1b[1m", "change", "2"]
    assert before.split()[3] == "7"
    assert "change 0" not in before


def test_diff(repository: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    place = ["--repository", str(repository)]
    assert cli.main(["diff", *place]) == 0
    assert b"+broken = [" in capsysbinary.readouterr().out
    assert cli.main(["diff", "main~2", "main~1", *place]) == 0
    said = capsysbinary.readouterr().out
    assert b"-serial_no = 1\n+serial_no = 7\n" in said
    assert b"\x1b" not in said
    assert cli.main(["diff", "nothing", *place]) == 2
    assert b"there is no commit nothing" in capsysbinary.readouterr().err
    assert cli.main(["diff", "main~2", "main~9", *place]) == 2


def test_without_a_repository_it_says_how_to_get_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["history", "--repository", str(tmp_path / "none")]) == 1
    assert "`lvsd repository init` makes one" in capsys.readouterr().err


def test_without_a_daemon_nothing_is_rolled_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["rollback"], ["confirm"]):
        assert cli.main([*words, "--run-dir", str(tmp_path)]) == 3
        assert "no lvsd answers" in capsys.readouterr().err
    assert cli.main(["rollback", "--confirm", "soon", "--run-dir", str(tmp_path)]) == 2


def test_init(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["repository", "init", "--repository", str(tmp_path / "x.git"), "--user", getpass.getuser()]
    assert cli.main(words) == 0
    assert cli.main(words) == 0
    made, there = capsys.readouterr().out.splitlines()
    assert (made[-4:], there[-18:]) == ("made", "settings are right")
