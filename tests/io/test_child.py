from __future__ import annotations

from pathlib import Path

import pytest

from lvs.io import child

BUNDLE = {"LD_LIBRARY_PATH": "/tmp/bundle", "_PYI_APPLICATION_HOME_DIR": "/tmp/bundle", "_MEIPASS2": "/tmp/x"}


def test_the_frozen_binary_keeps_its_libraries_to_itself() -> None:
    assert child.child_environment({**BUNDLE, "PATH": "/bin"}, frozen=True) == {"PATH": "/bin"}


def test_what_was_before_the_frozen_binary_is_restored() -> None:
    before = {**BUNDLE, "LD_LIBRARY_PATH_ORIG": "/opt/lib"}
    assert child.child_environment(before, frozen=True) == {"LD_LIBRARY_PATH": "/opt/lib"}


def test_otherwise_the_administrators_libraries_stay() -> None:
    assert child.child_environment({"LD_LIBRARY_PATH": "/opt/lib"}) == {"LD_LIBRARY_PATH": "/opt/lib"}


def test_systemd_is_not_for_children() -> None:
    ours = {"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "1", "LISTEN_FDS": "1", "LANG": "C"}
    assert child.child_environment(ours, frozen=False) == {"LANG": "C"}


def test_ours_is_the_base(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LVS_TEST", "1")
    assert child.child_environment()["LVS_TEST"] == "1"


def test_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, mode in (("good", 0o755), ("plain", 0o644)):
        (tmp_path / name).write_text("")
        (tmp_path / name).chmod(mode)
    (tmp_path / "directory").mkdir()
    monkeypatch.setattr(child, "PROGRAM_DIRECTORIES", ("/nowhere", str(tmp_path)))
    assert child.find_program("good") == str(tmp_path / "good")
    assert [child.find_program(name) for name in ("plain", "directory", "none")] == [None] * 3
