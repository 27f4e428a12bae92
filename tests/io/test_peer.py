"""The channel over loopback: two ends that trust each other, and all sorts that they do not."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import struct
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_address
from random import Random

import msgspec
import pytest

from lvs import events
from lvs.events import Event
from lvs.io import pairkey
from lvs.io.pairkey import PairKey
from lvs.io.peer import Channel, Limits, Path
from lvs.letters import PROTOCOL, Hello, Letter, frame
from lvs.sync.messages import Commit, Offer
from lvs.sync.version import Text, Version

HERE, THERE, STRANGE = "127.0.0.1", "127.0.0.2", "127.0.0.3"
QUICK = Limits(
    connect=1.0, handshake=0.4, hello=0.4, idle=5.0, frame=5.0, ping=0.05, redial=0.02, unacknowledged=2.0
)
LIMIT_S = 30.0


@pytest.fixture(scope="module")
def key() -> PairKey:
    return pairkey.make()


@pytest.fixture(scope="module")
def other_key() -> PairKey:
    return pairkey.make()


class End:
    """One end of a channel, and what it was told."""

    def __init__(
        self,
        key: PairKey,
        port: int = 0,
        *,
        dials: bool,
        limits: Limits = QUICK,
        hello: Hello | None = None,
        paths: tuple[tuple[str, str], ...] = (),
    ) -> None:
        ends = paths or (((THERE, HERE),) if dials else ((HERE, THERE),))
        found = tuple(Path(ip_address(own), ip_address(other)) for own, other in ends)
        self.channel = Channel(found, port, key, self, dials=dials, limits=limits, hello=hello)
        self.letters: list[Letter] = []
        self.events: list[Event] = []
        self.lost_for: list[str] = []

    def connected(self, hello: Hello, address: str) -> None: ...

    def heard(self, letter: Letter) -> None:
        self.letters.append(letter)

    def lost(self, reason: str) -> None:
        self.lost_for.append(reason)

    def tell(self, event: Event) -> None:
        self.events.append(event)

    def kinds(self) -> list[str]:
        return [type(event).__name__ for event in self.events]

    @property
    def port(self) -> int:
        return self.channel.listening[0][1]


async def until(good: Callable[[], object]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not good():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


@asynccontextmanager
async def serving(*ends: End) -> AsyncIterator[None]:
    tasks = [asyncio.ensure_future(end.channel.serve()) for end in ends]
    try:
        await until(lambda: all(end.channel.dials or end.channel.listening for end in ends))
        yield
        for task in tasks:
            assert not task.done(), task.exception()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def pair(key: PairKey) -> AsyncIterator[tuple[End, End]]:
    primary = End(key, dials=False)
    async with serving(primary):
        backup = End(key, primary.port, dials=True)
        async with serving(backup):
            await until(lambda: primary.channel.connected and backup.channel.connected)
            yield primary, backup


def test_they_talk_and_a_whole_configuration_passes(key: PairKey) -> None:
    async def run() -> None:
        async with pair(key) as (primary, backup):
            offer = Offer(1, Text(Version(1, "d"), os.urandom(5 << 20), "toml"))
            primary.channel.send(Commit(7))
            primary.channel.send(offer)
            backup.channel.send(Commit(8))
            await until(lambda: len(backup.letters) == 2 and primary.letters)
            assert backup.letters == [Commit(7), offer]
            assert primary.letters == [Commit(8)]
            assert backup.kinds() == primary.kinds() == ["PeerConnected"]

    asyncio.run(run())


def test_a_lost_connection_is_made_again(key: PairKey) -> None:
    async def run() -> None:
        async with pair(key) as (primary, backup):
            primary.channel.hang_up("enough")
            await until(lambda: primary.lost_for and backup.lost_for)
            await until(lambda: primary.channel.connected and backup.channel.connected)
            assert primary.lost_for == ["enough"]
            assert primary.kinds() == ["PeerConnected", "PeerLost", "PeerConnected"]
            backup.channel.send(Commit(1))
            await until(lambda: primary.letters)

    asyncio.run(run())


def test_the_other_ends(key: PairKey) -> None:
    async def run() -> None:
        primary = End(key, dials=False)
        async with serving(primary):
            for _ in range(2):
                async with serving(End(key, primary.port, dials=True)):
                    await until(lambda: primary.channel.connected)
                await until(lambda: not primary.channel.connected)
            assert len(primary.lost_for) == 2
            assert not primary.channel.strangers.counts

    asyncio.run(run())


def test_who_connects_anew_takes_the_place_of_the_old(key: PairKey) -> None:
    async def run() -> None:
        async with pair(key) as (primary, backup):
            async with serving(End(key, primary.port, dials=True)):
                await until(lambda: "it connected anew" in primary.lost_for)
            await until(lambda: backup.lost_for)

    asyncio.run(run())


def test_the_second_path_is_tried_when_the_first_is_dead(key: PairKey) -> None:
    async def run() -> None:
        primary = End(key, dials=False, paths=(("127.0.1.1", "127.0.1.2"),))
        async with serving(primary):
            paths = ((THERE, HERE), ("127.0.1.2", "127.0.1.1"))
            backup = End(key, primary.port, dials=True, paths=paths)
            async with serving(backup):
                await until(lambda: primary.channel.connected and backup.channel.connected)

    asyncio.run(run())


def test_silence_is_noticed(key: PairKey) -> None:
    """A director that hangs: the kernel there acknowledges, lvsd says nothing."""

    async def run() -> None:
        limits = msgspec.structs.replace(QUICK, idle=0.3)
        primary = End(key, dials=False, limits=limits)
        async with serving(primary):
            reader, writer = await dialled(primary.port, key)
            writer.write(frame(Hello(PROTOCOL, 1, "x")))
            await until(lambda: primary.lost_for)
            assert primary.lost_for == ["silent for 0.3 s"]
            writer.transport.abort()
            del reader

    asyncio.run(run())


def test_a_pause_of_our_own_is_no_silence_of_theirs(key: PairKey, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop did not turn for longer than the limit; what the other said meanwhile waits in the socket."""
    monkeypatch.setattr("lvs.io.peer._LATE_S", 0.1)

    async def run() -> None:
        primary = End(key, dials=False, limits=msgspec.structs.replace(QUICK, idle=0.3))
        async with serving(primary):
            _, writer = await dialled(primary.port, key)
            writer.write(frame(Hello(PROTOCOL, 1, "x")))
            await until(lambda: primary.channel.connected)
            writer.write(frame(Commit(3)))
            time.sleep(0.6)  # noqa: ASYNC251  the pause itself
            await until(lambda: primary.letters)
            writer.transport.abort()

    asyncio.run(run())


