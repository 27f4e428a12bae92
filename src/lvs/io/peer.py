"""The channel between the two directors: TCP, within it TLS 1.3, within it letters.

The primary listens on its own addresses, the backup dials from its own, each second, on the public and
the private path in turn. Whoever comes from another address is turned away unheard; whoever has another
key does not get past the handshake. Until a Hello is there, time, size and number are bounded tightly.

There is a ping every half second: two seconds of silence end the connection. What is not acknowledged
for as long ends it, too (TCP_USER_TIMEOUT, tcp(7)).
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Protocol

import msgspec

from lvs import __version__, events
from lvs.checks import Address
from lvs.events import Event
from lvs.io.line import Line, PeerError, TurnedAwayError
from lvs.io.pairkey import PairKey
from lvs.io.strangers import Strangers
from lvs.letters import (
    LEAST,
    LONGEST,
    PROTOCOL,
    FrameError,
    Hello,
    Letter,
    Ping,
    frame,
    letter,
    unfit,
)

_AT_ONCE = 8  # connections that have not said Hello
_A_SECOND = 20  # handshakes begun
_GONE = "it went away before it said who it is"
_LATE_S = 0.5  # after a timer was due
_BATCH = 50  # connections accepted in a row


class Limits(msgspec.Struct, frozen=True):
    """Seconds."""

    connect: float = 1.0
    handshake: float = 3.0
    hello: float = 2.0
    idle: float = 2.0  # without a byte: a ping is due every half second
    frame: float = 15.0  # from the first byte of a frame to its last
    ping: float = 0.5
    redial: float = 1.0
    unacknowledged: float = 2.0


class Path(msgspec.Struct, frozen=True):
    """Addresses of both ends, of one family."""

    own: Address
    other: Address


class Listener(Protocol):
    """What a Channel tells, on the event loop."""

    def connected(self, hello: Hello, address: str) -> None: ...
    def heard(self, letter: Letter) -> None: ...
    def lost(self, reason: str) -> None: ...
    def tell(self, event: Event) -> None: ...


class Channel:
    """The connection with the other director, made again and again."""

    def __init__(
        self,
        paths: tuple[Path, ...],
        port: int,
        key: PairKey,
        listener: Listener,
        *,
        dials: bool,
        limits: Limits | None = None,
        hello: Hello | None = None,
    ) -> None:
        self.paths, self.port, self.dials = paths, port, dials
        self._key = key
        self._listener = listener
        self._limits = limits or Limits()
        self._hello = hello or Hello(PROTOCOL, LEAST, __version__, os.uname().nodename)
        self.strangers = Strangers(listener.tell, time.monotonic)
        self.unknown = 0  # letters of kinds that are not known here
        self.listening: list[tuple[str, int]] = []  # where, once it does
        self._line: Line | None = None
        self._queue: asyncio.Queue[Letter] = asyncio.Queue()
        self._told = ""  # why they cannot be talked to
        self._hung_up = ""
        self._new = 0  # connections without a Hello
        self._handshakes: list[float] = []
        self._tasks: asyncio.TaskGroup | None = None

    @property
    def connected(self) -> bool:
        return self._line is not None

    def send(self, letter: Letter) -> None:
        """To whoever is connected; to nobody, if nobody is."""
        if self._line is not None:
            self._queue.put_nowait(letter)

    def hang_up(self, reason: str) -> None:
        """End the connection; `lost` follows."""
        if self._line is not None:
            self._hung_up = reason
            self._line.close()

    async def serve(self) -> None:
        """Keep the two connected, until cancelled."""
        async with asyncio.TaskGroup() as self._tasks:
            if self.dials:
                self._tasks.create_task(self._dialling())
            else:
                for path in self.paths:
                    self._tasks.create_task(self._listening(path))

    # The primary

    async def _listening(self, path: Path) -> None:
        told = ""
        while True:
            try:
                with _bound(path.own, self.port) as server:
                    server.listen(16)
                    self.listening.append(server.getsockname()[:2])
                    await self._accepting(server, path)
            except OSError as fault:
                reason = os.strerror(fault.errno or 0).lower()
                if reason != told:
                    self._listener.tell(events.PairUnreachable(f"{path.own} port {self.port}", reason))
                told = reason
            await asyncio.sleep(self._limits.redial)

    async def _accepting(self, server: socket.socket, path: Path) -> None:
        assert self._tasks is not None
        loop = asyncio.get_running_loop()
        taken = 0
        while True:
            try:
                connection, (address, *_) = await loop.sock_accept(server)
            except OSError as fault:
                if fault.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    continue  # it was gone before it was accepted, accept(2)
                await asyncio.sleep(self._limits.redial)
                continue
            taken += 1
            if not taken % _BATCH:  # a flood waits in the kernel, and what else there is to do does not
                await asyncio.sleep(0.05)
            if address.partition("%")[0] != str(path.other):
                self._turn_away(connection, address, "its address is not the other director's")
            elif self._new >= _AT_ONCE or not self._in_rate():
                self._turn_away(connection, address, "too many connections at once")
            else:
                self._tasks.create_task(self._serving(connection, address))

    def _turn_away(self, connection: socket.socket, address: str, reason: str) -> None:
        connection.close()
        self.strangers.came(address, reason)

    def _in_rate(self) -> bool:
        now = time.monotonic()
        self._handshakes = [at for at in self._handshakes if now - at < 1.0]
        if len(self._handshakes) >= _A_SECOND:
            return False
        self._handshakes.append(now)
        return True

    async def _serving(self, connection: socket.socket, address: str) -> None:
        reason = await self._conversation(connection, address, server=True)
        if reason:
            self.strangers.came(address, reason)

    # The backup

    async def _dialling(self) -> None:
        turn = 0
        while True:
            path = self.paths[turn % len(self.paths)]
            turn += 1
            began = time.monotonic()
            with suppress(OSError):
                await self._dialled(path)
            await asyncio.sleep(max(0.0, began + self._limits.redial - time.monotonic()))

    async def _dialled(self, path: Path) -> None:
        loop = asyncio.get_running_loop()
        connection = _bound(path.own, 0)
        try:
            async with asyncio.timeout(self._limits.connect):
                await loop.sock_connect(connection, (str(path.other), self.port))
        except BaseException:
            connection.close()
            raise
        reason = await self._conversation(connection, str(path.other), server=False)
        if reason and reason != _GONE:
            self._cannot(str(path.other), reason)

    def _cannot(self, address: str, reason: str) -> None:
        """Say once why they cannot be talked to."""
        if reason != self._told:
            self._told = reason
            self._listener.tell(events.PeerUnfit(address, reason))

    # Both

    async def _conversation(self, connection: socket.socket, address: str, *, server: bool) -> str:
        """From the handshake to the end; why it was turned away, if it was."""
        limits = self._limits
        _prepared(connection, limits.unacknowledged)
        self._new += 1
        try:
            line = Line(await asyncio.open_connection(sock=connection), self._key, server=server)
        except OSError:
            self._new -= 1
            connection.close()
            return ""
        try:
            try:
                async with asyncio.timeout(limits.handshake):
                    await line.handshake()
                async with asyncio.timeout(limits.hello):
                    await line.send(frame(self._hello))
                    hello = letter(await line.first())
            finally:
                self._new -= 1
            if not isinstance(hello, Hello):
                return "it did not begin with a Hello"
            if reason := unfit(hello):
                self._cannot(address, reason)
                return ""
            await self._talk(line, hello, address)
        except TurnedAwayError as fault:
            return str(fault)
        except FrameError as fault:
            return f"it does not keep to the protocol: {fault}"
        except TimeoutError:
            return "it did not finish the handshake in time"
        except (PeerError, OSError):
            return _GONE
        finally:
            line.close()
        return ""

    async def _talk(self, line: Line, hello: Hello, address: str) -> None:
        """With the other director itself, until the connection ends."""
        if self._line is not None:  # it has begun anew, and the old connection does not know it yet
            self._ended(self._line, "it connected anew", address)
        self._line, self._queue, self._hung_up, self._told = line, asyncio.Queue(), "", ""
        line.frames.longest = LONGEST
        self._listener.tell(events.PeerConnected(address, hello.version))
        self._listener.connected(hello, address)
        assert self._tasks is not None
        writing = self._tasks.create_task(self._writing(line, self._queue))
        try:
            self._deliver(line, line.rest())
            await self._reading(line)
        except TimeoutError:
            self._ended(line, f"silent for {self._limits.idle:g} s", address)
        except (PeerError, FrameError) as fault:
            self._ended(line, str(fault), address)
        except OSError as fault:
            self._ended(line, os.strerror(fault.errno or 0).lower(), address)
        finally:
            writing.cancel()
            self._ended(line, "this director ends the connection", address)

    def _ended(self, line: Line, reason: str, address: str) -> None:
        if self._line is line:
            self._line = None
            reason = self._hung_up or reason
            line.close()
            self._listener.tell(events.PeerLost(address, reason))
            self._listener.lost(reason)

    async def _reading(self, line: Line) -> None:
        begun: float | None = None
        while self._line is line:
            asked = time.monotonic()
            try:
                async with asyncio.timeout(self._limits.idle):
                    bodies = await line.receive()
            except TimeoutError:
                if time.monotonic() - asked > self._limits.idle + _LATE_S:
                    continue  # it is we who were away, and what they said may wait to be read
                raise
            if self._deliver(line, bodies) or not line.frames.begun:
                begun = None
            if line.frames.begun:
                begun = begun or time.monotonic()
                if time.monotonic() - begun > self._limits.frame:
                    raise PeerError("a letter took too long")

    def _deliver(self, line: Line, bodies: Iterable[bytes]) -> int:
        """Hand out letters; how many there were."""
        number = 0
        for number, body in enumerate(bodies, 1):  # noqa: B007
            one = letter(body)
            if one is None:
                self.unknown += 1
            elif not isinstance(one, Ping | Hello) and self._line is line:
                self._listener.heard(one)
        return number

    async def _writing(self, line: Line, queue: asyncio.Queue[Letter]) -> None:
        try:
            while True:
                try:
                    async with asyncio.timeout(self._limits.ping):
                        one: Letter = await queue.get()
                except TimeoutError:
                    one = Ping()
                await line.send(frame(one))
        except (OSError, PeerError):
            line.close()  # whoever reads tells it


def _bound(address: Address, port: int) -> socket.socket:
    """A socket of its own address, that does not block. Errors: OSError."""
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((str(address), port))
    except BaseException:
        made.close()
        raise
    return made


def _prepared(connection: socket.socket, unacknowledged_s: float) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(unacknowledged_s * 1000))
