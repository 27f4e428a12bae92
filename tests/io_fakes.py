"""A clock that is set by hand, the part of an event loop that the engine uses, and an asker."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from typing import cast

from lvs.checks import Answer, Target


class Handle:
    def __init__(self, call: Callable[[], None]) -> None:
        self.call = call
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class FakeLoop:
    """Time passes in `run_until` only; descriptors never have anything."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now
        self.fired = 0
        self._timers: list[tuple[float, int, Handle]] = []
        self._count = 0

    def clock(self) -> float:
        return self.now

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return cast("asyncio.AbstractEventLoop", self)

    def add_reader(self, number: int, call: Callable[[], None]) -> None:
        pass

    def remove_reader(self, number: int) -> None:
        pass

    def call_later(self, delay: float, call: Callable[[], None]) -> Handle:
        handle = Handle(call)
        self._count += 1
        heapq.heappush(self._timers, (self.now + delay, self._count, handle))
        return handle

    def run_until(self, until: float) -> None:
        while self._timers and self._timers[0][0] <= until:
            at, _, handle = heapq.heappop(self._timers)
            if not handle.cancelled:
                self.now = max(self.now, at)
                self.fired += 1
                handle.call()
        self.now = max(self.now, until)

    def run_for(self, seconds: float) -> None:
        self.run_until(self.now + seconds)


class FakeAsker:
    """Keeps what it was asked; answers when it is told to, or with `reply` after `takes_s`."""

    def __init__(self, loop: FakeLoop) -> None:
        self.loop = loop
        self.asked: dict[Target, Callable[[Answer], None]] = {}
        self.log: list[tuple[float, Target]] = []
        self.deadlines: list[float] = []
        self.abandoned: list[Target] = []
        self.reply: Callable[[Target], Answer | None] = lambda _: None
        self.takes_s = 0.0

    def ask(self, target: Target, deadline: float, done: Callable[[Answer], None]) -> None:
        assert target not in self.asked, "asked twice at a time"
        self.asked[target] = done
        self.log.append((self.loop.now, target))
        self.deadlines.append(deadline)
        answer = self.reply(target)
        if answer is not None:
            if self.takes_s:
                self.loop.call_later(self.takes_s, lambda: self.answer(target, answer))
            else:
                self.answer(target, answer)

    def abandon(self, target: Target) -> None:
        self.asked.pop(target)
        self.abandoned.append(target)

    def answer(self, target: Target, answer: Answer) -> None:
        done = self.asked.pop(target, None)
        if done is not None:
            done(answer)
