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
from lvs.sync.messages import (
    Abort,
    Answer,
    Command,
    Commit,
    Connected,
    Discard,
    Done,
    Examine,
    Examined,
    FileBad,
    FileRead,
    HangUp,
    Input,
    Install,
    Installed,
    Keep,
    Lost,
    Message,
    Offer,
    Ran,
    Received,
    Refuse,
    ResolveAsked,
    RoleIs,
    Run,
    Send,
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
    RETRY_S,
    RUN_S,
    Following,
    Leading,
    Phase,
    State,
)
from lvs.sync.version import Agreed, Course, Text, Version, decide

Step = tuple[State, tuple[Command, ...]]


def step(state: State, what: Input, now: float) -> Step:
    """The next state, and what to do; the same arguments give the same answer."""
    turn = _Turn(state, now)
    match what:
        case FileRead(text):
            turn.file_read(text)
        case FileBad():
            turn.file_bad()
        case Connected():
            turn.set(connected=True)
            turn.stand()
        case Lost():
            turn.lost()
        case Received(message):
            turn.received(message)
        case Examined(version, problems):
            turn.examined(version, problems)
        case Installed(version, fault):
            turn.installed(version, fault)
        case Ran(version):
            turn.ran(version)
        case RoleIs(active):
            if active is not state.active:
                turn.set(active=active)
                turn.stand()
        case ResolveAsked(use):
            turn.resolve(use)
        case TimePassed():
            turn.passed()
        case _:
            assert_never(what)
    return turn.state, tuple(turn.commands)


