"""What the director wants done: the daemon carries these out."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from lvs.checks import Rows, Target
from lvs.events import Event
from lvs.health.orders import Order
from lvs.health.ward import Hook
from lvs.kernel.desired import Desired
from lvs.kernel.state import ServiceKey, Vip
from lvs.pulse.line import ToPulse, Way
from lvs.pulse.words import Terms


class Cause(StrEnum):
    """Why the kernel is looked at."""

    CONFIG = "configuration"
    HEALTH = "health"  # a check, an operator's order, a weight that grows
    ROLE = "role"  # this director became active, or no longer is
    LOOK = "look"  # is it still as it should be?
    STOP = "stop"


class Converge(msgspec.Struct, frozen=True):
    """Make the kernel hold `goal`; with `only`, no more than these services can differ."""

    goal: Desired
    cause: Cause
    before: Desired  # what it was meant to hold until now, for the names of what goes
    only: frozenset[ServiceKey] | None = None


class Announce(msgspec.Struct, frozen=True):
    """Tell the neighbours where these VIPs are."""

    vips: tuple[Vip, ...]


class Ask(msgspec.Struct, frozen=True):
    """Ask these targets from now on, and those no more."""

    follow: tuple[Target, ...]
    forget: tuple[Target, ...]
    again: tuple[Target, ...]  # asked already: tell what they answer, even if it is nothing new
    rows: Mapping[Target, Rows] = {}  # of these: how many equal answers are told; else one


class RunAs(msgspec.Struct, frozen=True):
    """Check programs run as this user; None: lvs-check, or nobody."""

    user: str | None


class RunHook(msgspec.Struct, frozen=True):
    hook: Hook


class KeepOrders(msgspec.Struct, frozen=True):
    """Note the operators' orders where they outlive the daemon."""

    orders: tuple[Order, ...]


class ShareConnections(msgspec.Struct, frozen=True):
    """Tell the other director's kernel of every connection that there is."""

    whom: int = 0  # the start of the other director whose kernel listens; 0: it may not


class Wire(msgspec.Struct, frozen=True):
    """Have a pulse that is connected like this."""

    ways: tuple[Way, ...]
    port: int
    terms: Terms
    key_file: str


class Unwire(msgspec.Struct, frozen=True):
    """There is no pair any more: no pulse."""


class TellPulse(msgspec.Struct, frozen=True):
    what: ToPulse


class Report(msgspec.Struct, frozen=True):
    event: Event


class Quit(msgspec.Struct, frozen=True):
    """Nothing is left to do."""

    failed: bool = False  # what a stop should have removed is still there


Command = (
    Converge
    | Announce
    | Ask
    | RunAs
    | RunHook
    | KeepOrders
    | ShareConnections
    | Wire
    | Unwire
    | TellPulse
    | Report
    | Quit
)
