"""Two directors, updated one after the other: a small world in which orders take effect."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from lvs.model import Role
from lvs.updating import rolling
from lvs.updating.rolling import Done, Lay, Plan, Reboot, Send, Side, Step, Stop, Switchover, Wait, step

PLAN = Plan("2", "lvs.update")
ACTIVE = Side("1", "active", synced=False)
STANDBY = Side("1", "standby", synced=True)


class World:
    """Both directors; one that starts anew is away for a look, then on trial and without connections."""

    def __init__(self, *, here_active: bool) -> None:
        self.here, self.there = (ACTIVE, STANDBY) if here_active else (STANDBY, ACTIVE)
        self.plan, self.now = PLAN, 0.0
        self.starting: dict[bool, int] = {}  # here -> looks until it is up
        self.did: list[str] = []
        self.fails: Callable[[bool], bool] = lambda _: False

    def run(self) -> Step:
        for _ in range(200):
            self.now += 10
            there = None if self.starting.get(False, 0) > 2 else self.there
            if self.starting.get(True, 0) <= 2:  # else whoever would look is not there
                self.plan, order = step(self.plan, self.here, there, self.now)
                if isinstance(order, Done | Stop):
                    return order
                self.do(order)
            self.pass_time()
        raise AssertionError(f"no end: {self.did}")

    def do(self, order: Step) -> None:
        if not isinstance(order, Wait):
            self.did.append(str(order).replace("here=", "").lower())
        match order:
            case Lay():
                self.here = msgspec.structs.replace(self.here, laid="2")
            case Send():
                self.there = msgspec.structs.replace(self.there, laid="2")
            case Switchover():
                self.here, self.there = self.turned(self.here), self.turned(self.there)
            case Reboot(here):
                serving = self.there if here else self.here
                assert (serving.role, serving.unhealthy, serving.trial) == ("active", "", False)
                self.starting[here] = 5
            case _:
                pass

    def turned(self, side: Side) -> Side:
        role = Role.STANDBY if side.role == Role.ACTIVE else Role.ACTIVE
        return msgspec.structs.replace(side, role=role, synced=True)

    def pass_time(self) -> None:
        for here, looks in self.starting.items():
            self.starting[here] = looks - 1
            side = self.here if here else self.there
            if looks == 4:
                version = side.version if self.fails(here) else "2"
                failed = "2 was given up" if self.fails(here) else ""
                side = Side(version, "standby", trial=not failed, unhealthy="", synced=False, last=failed)
            elif looks == 1:
                side = msgspec.structs.replace(side, trial=False)
            elif looks == 0:
                side = msgspec.structs.replace(side, synced=True)
            if here:
                self.here = side
            else:
                self.there = side


def test_from_the_active_director() -> None:
    world = World(here_active=True)
    assert world.run() == Done()
    assert world.did == ["lay()", "send()", "reboot(false)", "switchover()", "reboot(true)"]
    assert (world.here.version, world.there.version) == ("2", "2")
    assert {world.here.role, world.there.role} == {"active", "standby"}


def test_from_the_standby() -> None:
    world = World(here_active=False)
    assert world.run() == Done()
    assert world.did == ["lay()", "send()", "reboot(true)", "switchover()", "reboot(false)"]


@pytest.mark.parametrize(
    ("here_active", "fails_here", "did", "said"),
    [
        (
            True,
            False,
            ["lay()", "send()", "reboot(false)"],
            "the other director runs 1 again: 2 was given up",
        ),
        (False, True, ["lay()", "send()", "reboot(true)"], "this director runs 1 again: 2 was"),
        (
            True,
            True,
            ["lay()", "send()", "reboot(false)", "switchover()", "reboot(true)"],
            "this director runs 1 again: 2 was given up",
        ),
    ],
)
def test_a_fallback_ends_it_while_both_serve(
    here_active: bool, fails_here: bool, did: list[str], said: str
) -> None:
    world = World(here_active=here_active)
    world.fails = lambda here: here is fails_here
    end = world.run()
    assert isinstance(end, Stop)
    assert said in end.reason
    assert world.did == did
    assert "active" in (world.here.role, world.there.role)


def test_what_is_done_is_not_done_again() -> None:
    laid = msgspec.structs.replace
    assert step(PLAN, Side("2", "active"), Side("2", "standby", synced=True), 0.0)[1] == Done()
    assert step(PLAN, laid(ACTIVE, laid="2"), STANDBY, 0.0)[1] == Send()
    assert step(PLAN, ACTIVE, laid(STANDBY, laid="2"), 0.0)[1] == Lay()
    assert step(PLAN, laid(ACTIVE, laid="2"), laid(STANDBY, version="2"), 0.0)[1] == Switchover()


@pytest.mark.parametrize(
    ("here", "there", "said"),
    [
        (
            Side("1", "active", "2", unhealthy="no VIP"),
            Side("1", "standby", "2"),
            "the active director is not healthy: no VIP",
        ),
        (Side("1", "active", "2"), Side("2", "standby", trial=True), "the standby is on trial"),
        (Side("1", "active", "2"), Side("2", "standby"), "the standby does not know all connections yet"),
        (Side("1", "active", "2"), Side("2", "fault"), "this director is active, the other fault"),
        (Side("1", "active", "2"), Side("1", "active", "2"), "this director is active, the other active"),
        (
            Side("2", "active", trial=True),
            Side("2", "standby", synced=True),
            "the active director is on",
        ),
    ],
)
def test_waits_are_for_something(here: Side, there: Side, said: str) -> None:
    plan, order = step(PLAN, here, there, 100.0)
    assert isinstance(order, Wait)
    assert said in order.what
    assert (plan.waiting, plan.since) == (order.what, 100.0)


def test_patience_ends() -> None:
    here, there = Side("1", "active", "2"), Side("2", "standby", trial=True)
    plan, _ = step(PLAN, here, there, 0.0)
    plan, order = step(plan, here, msgspec.structs.replace(there, trial=False), rolling.PATIENCE_S)
    assert isinstance(order, Wait)
    assert plan.since == 0.0  # another reason is no other wait
    _, order = step(plan, here, there, rolling.PATIENCE_S + 1)
    assert order == Stop("waited 15 minutes: the standby is on trial")


def test_without_the_other_director() -> None:
    _, order = step(PLAN, ACTIVE, None, 0.0)
    assert isinstance(order, Stop)
    assert "not connected" in order.reason
    started = msgspec.structs.replace(PLAN, rebooted_there=True)
    assert step(started, ACTIVE, None, 0.0)[1] == Wait("the other director starts")
    back = msgspec.structs.replace(PLAN, rebooted_here=True)
    assert step(back, Side("2", "standby"), None, 0.0)[1] == Wait("the other director is not connected")


def test_roles_that_do_not_stay() -> None:
    plan = msgspec.structs.replace(PLAN, switchovers=rolling.SWITCHOVERS)
    here, there = Side("1", "active", "2"), Side("2", "standby", synced=True)
    assert step(plan, here, there, 0.0)[1] == Stop("the roles do not stay where a switchover puts them")
