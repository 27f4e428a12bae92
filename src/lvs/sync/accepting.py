"""What the other director offered: it is examined, accepted, and put into the file here in the end."""

from __future__ import annotations

import msgspec

from lvs import events
from lvs.sync import offering
from lvs.sync.messages import Answer, Done, Examine, Install, Offer, Tell
from lvs.sync.state import FOLLOW_S, Following, Phase
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
    turn.do(Install(following.text, turn.state.version, following.forced))


def installed(turn: Turn, version: Version, fault: str) -> None:
    """It lies in the file here and runs, or does not."""
    following = turn.state.following
    if following is None or following.text.version != version:
        return
    turn.set(following=None)
    if fault:
        turn.send(Done(following.id, fault))
        turn.do(Tell(events.PeerConfigRefused(version.serial, version.digest, fault)))
    else:
        told = turn.state.version != version
        turn.set(mine=following.text, file=None, judged=False, bad=False, conflict="", refused="")
        if turn.state.theirs is not None:  # who leads runs it, or will as soon as it hears this
            turn.set(theirs=msgspec.structs.replace(turn.state.theirs, mine=version))
        turn.send(Done(following.id))
        if told:
            turn.do(Tell(events.ConfigPulled(version.serial, version.digest)))
    turn.stand()
    turn.consider()
