"""How a configuration gets to the other director.

Pure. Each director has one State; `step(state, input, now)` gives the next and commands, and what a
director sends is the other's input. What is compared are versions, by three: what runs here, what
runs there, and what both were last known to run (`lvs.sync.version`). Who alone has something new, with
a higher serial_no, offers it; the other examines it; it is applied on the standby, then on the active, or
on neither. Anything else is a conflict: named, and left to a person.

The wire may be cut anywhere. Whoever leads and loses the other goes on as if it had not been there:
its file was good, and is pending until the other is back. What was agreed on is numbered, so that after
a cut in the middle the one that knows less believes the one that knows more.
"""

from __future__ import annotations

from typing import assert_never

import msgspec

from lvs import events
from lvs.sync import accepting, offering
from lvs.sync.messages import (
    Abort,
    Answer,
    Command,
    Commit,
    Connected,
    Done,
    Examined,
    FileBad,
    FileRead,
    HangUp,
    Input,
    Installed,
    Keep,
    KernelRefused,
    Lost,
    Message,
    Offer,
    Ran,
    Received,
    Refusals,
    Refuse,
    ResolveAsked,
    RoleIs,
    Standing,
    Take,
    Tell,
    TimePassed,
    Use,
)
from lvs.sync.state import (
    ANSWER_S,
    COMMIT_S,
    FOLLOW_S,
    Phase,
    State,
)
from lvs.sync.turn import Turn
from lvs.sync.version import Text, Version

Step = tuple[State, tuple[Command, ...]]


def step(state: State, what: Input, now: float) -> Step:
    """The next state, and what to do; the same arguments give the same answer."""
    turn = Turn(state, now)
    match what:
        case FileRead(text):
            _file_read(turn, text)
        case FileBad():
            _file_bad(turn)
        case Connected():
            turn.set(connected=True)
            turn.stand()
        case Lost():
            _lost(turn)
        case Received(message):
            _received(turn, message)
        case Examined(version, problems):
            accepting.examined(turn, version, problems)
        case Installed(version, fault, missing):
            accepting.installed(turn, version, fault, missing)
        case Ran(version, missing):
            offering.ran(turn, version, missing)
        case KernelRefused(refusals):
            if refusals != state.refusals:
                turn.set(refusals=refusals)
                turn.stand()
        case RoleIs(active):
            if active is not state.active:
                turn.set(active=active)
                turn.stand()
        case ResolveAsked(use):
            _resolve(turn, use)
        case TimePassed():
            _passed(turn)
        case _:
            assert_never(what)
    return turn.state, tuple(turn.commands)


def _file_read(turn: Turn, text: Text) -> None:
    state = turn.state
    _replaced(turn, text.version)
    turn.set(file=text, judged=False, bad=False)
    if state.theirs is None:
        alone = state.version != text.version
        turn.run(text)
        turn.stand()  # it may be connected, and only have said nothing yet
        if alone and state.mine is not None:
            turn.do(Tell(events.ConfigPending(text.version.serial, text.version.digest)))
        return
    following = state.following
    if following is not None and following.text.version != text.version:
        if following.phase is not Phase.INSTALLING:
            turn.decline(following.id, ("its file was edited at the same time",), conflict=True)
            turn.judge("the other director's file was edited at the same time")
        return  # else it is looked at when that has ended
    leading = state.leading
    if leading is not None and leading.text.version != text.version:
        if leading.phase is not Phase.OFFERED:
            return
        offering.withdraw(turn, "a newer file took its place")
    turn.consider()


def _file_bad(turn: Turn) -> None:
    leading = turn.state.leading
    if leading is not None and leading.fresh and leading.phase is Phase.OFFERED:
        offering.withdraw(turn, "a newer file took its place")
    _replaced(turn, None)
    turn.set(file=None, bad=True)
    turn.stand()
    turn.consider()


def _replaced(turn: Turn, version: Version | None) -> None:
    """What was read before and still waits, waits in vain."""
    file, leading = turn.state.file, turn.state.leading
    if file is None or turn.state.judged or file.version == version:
        return
    if leading is None or leading.text.version != file.version:
        turn.do(Refuse(file.version, ("a newer file took its place",)))


def _received(turn: Turn, message: Message) -> None:
    match message:
        case Standing():
            _heard(turn, message)
        case Offer():
            accepting.offered(turn, message)
        case Answer():
            offering.answered(turn, message)
        case Commit(number):
            accepting.committed(turn, number)
        case Done():
            offering.done(turn, message)
        case Abort(number):
            following = turn.state.following
            if following is not None and following.id == number:
                if following.phase is not Phase.INSTALLING:
                    turn.forget()
                turn.consider()
        case Take():
            _resolve(turn, Use.HERE)
        case _:
            assert_never(message)


def _heard(turn: Turn, standing: Standing) -> None:
    state = turn.state
    if standing != state.theirs:
        turn.set(retry_at=None)
    known = Refusals() if state.theirs is None else state.theirs.refusals
    if standing.refusals.number and standing.refusals != known:
        turn.do(Tell(events.PeerIncomplete(standing.refusals.number, standing.refusals.first)))
    turn.set(theirs=standing)
    if 0 < state.agreed.number < standing.agreed.number:
        turn.set(agreed=standing.agreed)
        turn.do(Keep(standing.agreed))
    turn.consider()


def _lost(turn: Turn) -> None:
    state = turn.state
    leading, following = state.leading, state.following
    turn.set(connected=False, theirs=None, leading=None, retry_at=None, refused="")
    if following is not None and following.phase is not Phase.INSTALLING:
        turn.forget()
    before = turn.state.version
    if leading is not None and leading.fresh and before != leading.text.version:
        turn.run(leading.text)
    if turn.state.file is not None and not turn.state.judged:
        turn.run(turn.state.file)
    version = turn.state.version
    if version is not None and (version != before or (leading is not None and leading.fresh)):
        turn.do(Tell(events.ConfigPending(version.serial, version.digest)))


def _resolve(turn: Turn, use: Use) -> None:
    state = turn.state
    if use is Use.THERE:
        turn.send(Take())
        return
    chosen = state.file or state.mine
    if state.theirs is None or state.leading is not None or chosen is None:
        return
    if state.following is not None:
        if state.following.phase is Phase.INSTALLING:
            return
        turn.decline(state.following.id, ("the other's was chosen",), conflict=True)
    turn.lead(chosen, fresh=chosen != state.mine, forced=True)


def _passed(turn: Turn) -> None:
    state = turn.state
    leading, following = state.leading, state.following
    if leading is not None and leading.until <= turn.now:
        if leading.phase is Phase.OFFERED:
            turn.send(Abort(leading.id))
            offering.failed(turn, leading, (f"no answer within {ANSWER_S:.0f} s",), conflict=False)
        elif leading.phase is Phase.RUNNING:
            offering.commit(turn, leading)
        else:
            until = msgspec.structs.replace(leading, until=turn.now + COMMIT_S)
            turn.set(leading=until)
            turn.do(HangUp("the other director did not say whether it applied the configuration"))
    if following is not None and following.until <= turn.now:
        if following.phase is Phase.INSTALLING:
            turn.set(following=msgspec.structs.replace(following, until=turn.now + FOLLOW_S))
        else:
            turn.forget()
    if state.retry_at is not None and state.retry_at <= turn.now:
        turn.set(retry_at=None)
    turn.consider()
