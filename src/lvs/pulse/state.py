"""What one director of a pair knows of itself and of the other."""

from __future__ import annotations

import msgspec

from lvs.model import Role
from lvs.pulse.words import Beat, Fault, Notice, Terms, Vitals

BURST = 3  # beats in a row when something changed: one may be lost
BURST_S = 0.03  # between them
TELL_EVERY_S = 60.0  # of what a stranger can cause
LAST_TERM = (1 << 62) - 1  # where a peer's nonsense ends; equal terms are settled, too


class Peer(msgspec.Struct, frozen=True, gc=False):
    """The other director as it was heard last."""

    beat: Beat
    heard_at: float  # on whichever path
    paths: dict[str, tuple[float, int]]  # when each path was heard last, and the number then


class Pulse(msgspec.Struct):
    """What a director knows; never changed once it was returned."""

    terms: Terms
    boot: int
    at: float  # when it was last stepped
    role: Role = Role.STANDBY
    reason: str = "listening for the other director"
    term: int = 0
    number: int = 0  # of the newest beat
    holding: bool = False
    faults: tuple[Fault, ...] = ()
    vitals: Vitals = Vitals()
    peer: Peer | None = None
    retired: tuple[int, ...] = ()
    claimed: Beat | None = None  # of a start that is not believed yet
    answer_at: float = 0.0  # such a one is told early not before then
    named: bool = False  # our newest beat told such a one that it was heard
    listen_until: float = 0.0  # before which silence means nothing
    woke_at: float | None = None  # from a pause, and has not listened yet
    handing_until: float | None = None
    wants_until: float | None = None  # an operator wants this director to be active
    failback_held: bool = False  # an operator took the service from this primary
    conflict: bool = False  # both are active, as was heard within deadtime
    conflict_since: float | None = None  # the other was, whenever it was heard
    yields: int = 0  # how often in a row it gave way to one start that does not hear it
    yielded_at: int = 0  # number of our newest beat then
    idle_since: float | None = None  # none is
    probe: int = 1  # number of a beat of ours that the other should have heard ...
    heard_by: float = 0.0  # ... by then
    told: frozenset[Notice] = frozenset()  # told, and not over
    silent_paths: frozenset[str] = frozenset()  # told
    again: int = 0  # beats in a row that a sound network may have brought, and that were no news
    suspect_at: float = -TELL_EVERY_S  # when a beat that is not fresh was last told
    leaving: bool = False
    goodbyes: int | None = None  # still to be said; None: not yet leaving for good
    send_at: float = 0.0
    burst: int = 0


def begin(terms: Terms, boot: int, now: float, *, adopted: bool = False) -> Pulse:
    """A pulse that starts; `adopted`: this director holds the VIPs already, and was active."""
    pulse = Pulse(terms, boot, now, listen_until=now + terms.deadtime_s, burst=BURST)
    pulse.heard_by, pulse.send_at = hearing_due(pulse, now), now
    if adopted:
        pulse.role, pulse.reason, pulse.holding = Role.ACTIVE, "was active before a restart", True
    return pulse


def deadtime(pulse: Pulse) -> float:
    """Seconds of silence that mean death; the longer ones while two configurations differ."""
    own_s = pulse.terms.deadtime_s
    return own_s if pulse.peer is None else max(own_s, pulse.peer.beat.deadtime_s)


def hearing_due(pulse: Pulse, now: float) -> float:
    """By when the other should have heard, and told us that it has, what we say from now on."""
    return now + 2 * pulse.terms.keepalive_s + deadtime(pulse)


def deadline(pulse: Pulse) -> float:
    """When `TimePassed` is due; always after the last step."""
    deadtime_s, now = deadtime(pulse), pulse.at
    times = [pulse.listen_until, pulse.handing_until, pulse.wants_until]
    if pulse.woke_at is not None:
        times.append(pulse.woke_at + deadtime_s)
    if pulse.goodbyes != 0:
        times.append(pulse.send_at)
    if pulse.idle_since is not None:
        times.append(pulse.idle_since + deadtime_s)
    if pulse.peer is not None:
        times.append(pulse.peer.heard_at + deadtime_s)
    return min([time for time in times if time is not None and time > now], default=now + deadtime_s)


def alive(pulse: Pulse, now: float) -> Beat | None:
    """The other director's newest beat, unless it is silent or gone."""
    peer = pulse.peer
    if peer is None or peer.beat.leaving or now >= peer.heard_at + deadtime(pulse):
        return None
    return peer.beat


def able(pulse: Pulse) -> bool:
    """Whether nothing speaks against being active."""
    return not pulse.faults and not pulse.leaving


def hindrance(pulse: Pulse) -> str:
    """What speaks against being active."""
    return "lvsd stops" if pulse.leaving else pulse.faults[0].text if pulse.faults else ""
