"""The bare repository: made once, its settings kept."""

from __future__ import annotations

import getpass
from pathlib import Path

import pytest

from lvs.errors import SystemFault
from lvs.io import bare
from lvs.io.git import Git

ME = getpass.getuser()


def test_it_is_made_whole_and_once(tmp_path: Path) -> None:
    directory = tmp_path / "home" / "config.git"
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "config.git.new").mkdir()  # the power went in the middle
    assert bare.make(directory, tmp_path / "hooks", ME) is True
    git = Git(directory)
    hooks = git.run("config", "--file", str(directory / "config"), "core.hooksPath")[1]
    assert hooks.decode().strip() == str(tmp_path / "hooks")
    assert git.run("config", "receive.procReceiveRefs")[1] == b"refs/heads/main\n"
    assert git.run("symbolic-ref", "HEAD")[1] == b"refs/heads/main\n"
    assert sorted(path.name for path in (tmp_path / "home").iterdir()) == ["config.git"]
    assert bare.make(directory, tmp_path / "hooks", ME) is False


def test_settings_are_put_right(tmp_path: Path) -> None:
    directory = tmp_path / "config.git"
    bare.make(directory, tmp_path, ME)
    git = Git(directory)
    git.run("config", "receive.maxInputSize", "1g")
    (directory / "config.local").write_text("[gc]\n\tauto = 7\n")
    bare.make(directory, tmp_path, ME)
    assert git.run("config", "--type=int", "receive.maxInputSize")[1] == b"16777216\n"
    assert git.run("config", "gc.auto")[1] == b"7\n"


def test_nobody_whose_it_could_be(tmp_path: Path) -> None:
    with pytest.raises(SystemFault, match="there is no user lvs-nobody-such"):
        bare.make(tmp_path / "config.git", tmp_path, "lvs-nobody-such")
