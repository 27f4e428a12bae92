"""ARP and neighbour discovery in bytes; tests/netns/test_askers.py has real links."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from io_fakes import FakeLoop
from lvs.checks import Address, Answer, Neighbour, Pace, Reason, Target
from lvs.io.neighbour import (
    ADVERTISEMENT,
    REPLIES_ONLY,
    Neighbours,
    advertised_by_arp,
    advertised_by_nd,
    arp_request,
    solicitation,
)
from lvs.io.ways import Way
from lvs.kernel.frames import garp, unsolicited_na
from lvs.probes.talk import down, up

MAC, OTHER = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")
V4, V6 = IPv4Address("192.0.2.1"), IPv6Address("2001:db8::1")
WAY = Way("eth0", 2, MAC, IPv4Address("192.0.2.254"))
ETHERNET, IPV6 = 14, 40


class Wire:
    def __init__(self) -> None:
        self.sent: list[tuple[bytes, Any]] = []

    def sendto(self, data: bytes, address: Any) -> None:
        self.sent.append((data, address))

    def fileno(self) -> int:
        return 99

    def close(self) -> None:
        pass


class World:
    def __init__(self, way: Callable[[Address], Way | str] = lambda _: WAY) -> None:
        self.asker = Neighbours(way)
        self.asker.open(FakeLoop().loop)
        self.wire = Wire()
        self.asker._sockets = {4: self.wire, 6: self.wire}  # type: ignore[dict-item]
        self.told: list[Answer] = []

    def ask(self, address: Address) -> Target:
        target = Target(address, 0, Neighbour(), Pace(6, 2, 4))
        self.asker.ask(target, 0.0, self.told.append)
        return target


def test_arp() -> None:
    world = World()
    world.ask(V4)
    data, where = world.wire.sent[0]
    assert where == ("eth0", 0x0806, 0, 0, b"\xff" * 6)
    assert data == arp_request(V4.packed, bytes([192, 0, 2, 254]), MAC)
    assert advertised_by_arp(data) is None
    reply = garp(V4.packed, OTHER, reply=True)[ETHERNET:]
    world.asker._heard(advertised_by_arp(reply))
    assert world.told == [up("answer from 02:00:00:00:00:02")]
    world.asker._heard(advertised_by_arp(reply))
    assert len(world.told) == 1


def test_a_request_is_no_answer() -> None:
    assert advertised_by_arp(garp(V4.packed, OTHER, reply=False)[ETHERNET:]) is None


def test_neighbour_discovery() -> None:
    world = World()
    world.ask(V6)
    data, where = world.wire.sent[0]
    assert where == ("ff02::1:ff00:1", 0, 0, 2)
    assert data == solicitation(V6.packed, MAC)
    frame = unsolicited_na(V6.packed, OTHER, router=False)
    world.asker._heard(advertised_by_nd(frame[ETHERNET + IPV6 :]))
    assert world.told == [up("answer from 02:00:00:00:00:02")]


def test_an_advertisement_without_a_mac() -> None:
    assert advertised_by_nd(ADVERTISEMENT.pack(136, 0, 0, 0, V6.packed)) == (V6.packed, b"")


@given(st.binary(max_size=80))
def test_garbage_is_passed_over(data: bytes) -> None:
    for read in (advertised_by_arp, advertised_by_nd):
        found = read(data)
        assert found is None or len(found[0]) in {4, 16}


def test_someone_else_answers() -> None:
    world = World()
    world.ask(V4)
    world.asker._heard(advertised_by_arp(garp(bytes([192, 0, 2, 2]), OTHER, reply=True)[ETHERNET:]))
    assert world.told == []


def test_not_on_a_link_of_ours() -> None:
    world = World(lambda _: "not a neighbour: behind router 192.0.2.254")
    world.ask(V4)
    assert world.told == [down(Reason.UNREACHABLE, "not a neighbour: behind router 192.0.2.254")]


@pytest.mark.parametrize("address", [V4, V6])
def test_no_ethernet(address: Address) -> None:
    world = World(lambda _: Way("tun0", 3, bytes(6), None))
    world.ask(address)
    assert world.told == [down(Reason.LOCAL_FAULT, "tun0 is no Ethernet device")]


def test_no_right() -> None:
    def refuse(_: Address) -> Way:
        raise PermissionError(1, "")

    world = World(refuse)
    world.ask(V4)
    assert world.told[0].reason is Reason.LOCAL_FAULT


def test_abandoned() -> None:
    world = World()
    target = world.ask(V4)
    assert world.asker.abandon(target) == down(Reason.TIMED_OUT, "no answer from the link within 4 s")
    assert world.asker._waiting == {}
    world.asker._heard((V4.packed, OTHER))
    assert world.told == []


def test_closed_and_never_opened() -> None:
    world = World()
    world.ask(V4)
    world.asker.close()
    world.asker.close()
    asker = Neighbours(lambda _: WAY)
    told: list[Answer] = []
    asker.ask(Target(V4, 0, Neighbour(), Pace(6, 2, 4)), 0.0, told.append)
    assert told[0].reason is Reason.LOCAL_FAULT


def test_the_filter_is_four_instructions() -> None:
    assert len(REPLIES_ONLY) == 4 * 8
