"""What the other director offered: it is examined, accepted, and put into the file here in the end."""

from __future__ import annotations

import msgspec

from lvs import events
from lvs.sync import offering
from lvs.sync.messages import Answer, Done, Examine, Install, Offer, Tell
from lvs.sync.state import FOLLOW_S, Following, Phase, State
from lvs.sync.turn import Turn, joined
from lvs.sync.version import Course, Version, decide


def offered(turn: Turn, offer: Offer) -> None:
    """The other one has something new."""
    state = turn.state
    if state.following is not None:
        if state.following.phase is Phase.INSTALLING:
            turn.send(Answer(offer.id, ("it is busy with another configuration",), conflict=True))
            return
        turn.forget()
    version = offer.text.version
    known = state.version == version or (state.file is not None and state.file.version == version)
    if state.leading is not None and state.leading.text.version != version:
        if not offer.forced or state.leading.phase is not Phase.OFFERED:
            reason = "its file was edited at the same time"
            turn.send(Answer(offer.id, (reason,), conflict=True))
            return
        offering.withdraw(turn, "the other director's was chosen")
    until = turn.now + FOLLOW_S
    if not offer.forced and not known and (reason := _objection(turn, version)):
        turn.send(Answer(offer.id, (reason,), conflict=True))
        return
    if known:
        turn.set(following=Following(offer.id, offer.text, Phase.ACCEPTED, until, offer.forced))
        turn.send(Answer(offer.id))
        return
    turn.set(following=Following(offer.id, offer.text, Phase.EXAMINING, until, offer.forced))
    turn.do(Examine(offer.text))


def _objection(turn: Turn, version: Version) -> str:
    """Why an offered version may not take the place of what is here; empty if it may."""
    state = turn.state
    if state.bad or state.file is not None:
        return "its file was edited, and what it holds does not run"
    course, why = decide(turn.base(), state.version, version)
    if course is Course.CONFLICT:
        return why
    return "" if course in (Course.PULL, Course.SAME) else f"it runs {state.version}, which is newer"


def examined(turn: Turn, version: Version, problems: tuple[str, ...]) -> None:
    """What speaks against running it here."""
    following = turn.state.following
    if following is None or following.phase is not Phase.EXAMINING:
        return
    if following.text.version != version:
        return
    if problems:
        turn.decline(following.id, problems)
        told = events.PeerConfigRefused(version.serial, version.digest, joined(problems))
        turn.do(Tell(told))
        return
    turn.set(following=msgspec.structs.replace(following, phase=Phase.ACCEPTED))
    turn.send(Answer(following.id))


def committed(turn: Turn, number: int) -> None:
    """It is to run here."""
    following = turn.state.following
    if following is None or following.id != number or following.phase is not Phase.ACCEPTED:
        turn.send(Done(number, "its file was edited at the same time"))
        return
    turn.set(following=msgspec.structs.replace(following, phase=Phase.INSTALLING))
    mine = turn.state.version
    # That the number is higher says little if it was never counted up from what runs here.
    copy = turn.base() is None and mine != following.text.version and not following.forced
    turn.do(Install(following.text, mine, following.forced, copy))


def installed(turn: Turn, version: Version, fault: str, missing: str) -> None:
    """It lies in the file here and runs, or does not; or what ran before does again."""
    state, following = turn.state, turn.state.following
    if following is None or version != (state.version if following.back else following.text.version):
        return
    if missing and state.mine is not None and _may_go_back(state, following):
        turn.set(following=msgspec.structs.replace(following, back=missing))
        turn.do(Install(state.mine, version, forced=False))
        return
    turn.set(following=None)
    version, reason, unknown = following.text.version, fault, turn.base() is None
    if following.back:  # if that failed, the file was edited again, and what is new goes on
        reason = "" if fault else following.back
    if reason:
        turn.send(Done(following.id, reason, conflict=not following.back))
        turn.do(Tell(events.PeerConfigRefused(version.serial, version.digest, reason)))
    else:
        told = turn.state.version != version
        edited = None  # since it was put there, while the kernel took its time
        if state.file is not None and not state.judged and state.file.version != version:
            edited = None if following.forced else state.file
        turn.set(mine=following.text, file=edited, judged=False, bad=False, conflict="", refused="")
        if turn.state.theirs is not None:  # who leads runs it, or will as soon as it hears this
            turn.set(theirs=msgspec.structs.replace(turn.state.theirs, mine=version))
        turn.send(Done(following.id))
        if told:
            turn.do(Tell(events.ConfigPulled(version.serial, version.digest)))
            if unknown and not following.forced and state.version is not None:
                turn.do(Tell(events.ConfigReplaced(state.version.serial, state.version.digest)))
    turn.stand()
    turn.consider()


def _may_go_back(state: State, following: Following) -> bool:
    """Whether it runs nowhere else yet and nobody is served by it: the active director is yet to follow."""
    if state.active or state.theirs is None or following.forced or following.back:
        return False
    return following.text.version not in (state.theirs.mine, state.version)