class _Turn:
    """One step on its way: the state as it is by now, and the commands so far."""

    def __init__(self, state: State, now: float) -> None:
        self.state = state
        self.now = now
        self.commands: list[Command] = []

    def set(self, **changes: object) -> None:
        self.state = msgspec.structs.replace(self.state, **changes)

    def do(self, command: Command) -> None:
        self.commands.append(command)

    def send(self, message: Message) -> None:
        if self.state.connected:
            self.do(Send(message))

    def stand(self) -> None:
        """Tell the other where this one stands."""
        state = self.state
        file = None if state.file is None else state.file.version
        self.send(Standing(state.version, file, state.agreed, state.active))

    def run(self, text: Text) -> None:
        """This is what runs from now on."""
        file = None if self.state.file == text else self.state.file
        self.set(mine=text, file=file)
        self.do(Run(text))

    def base(self) -> Version | None:
        """What both ran; nothing, if one of them has never known."""
        state = self.state
        if state.theirs is None or not state.agreed.number or not state.theirs.agreed.number:
            return None
        higher = max(state.agreed, state.theirs.agreed, key=lambda agreed: agreed.number)
        return higher.version

    # The file here

    def file_read(self, text: Text) -> None:
        state = self.state
        self.replaced(text.version)
        self.set(file=text, judged=False, bad=False)
        if state.theirs is None:
            alone = state.version != text.version
            self.run(text)
            if alone and state.mine is not None:
                self.do(Tell(events.ConfigPending(text.version.serial, text.version.digest)))
            return
        following = state.following
        if following is not None and following.text.version != text.version:
            if following.phase is not Phase.INSTALLING:
                self.decline(following.id, ("its file was edited at the same time",), conflict=True)
                self.judge("the other director's file was edited at the same time")
            return  # else it is looked at when that has ended
        leading = state.leading
        if leading is not None and leading.text.version != text.version:
            if leading.phase is not Phase.OFFERED:
                return
            self.withdraw("a newer file took its place")
        self.consider()

    def file_bad(self) -> None:
        leading = self.state.leading
        if leading is not None and leading.fresh and leading.phase is Phase.OFFERED:
            self.withdraw("a newer file took its place")
        self.replaced(None)
        self.set(file=None, bad=True)
        self.stand()
        self.consider()

    def replaced(self, version: Version | None) -> None:
        """What was read before and still waits, waits in vain."""
        file, leading = self.state.file, self.state.leading
        if file is None or self.state.judged or file.version == version:
            return
        if leading is None or leading.text.version != file.version:
            self.do(Refuse(file.version, ("a newer file took its place",)))

    def judge(self, reason: str, *reasons: str) -> None:
        """The file here does not become what runs."""
        file = self.state.file
        assert file is not None
        self.set(judged=True)
        self.do(Refuse(file.version, (reason, *reasons)))
        self.stand()

    def disagree(self, mine: Version, theirs: Version, reason: str) -> None:
        """Name a conflict, once."""
        if self.state.conflict != reason:
            self.set(conflict=reason)
            self.do(
                Tell(events.ConfigConflict(mine.serial, mine.digest, theirs.serial, theirs.digest, reason))
            )

    # What to do about two versions

    def consider(self) -> None:
        """Look at where both stand, if nothing is on its way."""
        state = self.state
        if state.theirs is None or state.leading is not None or state.following is not None:
            return
        theirs = state.theirs.mine
        if state.file is not None and not state.judged:
            self.consider_file(state.file, theirs)
            return
        course, why = decide(self.base(), state.version, theirs)
        if course is Course.SAME:
            self.agree()
        elif course is Course.PUSH and state.mine is not None and state.retry_at is None:
            self.lead(state.mine, fresh=False)
        elif course is Course.CONFLICT and state.version and theirs:
            self.disagree(state.version, theirs, why)

    def consider_file(self, file: Text, theirs: Version | None) -> None:
        state = self.state
        if file.version == state.version:
            self.run(file)
            self.stand()  # what lay in the file before may have been told as an edit that does not run
            self.consider()
            return
        course, why = decide(self.base(), file.version, theirs)
        if course is Course.PUSH:
            self.lead(file, fresh=True)
        elif course is Course.SAME:  # they have it already
            self.run(file)
            self.agree()
            self.stand()
        else:
            assert theirs is not None
            why = why or f"the other director runs {theirs} already"
            self.judge(f"conflict: {why}")
            self.disagree(file.version, theirs, why)

    def agree(self) -> None:
        """Both run the same."""
        state = self.state
        assert state.theirs is not None
        if not state.judged or state.file is None:
            self.set(conflict="")
        self.set(refused="", retry_at=None)
        if state.version is not None and state.agreed.version != state.version:
            number = max(state.agreed.number, state.theirs.agreed.number) + 1
            self.set(agreed=Agreed(number, state.version))
            self.do(Keep(self.state.agreed))
            self.stand()

    # Leading

    def lead(self, text: Text, *, fresh: bool, forced: bool = False) -> None:
        number = self.state.number + 1
        until = self.now + ANSWER_S
        leading = Leading(number, text, Phase.OFFERED, until, fresh, forced, self.state.mine)
        self.set(number=number, leading=leading, retry_at=None)
        self.send(Offer(number, text, forced))

    def withdraw(self, reason: str) -> None:
        """Give up what was only offered."""
        leading = self.state.leading
        assert leading is not None
        self.set(leading=None)
        self.send(Abort(leading.id))
        if leading.fresh:
            self.do(Refuse(leading.text.version, (reason,)))

    def answered(self, answer: Answer) -> None:
        leading = self.state.leading
        if leading is None or leading.id != answer.id or leading.phase is not Phase.OFFERED:
            return
        if answer.problems:
            self.failed(leading, answer.problems, conflict=answer.conflict)
        elif self.state.active or not leading.fresh:
            self.commit(leading)
        else:  # the standby first, and that is this one
            phase = msgspec.structs.replace(leading, phase=Phase.RUNNING, until=self.now + RUN_S)
            self.set(leading=phase)
            self.run(leading.text)

    def ran(self, version: Version) -> None:
        leading = self.state.leading
        if leading is not None and leading.phase is Phase.RUNNING and leading.text.version == version:
            self.commit(leading)

    def commit(self, leading: Leading) -> None:
        phase = msgspec.structs.replace(leading, phase=Phase.COMMITTED, until=self.now + COMMIT_S)
        self.set(leading=phase)
        self.send(Commit(leading.id))

    def done(self, done: Done) -> None:
        leading = self.state.leading
        if leading is None or leading.id != done.id or leading.phase is not Phase.COMMITTED:
            return
        if done.fault:
            self.failed(leading, (done.fault,), conflict=True)
            return
        version = leading.text.version
        self.set(leading=None)
        if self.state.version != version:
            self.run(leading.text)
        if leading.forced:
            self.set(conflict="")
            self.do(Tell(events.ConflictResolved(version.serial, version.digest)))
        self.do(Tell(events.ConfigPushed(version.serial, version.digest)))
        if self.state.theirs is not None:
            self.set(theirs=msgspec.structs.replace(self.state.theirs, mine=version))
        self.stand()
        self.consider()

    def failed(self, leading: Leading, reasons: tuple[str, ...], *, conflict: bool) -> None:
        """The other does not take it: so it does not run here either, if it did not before."""
        version, theirs = leading.text.version, self.state.theirs
        self.set(leading=None)
        if leading.fresh:
            if self.state.version == version and leading.before is not None:  # the way back
                self.run(leading.before)
            if self.state.file is None:
                self.set(file=leading.text)
            if self.state.file == leading.text:
                self.set(judged=True)
            self.do(Refuse(version, tuple(f"the other director: {reason}" for reason in reasons)))
        else:
            self.set(retry_at=self.now + RETRY_S)
        if conflict and theirs is not None and (other := theirs.file or theirs.mine) is not None:
            self.disagree(version, other, reasons[0])
        elif self.state.refused != reasons[0] or leading.fresh:
            self.do(Tell(events.ConfigRefusedByPeer(version.serial, version.digest, _joined(reasons))))
        self.set(refused="" if leading.fresh else reasons[0])
        self.stand()
        self.consider()

    # Following

    def offered(self, offer: Offer) -> None:
        state = self.state
        if state.following is not None:
            if state.following.phase is Phase.INSTALLING:
                self.send(Answer(offer.id, ("it is busy with another configuration",), conflict=True))
                return
            self.forget()
        version = offer.text.version
        known = state.version == version or (state.file is not None and state.file.version == version)
        if state.leading is not None and state.leading.text.version != version:
            if not offer.forced or state.leading.phase is not Phase.OFFERED:
                reason = "its file was edited at the same time"
                self.send(Answer(offer.id, (reason,), conflict=True))
                return
            self.withdraw("the other director's was chosen")
        until = self.now + FOLLOW_S
        if not offer.forced and not known and (reason := self.objection(version)):
            self.send(Answer(offer.id, (reason,), conflict=True))
            return
        if known:
            self.set(following=Following(offer.id, offer.text, Phase.ACCEPTED, until, offer.forced))
            self.send(Answer(offer.id))
            return
        self.set(following=Following(offer.id, offer.text, Phase.EXAMINING, until, offer.forced))
        self.do(Examine(offer.text))

    def objection(self, version: Version) -> str:
        """Why an offered version may not take the place of what is here; empty if it may."""
        state = self.state
        if state.bad or state.file is not None:
            return "its file was edited, and what it holds does not run"
        course, why = decide(self.base(), state.version, version)
        if course is Course.CONFLICT:
            return why
        return "" if course in (Course.PULL, Course.SAME) else f"it runs {state.version}, which is newer"

    def examined(self, version: Version, problems: tuple[str, ...]) -> None:
        following = self.state.following
        if following is None or following.phase is not Phase.EXAMINING:
            return
        if following.text.version != version:
            return
        if problems:
            self.decline(following.id, problems)
            told = events.PeerConfigRefused(version.serial, version.digest, _joined(problems))
            self.do(Tell(told))
            return
        self.set(following=msgspec.structs.replace(following, phase=Phase.ACCEPTED))
        self.send(Answer(following.id))

    def decline(self, number: int, problems: tuple[str, ...], *, conflict: bool = False) -> None:
        self.forget()
        self.send(Answer(number, problems, conflict))

    def forget(self) -> None:
        self.set(following=None)
        self.do(Discard())

    def committed(self, number: int) -> None:
        following = self.state.following
        if following is None or following.id != number or following.phase is not Phase.ACCEPTED:
            self.send(Done(number, "its file was edited at the same time"))
            return
        self.set(following=msgspec.structs.replace(following, phase=Phase.INSTALLING))
        self.do(Install(following.text, self.state.version, following.forced))

    def installed(self, version: Version, fault: str) -> None:
        following = self.state.following
        if following is None or following.text.version != version:
            return
        self.set(following=None)
        if fault:
            self.send(Done(following.id, fault))
            self.do(Tell(events.PeerConfigRefused(version.serial, version.digest, fault)))
        else:
            told = self.state.version != version
            self.set(mine=following.text, file=None, judged=False, bad=False, conflict="", refused="")
            if self.state.theirs is not None:  # who leads runs it, or will as soon as it hears this
                self.set(theirs=msgspec.structs.replace(self.state.theirs, mine=version))
            self.send(Done(following.id))
            if told:
                self.do(Tell(events.ConfigPulled(version.serial, version.digest)))
        self.stand()
        self.consider()

    # All else

    def received(self, message: Message) -> None:
        match message:
            case Standing():
                self.heard(message)
            case Offer():
                self.offered(message)
            case Answer():
                self.answered(message)
            case Commit(number):
                self.committed(number)
            case Done():
                self.done(message)
            case Abort(number):
                following = self.state.following
                if following is not None and following.id == number:
                    if following.phase is not Phase.INSTALLING:
                        self.forget()
                    self.consider()
            case Take():
                self.resolve(Use.HERE)
            case _:
                assert_never(message)

    def heard(self, standing: Standing) -> None:
        state = self.state
        if standing != state.theirs:
            self.set(retry_at=None)
        self.set(theirs=standing)
        if 0 < state.agreed.number < standing.agreed.number:
            self.set(agreed=standing.agreed)
            self.do(Keep(standing.agreed))
        self.consider()

    def lost(self) -> None:
        state = self.state
        leading, following = state.leading, state.following
        self.set(connected=False, theirs=None, leading=None, retry_at=None, refused="")
        if following is not None and following.phase is not Phase.INSTALLING:
            self.forget()
        before = self.state.version
        if leading is not None and leading.fresh and before != leading.text.version:
            self.run(leading.text)
        if self.state.file is not None and not self.state.judged:
            self.run(self.state.file)
        version = self.state.version
        if version is not None and (version != before or (leading is not None and leading.fresh)):
            self.do(Tell(events.ConfigPending(version.serial, version.digest)))

    def resolve(self, use: Use) -> None:
        state = self.state
        if use is Use.THERE:
            self.send(Take())
            return
        chosen = state.file or state.mine
        if state.theirs is None or state.leading is not None or chosen is None:
            return
        if state.following is not None:
            if state.following.phase is Phase.INSTALLING:
                return
            self.decline(state.following.id, ("the other's was chosen",), conflict=True)
        self.lead(chosen, fresh=chosen != state.mine, forced=True)

    def passed(self) -> None:
        state = self.state
        leading, following = state.leading, state.following
        if leading is not None and leading.until <= self.now:
            if leading.phase is Phase.OFFERED:
                self.send(Abort(leading.id))
                self.failed(leading, (f"no answer within {ANSWER_S:.0f} s",), conflict=False)
            elif leading.phase is Phase.RUNNING:
                self.commit(leading)
            else:
                until = msgspec.structs.replace(leading, until=self.now + COMMIT_S)
                self.set(leading=until)
                self.do(HangUp("the other director did not say whether it applied the configuration"))
        if following is not None and following.until <= self.now:
            if following.phase is Phase.INSTALLING:
                self.set(following=msgspec.structs.replace(following, until=self.now + FOLLOW_S))
            else:
                self.forget()
        if state.retry_at is not None and state.retry_at <= self.now:
            self.set(retry_at=None)
        self.consider()


def _joined(reasons: tuple[str, ...], most: int = 5) -> str:
    shown = "; ".join(reasons[:most])
    return shown if len(reasons) <= most else f"{shown}; and {len(reasons) - most} more"
