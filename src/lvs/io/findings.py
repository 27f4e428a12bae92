"""What the engine tells, and what it needs of those that ask for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from lvs.checks import Answer, Target


class Finished(msgspec.Struct, frozen=True, gc=False):
    """What a probe found."""

    target: Target
    answer: Answer
    at: float  # monotonic; its end
    took_s: float


class Last(msgspec.Struct, frozen=True, gc=False):
    """What is known of a target; faults of this director aside."""

    answer: Answer | None = None
    at: float | None = None  # monotonic; end of the last probe
    took_s: float = 0.0
    next_at: float | None = None  # monotonic; None: under way, or not followed
    streak: int = 0  # good or bad results in a row, as the last


class Vitals(msgspec.Struct, frozen=True, gc=False):
    """How the engine itself is doing."""

    followed: int
    in_flight: int
    waiting: int  # due, but not started: too many in flight
    started: int  # probes since it was opened
    lateness_s: float  # the latest start since this was last asked
    stall_s: float  # the latest tick since this was last asked
    overdue: int  # targets without any result for `OVERDUE` intervals and their limit


class Asker(Protocol):
    """Something that asks a target otherwise than by a socket of the engine.

    It keeps the deadline itself; `grace_s` beyond it (`GRACE_S`, if the asker has no such attribute)
    the engine abandons it.
    """

    def ask(self, target: Target, deadline: float, done: Callable[[Answer], None]) -> None:
        """Begin; `done` is called once, at once or later. A target is asked once at a time."""

    def abandon(self, target: Target) -> Answer | None:
        """No answer is waited for any more; what to say if that is for the deadline, if anything."""
