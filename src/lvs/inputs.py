"""What happens to the director: the daemon feeds these to `lvs.director.step`."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from lvs.checks import Answer, Target
from lvs.commands import Cause, Converge
from lvs.config.located import Problem
from lvs.health.orders import Order
from lvs.health.shared import Findings
from lvs.kernel.state import Op, Vip
from lvs.model import Address, Config, VirtualKey
from lvs.pulse.line import FromPulse


class ConfigLoaded(msgspec.Struct, frozen=True):
    """A file was read and found valid; `digest` is of its text."""

    file: str
    digest: str
    config: Config
    warnings: tuple[Problem, ...] = ()


class ConfigRejected(msgspec.Struct, frozen=True):
    file: str
    problems: tuple[Problem, ...]  # errors and warnings


class ConfigUnreadable(msgspec.Struct, frozen=True):
    file: str
    reason: str


class Converged(msgspec.Struct, frozen=True):
    """A Converge was carried out: these operations were done, those were refused."""

    command: Converge
    done: tuple[Op, ...]
    refused: tuple[tuple[str, str], ...] = ()  # operation as a line, reason
    took_s: float = 0.0
    not_saved: tuple[str, str] | None = None  # file of what is ours, why it could not be written


class ConvergeFailed(msgspec.Struct, frozen=True):
    """The kernel could not be read or written at all."""

    cause: Cause
    reason: str


class LinksChanged(msgspec.Struct, frozen=True):
    """Addresses or devices changed, by us or by somebody else."""

    back: str = ""  # a device that is up and has a carrier now


class LinksUnheard(msgspec.Struct, frozen=True):
    """Changes of addresses and devices cannot be heard of; the next `LinksChanged` ends it."""

    reason: str


class VipsTaken(msgspec.Struct, frozen=True):
    """These are on their devices; the Converge they belong to may still be under way."""

    vips: tuple[Vip, ...]


class Announced(msgspec.Struct, frozen=True):
    """An Announce was carried out, but for these."""

    failed: tuple[str, ...] = ()


class ProbesAnswered(msgspec.Struct, frozen=True):
    """Checks and load monitors have answers."""

    answers: tuple[tuple[Target, Answer], ...]


class OrderGiven(msgspec.Struct, frozen=True):
    """An operator takes a real server out."""

    order: Order


class EnableAsked(msgspec.Struct, frozen=True):
    """An operator takes it back in; `virtual` None: all orders for it."""

    address: Address
    virtual: VirtualKey | None
    by: str


class SessionsEnded(msgspec.Struct, frozen=True):
    """Drained real servers without a session."""

    orders: tuple[Order, ...]


class OrdersShared(msgspec.Struct, frozen=True):
    """The operators' orders, with those of the other director."""

    orders: tuple[Order, ...]


class FindingsShared(msgspec.Struct, frozen=True):
    """What the other director's checks found."""

    findings: Findings


class ChecksMeasured(msgspec.Struct, frozen=True):
    """How the checks go: how many are overdue, and why as far as that is known."""

    overdue: int
    reason: str = ""


class MachineSeen(msgspec.Struct, frozen=True):
    """The machine's addresses, and which of its devices have a link."""

    own: Mapping[str, str]  # address -> device
    linked: Mapping[str, bool]  # device -> is up, and has a carrier


class PulseSaid(msgspec.Struct, frozen=True):
    what: FromPulse


class PulseLost(msgspec.Struct, frozen=True):
    """There is no pulse, for this reason; it is started again as soon as that is possible."""

    reason: str


class TableCounted(msgspec.Struct, frozen=True):
    """So many established connections are in the kernel's table, of services that both directors have."""

    connections: int


class ConnectionsShared(msgspec.Struct, frozen=True):
    """A ShareConnections was carried out."""

    whom: int


class SwitchoverAsked(msgspec.Struct, frozen=True):
    """An operator wants the other director to be active."""

    by: str


class TimePassed(msgspec.Struct, frozen=True):
    """The deadline was reached."""


class StopAsked(msgspec.Struct, frozen=True):
    reason: str


Input = (
    ConfigLoaded
    | ConfigRejected
    | ConfigUnreadable
    | Converged
    | ConvergeFailed
    | LinksChanged
    | LinksUnheard
    | VipsTaken
    | Announced
    | ProbesAnswered
    | OrderGiven
    | EnableAsked
    | SessionsEnded
    | OrdersShared
    | FindingsShared
    | ChecksMeasured
    | MachineSeen
    | PulseSaid
    | PulseLost
    | TableCounted
    | ConnectionsShared
    | SwitchoverAsked
    | TimePassed
    | StopAsked
)
