"""This director's hands for the pair: its pulse, the machine's addresses, the tables of connections.

`lvs.pair` decides by what is fed from here; what it orders of the pulse is carried out here.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from pathlib import Path
from typing import Protocol

from lvs import events
from lvs.commands import ShareConnections, TellPulse, Unwire, Wire
from lvs.errors import KernelError, SystemFault
from lvs.events import Event
from lvs.inputs import ConnectionsShared, Input, MachineSeen, PulseLost, PulseSaid, TableCounted
from lvs.io import netlink, resync
from lvs.io.links import Links
from lvs.io.pulse import PulseProcess
from lvs.kernel import text
from lvs.kernel.desired import alone
from lvs.model import Role
from lvs.pair import PAIRED, Seat
from lvs.pulse.line import FromPulse, ToPulse, Wiring
from lvs.pulse.words import SwitchoverEnded
from lvs.state import State

_TABLE_S = 2.0  # connections are counted this often
_SETTLE_S = 0.05  # addresses and devices change in bursts

Order = Wire | Unwire | TellPulse | ShareConnections


class Director(Protocol):
    """What it needs of the daemon."""

    state: State

    def feed(self, what: Input) -> None: ...
    def report(self, event: Event) -> None: ...


class Partner:
    """What the daemon has because there is another director."""

    def __init__(self, director: Director, links: Links) -> None:
        self._director, self._links = director, links
        self._pulse = PulseProcess(self._pulse_said, self._pulse_died)
        self._key = b""  # of the pair, for the heartbeat
        self._switchovers: list[asyncio.Future[str]] = []
        self._share = asyncio.Event()  # the other director is to be told of all connections ...
        self._whom = 0  # ... in this start of it
        self._moved = asyncio.Event()  # addresses or devices changed

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        self._pulse.open(loop)

    def close(self) -> None:
        self._pulse.close()

    def tasks(self) -> tuple[Coroutine[None, None, None], ...]:
        """What the daemon's task group is to run."""
        return self._seeing_machine(), self._counting(), self._sharing()

    def carry_out(self, order: Order) -> None:
        match order:
            case Wire():
                self._wire(order)
            case Unwire():
                self._pulse.close()
            case TellPulse(what):
                self._pulse.tell(what)
            case ShareConnections(whom):
                self._whom = whom
                self._share.set()

    def machine_moved(self) -> None:
        """Addresses or devices changed, or nobody has looked at them yet."""
        self._moved.set()

    def _wire(self, wire: Wire) -> None:
        """Have a pulse that is wired like this; without the pair's key there is none."""
        from lvs.io import pairkey  # TLS comes with it: only for a pair

        try:
            self._key = pairkey.read(Path(wire.key_file)).heartbeat
        except SystemFault as fault:
            self._key = b""  # it may come back as it was
            self._pulse.close()
            self._later(PulseLost(str(fault)))
            return
        wiring = self._wiring(wire)
        if not self._pulse.start(self._greeting):
            self._pulse.tell(wiring)

    def rekeyed(self, heartbeat: bytes) -> None:
        """The pair's key is this one now."""
        wire = self._director.state.pairing.wire
        if wire is not None and heartbeat != self._key:
            self._wire(wire)

    def _wiring(self, wire: Wire) -> Wiring:
        pairing = self._director.state.pairing
        return Wiring(
            wire.ways,
            wire.port,
            self._key,
            wire.terms,
            active=pairing.role is Role.ACTIVE,
            holding=pairing.role is Role.ACTIVE and pairing.holding,
            faults=pairing.faults,
            vitals=pairing.vitals,
        )

    def _greeting(self) -> tuple[ToPulse, ...]:
        """What a pulse is told when it starts."""
        wire = self._director.state.pairing.wire
        return () if wire is None else (self._wiring(wire),)

    def _later(self, what: Input) -> None:
        """An input that comes of a command: after the commands that are being handed out."""
        asyncio.get_running_loop().call_soon(self._director.feed, what)

    def _pulse_said(self, what: FromPulse) -> None:
        self._director.feed(PulseSaid(what))
        if isinstance(what, SwitchoverEnded):
            self._switched(what.refused)

    def _pulse_died(self, why: str) -> None:
        self._director.feed(PulseLost(why))
        self._switched(why)

    def _switched(self, refused: str) -> None:
        waiting, self._switchovers = self._switchovers, []
        for future in waiting:
            if not future.done():
                future.set_result(refused)

    def switchover(self) -> asyncio.Future[str]:
        """Why a switchover that is being asked for did not happen; empty when it did."""
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._switchovers.append(future)
        return future

    async def see_machine(self) -> None:
        """Read addresses and devices. Errors: KernelError."""
        addresses = await self._links.addresses()
        devices = await self._links.devices()
        own = {text.address(one.address): one.device for one in addresses}
        self._director.feed(MachineSeen(own, {name: one.carrier for name, one in devices.items()}))

    async def _seeing_machine(self) -> None:
        """Read them again whenever they change, if anybody goes by them."""
        while True:
            await self._moved.wait()
            await asyncio.sleep(_SETTLE_S)
            self._moved.clear()
            pairing = self._director.state.pairing
            if pairing.seat is not Seat.ALONE or pairing.own is not None:
                with contextlib.suppress(KernelError):  # LinksUnheard tells it
                    await self.see_machine()

    async def _counting(self) -> None:
        """How many there are, for the other director to compare."""
        while True:
            await asyncio.sleep(_TABLE_S)
            config = self._director.state.config
            if (
                config is None
                or not config.pair.syncdaemon
                or self._director.state.pairing.seat not in PAIRED
            ):
                continue
            with contextlib.suppress(KernelError):  # the next look tells it
                number = await asyncio.to_thread(netlink.established, alone(self._director.state.goal))
                self._director.feed(TableCounted(number))

    async def _sharing(self) -> None:
        """Tell the other director's kernel of all connections when that is asked for."""
        while True:
            await self._share.wait()
            self._share.clear()
            whom, goal = self._whom, self._director.state.goal.state
            try:
                for daemon in goal.daemons:
                    await asyncio.to_thread(resync.tell, goal.services, daemon)
            except KernelError as fault:
                self._director.report(events.KernelUnavailable(str(fault)))
            else:
                if not self._share.is_set():  # else that one has missed some of these, or is another
                    self._director.feed(ConnectionsShared(whom))
