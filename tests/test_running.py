"""`lvsd run`: what the daemon is begun with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lvs import arguments, cli
from lvs.errors import Exit


def options_of(monkeypatch: pytest.MonkeyPatch, *words: str) -> Any:
    """What the daemon would be run with."""
    given: list[Any] = []

    monkeypatch.setattr("lvs.begin.begin", given.append)
    monkeypatch.setattr("lvs.daemon.run", lambda _begun: 0)
    assert cli.main(["run", *words]) == Exit.OK
    return given[0]


def test_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    options = options_of(
        monkeypatch, "-c", "lvs.cf", "--on-stop", "empty", "--log", "journal", "--run-dir", "r"
    )
    assert options.file == tmp_path / "lvs.cf"
    assert (options.run_directory, str(options.on_stop), options.to_journal) == (Path("r"), "empty", True)


def test_run_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    options = options_of(monkeypatch, "-c", "/x/lvs.toml")
    assert (options.on_stop, options.to_journal) == (None, False)
    assert options.run_directory == Path("/run/lvs")
    assert not options_of(monkeypatch, "-c", "/x/lvs.toml", "--log", "stderr").to_journal


def test_run_finds_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arguments, "CONFIG_DIRECTORY", tmp_path)
    (tmp_path / "lvs.cf").touch()
    assert options_of(monkeypatch).file == tmp_path / "lvs.cf"
