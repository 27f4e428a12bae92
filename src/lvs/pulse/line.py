"""What the daemon and its pulse, two processes, say to each other: messages of one socket pair.

The pulse decides who is active and must never wait, so it is apart from all that reads, checks and writes
the kernel's table. It starts with a `Wiring`; each end hears that the other is gone by the socket's end.
"""

from __future__ import annotations

import msgspec

from lvs.pulse.words import (
    Beat,
    Fault,
    FaultsChanged,
    HoldingChanged,
    LeaveAsked,
    Left,
    Reannounce,
    SwitchoverAsked,
    SwitchoverEnded,
    TakeRole,
    Tell,
    Terms,
    Vitals,
    VitalsChanged,
)

LONGEST = 1 << 16


class Way(msgspec.Struct, frozen=True, gc=False):
    """One network of the pair."""

    name: str  # public or private
    ours: str  # this director's address in it
    theirs: str


class Wiring(msgspec.Struct, frozen=True, gc=False, tag=True):
    """How the pair is connected; a new one replaces the old and changes nobody's role."""

    ways: tuple[Way, ...]  # at least one
    port: int
    key: bytes  # of the pair
    terms: Terms
    # At the first one, so that the first beat says what is so:
    active: bool = False  # the VIPs are here, and this director was active
    holding: bool = False
    faults: tuple[Fault, ...] = ()
    vitals: Vitals = Vitals()


class Seen(msgspec.Struct, frozen=True, gc=False, tag=True):
    """What the pulse knows of the other director; sent about once a second and when it changes."""

    beat: Beat | None  # the newest; None: never heard
    heard_s: float = 0.0  # ago
    silent: tuple[str, ...] = ()  # of the ways
    alive: bool = False
    told: bool = False  # it told this start of ours of all connections
    late_s: float = 0.0  # how late the pulse itself was at most, of late


class Unusable(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A way cannot be used, or can again (`reason` is empty)."""

    way: str
    reason: str


class Strangers(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Datagrams that were no heartbeats of the other, since the last such message."""

    counts: dict[str, int]  # by lvs.pulse.wire.Bad, or `address`
    example: str  # address of one of them


class Privileges(msgspec.Struct, frozen=True, gc=False, tag=True):
    """What the pulse was refused when it started: real-time priority, locked memory."""

    refused: tuple[str, ...]


ToPulse = Wiring | FaultsChanged | VitalsChanged | HoldingChanged | SwitchoverAsked | LeaveAsked
FromPulse = TakeRole | Reannounce | SwitchoverEnded | Left | Tell | Seen | Unusable | Strangers | Privileges

to_pulse = msgspec.msgpack.Decoder(ToPulse)
from_pulse = msgspec.msgpack.Decoder(FromPulse)
encode = msgspec.msgpack.Encoder().encode
