"""How long the event loop was held up: nobody is heard, and no heartbeat sent, for so long.

Measured where the loop waits for events. What lies between two waits is one turn of the loop: everything
that was ready, callback by callback. What else keeps a turn from beginning in time (the machine, another
thread) shows as timers that ring late, which the engine of the checks measures.
"""

from __future__ import annotations

import selectors
import time
from collections.abc import Callable
from typing import Any

SPAN_S = 10.0  # a maximum is kept of each of these,
SPANS = 3  # and so many count


class Worst:
    """The greatest of what was noted within the last half minute, or a little less of it."""

    def __init__(self) -> None:
        self._spans: dict[int, float] = {}

    def note(self, value: float, now: float) -> None:
        span = int(now // SPAN_S)
        before = self._spans.get(span)
        if before is None:
            self._spans = {number: worst for number, worst in self._spans.items() if number > span - SPANS}
            self._spans[span] = value
        elif value > before:
            self._spans[span] = value

    def now(self, now: float) -> float:
        oldest = int(now // SPAN_S) - SPANS
        return max([worst for number, worst in self._spans.items() if number > oldest], default=0.0)


class TimedSelector(selectors.EpollSelector):
    """What an event loop waits with; it notes how long each turn of the loop took."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self.turns = Worst()
        self._clock = clock
        self._since: float | None = None

    def select(self, timeout: float | None = None) -> list[tuple[Any, int]]:
        if self._since is not None:
            now = self._clock()
            self.turns.note(now - self._since, now)
        found = super().select(timeout)
        self._since = self._clock()
        return found
