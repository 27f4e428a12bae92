"""Echo requests and what comes back, without a socket; tests/netns/test_askers.py has real ones."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from io_fakes import FakeLoop
from lvs.checks import Address, Answer, Icmp, Pace, Reason, Target
from lvs.io import echo
from lvs.io.echo import HEADER, Echo, checksum, icmp6_filter, without_ip_header
from lvs.probes.talk import down, up

PACE = Pace(6, 2, 4)
V4, V6 = IPv4Address("192.0.2.1"), IPv6Address("2001:db8::1")


class Wire:
    """In the place of a socket."""

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, str]] = []
        self.fault: OSError | None = None

    def sendto(self, data: bytes, address: tuple[str, int]) -> None:
        if self.fault is not None:
            raise self.fault
        self.sent.append((data, address[0]))

    def fileno(self) -> int:
        return 99

    def close(self) -> None:
        pass


class World:
    def __init__(self) -> None:
        self.echo = Echo()
        self.echo.open(FakeLoop().loop)
        self.wires: dict[int, Any] = {}
        for version, family in self.echo._families.items():
            self.wires[version] = family._socket = Wire()  # type: ignore[assignment]
        self.told: list[tuple[Target, Answer]] = []

    def ask(self, address: Address) -> Target:
        target = Target(address, 0, Icmp(), PACE)
        self.echo.ask(target, 0.0, lambda answer: self.told.append((target, answer)))
        return target

    def request(self, version: int) -> bytes:
        return bytes(self.wires[version].sent[-1][0])

    def take(self, version: int, data: bytes, source: str) -> list[Answer]:
        self.echo._families[version]._take(data, source)
        return [answer for _, answer in self.told]


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.echo.close()


def reply(request: bytes, kind: int) -> bytes:
    return bytes([kind]) + request[1:]


@pytest.mark.parametrize(("address", "kind"), [(V4, 0), (V6, 129)])
def test_reply_of_who_was_asked(world: World, address: Address, kind: int) -> None:
    world.ask(address)
    request = world.request(address.version)
    assert world.take(address.version, reply(request, kind), "192.0.2.2") == []  # someone else
    assert world.take(address.version, reply(request[:-1] + b"?", kind), str(address)) == []
    assert world.take(address.version, reply(request, kind), str(address)) == [up("echo reply")]
    assert len(world.take(address.version, reply(request, kind), str(address))) == 1  # said once


def test_the_checksum_is_right(world: World) -> None:
    world.ask(V4)
    assert checksum(world.request(4)) == 0


@given(st.binary(max_size=64).filter(lambda data: len(data) % 2 == 0))
def test_checksum_verifies(data: bytes) -> None:
    assert checksum(data + struct.pack("!H", checksum(data))) == 0


def test_unreachable_says_who_said_it(world: World) -> None:
    world.ask(V4)
    header = struct.pack("!B15x4s", 0x45, V4.packed)[:16] + V4.packed
    quote = HEADER.pack(3, 1, 0, 0, 0) + header + world.request(4)[:8]
    answers = world.take(4, quote, "192.0.2.254")
    assert answers == [down(Reason.UNREACHABLE, "host unreachable (says 192.0.2.254)")]


def test_unreachable_of_ipv6(world: World) -> None:
    world.ask(V6)
    header = bytes(6) + bytes([58, 64]) + bytes(16) + V6.packed
    quote = HEADER.pack(1, 0, 0, 0, 0) + header + world.request(6)[:8]
    assert world.take(6, quote, str(V6)) == [down(Reason.UNREACHABLE, "no route")]


def test_an_error_about_someone_else_is_passed_over(world: World) -> None:
    world.ask(V4)
    header = bytes([0x45]) + bytes(15) + bytes(4)
    assert world.take(4, HEADER.pack(3, 1, 0, 0, 0) + header + world.request(4)[:8], "192.0.2.254") == []


@given(st.sampled_from([4, 6]), st.binary(max_size=80))
def test_garbage_is_passed_over(version: int, data: bytes) -> None:
    world = World()
    world.ask(V4 if version == 4 else V6)
    assert world.take(version, data, "192.0.2.1") == []


def test_each_has_a_number_of_its_own(world: World) -> None:
    for number in range(300):
        world.ask(IPv4Address(0xC0000200 + number))
    numbers = {HEADER.unpack_from(data)[4] for data, _ in world.wires[4].sent}
    assert len(numbers) == 300


def test_abandoned(world: World) -> None:
    target = world.ask(V4)
    request = world.request(4)
    assert world.echo.abandon(target) == down(Reason.TIMED_OUT, "no echo reply within 4 s")
    assert world.take(4, reply(request, 0), str(V4)) == []


def test_too_many(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(echo, "AT_ONCE", 1)
    world.ask(V4)
    world.ask(IPv4Address("192.0.2.2"))
    assert world.told[0][1].reason is Reason.LOCAL_FAULT


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (PermissionError(1, ""), Reason.LOCAL_FAULT),
        (OSError(113, ""), Reason.UNREACHABLE),
        (OSError(105, ""), Reason.LOCAL_FAULT),
    ],
)
def test_what_cannot_be_sent(world: World, fault: OSError, reason: Reason) -> None:
    world.wires[4].fault = fault
    world.ask(V4)
    assert [answer.reason for _, answer in world.told] == [reason]
    assert world.echo._families[4]._waiting == {}


def test_without_ip_header() -> None:
    assert without_ip_header(bytes([0x46]) + bytes(23) + b"rest") == b"rest"
    assert without_ip_header(b"\x45short") == b""


def test_icmp6_filter() -> None:
    words = struct.unpack("=8I", icmp6_filter((129, 1)))
    passed = [kind for kind in range(256) if not words[kind >> 5] >> (kind & 31) & 1]
    assert passed == [1, 129]
