"""Two directors with one configuration: real files, real TLS over loopback, the real decisions; no kernel."""

from __future__ import annotations

import asyncio
import time
from ipaddress import ip_address
from pathlib import Path

import msgspec
import pytest

from lvs import events
from lvs.checks import Answer, Reason
from lvs.health.orders import Order, Verb
from lvs.inputs import (
    OrderGiven,
    ProbesAnswered,
)
from lvs.io import pairfile, pairkey
from lvs.model import Role
from lvs.sync.messages import Use
from stand import Two, two, until


def test_a_push_is_in_the_others_file_and_runs(tmp_path: Path) -> None:
    async def run() -> None:
        async with two(tmp_path) as both:
            text = both.text(2, weight=5) + "# by hand, as its author wrote it\n"
            outcome = await both.one.save(text)
            assert not outcome.refused
            await until(lambda: both.two.status == "same" and both.one.status == "same")
            assert both.two.path.read_text() == text
            assert (both.one.weight, both.two.weight) == (5, 5)
            assert both.two.file.signature == both.two.file.look().signature  # and is not loaded once more
            assert both.two.applied_serials == [2]
            assert pairfile.load(both.two.place / pairfile.NAME).agreed.version is not None
            await both.two.save(both.text(3, weight=6))
            await until(lambda: both.one.weight == 6)
            assert both.one.path.read_text() == both.text(3, weight=6)

    asyncio.run(run())


def test_refused_there_it_is_applied_nowhere(tmp_path: Path) -> None:
    async def run() -> None:
        async with two(tmp_path) as both:
            both.two.path.chmod(0o600)
            (both.two.path.parent / ".lvs.toml.offered").mkdir()  # as a disk that cannot be written
            outcome = await both.one.save(both.text(2, weight=5))
            assert len(outcome.refused) == 1
            assert "the other director: cannot write beside" in outcome.refused[0]
            assert (both.one.weight, both.two.weight) == (1, 1)
            assert both.two.path.read_text() == both.text(1)
            assert both.one.heard_of(events.ConfigRefusedByPeer)

    asyncio.run(run())


def test_conflict_and_its_end(tmp_path: Path) -> None:
    async def run() -> None:
        async with two(tmp_path) as both:
            outcome = await both.one.save(both.text(1, weight=5))
            assert outcome.refused == ("conflict: serial_no is 1 on both, with other content",)
            await until(lambda: both.one.status == both.two.status == "conflict")
            assert both.one.coupling is not None
            assert both.two.coupling is not None
            shown = both.two.coupling.status()
            assert shown.there_file is not None
            assert shown.there_file.digest != shown.here.digest  # type: ignore[union-attr]
            assert await both.two.coupling.resolve(Use.THERE) == ""
            assert (both.one.weight, both.two.weight) == (5, 5)
            assert [node.status for node in both.nodes] == ["same", "same"]
            assert both.two.path.read_text() == both.text(1, weight=5)
            assert "nothing to settle" in await both.one.coupling.resolve(Use.HERE)

    asyncio.run(run())


def test_chosen_against_it_is_kept_beside(tmp_path: Path) -> None:
    async def run() -> None:
        async with two(tmp_path) as both:
            await both.one.save(both.text(1, weight=5))
            await until(lambda: both.two.status == "conflict")
            assert both.two.coupling is not None
            assert await both.two.coupling.resolve(Use.HERE) == ""
            assert both.one.path.read_text() == both.text(1)
            assert (both.one.place / "lvs.toml.replaced").read_text() == both.text(1, weight=5)
            assert (both.one.weight, both.two.weight) == (1, 1)

    asyncio.run(run())


def test_away_and_back(tmp_path: Path) -> None:
    async def run() -> None:
        async with two(tmp_path) as both:
            await both.two.stop()
            await until(lambda: both.one.status == "away")
            await both.one.save(both.text(2, weight=5))
            assert both.one.weight == 5
            assert both.one.status == "pending"
            assert both.one.heard_of(events.ConfigPending)
            both.two.boot()
            both.two.start()
            await until(lambda: both.two.weight == 5 and both.one.status == both.two.status == "same")

    asyncio.run(run())


