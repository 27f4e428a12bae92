"""Sockets of the loopback: accepted, refused, silent, dripping, endless, cut, garbled."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import struct
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest

from lvs.checks import (
    Address,
    Answer,
    Check,
    Connect,
    Dns,
    Exchange,
    Http,
    Pace,
    Path,
    Reason,
    Target,
)
from lvs.io import probe as record
from lvs.io import streams
from lvs.io.engine import Engine
from lvs.io.findings import Finished
from lvs.probes.talk import LONGEST, down, up

HOME = IPv4Address("127.0.0.1")
PACE = Pace(interval_s=60.0, step_s=0.1, limit_s=0.15)


class Scripted:
    """A talk: says `first`, and is satisfied by an answer that ends in a newline."""

    def __init__(self, first: bytes = b"", *, write_only: bool = False, farewell: bytes = b"") -> None:
        self.first = first
        self.write_only = write_only
        self.came = b""
        if farewell:
            self.farewell = lambda: farewell

    def begin(self) -> bytes:
        self.came = b""
        return self.first

    def received(self, data: bytes) -> bytes | Answer:
        self.came += data
        if data == b"raise":
            raise ValueError("what is this")
        if data.startswith(b"more"):
            return b"go on"
        return up("line") if self.came.endswith(b"\n") else b""

    def ended(self) -> Answer:
        return down(Reason.CLOSED, f"closed after {len(self.came)} bytes")

    def silent(self) -> str:
        return "a line"


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not true():  # noqa: ASYNC110  what is waited for is the engine's own doing
            await asyncio.sleep(0.005)


def ask(  # noqa: PLR0917
    port: int,
    talk: Scripted | None = None,
    check: Check | None = None,
    serve: Callable[[], Awaitable[Any]] | None = None,
    pace: Pace = PACE,
    address: Address = HOME,
    **options: Any,
) -> Finished:
    """Probe once, with an engine of its own."""

    async def run() -> Finished:
        loop = asyncio.get_running_loop()
        found: asyncio.Future[Finished] = loop.create_future()

        def report(results: list[Finished]) -> None:
            if not found.done():
                found.set_result(results[0])

        engine = Engine(report, lambda _: talk)
        engine.open(loop)
        chosen = check or (Connect() if talk is None else Http())
        engine.follow([Target(address, port, chosen, pace, **options)])
        try:
            async with asyncio.timeout(5):
                if serve is not None:
                    await serve()
                return await found
        finally:
            await asyncio.sleep(0)
            engine.close()

    return asyncio.run(run())


@contextmanager
def listening(backlog: int = 10, family: int = socket.AF_INET) -> Iterator[tuple[socket.socket, int]]:
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        listener.listen(backlog)
        listener.setblocking(False)
        yield listener, listener.getsockname()[1]


def serving(listener: socket.socket, *said: bytes, rest: str = "close") -> Callable[[], Awaitable[Any]]:
    """Accept one connection, wait for what it says if it says something, and say `said`."""

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        connection, _ = await loop.sock_accept(listener)
        connection.setblocking(False)
        try:
            for data in said:
                await loop.sock_sendall(connection, data)
                await asyncio.sleep(0.002)
            if rest == "reset":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            elif rest == "wait":
                await asyncio.sleep(0.3)
        except OSError:
            pass
        finally:
            connection.close()

    return serve


def test_accepted() -> None:
    with listening() as (_, port):
        found = ask(port)
    assert found.answer == up("connection accepted")
    assert 0 < found.took_s < 0.1


def test_accepted_by_ipv6() -> None:
    with listening(family=socket.AF_INET6) as (_, port):
        assert ask(port, address=IPv6Address("::1")).answer.ok


def test_refused() -> None:
    with listening() as (_, port):
        pass
    assert ask(port).answer == down(Reason.REFUSED, "connection refused")


def test_never_accepted() -> None:
    """Who has a full backlog drops what asks to connect."""
    with listening(0) as (_, port), ExitStack() as held:
        for _ in range(2):
            one = held.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        found = ask(port)
    assert found.answer == down(Reason.TIMED_OUT, "not connected within 0.1 s")
    assert 0.1 <= found.took_s < 0.3


def test_connections_are_closed_without_a_reset() -> None:
    """The server speaks first, and sees an end: not a reset, which it would log (keepalived#2560)."""
    seen: list[bytes | str] = []

    with listening() as (listener, port):

        async def serve() -> None:
            loop = asyncio.get_running_loop()
            connection, _ = await loop.sock_accept(listener)
            with connection:
                connection.setblocking(False)
                await loop.sock_sendall(connection, b"220 hello\r\n")
                seen.append(await loop.sock_recv(connection, 100))
                await asyncio.sleep(0.1)
                try:
                    await loop.sock_sendall(connection, b"221 bye\r\n")
                    seen.append("sent")
                except ConnectionError as error:
                    seen.append(str(error))

        assert ask(port, serve=serve).answer.ok
    assert seen[0] == b""


def test_question_and_answer() -> None:
    talk = Scripted(b"hello?")
    with listening() as (listener, port):
        assert ask(port, talk, serve=serving(listener, b"220 he", b"llo\n")).answer == up("line")
    assert talk.came == b"220 hello\n"


def test_closed_at_once() -> None:
    with listening() as (listener, port):
        found = ask(port, Scripted(), serve=serving(listener))
    assert found.answer == down(Reason.CLOSED, "closed after 0 bytes")


def test_closed_in_the_middle() -> None:
    with listening() as (listener, port):
        found = ask(port, Scripted(), serve=serving(listener, b"half"))
    assert found.answer == down(Reason.CLOSED, "closed after 4 bytes")


def test_reset() -> None:
    with listening() as (listener, port):
        found = ask(port, Scripted(), serve=serving(listener, b"half", rest="reset"))
    assert found.answer == down(Reason.RESET, "connection reset")


def test_silent() -> None:
    with listening() as (_, port):
        found = ask(port, Scripted(b"hello?"))
    assert found.answer.reason is Reason.TIMED_OUT
    assert found.answer.text.startswith("timed out after 0.")
    assert found.answer.text.endswith(" s, waiting for a line")
    assert 0.1 <= found.took_s < 0.3


def test_dripping_is_down_at_the_deadline() -> None:
    with listening() as (listener, port):
        found = ask(port, Scripted(), serve=serving(listener, *[b"x"] * 100))
    assert found.answer.reason is Reason.TIMED_OUT
    assert found.took_s < 0.4


def test_endless() -> None:
    with listening() as (listener, port):
        serve = serving(listener, *[b"x" * 50_000] * 20)
        found = ask(port, Scripted(), serve=serve, pace=Pace(60, 5, 5))
    assert found.answer == down(Reason.TOO_LONG, f"no end of the answer after {LONGEST // 1024} KiB")


def test_a_talk_that_raises_is_an_answer() -> None:
    with listening() as (listener, port):
        found = ask(port, Scripted(), serve=serving(listener, b"raise"))
    assert found.answer == down(Reason.GARBLED, 'answer not understood: ValueError "what is this"')


def test_writing_can_be_enough() -> None:
    with listening() as (_, port):
        assert ask(port, Scripted(b"hello", write_only=True)).answer == up("connection accepted, text sent")


def test_more_to_send_than_fits() -> None:
    """What the socket does not take at once follows when the server has read."""
    size = 20_000_000
    taken = 0

    async def serve() -> None:
        nonlocal taken
        loop = asyncio.get_running_loop()
        connection, _ = await loop.sock_accept(listener)
        with connection:
            connection.setblocking(False)
            while taken < size:
                taken += len(await loop.sock_recv(connection, 1 << 20))
            await loop.sock_sendall(connection, b"all\n")

    with listening() as (listener, port):
        assert ask(port, Scripted(b"x" * size), serve=serve, pace=Pace(60, 5, 5)).answer == up("line")
    assert taken == size


@pytest.mark.parametrize("slice_s", [streams.SLICE_S, -1.0])
def test_many_at_once_however_little_time_there_is(monkeypatch: pytest.MonkeyPatch, slice_s: float) -> None:
    """A sweep that has to stop after one of them goes on where it stopped; all are closed without a reset."""
    monkeypatch.setattr(streams, "SLICE_S", slice_s)
    told: dict[Target, Answer] = {}
    ended: list[bytes | str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            said = await reader.read(100)
            if said:
                writer.write(b"hello\n")
                said = await reader.read(100)
            ended.append(said)
        except ConnectionError as error:
            ended.append(str(error))
        writer.close()

    async def run() -> None:
        server = await asyncio.start_server(serve, "0.0.0.0", 0, backlog=100)
        port = server.sockets[0].getsockname()[1]
        engine = Engine(
            lambda results: told.update({one.target: one.answer for one in results}),
            lambda target: Scripted(b"hello?") if isinstance(target.check, Http) else None,
        )
        engine.open(asyncio.get_running_loop())
        checks = (Connect(), Http())
        homes = [IPv4Address(f"127.0.1.{number}") for number in range(1, 21)]
        many = [Target(home, port, check, Pace(60, 5, 5)) for home in homes for check in checks]
        engine.follow(many)
        await until(lambda: len(told) == len(many))
        await until(lambda: len(ended) == len(many))
        engine.close()
        server.close()

    asyncio.run(run())
    assert {(type(target.check), answer.text) for target, answer in told.items()} == {
        (Connect, "connection accepted"),
        (Http, "line"),
    }
    assert set(ended) == {b""}


def test_an_answer_that_takes_its_time() -> None:
    """Longer than a tick, so that the epoll is what hears of it."""

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        connection, _ = await loop.sock_accept(listener)
        with connection:
            connection.setblocking(False)
            await loop.sock_recv(connection, 100)
            await asyncio.sleep(0.1)
            await loop.sock_sendall(connection, b"at last\n")

    with listening() as (listener, port):
        found = ask(port, Scripted(b"hello?"), serve=serve, pace=Pace(60, 5, 5))
    assert found.answer == up("line")
    assert 0.1 <= found.took_s < 1


def test_dialogue_and_farewell() -> None:
    heard = b""

    async def serve() -> None:
        nonlocal heard
        loop = asyncio.get_running_loop()
        connection, _ = await loop.sock_accept(listener)
        with connection:
            connection.setblocking(False)
            await loop.sock_sendall(connection, b"more")
            heard += await loop.sock_recv(connection, 100)
            await loop.sock_sendall(connection, b"fine\n")
            while data := await loop.sock_recv(connection, 100):
                heard += data

    with listening() as (listener, port):
        assert ask(port, Scripted(farewell=b"QUIT"), serve=serve).answer == up("line")
    assert heard == b"go onQUIT"


@contextmanager
def datagrams() -> Iterator[tuple[socket.socket, int]]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.setblocking(False)
        yield server, server.getsockname()[1]


def answering(server: socket.socket, *said: bytes) -> Callable[[], Awaitable[Any]]:
    async def serve() -> None:
        loop = asyncio.get_running_loop()
        _, client = await loop.sock_recvfrom(server, 100)
        for data in said:
            await loop.sock_sendto(server, data, client)
            await asyncio.sleep(0.03 if len(data) > 1000 else 0)  # as much as its buffer holds is heard

    return serve


def test_datagrams() -> None:
    with datagrams() as (server, port):
        found = ask(port, Scripted(b"hello?"), Dns(), answering(server, b"", b"not this", b"but this\n"))
    assert found.answer == up("line")


def test_datagram_refused() -> None:
    with datagrams() as (_, port):
        pass
    assert ask(port, Scripted(b"?"), Dns()).answer == down(Reason.REFUSED, "port unreachable")
    assert ask(port, None, Exchange(udp=True)).answer.reason is Reason.REFUSED


def test_datagram_without_answer() -> None:
    with datagrams() as (_, port):
        assert ask(port, Scripted(b"?"), Dns()).answer.reason is Reason.TIMED_OUT
        found = ask(port, None, Exchange(udp=True))
        assert found.answer == up("datagram sent and not refused")
        talk = Scripted(b"?", write_only=True)
        assert ask(port, talk, Exchange(udp=True, send=b"?")).answer.ok


def test_datagrams_without_end() -> None:
    with datagrams() as (server, port):
        found = ask(port, Scripted(b"?"), Dns(), answering(server, *[b"x" * 50_000] * 8), pace=Pace(60, 2, 2))
    assert found.answer.reason is Reason.TOO_LONG


def test_a_datagram_of_garbage() -> None:
    with datagrams() as (server, port):
        assert ask(port, Scripted(b"?"), Dns(), answering(server, b"raise")).answer.reason is Reason.GARBLED


def test_no_route() -> None:
    found = ask(80, address=IPv4Address("255.255.255.255"))
    assert found.answer.reason in {Reason.UNREACHABLE, Reason.LOCAL_FAULT}


def test_no_descriptors_is_our_fault() -> None:
    """Nothing is lost: the probe is made when there are descriptors again."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    told: list[Finished] = []

    async def run(port: int) -> None:
        engine = Engine(told.extend, lambda _: None)
        engine.open(asyncio.get_running_loop())
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            engine.follow([Target(HOME, port, Connect(), PACE)])
            await until(lambda: bool(told))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        await until(lambda: len(told) == 2)
        engine.close()

    with listening() as (_, port):
        asyncio.run(asyncio.wait_for(run(port), 5))
    assert told[0].answer.reason is Reason.LOCAL_FAULT
    assert told[1].answer.ok


def test_descriptors_are_all_given_back() -> None:
    def count() -> int:
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208

    before = count()
    with listening() as (_, port):
        ask(port)
        ask(port, Scripted(b"?"))
    assert count() == before


def test_forgotten_in_the_middle() -> None:
    told: list[Finished] = []

    async def run(port: int) -> None:
        engine = Engine(told.extend, lambda _: Scripted(b"?"))
        engine.open(asyncio.get_running_loop())
        one = Target(HOME, port, Http(), PACE)
        engine.follow([one])
        await until(lambda: engine.health(time.monotonic()).in_flight == 1)
        engine.forget([one])
        await until(lambda: engine.health(time.monotonic()).in_flight == 0)
        engine.close()

    with listening() as (_, port):
        asyncio.run(asyncio.wait_for(run(port), 5))
    assert told == []


def test_by_vip(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mark needs a right: here it is another option of the socket; netns tests the real one."""
    monkeypatch.setattr(record, "SO_MARK", socket.SO_KEEPALIVE)
    with listening() as (_, port):
        found = ask(port, address=IPv4Address("127.0.0.9"), path=Path(HOME, 5))
    assert found.answer == up("connection accepted (by VIP 127.0.0.1, mark 5, of 127.0.0.9)")
