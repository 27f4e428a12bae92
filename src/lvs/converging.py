"""The daemon's hands for the kernel: the newest Converge is carried out, and those before it are not.

In a task of its own: heartbeats and the socket never wait for it.
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
        self._under_way = False  # one is carried out, or waits for the kernel
        self._took: tuple[Vip, ...] = ()  # by a takeover, and not told yet that they are
        self.kernel = asyncio.Lock()  # one conversation with the kernel at a time

    @property
    def idle(self) -> bool:
        """Whether nothing is pending."""
        return self._pending is None

    def want(self, command: Converge) -> tuple[Vip, ...]:
        """This is the newest; the VIPs of a takeover that are here already on return."""
        self._pending = command
        if command.cause in (Cause.ROLE, Cause.CONFIG):
            self._urgent.set()
        self._wake.set()
        # What waits for its turn would not know of them, and drop what a standby must not hold.
        took = () if self._under_way or self.kernel.locked() else self._take(command)
        self._took += took
        return took

    def _take(self, command: Converge) -> tuple[Vip, ...]:
        """A takeover's VIPs, if no service has to be brought into the kernel before them."""
        stand = command.only is not None and not command.only and self._first is None
        return self._converger.take_first(command.goal.state) if stand and command.cause is Cause.ROLE else ()

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
            self._under_way = True
            await self._carry_out()
            self._under_way = False

    async def _carry_out(self) -> None:
        """Carry out the newest; nothing of it is kept, for the state before holds a whole configuration."""
        command, self._pending = self._pending, None
        if command is None:
            return
        self._urgent.clear()
        gives_way = command.cause is Cause.LOOK and not self._gave_way
        try:
            result = await self._converge(command, self._urgent if gives_way else None)
        except GaveWay:
            self._gave_way = True
            return
        self._gave_way = self._gave_way and command.cause is not Cause.LOOK
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
        try:
            async with self.kernel:
                if not self._took and (late := self._take(command)):
                    self._took = late
                    self._taken(late)
                first, self._first = self._first, None
                outcome = await self._converger.converge(
                    goal,
                    None if first else command.only,
                    role=command.cause is Cause.ROLE,
                    took=self._took,
                    taken=self._taken,
                    give_way=give_way,
                )
                self._took = ()
        except KernelError as fault:
            return ConvergeFailed(command.cause, str(fault))
        not_saved = (str(self._ledger), outcome.not_saved) if outcome.not_saved else None
        done, took_s = outcome.done, outcome.took_s
        if first is not None:
            done, took_s = (*first.done, *done), first.took_s + took_s
        return Converged(command, done, outcome.refused, took_s, not_saved)
