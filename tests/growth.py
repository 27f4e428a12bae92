"""How the time that something takes grows with its size, told without any clock's word for "quickly"."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

TIMES = 8
T = TypeVar("T")


def is_no_square(made: Callable[[int], T], done: Callable[[T], object], size: int) -> None:
    """Hold that eight times the size takes about eight times as long: a square would be 64 times."""
    small, large = made(size), made(TIMES * size)
    took = min(_seconds(done, small) for _ in range(3))
    assert _seconds(done, large) < 3 * TIMES * took + 0.01


def _seconds(done: Callable[[T], object], given: T) -> float:
    began = time.process_time()
    done(given)
    return time.process_time() - began
