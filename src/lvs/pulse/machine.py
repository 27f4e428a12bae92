"""The pulse of one director of a pair: who of the two is active.

Pure: `step(pulse, input, now)` gives the next state and commands, and `deadline(pulse)` says when
`TimePassed` is due. Time is an argument, in monotonic seconds of this machine.

The rules, each with what it is there for:

- **A term counts takeovers.** Whoever takes over does so with a term above all that it has heard.
  If both are active the lower term yields at once: the other took over because it could not hear this
  one, and clients have gone there. Equal terms (a cold start in two halves): the primary stays; if both
  say that they are it, by a mistake in the configuration, the one with the higher boot identity.
- **Who is not heard cannot insist.** The higher term yields, too, if the other still claims to be active
  after `deadtime`: it cannot hear us, so only we know that there are two (one-way loss). Silence between
  its beats does not put that off; whoever gives way to such a one again bears twice the silence each time.
- **Silence on all paths for `deadtime`** is death; after a start, a pause and a fault a director listens for
  as long before it takes over. While two configurations differ the longer deadtime holds, on both: a
  change reaches one of the two first.
- **Nobody active** and both awake: the primary takes over at once, the backup after `deadtime`, or at once
  if it can and the primary cannot.
- **A director that was silent for `deadtime`**, because it could not run, listens first: a paused machine
  that wakes does not know that it was replaced, and what it hears at first was said long ago. The active
  one does not say a word meanwhile, the standby takes nothing over.
- **Handing over is make before break**: the active director asks (`handing`), the other takes over and
  holds the VIPs, and only then does the first one give them up. If the other does not get them in time the
  first one, which still holds them, takes the service back.
- **A fresh beat** is newer than all that was heard of this start of the peer. A start that is not known is
  believed if it has heard of ours of late, or if its clock is within half a minute of ours and ahead of
  all that was heard: what was recorded before our start, or long ago, is not. Ours tell that one they have
  heard it, so that it can. A goodbye of a start that has not heard of ours counts after `deadtime` only.
"""

from __future__ import annotations

import copy

from lvs.model import Role
from lvs.pulse.hearing import listened, overslept, received
from lvs.pulse.speaking import speak
from lvs.pulse.state import LAST_TERM, Pulse, able, alive, deadline, deadtime, hindrance
from lvs.pulse.words import (
    Beat,
    BeatReceived,
    Command,
    Fault,
    FaultsChanged,
    Grade,
    HoldingChanged,
    Input,
    LeaveAsked,
    Notice,
    Reannounce,
    SwitchoverAsked,
    SwitchoverEnded,
    TakeRole,
    Tell,
    TermsChanged,
    TimePassed,
    VitalsChanged,
)

HANDOVER_S = 10.0  # in which the other must have taken over: the kernel's part takes milliseconds
GOODBYES = 3
BORNE = 8  # deadtimes of silence at most

Step = tuple[Pulse, tuple[Command, ...]]


def step(pulse: Pulse, what: Input, now: float) -> Step:
    """The next state, and what to do; the same arguments give the same answer."""
    new, out = copy.copy(pulse), list[Command]()
    late_s = now - deadline(pulse)
    new.at = now
    if late_s > deadtime(pulse) - pulse.terms.keepalive_s:  # with what went before the other missed deadtime
        overslept(new, late_s, now, out)
    heard: Beat | None = None
    match what:
        case BeatReceived():
            heard = received(new, what, now, out)
        case FaultsChanged(faults):
            new.faults = faults
        case TermsChanged(terms):
            new.terms = terms
        case VitalsChanged(vitals):
            new.vitals = vitals
        case HoldingChanged(holding):
            new.holding = holding
        case SwitchoverAsked():
            _switchover(new, now, out)
        case LeaveAsked():
            new.leaving = True
        case TimePassed():
            pass
    listened(new, now, out)
    if new.woke_at is not None:
        # What was said before the pause counts for nothing, and the first beats may have waited for its end.
        late_enough = heard is not None and now >= new.woke_at + new.terms.keepalive_s
        if late_enough or now >= new.woke_at + deadtime(new):
            new.woke_at, new.send_at = None, now
    if new.role is Role.ACTIVE:
        _active(new, heard, now, out)
    else:
        _idle(new, now, out)
    _leave(new, now)
    speak(pulse, new, now, out)
    return new, tuple(out)


# Who is active


def _barred(new: Pulse, other: Beat | None, now: float) -> Fault | None:
    """The fault that forbids to be active."""
    for fault in new.faults:
        if fault.grade is Grade.CUT:
            return fault
        if fault.grade is Grade.ISOLATED:
            # Both without a witness: it is the witness that is gone, and the pair goes on.
            listens = now < new.listen_until
            lost = (
                other is None and not listens if new.role is Role.ACTIVE else other is None or other.witness
            )
            if lost:
                return fault
    return None


