"""Both directors of a pair to one version, one after the other, while one of them always serves. Pure.

Nothing is remembered but the goal and what was ordered: each look at both says what is to be done next, so
that whoever carries it out may itself be started anew in between, on the new version. First both get the
update beside what runs, then the standby starts it; when it is healthy, off trial and knows every
connection, it takes over, and the other one follows. Whatever does not go as meant ends it: both serve then.
"""

from __future__ import annotations

import msgspec

from lvs.model import Role

PATIENCE_S = 900.0  # for a start, of firmware that tests its memory too
SWITCHOVERS = 3  # roles that do not stay where they were put


class Side(msgspec.Struct, frozen=True):
    """One of the two, as it says of itself."""

    version: str
    role: str = ""  # active, standby, fault
    laid: str = ""  # version that the next boot starts, if it is another one
    trial: bool = False  # this boot has not proved itself
    unhealthy: str = ""  # why it is not; empty: it is
    synced: bool = False  # it knows the other's connections and configuration
    last: str = ""  # how the last update ended


class Plan(msgspec.Struct, frozen=True):
    """What an operator asked for, and what was ordered since."""

    version: str
    file: str  # the update
    rebooted_here: bool = False
    rebooted_there: bool = False
    switchovers: int = 0
    waiting: str = ""  # for what
    since: float = 0.0  # ... in seconds since the epoch: a boot lies in between


class Lay(msgspec.Struct, frozen=True):
    """Install it beside what runs here."""


class Send(msgspec.Struct, frozen=True):
    """Have the other director install it beside what runs there."""


class Reboot(msgspec.Struct, frozen=True):
    here: bool


class Switchover(msgspec.Struct, frozen=True):
    """The standby is to serve."""


class Wait(msgspec.Struct, frozen=True):
    what: str


class Done(msgspec.Struct, frozen=True):
    """Both run it."""


class Stop(msgspec.Struct, frozen=True):
    """It does not go on."""

    reason: str


Step = Lay | Send | Reboot | Switchover | Wait | Done | Stop


def step(plan: Plan, here: Side, there: Side | None, now: float) -> tuple[Plan, Step]:
    """What is to be done next. Units: `now` in seconds since the epoch."""
    wanted = _wanted(plan, here, there)
    if not isinstance(wanted, Wait):
        plan = msgspec.structs.replace(plan, waiting="", since=now)
        match wanted:
            case Reboot(True):
                plan = msgspec.structs.replace(plan, rebooted_here=True)
            case Reboot(False):
                plan = msgspec.structs.replace(plan, rebooted_there=True)
            case Switchover():
                plan = msgspec.structs.replace(plan, switchovers=plan.switchovers + 1)
            case _:
                pass
        return plan, wanted
    if not plan.waiting:  # patience is for what was ordered last, however its reason changes
        return msgspec.structs.replace(plan, waiting=wanted.what, since=now), wanted
    if now - plan.since > PATIENCE_S:
        return plan, Stop(f"waited {PATIENCE_S / 60:.0f} minutes: {wanted.what}")
    return msgspec.structs.replace(plan, waiting=wanted.what), wanted


def _wanted(plan: Plan, here: Side, there: Side | None) -> Step:
    if plan.rebooted_here and plan.version not in (here.version, here.laid):
        return Stop(f"this director runs {here.version} again: {here.last}")
    if there is None:
        if plan.rebooted_there:
            return Wait("the other director starts")
        return Wait("the other director is not connected") if plan.rebooted_here else _alone()
    if plan.rebooted_there and plan.version not in (there.version, there.laid):
        return Stop(f"the other director runs {there.version} again: {there.last}")
    if plan.version not in (here.version, here.laid):
        return Lay()
    if plan.version not in (there.version, there.laid):
        return Send()
    if {here.role, there.role} != {Role.ACTIVE, Role.STANDBY}:
        return Wait(f"this director is {here.role or 'of no role'}, the other {there.role or 'of no role'}")
    active, standby, behind = (here, there, False) if here.role == Role.ACTIVE else (there, here, True)
    if standby.version != plan.version:
        return _start(plan, active, "active", here=behind)
    if reason := _unfit(standby):
        return Wait(f"the standby {reason}")
    if active.version != plan.version:
        if plan.switchovers >= SWITCHOVERS:
            return Stop("the roles do not stay where a switchover puts them")
        return Switchover()
    if reason := _unfit(active, serves=True):
        return Wait(f"the active director {reason}")
    return Done()


def _start(plan: Plan, other: Side, name: str, *, here: bool) -> Step:
    """Start one anew, if the other one is to be relied on meanwhile."""
    if plan.rebooted_here if here else plan.rebooted_there:
        return Wait(f"{'this' if here else 'the other'} director goes down for its start")
    if reason := _unfit(other, serves=True):
        return Wait(f"the {name} director {reason}")
    return Reboot(here)


def _alone() -> Stop:
    return Stop("the other director is not connected; `lvsd pair status` says why")


def _unfit(side: Side, *, serves: bool = False) -> str:
    """Why this one cannot be relied on."""
    if side.unhealthy:
        return f"is not healthy: {side.unhealthy}"
    if side.trial:
        return "is on trial"
    return "" if side.synced or serves else "does not know all connections yet"
