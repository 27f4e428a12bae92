"""What is remembered of the pair."""

from __future__ import annotations

from pathlib import Path

import pytest

from lvs.errors import SystemFault
from lvs.health.shared import Entry
from lvs.io.pairfile import Memory, load, save
from lvs.model import Protocol, VirtualKey
from lvs.sync.version import Agreed, Version

MEMORY = Memory(
    "3f2a 91c0",
    Agreed(7, Version(12, "ab12")),
    (Entry("10.0.0.3", VirtualKey(b"\x0a\0\0\5", Protocol.TCP, 80, 0), None, "carla", 3.5, number=4),),
    1_700_000_000.5,
)


def test_it_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "lvs" / "pair.json"
    assert load(path) == Memory()
    save(path, MEMORY)
    assert load(path) == MEMORY
    assert [one.name for one in path.parent.iterdir()] == ["pair.json"]


def test_garbage_is_told(tmp_path: Path) -> None:
    path = tmp_path / "pair.json"
    path.write_text("{")
    with pytest.raises(SystemFault, match=r"pair\.json is not understood"):
        load(path)
    with pytest.raises(SystemFault, match="cannot be read: is a directory"):
        load(tmp_path)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SystemFault, match="not a directory"):
        save(tmp_path / "file" / "lvs" / "pair.json", MEMORY)
