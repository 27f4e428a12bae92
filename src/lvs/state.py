"""What the director holds, as one value, and what can be told from it."""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec

from lvs.checks import Target
from lvs.commands import Ask, Command
from lvs.events import counted
from lvs.health import maintenance, ward
from lvs.health.ward import Health
from lvs.kernel import text
from lvs.kernel.desired import NOTHING, Desired
from lvs.kernel.firewall import Port
from lvs.kernel.state import Service, ServiceKey, TakeVip, Vip
from lvs.model import Config, OnStop, Role
from lvs.pair import Pairing

LOOK_EVERY_S = 3.0  # table and addresses are compared this often; drift is repaired within 5 s
# Seconds after a VIP was taken: neighbours believe the first one they hear, which may get lost while a
# switch learns the port; Piranha's five, a second apart, and one more. Then `announce_every`.
ANNOUNCE_AFTER_S = (0.0, 0.2, 1.0, 2.0, 3.0, 4.0)


class Applying(msgspec.Struct, frozen=True):
    """A loaded configuration on its way into the kernel."""

    file: str
    digest: str
    before: Desired


class Repeat(msgspec.Struct, frozen=True):
    """VIPs that were just taken, and are to be announced again."""

    vips: tuple[Vip, ...]
    taken_at: float
    told: int  # times

    @property
    def at(self) -> float:
        return self.taken_at + ANNOUNCE_AFTER_S[self.told]


class State(msgspec.Struct, frozen=True):
    config: Config | None = None
    digest: str = ""
    goal: Desired = NOTHING
    applying: Applying | None = None  # until the first Converged with its goal
    on_stop: OnStop | None = None  # the command line's word over the configuration's
    refused: tuple[tuple[str, str], ...] = ()  # told already
    open_to_all: frozenset[Port] | None = None  # by the firewall, if there is to be one
    unavailable: str = ""  # told already
    unheard: str = ""  # told already
    not_saved: tuple[str, str] | None = None  # told already
    unannounced: frozenset[str] = frozenset()  # told already, until all is announced
    announcing: tuple[Repeat, ...] = ()
    announce_at: float | None = None  # all that are held
    look_at: float | None = None
    looked_at: float = -math.inf  # when the last look was ordered, or what stands for one ...
    look_took_s: float = 0.0  # ... and how long one takes
    leaving: str = ""  # why it is to stop, as soon as the other director has taken over
    leave_by: float | None = None
    stopping: str = ""
    pairing: Pairing = Pairing()
    health: Health = Health()
    found: Mapping[
        ServiceKey, Service
    ] = {}  # the table as the daemon found it, until the first configuration
    moving: frozenset[ServiceKey] = frozenset()  # services on their way into the kernel
    all_moving: bool = False  # everything is
    later: tuple[Target, ...] = ()  # to be asked when the kernel knows the way to them
    checks_late: bool = False  # told already
    faults: Mapping[str, float] = {}  # why checks could not be made: told already, and when last heard of


Step = tuple[State, tuple[Command, ...]]


def deadline(state: State) -> float | None:
    """When `TimePassed` is due, in monotonic seconds."""
    times = [repeat.at for repeat in state.announcing]
    due = (state.look_at, state.announce_at, state.leave_by)
    times += [at for at in due if at is not None]
    if not state.stopping and (at := maintenance.deadline(state.health)) is not None:
        times.append(at)
    return min(times, default=None)


def ask(
    health: Health,
    follow: tuple[Target, ...],
    forget: tuple[Target, ...] = (),
    again: tuple[Target, ...] = (),
) -> Ask:
    """The command to ask real servers, with as many equal answers as count for somebody."""
    rows = {target: ward.patience(health, target) for target in (*follow, *again)}
    return Ask(follow, forget, again, rows)


def settled(state: State) -> bool:
    """Whether nothing is on its way into the kernel."""
    return not (state.applying or state.moving or state.all_moving)


def changed(before: Desired, after: Desired) -> frozenset[ServiceKey] | None:
    """The services that can differ between two goals; None if more than services does."""
    one, other = before.state, after.state
    if msgspec.structs.replace(one, services={}) != msgspec.structs.replace(other, services={}):
        return None
    found = one.services.get
    fresh = [key for key, service in other.services.items() if found(key) is not service]
    gone = [key for key in one.services if key not in other.services]
    return frozenset((*fresh, *gone))


def held_vips(state: State) -> tuple[Vip, ...]:
    """The VIPs that this director has: what it should, but for those that could not be taken."""
    refused = {line for line, _ in state.refused}
    return tuple(vip for vip in sorted(state.goal.state.vips) if text.line(TakeVip(vip)) not in refused)


def on_stop(state: State) -> OnStop:
    if state.on_stop is not None:
        return state.on_stop
    return OnStop.KEEP if state.config is None else state.config.on_stop


def goes_on(state: State) -> str:
    if state.config is None:
        return "nothing is changed in the kernel until there is a valid configuration"
    return f"serial {state.config.serial_no} goes on"


def left(state: State, refused: int = 0) -> str:
    if state.config is None:
        return "the kernel was not changed"
    if on_stop(state) is OnStop.KEEP:
        services = counted(len(state.goal.origin), "service")
        if state.pairing.role is not Role.ACTIVE:
            return f"left on standby: {services}, no VIP"
        return f"left serving: {services}, {counted(len(state.goal.state.vips), 'VIP')}"
    if refused:
        return f"our services and VIPs are removed but for what was refused: {counted(refused, 'operation')}"
    return "our services and VIPs are removed, settings put back"
