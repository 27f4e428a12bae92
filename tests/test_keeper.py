"""What the keeper does by itself; pushes and the pair are in test_changes.py and test_commits.py."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest

from lvs import events
from lvs.io import sessions
from pushing import PushedTo
from stand import until
from test_changes import text


def stand(place: Path) -> PushedTo:
    (place / "lvs.toml").write_text(text(1))
    return PushedTo(place, "127.0.0.1")


def test_who_edited_is_the_one_that_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        one = stand(tmp_path)
        one.start()
        try:
            await until(lambda: one.keeper.usable and one.keeper.tip)
            for serial, there, author in ((2, {"lvs", "alice"}, "alice"), (3, {"alice", "bob"}, "root@")):
                monkeypatch.setattr(sessions, "users", partial(frozenset, there))
                before = one.keeper.tip
                await one.save(text(serial, weight=serial))
                await until(lambda before=before: one.keeper.tip != before)  # type: ignore[misc]
                newest = one.keeper.git.log("main")[0]
                assert newest.author.name.startswith(author)
                assert newest.parents == (before,)
        finally:
            await one.stop()

    asyncio.run(run())


def test_a_repository_that_breaks_is_told_once_and_followed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lvs.keeper.LOOK_EVERY_S", 0.02)

    async def run() -> None:
        one = stand(tmp_path)
        one.start()
        try:
            await until(lambda: one.keeper.usable and one.keeper.tip)
            objects = one.repository / "objects"
            objects.rename(tmp_path / "elsewhere")
            await one.save(text(2, weight=5))
            await until(lambda: one.heard_of(events.RepositoryUnusable))
            assert one.weight == 5  # what runs does not depend on it
            (tmp_path / "elsewhere").rename(objects)
            await until(lambda: one.keeper.usable and one.keeper.blob == one.keeper.running_blob())
            assert len(one.keeper.git.log("main")) == 2
        finally:
            await one.stop()

    asyncio.run(run())


def test_without_a_repository_the_director_is_as_ever(tmp_path: Path) -> None:
    async def run() -> None:
        one = stand(tmp_path)
        one.repository.rename(tmp_path / "none")
        one.start()
        try:
            await one.save(text(2, weight=5))
            assert one.weight == 5
            assert not one.heard_of(events.RepositoryUnusable)
        finally:
            await one.stop()

    asyncio.run(run())
