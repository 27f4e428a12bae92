"""Orders for thousands of targets, carried out a slice of time after the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator

from lvs.checks import Target

Order = tuple[Callable[[Target], None], Iterator[Target]]


class Backlog:
    """Orders in the sequence in which they were given; `clock` is asked now and then, not for each target."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.orders: deque[Order] = deque()
        self._clock = clock

    def add(self, what: Callable[[Target], None], targets: Iterable[Target]) -> None:
        self.orders.append((what, iter(tuple(targets))))

    def carry_out(self, until: float) -> None:
        """Go on with them; what is left is for the next time."""
        while self.orders:
            what, targets = self.orders[0]
            for count, target in enumerate(targets, 1):
                what(target)
                if not count % 32 and self._clock() > until:
                    return
            self.orders.popleft()
