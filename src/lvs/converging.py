"""The daemon's hands for the kernel: the newest Converge is carried out, and those before it are not.

In a task of its own, for what else the daemon does must not wait for it; but for the VIPs of a takeover,
which are taken in the loop, and everything waits for them. The pulse has a process of its own.
"""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Protocol

from lvs.commands import Cause, Converge
from lvs.errors import KernelError
from lvs.inputs import Converged, ConvergeFailed, Input, VipsTaken
from lvs.io.converge import Converger, Outcome
from lvs.io.netlink import GaveWay
from lvs.kernel.state import Vip
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
        self._urgent = threading.Event()  # it cannot wait until a look has read everything
        self._gave_way = False  # the last look did; the next one does not
        self._under_way = False  # one is carried out
        self._took: tuple[Vip, ...] = ()  # by a takeover, and not told yet that they are
        self.kernel = asyncio.Lock()  # one conversation with the kernel at a time

    @property
    def idle(self) -> bool:
        """Whether nothing is pending."""
        return self._pending is None

    def want(self, command: Converge) -> None:
        """This is the newest; the VIPs of a takeover are here on return if nothing is under way."""
        self._pending = command
        if command.cause in (Cause.ROLE, Cause.CONFIG):
            self._urgent.set()
        self._wake.set()
        if not self._under_way:  # else that would not know of them, and drop what a standby must not hold
            self._take(command)

    def _take(self, command: Converge) -> None:
        """Take a takeover's VIPs, if no service has to be brought into the kernel before them, and tell."""
        if command.cause is Cause.ROLE and command.only == frozenset():
            took = self._converger.take_first(command.goal.state)
            if took:
                self._took += took
                self._taken(took)

    def applied(self) -> asyncio.Future[Converged | ConvergeFailed]:
        """What comes of the newest."""
        future: asyncio.Future[Converged | ConvergeFailed] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        return future

    async def working(self) -> None:
        """Carry out the newest, again and again."""
        while True:
            await self._wake.wait()
            await self._next()

    async def _next(self) -> None:
        """Carry out the newest; nothing of it is kept, for the state before holds a whole configuration."""
        async with self.kernel:
            self._wake.clear()
            command, self._pending = self._pending, None
            assert command is not None
            self._under_way = True
            result = await self._carry_out(command)
            self._under_way = False
        if result is not None:
            self._tell(result)

    async def _carry_out(self, command: Converge) -> Converged | ConvergeFailed | None:
        """What comes of it; None of a look that gave way: what it gave way to holds a whole configuration."""
        self._urgent.clear()
        gives_way = command.cause is Cause.LOOK and not self._gave_way
        try:
            result = await self._converge(command, self._urgent if gives_way else None)
        except GaveWay:
            self._gave_way = True
            return None
        self._gave_way = self._gave_way and command.cause is not Cause.LOOK
        return result

    def _tell(self, result: Converged | ConvergeFailed) -> None:
        self._director.feed(result)
        if isinstance(result, Converged):
            self._readiness.started()
        if self._pending is None:
            self._director.tell_systemd()
            waiting, self._waiting = self._waiting, []
            for future in waiting:
                if not future.done():
                    future.set_result(result)

    def _taken(self, vips: tuple[Vip, ...]) -> None:
        self._director.feed(VipsTaken(vips))

    async def _converge(
        self, command: Converge, give_way: threading.Event | None
    ) -> Converged | ConvergeFailed:
        goal = self._converger.released() if command.cause is Cause.STOP else command.goal.state
        if not self._took:
            self._take(command)
        first, self._first = self._first, None
        try:
            outcome = await self._converger.converge(
                goal,
                None if first else command.only,
                role=command.cause is Cause.ROLE,
                took=self._took,
                taken=self._taken,
                give_way=give_way,
            )
        except KernelError as fault:
            return ConvergeFailed(command.cause, str(fault))
        self._took = ()
        not_saved = (str(self._ledger), outcome.not_saved) if outcome.not_saved else None
        done, took_s = outcome.done, outcome.took_s
        if first is not None:
            done, took_s = (*first.done, *done), first.took_s + took_s
        return Converged(command, done, outcome.refused, took_s, not_saved)
