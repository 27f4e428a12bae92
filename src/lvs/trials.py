"""A commit on trial (`git push -o confirm=60`): taken back unless somebody says that it stays.

Both directors of a pair know of it, and each takes a confirmation. The one that was pushed to takes it back;
if that one is gone when the time is over, for the change may be what ended it, the other one does.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from lvs import events
from lvs.errors import Exit, LvsError, SystemFault
from lvs.io import probation
from lvs.io.bare import USER
from lvs.io.probation import Trial
from lvs.keeper import Keeper, Refused
from lvs.protocol import Reply
from lvs.repository.exchange import Probation
from lvs.repository.history import short
from lvs.repository.tree import printable
from lvs.repository.wishes import LONGEST_S, is_commit

RETRY_S = 30.0  # until a trial that could not be ended is tried again
GRACE_S = 10.0  # for the director that was pushed to
LONGEST_BY = 200


class Trials:
    """The one that is under way, if any."""

    def __init__(self, keeper: Keeper, directory: Path, back: Callable[[Trial], Awaitable[None]]) -> None:
        self._keeper, self._back = keeper, back
        self._file = directory / probation.NAME
        self.trial: Trial | None = None
        self._ends = 0.0  # monotonic
        self._ran = False  # it was seen to be main; the other director's is announced before that
        self._moved = asyncio.Event()
        keeper.probation, keeper.connected = self.heard, self.connected

    @property
    def left_s(self) -> int:
        return max(0, round(self._ends - time.monotonic()))

    def refusal(self) -> str:
        """Why no other change is taken now; empty if one is. Errors: SystemFault."""
        self.overtaken()
        if self.trial is None:
            return ""
        return (
            f"commit {short(self.trial.commit)} is on trial for {self.left_s} s more: "
            "`lvsd confirm` keeps it, `lvsd rollback` ends it"
        )

    def prepare(self, trial: Trial) -> None:
        """A commit is about to run on trial. In a thread. Errors: SystemFault."""
        probation.save(self._file, trial)

    def announce(self, trial: Trial) -> None:
        """The other director is to know of it, before it runs anywhere."""
        self._keeper.share(Probation(trial.commit, trial.before, trial.lasting, trial.by))

    def start(self, trial: Trial) -> None:
        """It runs."""
        self.trial = trial
        left_s = min(max(0.0, trial.until - time.time()), trial.lasting)
        self._ends = time.monotonic() + left_s + (0.0 if trial.ours else GRACE_S)
        self._moved.set()

    def forget(self, trial: Trial) -> None:
        """It was not taken: what was on trial before still is. In a thread. Errors: SystemFault."""
        probation.save(self._file, self.trial)
        if self.trial is None:
            self._keeper.share(Probation("", trial.commit))

    def overtaken(self) -> None:
        """A trial is over when another commit took its place. Errors: SystemFault."""
        if self.trial is None:
            return
        here = self.trial.commit == self._keeper.tip
        if not here and (self.trial.ours or self._ran):
            self.end()
        self._ran = here

    def end(self) -> None:
        """Errors: SystemFault, if that cannot be noted."""
        if self.trial is not None:
            probation.save(self._file, None)
            self.trial = None
            self._moved.set()

    def confirm(self, author: str, by: str) -> Reply:
        """What is on trial stays."""
        trial = self.trial
        if trial is None:
            return Reply(Exit.FAILED, err=("nothing is on trial",))
        try:
            self.end()
        except SystemFault as fault:
            return Reply(fault.exit_code, err=(str(fault),))
        who = who_asks(author, by)
        self._keeper.share(Probation("", trial.commit, by=who))
        self._keeper.director.report(events.TrialConfirmed(trial.commit, who))
        return Reply(out=(f"commit {short(trial.commit)} stays",))

    # The other director

    def connected(self) -> None:
        if self.trial is not None and self.trial.ours:
            left_s = max(0.0, self._ends - time.monotonic())
            self.announce(msgspec.structs.replace(self.trial, lasting=left_s))

    def heard(self, told: Probation) -> None:
        """What the other director says of a trial."""
        by = printable(told.by)[:LONGEST_BY]
        try:
            if not told.commit:
                if self.trial is not None and self.trial.commit == told.before:
                    self.end()
                    if by:
                        self._keeper.director.report(events.TrialConfirmed(told.before, by))
            elif _sound(told) and (self.trial is None or self.trial.commit == told.commit):
                until = time.time() + told.left_s
                trial = Trial(told.commit, told.before, until, told.left_s, by, ours=False)
                probation.save(self._file, trial)
                self.start(trial)
        except SystemFault as fault:
            self._keeper.director.report(events.TrialFailed(told.commit or told.before, str(fault)))

    # Time

    async def trying(self) -> None:
        """Take back what is not confirmed in time; a task of the daemon's."""
        try:
            if (trial := probation.load(self._file)) is not None:
                self.start(trial)
        except SystemFault as fault:
            self._keeper.director.report(events.TrialFailed("", str(fault)))
        while True:
            self._moved.clear()
            due = None if self.trial is None else max(0.0, self._ends - time.monotonic())
            try:
                async with asyncio.timeout(due):
                    await self._moved.wait()
            except TimeoutError:
                await self._expired()

    async def _expired(self) -> None:
        trial = self.trial
        if trial is None:
            return
        keeper = self._keeper
        try:
            await keeper.caught_up()
            async with keeper.lock:
                await keeper.up_to_date()
                self.overtaken()
                if self.trial is not trial:
                    return
                if trial.commit != keeper.tip:  # it never came here
                    self.end()
                    return
                if not trial.ours and keeper.director.coupling.state.theirs is not None:
                    self._ends = time.monotonic() + GRACE_S  # the other one is there, and does it
                    return
                self.trial = None
                await self._back(trial)
                probation.save(self._file, None)
        except (Refused, LvsError) as fault:
            keeper.director.report(events.TrialFailed(trial.commit, str(fault)))
            self.trial = trial
            self._ends = time.monotonic() + RETRY_S


def _sound(told: Probation) -> bool:
    return is_commit(told.commit) and is_commit(told.before) and 0.0 <= told.left_s <= LONGEST_S


def who_asks(author: str, by: str) -> str:
    """The user, as the kernel knows it; of users that many may be, who they say they are."""
    return printable(author)[:LONGEST_BY] if author and by in ("root", USER) else by
