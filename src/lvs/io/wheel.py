"""A timer wheel: many things to be woken, all of one tick together.

A slot is a list, and only slots that hold something exist; their numbers are in a heap. So putting
costs an append, however many wait, and an empty hour costs nothing. Nothing is ever taken out:
who put an item keeps the number of the slot that counts, and passes over an item that comes out
of another one.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush
from typing import Generic, TypeVar

T = TypeVar("T")

ROUNDING = 1e-6  # of a tick: a slot is due when `next_at` said so, whatever the division makes of it


class Wheel(Generic[T]):
    """Items by the tick that wakes them. Units: all times are seconds of one clock that never goes back."""

    def __init__(self, tick_s: float, now: float) -> None:
        self._tick_s = tick_s
        self._slots: dict[int, list[T]] = {}
        self._order: list[int] = []
        self._passed = int(now / tick_s)  # the last slot that was handed out

    def put(self, item: T, at: float) -> int:
        """Wake `item` with the first tick that is not before `at`; the slot's number."""
        slot = int(at / self._tick_s + 1 - ROUNDING)
        if slot <= self._passed:
            slot = self._passed + 1
        try:
            self._slots[slot].append(item)
        except KeyError:
            self._slots[slot] = [item]
            heappush(self._order, slot)
        return slot

    def passed(self, now: float) -> Iterator[tuple[int, list[T]]]:
        """Hand out the slots up to now, in order. What is put meanwhile comes in a later slot."""
        until = int(now / self._tick_s + ROUNDING)
        while self._order and self._order[0] <= until:
            slot = heappop(self._order)
            self._passed = slot
            yield slot, self._slots.pop(slot)
        self._passed = max(self._passed, until)

    def next_at(self) -> float | None:
        """When the next slot is due; None if nothing waits."""
        return self._order[0] * self._tick_s if self._order else None
