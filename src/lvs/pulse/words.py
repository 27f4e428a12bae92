"""What the two directors say to each other, and what a pulse machine hears and orders.

Values without code; those with a tag also go between the daemon and its pulse, which is a process of
its own (`lvs.pulse.line`). Times are monotonic seconds of the machine that holds them; nothing here is
compared between two machines but what a beat itself says of its sender.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from lvs.model import Failback, Role


class Beat(msgspec.Struct, frozen=True, gc=False):
    """A heartbeat."""

    boot: int  # of the sender: drawn at random at each start of its pulse, never 0
    number: int  # counts up with each beat of one start, from 1
    heard: int = 0  # boot of the receiver as the sender heard it last; 0: never
    heard_number: int = 0  # number of the newest beat that the sender heard
    at_s: float = 0.0  # the sender's clock on the wall, seconds since the epoch
    primary: bool = False  # its configuration says so
    deadtime_s: float = 0.0  # of its configuration
    role: Role = Role.STANDBY
    term: int = 0  # active: of its service; else the highest that it knows
    holding: bool = False  # the VIPs are on its devices and announced
    able: bool = False  # could serve
    wants: bool = False  # asks the active director to hand over
    handing: bool = False  # asks the standby to take over
    leaving: bool = False  # is about to stop
    witness: bool = True  # reaches the witnesses, or has none
    connections: int = 0  # established ones that its kernel knows
    receives: bool = False  # its kernel listens for the connections of the other
    told: int = 0  # boot of the receiver when its kernel had been told of all connections; 0: not yet
    serial_no: int = 0
    digest: str = ""  # of its configuration, 16 hexadecimal digits
    version: str = ""  # of its lvsd
    reason: str = ""  # why it is what it is


class Grade(StrEnum):
    """How bad a fault is."""

    CUT = "cut"  # nothing can be served: give up, whoever else there is
    ISOLATED = "isolated"  # no witness answers: give up if the other is silent too, or can do better
    POOR = "poor"  # hand over if the other can do better, else go on


class Fault(msgspec.Struct, frozen=True, gc=False):
    grade: Grade
    text: str  # a sentence without a full stop


class Terms(msgspec.Struct, frozen=True, gc=False):
    """What the configuration says of the pair."""

    primary: bool  # this director is the primary
    keepalive_s: float  # above 0, below deadtime_s
    deadtime_s: float
    failback: Failback = Failback.NEVER


class Vitals(msgspec.Struct, frozen=True, gc=False):
    """What a beat tells of its director besides its role."""

    serial_no: int = 0
    digest: str = ""
    connections: int = 0
    version: str = ""
    receives: bool = False
    told: int = 0
    caught_up: bool = False  # the connection table is as full as the other's


# Inputs


class BeatReceived(msgspec.Struct, frozen=True, gc=False):
    """An authentic beat; `skew_s` is our clock on the wall minus the sender's."""

    beat: Beat
    path: str  # which of the pair's networks it came by
    skew_s: float


class FaultsChanged(msgspec.Struct, frozen=True, gc=False, tag=True):
    faults: tuple[Fault, ...]


class TermsChanged(msgspec.Struct, frozen=True, gc=False, tag=True):
    terms: Terms


class VitalsChanged(msgspec.Struct, frozen=True, gc=False, tag=True):
    vitals: Vitals


class HoldingChanged(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Whether the kernel holds what an active director holds, and the neighbours were told.

    Said anew after each `TakeRole(active)`, even if nothing had to be done.
    """

    holding: bool


class SwitchoverAsked(msgspec.Struct, frozen=True, gc=False, tag=True):
    """An operator wants the other one of the two to be active."""

    by: str


class LeaveAsked(msgspec.Struct, frozen=True, gc=False, tag=True):
    """The daemon is about to stop."""


class TimePassed(msgspec.Struct, frozen=True, gc=False):
    """The deadline was reached."""


Input = (
    BeatReceived
    | FaultsChanged
    | TermsChanged
    | VitalsChanged
    | HoldingChanged
    | SwitchoverAsked
    | LeaveAsked
    | TimePassed
)


# Commands


class SendBeat(msgspec.Struct, frozen=True, gc=False):
    """Send it by every path; `at_s` is for the sender to fill in."""

    beat: Beat


class TakeRole(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Be this from now on."""

    role: Role
    term: int
    reason: str


class Reannounce(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Tell the neighbours again where the VIPs are: somebody else may have answered for them."""


class SwitchoverEnded(msgspec.Struct, frozen=True, gc=False, tag=True):
    """The service was handed over, or why it was not (else empty); an operator may wait for it, or none."""

    refused: str = ""


class Left(msgspec.Struct, frozen=True, gc=False, tag=True):
    """The goodbye is said; the daemon may stop."""


class Notice(StrEnum):
    """What is worth telling beside changes of role."""

    PEER_HEARD = "peer_heard"
    PEER_SILENT = "peer_silent"
    PEER_LEFT = "peer_left"
    PATH_HEARD = "path_heard"
    PATH_SILENT = "path_silent"
    NOT_HEARD = "not_heard"  # we hear the other, which does not hear us
    BOTH_ACTIVE = "both_active"
    NONE_ACTIVE = "none_active"
    SETTLED = "settled"  # one is active again, after one of these two
    OVERSLEPT = "overslept"
    REPLAYED = "replayed"
    CLOCKS_APART = "clocks_apart"


class Tell(msgspec.Struct, frozen=True, gc=False, tag=True):
    notice: Notice
    text: str


class Ignored(StrEnum):
    """Why an authentic beat counts for nothing."""

    REPLAYED = "replayed"  # of the past, or one of ours
    REPEATED = "repeated"  # heard before, and so are many others
    UNPROVEN = "unproven"  # of a start that may be of the past, and so are many others
    GARBLED = "garbled"  # no sound director could say so


class Count(msgspec.Struct, frozen=True, gc=False):
    """Count it among what strangers sent."""

    what: Ignored
    path: str


Command = SendBeat | TakeRole | Reannounce | SwitchoverEnded | Left | Tell | Count
