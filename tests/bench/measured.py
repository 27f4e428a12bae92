"""What a measurement gives."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import NamedTuple


class Measured(NamedTuple):
    """Several runs of ours and, where the figure is a ratio, of the peer's."""

    ours: list[float]
    peer: list[float]
    remark: str = ""

    @property
    def value(self) -> float:
        """The ratio of the medians, or the median of ours."""
        return median(self.ours) / median(self.peer) if self.peer else median(self.ours)


class Figure(NamedTuple):
    """A figure; its value is to be at most the goal."""

    name: str
    goal: float
    unit: str  # "of NAME" for a ratio: what it is a part of
    measure: Callable[[], Measured]


class NotHereError(Exception):
    """Something that this figure needs is missing here; the text says what."""
