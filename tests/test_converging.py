"""The newest Converge is carried out, and a look gives way to what is urgent; the kernel is a stand-in."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

import strategies
from lvs.commands import Cause, Converge
from lvs.converging import Converging
from lvs.inputs import Converged, Input, VipsTaken
from lvs.io.converge import Outcome
from lvs.io.netlink import GaveWay
from lvs.kernel.desired import NOTHING, Desired
from lvs.kernel.state import KernelState, ServiceKey, Vip

HELD = Vip("eth0", strategies.packed("192.0.2.1"), 24, "eth0:1")
ACTIVE = msgspec.structs.replace(NOTHING, state=KernelState(vips=frozenset({HELD})))


class Stand:
    """Director, kernel and readiness in one; a look lasts until it has to give way, or may end."""

    def __init__(self) -> None:
        self.heard: list[Cause] = []
        self.told: list[tuple[Vip, ...]] = []  # VIPs that are here, as they are told of
        self.took: list[tuple[Vip, ...]] = []  # VIPs that each Converge is told were taken before it
        self.looks = self.patient = 0
        self.may_end, self.moved = asyncio.Event(), asyncio.Event()
        self.converging = Converging(
            self,
            as_any(self),
            as_any(self),
            first=None,
            ledger=Path("ledger"),
        )

    # As a Director

    def feed(self, what: Input) -> None:
        match what:
            case VipsTaken(vips):
                self.told.append(vips)
            case Converged(command):
                self.heard.append(command.cause)
                self.moved.set()
            case _:
                raise AssertionError(what)

    def tell_systemd(self) -> None:
        pass

    # As a Readiness

    def started(self) -> None:
        pass

    # As a Converger

    def take_first(self, desired: KernelState) -> tuple[Vip, ...]:
        return tuple(desired.vips)

    async def converge(
        self, *_: object, took: tuple[Vip, ...], give_way: threading.Event | None, **__: object
    ) -> Outcome:
        self.took.append(took)
        if give_way is None:
            self.patient += 1
        else:
            self.looks += 1
            self.moved.set()
            while not self.may_end.is_set():
                await asyncio.sleep(0)
                if give_way.is_set():
                    raise GaveWay
        return Outcome((), (), 0.0)

    # A test's

    def want(
        self, cause: Cause, goal: Desired = NOTHING, only: frozenset[ServiceKey] | None = None
    ) -> list[tuple[Vip, ...]]:
        """The VIPs that it tells of at once."""
        before = len(self.told)
        self.converging.want(Converge(goal, cause, NOTHING, only))
        return self.told[before:]

    async def until(self, *heard: Cause) -> None:
        while self.heard != list(heard):
            await self.moved.wait()
            self.moved.clear()

    async def during_a_look(
        self, cause: Cause, goal: Desired = NOTHING, only: frozenset[ServiceKey] | None = None
    ) -> None:
        looks = self.looks
        self.want(Cause.LOOK)
        while self.looks == looks:
            await self.moved.wait()
            self.moved.clear()
        assert self.want(cause, goal, only) == []


def as_any(stand: Stand) -> Any:
    return stand


def played(play: Callable[[Stand], Awaitable[None]]) -> None:
    """Let it be played while what is wanted is carried out."""

    async def beside() -> None:
        stand = Stand()
        async with asyncio.timeout(10):
            work = asyncio.create_task(stand.converging.working())
            await play(stand)
            work.cancel()

    asyncio.run(beside())


@pytest.mark.parametrize("cause", [Cause.ROLE, Cause.CONFIG])
def test_a_look_gives_way_to_what_is_urgent(cause: Cause) -> None:
    async def play(stand: Stand) -> None:
        await stand.during_a_look(cause)
        await stand.until(cause)

    played(play)


def test_the_look_after_one_that_gave_way_does_not() -> None:
    async def play(stand: Stand) -> None:
        await stand.during_a_look(Cause.ROLE)
        await stand.until(Cause.ROLE)
        stand.want(Cause.LOOK)
        await stand.until(Cause.ROLE, Cause.LOOK)
        assert (stand.looks, stand.patient) == (1, 2)
        await stand.during_a_look(Cause.ROLE)
        await stand.until(Cause.ROLE, Cause.LOOK, Cause.ROLE)

    played(play)


def test_a_look_goes_on_where_health_changed() -> None:
    async def play(stand: Stand) -> None:
        await stand.during_a_look(Cause.HEALTH)
        stand.may_end.set()
        await stand.until(Cause.LOOK, Cause.HEALTH)

    played(play)


def test_a_takeover_has_its_vips_on_return() -> None:
    async def play(stand: Stand) -> None:
        assert stand.want(Cause.ROLE, ACTIVE, frozenset()) == [(HELD,)]
        await stand.until(Cause.ROLE)
        assert (stand.took, stand.told) == ([(HELD,)], [(HELD,)])
        stand.want(Cause.HEALTH, ACTIVE, frozenset())
        await stand.until(Cause.ROLE, Cause.HEALTH)
        assert stand.took == [(HELD,), ()]

    played(play)


def test_a_takeover_during_a_look_has_them_right_after_it() -> None:
    async def play(stand: Stand) -> None:
        await stand.during_a_look(Cause.ROLE, ACTIVE, frozenset())
        await stand.until(Cause.ROLE)
        assert (stand.took, stand.told) == ([(), (HELD,)], [(HELD,)])

    played(play)


def test_a_takeover_waits_for_nobody_who_reads_the_table() -> None:
    async def play(stand: Stand) -> None:
        async with stand.converging.kernel:  # somebody asks for the status
            stand.want(Cause.LOOK)
            await asyncio.sleep(0.01)
            assert stand.want(Cause.ROLE, ACTIVE, frozenset()) == [(HELD,)]
        await stand.until(Cause.ROLE)
        assert stand.took == [(HELD,)]

    played(play)


def test_a_takeover_that_is_over_before_the_kernel_had_time_takes_nothing_more() -> None:
    async def play(stand: Stand) -> None:
        async with stand.converging.kernel:
            stand.want(Cause.ROLE, ACTIVE, frozenset({strategies.KEYS[0]}))
            await asyncio.sleep(0.01)
            stand.want(Cause.ROLE, NOTHING, frozenset())
        await stand.until(Cause.ROLE)
        assert (stand.took, stand.told) == ([()], [])

    played(play)


@pytest.mark.parametrize("only", [None, frozenset({strategies.KEYS[0]})])
def test_no_vip_is_taken_before_its_services(only: frozenset[ServiceKey] | None) -> None:
    async def play(stand: Stand) -> None:
        assert stand.want(Cause.ROLE, ACTIVE, only) == []
        await stand.until(Cause.ROLE)
        assert (stand.took, stand.told) == ([()], [])

    played(play)


def test_vips_of_a_takeover_that_was_overtaken_are_told_of() -> None:
    async def play(stand: Stand) -> None:
        assert stand.want(Cause.ROLE, ACTIVE, frozenset()) == [(HELD,)]
        assert stand.want(Cause.ROLE, NOTHING, frozenset()) == []
        await stand.until(Cause.ROLE)
        assert stand.took == [(HELD,)]

    played(play)
