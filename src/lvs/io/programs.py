"""Check programs and load monitors: asked for a target, they answer by its deadline.

At most `AT_ONCE` run at a time, the others wait in order. A start stops the daemon for a fraction
of a millisecond, and there is one in a turn of the event loop: heartbeats pass in between. Who
waits too long is not down for it: that is this director's own fault.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial

from lvs.checks import Answer, Load, Program, Reason, Target
from lvs.errors import SystemFault
from lvs.io.errands import Errand, Errands
from lvs.io.processes import Command, Job, Processes
from lvs.io.runnable import User, check_user, environment
from lvs.probes import load, program
from lvs.probes.talk import down

AT_ONCE = 32


class _Ask:
    """One target that is being asked."""

    __slots__ = ("asked", "deadline", "done", "job", "late_s", "target", "timer")

    def __init__(self, target: Target, asked: float, deadline: float, done: Callable[[Answer], None]) -> None:
        self.target = target
        self.asked = asked
        self.deadline = deadline
        self.done = done
        self.late_s = 0.0  # how long it waited for its turn
        self.job: Job | Errand | None = None  # None: it waits for its turn
        self.timer: asyncio.Handle | None = None


class Programs:
    """Asks targets whose check is a `Program`, or a `Load` with words."""

    def __init__(self, processes: Processes) -> None:
        self._errands = Errands(processes)  # processes are opened and closed by whoever made them
        self._user: User | None = None
        self._no_user = ""  # why there is none to run as
        self._asks: dict[Target, _Ask] = {}
        self._queue: deque[_Ask] = deque()
        self._held: dict[Target, Job | Errand] = {}  # killed, and not known to be gone
        self._running = 0
        self._turn: asyncio.Handle | None = None

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._errands.open(loop)
        self.run_as(None)

    def run_as(self, name: str | None) -> None:
        """From now on run programs as this user; None: as lvs-check, or nobody without it."""
        try:
            self._user, self._no_user = check_user(name), ""
        except SystemFault as fault:
            self._no_user = str(fault)

    def close(self) -> None:
        for target in tuple(self._asks):
            self.abandon(target)
        if self._turn is not None:
            self._turn.cancel()
        self._errands.close()

    def ask(self, target: Target, deadline: float, done: Callable[[Answer], None]) -> None:
        """Ask a target; `done` is called once, never before this returns, by the deadline.

        Units: the loop's clock, which is the monotonic one. A target that is being asked already
        is asked anew.
        """
        self.abandon(target)
        one = self._asks[target] = _Ask(target, self._loop.time(), deadline, done)
        held = self._held.get(target)
        if held is not None and not held.ended:
            text = f"{_name(target)} of an earlier check was killed and has still not ended"
            one.timer = self._loop.call_soon(self._finish, one, down(Reason.PROGRAM_TIMED_OUT, text))
            return
        one.timer = self._loop.call_at(deadline, self._starved, one)
        self._queue.append(one)
        self._next()

    def abandon(self, target: Target) -> None:
        """Forget a target: its program is killed and no answer comes. Unknown targets are none."""
        one = self._asks.pop(target, None)
        if one is None:
            return
        if one.timer is not None:
            one.timer.cancel()
        if one.job is not None:
            self._errands.kill(one.job)
            self._gone(one)

    def _next(self) -> None:
        if self._turn is None and self._queue and self._running < AT_ONCE:
            self._turn = self._loop.call_soon(self._start)

    def _start(self) -> None:
        self._turn = None
        while self._queue:
            one = self._queue.popleft()
            if self._asks.get(one.target) is one:  # else it was abandoned, or answered
                self._run(one)
                break
        self._next()

    def _run(self, one: _Ask) -> None:
        target = one.target
        more = program.variables(target.address, target.port)
        one.late_s = self._loop.time() - one.asked
        words = program.command(_words(target), target.address, target.port)
        command = Command(words, environment(self._user, more), self._user)
        job: Job | Errand | program.Unstarted
        if self._no_user:
            job = program.Unstarted(self._no_user, ours=True)
        else:
            job = self._errands.run(command, one.deadline, partial(self._done, one))
        if one.timer is not None:
            one.timer.cancel()
        if not isinstance(job, program.Unstarted):
            one.job = job
            self._running += 1
        else:
            self._finish(one, _answer(target, job))

    def _done(self, one: _Ask, outcome: program.Outcome) -> None:
        self._gone(one)
        if isinstance(outcome, program.Late) and one.late_s > (one.deadline - one.asked) / 2:
            # It had less than half of its time: that says nothing of the real server.
            text = f"{_name(one.target)} started {one.late_s:.1f} s late, {AT_ONCE} programs were at work"
            self._finish(one, down(Reason.LOCAL_FAULT, text))
            return
        self._finish(one, _answer(one.target, outcome))

    def _gone(self, one: _Ask) -> None:
        """Its place is free, though a program that was killed may have yet to end."""
        self._held = {target: job for target, job in self._held.items() if not job.ended}
        if one.job is not None and not one.job.ended:
            self._held[one.target] = one.job
        one.job = None
        self._running -= 1
        self._next()

    def _starved(self, one: _Ask) -> None:
        text = f"{_name(one.target)} did not get its turn: {self._running} programs were at work all the time"
        self._finish(one, down(Reason.LOCAL_FAULT, text))

    def _finish(self, one: _Ask, answer: Answer) -> None:
        del self._asks[one.target]
        one.done(answer)


def _words(target: Target) -> tuple[str, ...]:
    assert isinstance(target.check, Program | Load)
    return target.check.words


def _name(target: Target) -> str:
    return _words(target)[0]


def _answer(target: Target, outcome: program.Outcome) -> Answer:
    if isinstance(target.check, Program):
        return program.verdict(target.check, outcome, target.pace.limit_s)
    return load.verdict(_name(target), outcome, target.pace.limit_s)