def test_a_later_protocol_says_why_not(key: PairKey) -> None:
    async def run() -> None:
        primary = End(key, dials=False)
        async with serving(primary):
            late = Hello(PROTOCOL + 5, PROTOCOL + 3, "9.9")
            backup = End(key, primary.port, dials=True, hello=late)
            async with serving(backup):
                await until(lambda: primary.events and backup.channel._new == 0)
                (event,) = primary.events
                assert "it is lvsd 9.9 and speaks protocol" in event.text()
                assert "this one is too old for the other, upgrade it" in event.text()

    asyncio.run(run())


def test_a_later_version_of_the_same_protocol_is_understood(key: PairKey) -> None:
    async def run() -> None:
        primary = End(key, dials=False)
        async with serving(primary):
            backup = End(key, primary.port, dials=True, hello=Hello(PROTOCOL + 5, PROTOCOL, "9.9"))
            async with serving(backup):
                await until(lambda: primary.channel.connected)

    asyncio.run(run())


# Strangers


async def dialled(
    port: int, key: PairKey | None, source: str = THERE
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """As some other program would: asyncio's own TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if key is not None:
        context = key.context(server=False)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return await asyncio.open_connection(HERE, port, ssl=context, local_addr=(source, 0))


async def plain(port: int, source: str = THERE) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(HERE, port, local_addr=(source, 0))


def turned_away(key: PairKey, visit: Callable[[int], object], reason: str) -> End:
    """A visit leaves nothing but a count, and the right one gets in afterwards."""

    async def run() -> End:
        primary = End(key, dials=False)
        async with serving(primary):
            with suppress(OSError, asyncio.IncompleteReadError):
                await visit(primary.port)  # type: ignore[misc]
            await until(lambda: any(reason in one for one in primary.channel.strangers.counts))
            assert primary.kinds() == ["PeerIntruder"]
            assert not primary.letters
            async with serving(End(key, primary.port, dials=True)):
                await until(lambda: primary.channel.connected)
        return primary

    return asyncio.run(run())


def test_another_key(key: PairKey, other_key: PairKey) -> None:
    async def visit(port: int) -> None:
        reader, writer = await dialled(port, other_key)
        writer.write(frame(Hello(PROTOCOL, 1, "x")))
        assert not await reader.read()

    turned_away(key, visit, "another pair key")


def test_another_director_with_another_key(key: PairKey, other_key: PairKey) -> None:
    """Both say so; a director that dials tells it as its own trouble."""

    async def run() -> None:
        primary = End(key, dials=False)
        async with serving(primary):
            backup = End(other_key, primary.port, dials=True)
            async with serving(backup):
                await until(lambda: primary.events and backup.events)
                assert backup.events == [events.PeerUnfit(HERE, "it has another pair key")]
                assert primary.kinds() == ["PeerIntruder"]
                await until(lambda: primary.channel.strangers.counts["it has another pair key"] > 3)
                assert len(backup.events) == len(primary.events) == 1

    asyncio.run(run())


def test_a_certificate_that_the_key_signed_is_not_the_key(key: PairKey) -> None:
    """Trusted by its chain, and still not the one that is pinned."""
    from lvs.io.line import Line, TurnedAwayError

    async def run() -> None:
        loop = asyncio.get_running_loop()
        left, right = socket.socketpair()
        forged = PairKey(key.text, b"another", key.heartbeat)
        one = Line(await asyncio.open_connection(sock=left), key, server=True)
        forged_line = Line.__new__(Line)
        streams = await asyncio.open_connection(sock=right)
        forged_line.__init__(streams, key, server=False)  # type: ignore[misc]
        forged_line._key = forged
        greeting = loop.create_task(one.handshake())
        with pytest.raises(TurnedAwayError, match="another pair key"):
            await forged_line.handshake()
        await greeting
        for line in (one, forged_line):
            line.close()

    asyncio.run(run())


def test_no_key(key: PairKey) -> None:
    async def visit(port: int) -> None:
        reader, writer = await dialled(port, None)
        writer.write(frame(Hello(PROTOCOL, 1, "x")))
        assert not await reader.read()

    turned_away(key, visit, "it has no pair key")


def test_an_older_tls(key: PairKey) -> None:
    async def visit(port: int) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        await asyncio.open_connection(HERE, port, ssl=context, local_addr=(THERE, 0))

    turned_away(key, visit, "it speaks no TLS 1.3")


@pytest.mark.parametrize("said", [b"GET / HTTP/1.0\r\n\r\n", b"\0" * 64, Random(1).randbytes(3000)])
def test_plain_text(key: PairKey, said: bytes) -> None:
    async def visit(port: int) -> None:
        reader, writer = await plain(port)
        writer.write(said)
        await reader.read()

    turned_away(key, visit, "")  # what is wrong first, depends on the bytes


def test_another_address_is_not_heard_at_all(key: PairKey) -> None:
    async def visit(port: int) -> None:
        reader, _ = await plain(port, STRANGE)
        assert not await reader.read()

    turned_away(key, visit, "its address is not the other director's")


def test_a_slow_drip(key: PairKey) -> None:
    async def visit(port: int) -> None:
        reader, writer = await plain(port)
        for byte in b"\x16\x03\x01\x02\x00" * 100:
            writer.write(bytes([byte]))
            await asyncio.sleep(0.02)
            if reader.at_eof() or writer.is_closing():  # closed, or reset with bytes unread
                return
        raise AssertionError("it was listened to for ten seconds")

    turned_away(key, visit, "it did not finish the handshake in time")


def test_nothing_said(key: PairKey) -> None:
    async def visit(port: int) -> None:
        reader, writer = await plain(port)
        await reader.read()
        writer.close()

    turned_away(key, visit, "it did not finish the handshake in time")


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (struct.pack("!I", 2**32 - 1), "a frame of 4294967295 bytes"),
        (struct.pack("!I", 5000), "a frame of 5000 bytes; 4096 are the most"),
        (struct.pack("!I", 0), "a frame of 0 bytes"),
        (struct.pack("!I", 5) + b"hello", "not understood"),
        (frame(Commit(1)), "it did not begin with a Hello"),
        (frame(Hello(PROTOCOL, 1, "x"))[:-3], "in time"),
    ],
)
def test_with_the_key_and_without_manners(key: PairKey, said: bytes, reason: str) -> None:
    async def visit(port: int) -> None:
        reader, writer = await dialled(port, key)
        writer.write(said)
        with suppress(ssl.SSLError):
            await reader.read()
            await reader.read()

    turned_away(key, visit, reason)


@pytest.mark.parametrize("said", [struct.pack("!I", 2**31), struct.pack("!I", 5) + b"hello"])
def test_garbage_after_the_hello_ends_the_connection(key: PairKey, said: bytes) -> None:
    async def run() -> None:
        primary = End(key, dials=False)
        async with serving(primary):
            _, writer = await dialled(primary.port, key)
            writer.write(frame(Hello(PROTOCOL, 1, "x")) + frame(Commit(3)) + said)
            await until(lambda: primary.lost_for)
            assert primary.letters == [Commit(3)]

    asyncio.run(run())


def test_what_a_later_version_says_is_passed_over(key: PairKey) -> None:
    async def run() -> None:
        primary = End(key, dials=False)
        async with serving(primary):
            _, writer = await dialled(primary.port, key)
            gossip = msgspec.msgpack.encode({"type": "gossip"})
            writer.write(frame(Hello(PROTOCOL, 1, "x")) + struct.pack("!I", len(gossip)) + gossip)
            writer.write(frame(Commit(3)))
            await until(lambda: primary.letters)
            assert primary.channel.unknown == 1
            writer.transport.abort()

    asyncio.run(run())


def test_a_letter_that_never_ends(key: PairKey) -> None:
    async def run() -> None:
        primary = End(key, dials=False, limits=msgspec.structs.replace(QUICK, frame=0.2))
        async with serving(primary):
            _, writer = await dialled(primary.port, key)
            writer.write(frame(Hello(PROTOCOL, 1, "x")) + struct.pack("!I", 1000))
            while not primary.lost_for:
                writer.write(b"x")
                await asyncio.sleep(0.02)
            assert primary.lost_for == ["a letter took too long"]

    asyncio.run(run())


def test_a_flood_from_elsewhere_does_not_keep_the_other_out(key: PairKey) -> None:
    async def run() -> None:
        primary = End(key, dials=False)
        async with serving(primary):
            backup = End(key, primary.port, dials=True)

            async def flood() -> None:
                while not backup.channel.connected or len(primary.channel.strangers.counts) == 0:
                    with suppress(OSError):
                        _, writer = await plain(primary.port, STRANGE)
                        writer.transport.abort()

            async with serving(backup), asyncio.TaskGroup() as group:
                for _ in range(4):
                    group.create_task(flood())
                await until(lambda: primary.channel.connected)
            assert primary.kinds().count("PeerIntruder") == 1

    asyncio.run(run())


def test_connections_without_a_hello_are_bounded(key: PairKey) -> None:
    """Someone on the other director's machine, without the key, holds all that there are; then lets go."""

    async def run() -> None:
        limits = msgspec.structs.replace(QUICK, handshake=2.0)
        primary = End(key, dials=False, limits=limits)
        async with serving(primary):
            held = [await plain(primary.port) for _ in range(30)]
            await until(lambda: primary.channel.strangers.counts["too many connections at once"] >= 10)
            assert primary.channel._new <= 8
            for _, writer in held:
                writer.transport.abort()
            async with serving(End(key, primary.port, dials=True)):
                await until(lambda: primary.channel.connected)

    asyncio.run(run())


def test_an_address_that_is_not_here_yet_is_told_once(key: PairKey) -> None:
    async def run() -> None:
        primary = End(key, dials=False, paths=(("192.0.2.1", "192.0.2.2"),))
        task = asyncio.ensure_future(primary.channel.serve())
        await until(lambda: primary.events)
        await asyncio.sleep(0.1)
        (event,) = primary.events
        assert event == events.PairUnreachable("192.0.2.1 port 0", "cannot assign requested address")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())
