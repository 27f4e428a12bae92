"""Turns of an event loop, and the worst within half a minute."""

from __future__ import annotations

import asyncio
import os
import time

from lvs.io.stalls import TimedSelector, Worst


def test_the_worst_of_half_a_minute() -> None:
    worst = Worst()
    assert worst.now(1000.0) == 0.0
    worst.note(0.5, 1000.0)
    worst.note(0.2, 1001.0)
    worst.note(0.3, 1015.0)
    assert worst.now(1016.0) == 0.5
    assert worst.now(1029.9) == 0.5
    assert worst.now(1030.1) == 0.3
    worst.note(0.1, 1045.0)
    assert worst.now(1045.0) == 0.1
    assert worst.now(2000.0) == 0.0


def test_a_turn_is_between_two_waits() -> None:
    times = iter([10.0, 10.25, 11.0, 11.125, 12.0])
    selector = TimedSelector(lambda: next(times))
    for _ in range(3):
        selector.select(0)
    assert selector.turns.now(11.2) == 0.25
    selector.close()


def test_in_a_loop() -> None:
    """A callback that holds the loop up is seen; one that waits is not."""
    selector = TimedSelector()

    async def work() -> None:
        await asyncio.sleep(0.2)
        until = time.monotonic() + 0.05
        while time.monotonic() < until:
            os.getpid()
        await asyncio.sleep(0)

    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        runner.run(work())
        assert selector.turns.now(time.monotonic()) >= 0.05