def _active(new: Pulse, heard: Beat | None, now: float, out: list[Command]) -> None:
    other = alive(new, now)
    if (fault := _barred(new, other, now)) is not None:
        _give_up(new, Role.FAULT, fault.text, out)
        return
    if new.woke_at is not None and heard is None:
        return
    if other is not None and other.role is Role.ACTIVE:
        if _both(new, other, heard, now, out):
            return
    else:
        if other is not None:
            new.conflict_since, new.yields = None, 0  # not by silence: the next beat may say the same
        if new.conflict:
            new.conflict = False
            _settled(new, out)
            out.append(Reannounce())
    if new.woke_at is None:
        _hand_over(new, other, now, out)


def _both(new: Pulse, other: Beat, heard: Beat | None, now: float, out: list[Command]) -> bool:
    """Two are active: whether this one gives up."""
    planned = new.handing_until is not None or new.goodbyes is not None or other.handing
    new.conflict = True
    if new.conflict_since is None:
        new.conflict_since = now
    if not planned and Notice.BOTH_ACTIVE not in new.told:
        new.told |= {Notice.BOTH_ACTIVE}
        out.append(Tell(Notice.BOTH_ACTIVE, f"terms {new.term} here and {other.term} there"))
    mine = (new.term, new.terms.primary, new.boot)
    if mine < (other.term, other.primary, other.boot):
        if new.handing_until is None and new.goodbyes is None:
            _give_up(new, Role.STANDBY, "the other director has taken over", out)
        elif other.holding:
            _give_up(new, Role.STANDBY, "handed over to the other director", out)
            out.append(SwitchoverEnded())
    elif other.handing:
        pass  # it gives up when it hears that we hold the VIPs
    elif heard is not None and now >= new.conflict_since + deadtime(new):
        _give_up(new, Role.STANDBY, "the other director is active and does not hear this one", out)
        new.yields, new.yielded_at = new.yields + 1, new.number
    return new.role is not Role.ACTIVE


def _hand_over(new: Pulse, other: Beat | None, now: float, out: list[Command]) -> None:
    """Ask the other to take over if somebody wants that, or if it can do better."""
    if new.handing_until is None:
        if other is not None and other.able and (other.wants or new.faults or new.leaving):
            new.handing_until = now + HANDOVER_S
            new.failback_held = other.wants
        return
    if other is None:
        refused = "the other director went silent"
    elif not other.able and other.role is not Role.ACTIVE:
        refused = f"the other director cannot take over: {other.reason}"
    elif now >= new.handing_until:
        refused = f"the other director did not take over within {HANDOVER_S:g} s"
    else:
        return
    new.handing_until, new.failback_held = None, False
    out.append(SwitchoverEnded(refused))
    if new.leaving:
        new.goodbyes = GOODBYES
    elif other is not None and other.role is Role.ACTIVE:
        _take(new, "the other director did not get the VIPs", out)


def _idle(new: Pulse, now: float, out: list[Command]) -> None:
    other = alive(new, now)
    fault = _barred(new, other, now)
    if fault is None and new.role is Role.FAULT:
        _be(new, Role.STANDBY, "what kept it from serving is over", out)
        new.idle_since, new.listen_until = None, max(new.listen_until, now + deadtime(new))
    if other is not None and (other.role is not Role.ACTIVE or _knows(other, new)):
        new.yields = 0
    _miss(new, other, now, out)
    if fault is not None or new.leaving:
        reason = fault.text if fault is not None else "lvsd stops"
        role = Role.FAULT if fault is not None else Role.STANDBY
        if (role, reason) != (new.role, new.reason):
            _be(new, role, reason, out)
        _want_no_more(new, reason, out)
    elif new.woke_at is not None:
        pass
    elif other is None:
        _alone(new, now, out)
    elif other.role is Role.ACTIVE:
        if other.handing and able(new):
            _take(new, "the other director hands over", out)
        elif new.reason != "the other director is active":
            new.reason = "the other director is active"
            out.append(TakeRole(new.role, max(new.term, other.term), new.reason))
        new.term = max(new.term, other.term)
    else:
        _nobody(new, other, now, out)
    if new.role is not Role.ACTIVE and new.wants_until is not None and now >= new.wants_until:
        _want_no_more(new, f"the other director did not hand over within {HANDOVER_S:g} s", out)


def _knows(other: Beat, new: Pulse) -> bool:
    """Whether it has heard that this director gave way."""
    return other.heard == new.boot and other.heard_number > new.yielded_at


