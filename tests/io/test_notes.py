from __future__ import annotations

from pathlib import Path

import pytest

from lvs.errors import SystemFault
from lvs.io import notes
from lvs.updating.note import End, Last, Note, Pending, Stage
from lvs.updating.rolling import Plan

NOTE = Note(Pending("2", "1", "boot", "release", 1.5, Stage.LAID), Last("1", "0", End.PROVED, 0.5), "why")


def test_a_note_outlives_the_process(tmp_path: Path) -> None:
    assert notes.load(tmp_path / "new") == Note()
    notes.save(tmp_path / "new", NOTE)
    assert notes.load(tmp_path / "new") == NOTE
    assert (tmp_path / "new" / notes.NOTE).stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'{"pending": 3}'])
def test_one_that_is_not_understood_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / notes.NOTE).write_bytes(content)
    (tmp_path / notes.PLAN).write_bytes(content)
    assert notes.load(tmp_path) == Note()
    assert notes.plan(tmp_path) is None


def test_a_plan_is_there_until_it_is_done(tmp_path: Path) -> None:
    notes.keep(tmp_path, None)
    plan = Plan("2", "/var/lib/x", rebooted_here=True, since=3.0)
    notes.keep(tmp_path, plan)
    assert notes.plan(tmp_path) == plan
    notes.keep(tmp_path, None)
    assert notes.plan(tmp_path) is None
    assert not (tmp_path / notes.PLAN).exists()


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SystemFault, match="cannot write"):
        notes.save(tmp_path / "file" / "below", NOTE)
