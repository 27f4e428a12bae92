"""Who came to the other director's port and is not it: counted, and told at a bounded rate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from lvs import events

TELL_EVERY_S = 60.0
_MOST = 1000  # kinds that are counted


class Strangers:
    """Counts what came, by what was wrong with it."""

    def __init__(self, tell: Callable[[events.Event], object], clock: Callable[[], float]) -> None:
        self._tell = tell
        self._clock = clock
        self._since = 0
        self._told_at: float | None = None
        self.counts: Counter[str] = Counter()

    def came(self, address: str, reason: str) -> None:
        """Somebody was turned away."""
        if reason in self.counts or len(self.counts) < _MOST:
            self.counts[reason] += 1
        self._since += 1
        now = self._clock()
        if self._told_at is None or now - self._told_at >= TELL_EVERY_S:
            self._tell(events.PeerIntruder(address, reason, self._since))
            self._told_at, self._since = now, 0