def _miss(new: Pulse, other: Beat | None, now: float, out: list[Command]) -> None:
    """Note since when both are awake and none is active, and tell if it lasts."""
    if other is None or other.role is Role.ACTIVE:
        new.idle_since = None
        if other is not None:
            _settled(new, out)
    elif new.idle_since is None:
        new.idle_since = now
    elif now >= new.idle_since + deadtime(new) and Notice.NONE_ACTIVE not in new.told:
        new.told |= {Notice.NONE_ACTIVE}
        out.append(Tell(Notice.NONE_ACTIVE, f"here: {new.reason}; there: {other.reason}"))


def _alone(new: Pulse, now: float, out: list[Command]) -> None:
    """The other is gone: take over, if that is certain."""
    peer = new.peer
    if peer is not None and peer.beat.leaving and (peer.beat.heard == new.boot or now >= new.listen_until):
        _take(new, "the other director has left", out)
    elif peer is not None and new.yields and now < peer.heard_at + _borne(new) * deadtime(new):
        pass
    elif now >= new.listen_until:
        heard = "has never been heard" if peer is None else f"is silent for {now - peer.heard_at:.2f} s"
        _take(new, f"the other director {heard}", out)


def _borne(new: Pulse) -> int:
    """Deadtimes of silence that are borne from one that does not hear: else the two took turns for ever."""
    return min(BORNE, 1 << new.yields - 1)


def _nobody(new: Pulse, other: Beat, now: float, out: list[Command]) -> None:
    """Both are awake and none is active: take over, unless the other is to."""
    if not other.able and (able(new) or new.terms.primary):
        _take(new, f"the other director cannot: {other.reason}", out)
    elif new.terms.primary and able(new):
        _take(new, "none was active, and this is the primary", out)
    elif new.idle_since is not None and now >= new.idle_since + deadtime(new):
        _take(new, "none was active, and the other director did not take over", out)


def _be(new: Pulse, role: Role, reason: str, out: list[Command]) -> None:
    new.role, new.reason = role, reason
    out.append(TakeRole(role, new.term, reason))


def _take(new: Pulse, reason: str, out: list[Command]) -> None:
    theirs = 0 if new.peer is None else new.peer.beat.term
    new.term = min(max(new.term, theirs) + 1, LAST_TERM)
    new.holding = new.holding and new.role is Role.ACTIVE  # what the kernel had is to be said anew
    if new.wants_until is not None:
        new.wants_until = None
        out.append(SwitchoverEnded())
    new.idle_since, new.conflict_since, new.conflict = None, None, False
    new.failback_held = False
    _be(new, Role.ACTIVE, reason, out)
    _settled(new, out)


def _give_up(new: Pulse, role: Role, reason: str, out: list[Command]) -> None:
    new.handing_until, new.conflict_since, new.conflict = None, None, False
    new.holding = False  # the VIPs go first
    _be(new, role, reason, out)
    _settled(new, out)


def _settled(new: Pulse, out: list[Command]) -> None:
    if new.told & {Notice.BOTH_ACTIVE, Notice.NONE_ACTIVE}:
        new.told -= {Notice.BOTH_ACTIVE, Notice.NONE_ACTIVE}
        out.append(Tell(Notice.SETTLED, f"this director is {new.role}"))


# Handing over


def _switchover(new: Pulse, now: float, out: list[Command]) -> None:
    """An operator wants the other of the two to be active."""
    other = alive(new, now) if new.woke_at is None else None  # what waited was said long ago
    if other is None:
        out.append(SwitchoverEnded("the other director is not heard"))
    elif new.role is Role.ACTIVE:
        if not other.able:
            out.append(SwitchoverEnded(f"the other director cannot take over: {other.reason}"))
        elif new.handing_until is None:
            new.handing_until = now + HANDOVER_S
            new.failback_held = True
    elif other.role is not Role.ACTIVE:
        out.append(SwitchoverEnded("none of the two directors is active; wait until one is"))
    elif not able(new):
        out.append(SwitchoverEnded(f"this director cannot take over: {hindrance(new)}"))
    else:
        new.wants_until = now + HANDOVER_S


def _want_no_more(new: Pulse, why: str, out: list[Command]) -> None:
    if new.wants_until is not None:
        new.wants_until = None
        out.append(SwitchoverEnded(why))


def _leave(new: Pulse, now: float) -> None:
    """Say goodbye when nothing is left to hand over."""
    if new.leaving and new.goodbyes is None:
        other = alive(new, now)
        if new.role is not Role.ACTIVE or other is None or not other.able:
            new.goodbyes = GOODBYES
