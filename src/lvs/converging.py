"""The daemon's hands for the kernel: the newest Converge is carried out, and those before it are not.

In a task of its own: heartbeats and the socket never wait for it.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Protocol

from lvs.commands import Cause, Converge
from lvs.errors import KernelError
from lvs.inputs import Converged, ConvergeFailed, Input
from lvs.io.converge import Converger, Outcome
from lvs.readiness import Readiness


class Director(Protocol):
    """What it needs of the daemon."""

    def feed(self, what: Input) -> None: ...
    def tell_systemd(self) -> None: ...


class Converging:
    """Holds the newest Converge until it is carried out."""

    def __init__(
        self,
        director: Director,
        converger: Converger,
        readiness: Readiness,
        *,
        first: Outcome | None,
        ledger: Path,
    ) -> None:
        """`first` is what the table got before there was a daemon; `ledger`, the converger's file."""
        self._director, self._converger, self._readiness = director, converger, readiness
        self._first = first  # until it is told; as long as the table, and held once
        self._ledger = ledger
        self._pending: Converge | None = None
        self._waiting: list[asyncio.Future[Converged | ConvergeFailed]] = []
        self._wake = asyncio.Event()  # a Converge is pending
        self.kernel = asyncio.Lock()  # one conversation with the kernel at a time

    @property
    def idle(self) -> bool:
        """Whether nothing is pending."""
        return self._pending is None

    def want(self, command: Converge) -> None:
        """This is the newest."""
        self._pending = command
        self._wake.set()

    def applied(self) -> asyncio.Future[Converged | ConvergeFailed]:
        """What comes of the newest."""
        future: asyncio.Future[Converged | ConvergeFailed] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        return future

    async def working(self) -> None:
        """Carry out the newest, again and again."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            command, self._pending = self._pending, None
            if command is None:
                continue
            result = await self._converge(command)
            self._director.feed(result)
            if isinstance(result, Converged):
                self._readiness.started()
            if self._pending is None:
                self._director.tell_systemd()
                waiting, self._waiting = self._waiting, []
                for future in waiting:
                    if not future.done():
                        future.set_result(result)

    async def _converge(self, command: Converge) -> Converged | ConvergeFailed:
        goal = self._converger.released() if command.cause is Cause.STOP else command.goal.state
        first, self._first = self._first, None
        try:
            async with self.kernel:
                role = command.cause is Cause.ROLE
                outcome = await self._converger.converge(goal, None if first else command.only, role=role)
        except KernelError as fault:
            return ConvergeFailed(command.cause, str(fault))
        not_saved = (str(self._ledger), outcome.not_saved) if outcome.not_saved else None
        done, took_s = outcome.done, outcome.took_s
        if first is not None:
            done, took_s = (*first.done, *done), first.took_s + took_s
        return Converged(command, done, outcome.refused, took_s, not_saved)
