"""One step on its way: the state as it is by now, the commands so far, and what to do about two versions."""

from __future__ import annotations

import msgspec

from lvs import events
from lvs.sync.messages import (
    Answer,
    Command,
    Discard,
    Keep,
    Message,
    Offer,
    Refuse,
    Run,
    Send,
    Standing,
    Tell,
)
from lvs.sync.state import ANSWER_S, Leading, Phase, State
from lvs.sync.version import Agreed, Course, Text, Version, decide


class Turn:
    """What every part of the machine does to it."""

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
        self.send(Standing(state.version, file, state.agreed, state.active, state.refusals))

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
        if state.version == theirs:
            self.agree()
        if state.file is not None and not state.judged:
            self.consider_file(state.file, theirs)
            return
        course, why = decide(self.base(), state.version, theirs)
        if course is Course.PUSH and state.mine is not None and state.retry_at is None:
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

    def lead(self, text: Text, *, fresh: bool, forced: bool = False) -> None:
        number = self.state.number + 1
        until = self.now + ANSWER_S
        leading = Leading(number, text, Phase.OFFERED, until, fresh, forced, self.state.mine)
        self.set(number=number, leading=leading, retry_at=None)
        self.send(Offer(number, text, forced))

    # Following

    def forget(self) -> None:
        self.set(following=None)
        self.do(Discard())

    def decline(self, number: int, problems: tuple[str, ...], *, conflict: bool = False) -> None:
        self.forget()
        self.send(Answer(number, problems, conflict))


def joined(reasons: tuple[str, ...], most: int = 5) -> str:
    """The first of some reasons, and how many more there are."""
    shown = "; ".join(reasons[:most])
    return shown if len(reasons) <= most else f"{shown}; and {len(reasons) - most} more"
