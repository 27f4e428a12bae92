"""What a director says, and when: a beat each `keepalive`, a few in a row when something is new."""

from __future__ import annotations

from lvs.model import Failback, Role
from lvs.pulse.state import BURST, BURST_S, Pulse, able, alive, hindrance
from lvs.pulse.words import Beat, Command, Grade, Left, SendBeat


def speak(before: Pulse, new: Pulse, now: float, out: list[Command]) -> None:
    """Send a beat if it is time, and a few in a row if it says something new."""
    if _news(new, now) != _news(before, before.at):
        new.burst, new.send_at = BURST, now
    if now < new.send_at or new.goodbyes == 0:
        return
    if new.woke_at is not None and new.role is Role.ACTIVE:  # mute, but a second pause is to be seen
        new.send_at = now + new.terms.keepalive_s
        return
    if new.goodbyes is not None:
        new.goodbyes -= 1
    new.number += 1
    # Who is not believed yet is told that we hear it, every other time: so is the one that we know.
    claimed = None if new.named and alive(new, now) is not None else new.claimed
    new.claimed, new.named = None, claimed is not None
    out.append(SendBeat(_beat(new, claimed, now)))
    new.burst = max(0, new.burst - 1)
    new.send_at = now + (min(BURST_S, new.terms.keepalive_s) if new.burst else new.terms.keepalive_s)
    if new.goodbyes == 0:
        out.append(Left())


def _news(new: Pulse, now: float) -> tuple[object, ...]:
    """What the other must hear at once if it is another: all but vitals and reasons."""
    role = new.role, new.term, new.holding, new.handing_until is None, new.goodbyes is None
    return *role, new.leaving, new.faults, new.terms, _wants(new, alive(new, now))


def _beat(new: Pulse, claimed: Beat | None, now: float) -> Beat:
    vitals = new.vitals
    hindered = new.leaving or (new.role is Role.STANDBY and not able(new))
    heard = claimed or (None if new.peer is None else new.peer.beat)
    return Beat(
        boot=new.boot,
        number=new.number,
        heard=0 if heard is None else heard.boot,
        heard_number=0 if heard is None else heard.number,
        primary=new.terms.primary,
        deadtime_s=new.terms.deadtime_s,
        role=new.role,
        term=new.term,
        holding=new.holding and new.role is Role.ACTIVE,
        able=able(new),
        wants=_wants(new, alive(new, now)),
        handing=new.handing_until is not None,
        leaving=new.goodbyes is not None,
        witness=not any(fault.grade is Grade.ISOLATED for fault in new.faults),
        connections=vitals.connections,
        receives=vitals.receives,
        told=vitals.told,
        serial_no=vitals.serial_no,
        digest=vitals.digest,
        version=vitals.version,
        reason=hindrance(new) if hindered else new.reason,
    )


def _wants(new: Pulse, other: Beat | None) -> bool:
    """Whether this director asks for the service."""
    if new.role is Role.ACTIVE or other is None or other.role is not Role.ACTIVE or not able(new):
        return False
    if new.wants_until is not None:
        return True
    if not new.terms.primary or new.failback_held:
        return False
    caught_up = new.terms.failback is Failback.SYNCED and new.vitals.caught_up
    return new.terms.failback is Failback.IMMEDIATE or caught_up
