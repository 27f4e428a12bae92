"""What a director holds of the pair's configurations, and of an exchange on its way."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from lvs.sync.messages import Refusals, Standing
from lvs.sync.version import Agreed, Text, Version

ANSWER_S = 4.0  # limit of an examination: without an answer it runs on neither
RUN_S = 3.0  # how long one waits for the kernel of the first before the second follows
COMMIT_S = 5.0  # without a word after that the connection is given up, and what was offered is pending
FOLLOW_S = 30.0  # what was accepted and not followed up is forgotten
RETRY_S = 30.0  # what the other refused is offered again


class Phase(StrEnum):
    # of who leads
    OFFERED = "offered"
    RUNNING = "running"  # here first: this is the standby
    COMMITTED = "committed"
    # of who follows
    EXAMINING = "examining"
    ACCEPTED = "accepted"
    INSTALLING = "installing"


class Leading(msgspec.Struct, frozen=True):
    """An exchange that this director leads."""

    id: int
    text: Text
    phase: Phase
    until: float
    fresh: bool  # it does not run here yet
    forced: bool = False
    before: Text | None = None  # what ran here, for the way back


class Following(msgspec.Struct, frozen=True):
    """An exchange that the other leads."""

    id: int
    text: Text
    phase: Phase
    until: float
    forced: bool = False
    back: str = ""  # why what ran before is put back


class State(msgspec.Struct, frozen=True):
    active: bool = False
    mine: Text | None = None  # runs here
    file: Text | None = None  # lies in the file here, and does not run
    judged: bool = False  # and will not, unless somebody does something
    bad: bool = False  # what lies in the file here is not valid
    agreed: Agreed = Agreed()
    refusals: Refusals = Refusals()  # of the kernel here
    connected: bool = False
    theirs: Standing | None = None  # None: they are away, or have not spoken
    leading: Leading | None = None
    following: Following | None = None
    conflict: str = ""  # why nothing moves
    refused: str = ""  # why the other does not take what runs here
    retry_at: float | None = None
    number: int = 0  # of exchanges

    @property
    def version(self) -> Version | None:
        return None if self.mine is None else self.mine.version

    @property
    def pending(self) -> bool:
        """Whether what runs here is not known to run there."""
        return self.mine is not None and self.mine.version != self.agreed.version


def deadline(state: State) -> float | None:
    """When TimePassed is due, in monotonic seconds."""
    times = (
        None if state.leading is None else state.leading.until,
        None if state.following is None else state.following.until,
        state.retry_at,
    )
    return min((time for time in times if time is not None), default=None)
