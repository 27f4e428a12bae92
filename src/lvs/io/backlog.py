"""Orders for thousands of targets, carried out a slice of time after the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

Item = TypeVar("Item")  # a target, or one with what is wanted of it
Order = tuple[Callable[[Any], None], Iterator[Any]]


class Backlog:
    """Orders in the sequence in which they were given; `clock` is asked now and then, not for each target."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.orders: deque[Order] = deque()
        self._clock = clock

    def add(self, what: Callable[[Item], None], items: Iterable[Item]) -> None:
        self.orders.append((what, iter(tuple(items))))

    def carry_out(self, until: float) -> None:
        """Go on with them; what is left is for the next time."""
        while self.orders:
            what, items = self.orders[0]
            for count, item in enumerate(items, 1):
                what(item)
                if not count % 32 and self._clock() > until:
                    return
            self.orders.popleft()
