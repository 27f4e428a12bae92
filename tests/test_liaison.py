"""Which channel two directors have: with a key and without, as a pair and alone."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from lvs import events
from lvs.io import pairfile, pairkey
from stand import Two, until


def test_without_a_key_each_goes_by_its_own_file_until_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lvs.liaison.LOOK_EVERY_S", 0.05)

    async def run() -> None:
        both = Two(tmp_path)
        both.key.rename(tmp_path / "elsewhere")
        try:
            for node in both.nodes:
                node.start()
            await until(lambda: [node.status for node in both.nodes] == ["no key", "no key"])
            await both.one.save(both.text(2, weight=5))
            assert both.one.weight == 5
            assert len(both.one.heard_of(events.PairKeyUnusable)) == 1
            (tmp_path / "elsewhere").rename(both.key)
            await until(lambda: both.two.weight == 5)
            assert [node.heartbeat for node in both.nodes] == [pairkey.read(both.key).heartbeat] * 2
        finally:
            for node in both.nodes:
                await node.stop()

    asyncio.run(run())


def test_a_lone_director_has_no_channel(tmp_path: Path) -> None:
    async def run() -> None:
        both = Two(tmp_path)
        both.one.path.write_text(both.text(1).replace("backup =", "#backup ="))
        both.one.boot()
        both.one.start()
        await asyncio.sleep(0)
        assert both.one.status == "no pair"
        await both.one.save(both.text(1, weight=5).replace("backup =", "#backup ="))
        assert both.one.weight == 5
        assert not both.one.heard_of(events.ConfigPending)
        await both.one.stop()
        assert not (both.one.place / pairfile.NAME).exists()

    asyncio.run(run())
