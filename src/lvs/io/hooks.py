"""Hook programs: what the operator has run when something changes, one after the other.

They run in the order of what they tell of, as lvsd itself, so that they may do what lvsd may. One
that hangs is killed after `LIMIT_S`, with all that it left behind; the next follows. At most
`MOST` wait: beyond that the oldest of the same subject gives way to the new one, which knows
better, or else the oldest of all. What fails or gives way is told.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import msgspec

from lvs.io.processes import Command, Job, Processes
from lvs.io.runnable import environment
from lvs.probes.program import Outcome, failure

LIMIT_S = 30.0
MOST = 1000


class Hook(msgspec.Struct, frozen=True):
    """One run of one hook program."""

    words: tuple[str, ...]
    environment: dict[str, str]  # beside what every program gets
    what: str  # its subject, for sentences: "mail for web, real server real1 (10.0.0.1, port 80)"


class Hooks:
    """The queue of hook programs."""

    def __init__(self, processes: Processes, failed: Callable[[str], None]) -> None:
        self._processes = processes  # opened and closed by whoever made it
        self._failed = failed
        self._queue: deque[Hook] = deque()
        self._running: tuple[Hook, Job] | None = None
        self._turn: asyncio.Handle | None = None

    @property
    def idle(self) -> bool:
        """Whether nothing runs and nothing waits."""
        return not self._queue and self._running is None

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def close(self) -> None:
        """Forget what waits, and end what runs."""
        self._queue.clear()
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        if self._running is not None:
            self._processes.kill(self._running[1])
            self._running = None

    def put(self, hook: Hook) -> None:
        """Have a program run when those before it have ended."""
        if len(self._queue) >= MOST:
            self._make_room(hook.what)
        self._queue.append(hook)
        self._next()

    def _make_room(self, what: str) -> None:
        place = next((n for n, waiting in enumerate(self._queue) if waiting.what == what), 0)
        dropped = self._queue[place]
        del self._queue[place]
        self._failed(f"{dropped.what}: {dropped.words[0]} is not run, {MOST} hook programs wait already")

    def _next(self) -> None:
        if self._turn is None and self._running is None and self._queue:
            self._turn = self._loop.call_soon(self._start)

    def _start(self) -> None:
        self._turn = None
        hook = self._queue.popleft()
        command = Command(hook.words, environment(None, hook.environment), errors=True)
        job = self._processes.run(command, self._loop.time() + LIMIT_S, self._done)
        if isinstance(job, Job):
            self._running = hook, job
        else:
            self._judge(hook, job)
            self._next()

    def _done(self, outcome: Outcome) -> None:
        assert self._running is not None
        hook, _ = self._running
        self._running = None
        self._judge(hook, outcome)
        self._next()

    def _judge(self, hook: Hook, outcome: Outcome) -> None:
        answer = failure(hook.words[0], outcome, LIMIT_S)
        if answer is not None:
            self._failed(f"{hook.what}: {answer.text}")
