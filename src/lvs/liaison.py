"""The channel to the other director: made of what the configuration, the key and the addresses say.

When one of them is another, so is the channel; without a key, or on a director of its own, there is none.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from lvs import events, pairstatus
from lvs.errors import SystemFault
from lvs.events import Event
from lvs.letters import Hello, Letter
from lvs.pair import PAIRED, Seat
from lvs.state import State

if TYPE_CHECKING:  # with them comes ssl, for which a director on its own has no use
    from lvs.io.keyfile import KeyFile
    from lvs.io.pairkey import PairKey
    from lvs.io.peer import Channel

LOOK_EVERY_S = 2.0  # for the key, and for our own address


class Director(Protocol):
    """What it needs of the daemon."""

    state: State

    def rekeyed(self, heartbeat: bytes) -> None: ...


class Listener(Protocol):
    """Who hears what the channel tells, and first by which key it speaks."""

    def keyed(self, fingerprint: str) -> None: ...
    def connected(self, hello: Hello, address: str) -> None: ...
    def lost(self, reason: str) -> None: ...
    def heard(self, letter: Letter) -> None: ...
    def tell(self, event: Event) -> None: ...


class Settings(NamedTuple):
    """What a channel is made of; another one, another channel."""

    ways: tuple[tuple[str, str], ...]  # own address, the other's
    port: int
    dials: bool
    key: PairKey


class Liaison:
    """Has the channel that is asked for, and sends through it."""

    def __init__(self, director: Director, listener: Listener) -> None:
        self._director, self._listener = director, listener
        self.channel: Channel | None = None
        self._settings: Settings | None = None
        self._hello = Hello(0, 0, "")
        self._address = ""
        self._fault = ""  # why there is no channel
        self._key_file: KeyFile | None = None
        self._look = asyncio.Event()  # the pair may be another

    def look(self) -> None:
        """The pair may be another."""
        self._look.set()

    def met(self, hello: Hello, address: str) -> None:
        """The channel is connected, with this director there."""
        self._hello, self._address = hello, address

    @property
    def peer(self) -> str:
        """The other director, for sentences."""
        return self._hello.name or "the other director"

    @property
    def connected(self) -> bool:
        return self.channel is not None and self.channel.connected

    def send(self, letter: Letter) -> None:
        """To the other director, if it is there."""
        if self.channel is not None:
            self.channel.send(letter)

    def post(self, letter: Letter) -> bool:
        """Send a letter, if it can go."""
        if not self.connected:
            return False
        self.send(letter)
        return True

    def hang_up(self, reason: str) -> None:
        if self.channel is not None:
            self.channel.hang_up(reason)

    def status(self) -> pairstatus.Channel:
        """How the channel stands."""
        channel, settings = self.channel, self._settings
        if channel is None or settings is None:
            return pairstatus.Channel(fault=self._fault)
        return pairstatus.Channel(
            "backup" if settings.dials else "primary",
            settings.key.fingerprint,
            self._fault,
            self._address,
            self._hello.name,
            self._hello.version,
            dict(channel.strangers.counts),
            channel.unknown,
        )

    async def looking(self) -> None:
        """Have the channel that the configuration, the key and the addresses ask for."""
        task: asyncio.Task[None] | None = None
        async with asyncio.TaskGroup() as group:
            while True:
                self._look.clear()
                wanted = await asyncio.to_thread(self._wanted)
                if wanted != self._settings:
                    if task is not None:
                        task.cancel()
                        await asyncio.gather(task, return_exceptions=True)
                        task = None
                    self._settings, self.channel = wanted, None
                    if wanted is not None:
                        self._director.rekeyed(wanted.key.heartbeat)
                        self._listener.keyed(wanted.key.fingerprint)
                        self.channel = self._made(wanted)
                        task = group.create_task(self.channel.serve())
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_EVERY_S):
                        await self._look.wait()

    def _made(self, wanted: Settings) -> Channel:
        from lvs.io.peer import Channel, Path

        paths = tuple(Path(ip_address(own), ip_address(other)) for own, other in wanted.ways)
        return Channel(paths, wanted.port, wanted.key, self._listener, dials=wanted.dials)

    def _wanted(self) -> Settings | None:
        pairing = self._director.state.pairing
        wire = pairing.wire
        if wire is None or pairing.seat not in PAIRED:
            self._fault = ""
            return None
        if self._key_file is None:
            from lvs.io.keyfile import KeyFile

            self._key_file = KeyFile()
        try:
            key = self._key_file.read(Path(wire.key_file))
        except SystemFault as fault:
            if str(fault) != self._fault:
                self._fault = str(fault)
                self._listener.tell(events.PairKeyUnusable(str(fault)))
            return None
        self._fault = ""
        ways = tuple((way.ours, way.theirs) for way in wire.ways)
        return Settings(ways, wire.port, pairing.seat is Seat.BACKUP, key)