def test_edited_on_both_while_apart(tmp_path: Path) -> None:
    async def run() -> None:
        async with two(tmp_path) as both:
            await both.two.stop()
            await until(lambda: both.one.status == "away")
            await both.one.save(both.text(2, weight=5))
            both.two.path.write_text(both.text(3, weight=6))
            both.two.boot()
            both.two.start()
            await until(lambda: both.one.status == both.two.status == "conflict")
            assert (both.one.weight, both.two.weight) == (5, 6)
            assert both.one.heard_of(events.ConfigConflict)
            assert both.two.heard_of(events.ConfigConflict)
            assert both.two.coupling is not None
            assert await both.two.coupling.resolve(Use.THERE) == ""
            assert (both.one.weight, both.two.weight) == (5, 5)
            assert (both.two.place / "lvs.toml.replaced").read_text() == both.text(3, weight=6)

    asyncio.run(run())


def test_another_language_is_refused(tmp_path: Path) -> None:
    async def run() -> None:
        async with two(tmp_path) as both:
            both.two.file.path = both.two.path.with_name("lvs.cf")
            outcome = await both.one.save(both.text(2))
            assert "both need the same language" in outcome.refused[0]

    asyncio.run(run())


def test_without_a_key_each_goes_by_its_own_file_until_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lvs.coupling.LOOK_EVERY_S", 0.05)

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


def test_orders_flow_both_ways(tmp_path: Path) -> None:
    async def run() -> None:
        async with two(tmp_path) as both:
            real = ip_address("10.0.0.3")
            both.one.feed(OrderGiven(Order(Verb.DISABLE, real, None, "carla", time.time())))
            await until(lambda: both.two.state.health.orders)
            (order,) = both.two.state.health.orders
            assert (order.verb, order.by) == (Verb.DISABLE, "carla")
            ordered = both.two.heard_of(events.MaintenanceOrdered)
            assert "on the other director" in ordered[0].text()
            from lvs.inputs import EnableAsked

            both.two.feed(EnableAsked(real, None, "bert"))
            await until(lambda: not both.one.state.health.orders)
            await both.two.stop()
            assert pairfile.load(both.two.place / pairfile.NAME).taken_back
            both.two.boot()
            both.two.start()
            await until(lambda: both.two.status == "same")
            assert not both.one.state.health.orders

    asyncio.run(run())


def test_the_standby_hears_what_checks_found(tmp_path: Path) -> None:
    async def run() -> None:
        async with two(tmp_path) as both:
            pairing = msgspec.structs.replace(both.one.state.pairing, role=Role.ACTIVE)
            both.one.state = msgspec.structs.replace(both.one.state, pairing=pairing)
            assert both.one.coupling is not None
            both.one.coupling.moved()
            (target,) = both.one.asked
            good = Answer(True, Reason.ANSWERED, "connection accepted")
            both.one.feed(ProbesAnswered(((target, good),)))  # type: ignore[arg-type]

            def found() -> bool:
                (roster,) = both.two.state.health.rosters.values()
                verdict = roster.members[0].verdicts[0]
                return verdict.up and verdict.reason is Reason.ADOPTED

            await until(found)

    asyncio.run(run())


@pytest.mark.parametrize("content", ["", "not toml ["])
def test_a_broken_file_is_not_overwritten(tmp_path: Path, content: str) -> None:
    async def run() -> None:
        async with two(tmp_path) as both:
            await both.two.save(content)
            outcome = await both.one.save(both.text(2, weight=5))
            assert "its file was edited, and what it holds does not run" in outcome.refused[0]
            assert both.two.path.read_text() == content
            assert (both.one.weight, both.two.weight) == (1, 1)

    asyncio.run(run())
