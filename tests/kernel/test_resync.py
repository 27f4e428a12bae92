"""Connections as messages, read back by the kernel's own structures (net/netfilter/ipvs/ip_vs_sync.c)."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

import pytest

from lvs.kernel.resync import messages
from lvs.kernel.state import (
    MASQ,
    MASTER,
    ROUTE,
    SYNC_GROUP,
    TCP,
    TUNNEL,
    UDP,
    Destination,
    DestinationKey,
    Service,
    ServiceKey,
    ServiceOptions,
    SyncDaemon,
)
from strategies import packed

OPTIONS = ServiceOptions("rr", 0, 0, 0xFFFFFFFF, "")
DAEMON = SyncDaemon(MASTER, "eth0", 7, 1472, SYNC_GROUP, 8848, 1)


def service(*places: tuple[str, int, int]) -> Service:
    return Service(
        OPTIONS,
        {DestinationKey(packed(one), port): Destination(method, 1) for one, port, method in places},
    )


SERVICES = {
    ServiceKey(4, TCP, packed("192.0.2.1"), 80, 0): service(
        ("10.0.0.1", 80, ROUTE), ("10.0.0.2", 8080, MASQ)
    ),
    ServiceKey(4, UDP, packed("192.0.2.1"), 53, 0): service(("10.0.0.1", 53, ROUTE)),
    ServiceKey(6, TCP, packed("2001:db8::1"), 80, 0): service(("2001:db8:1::1", 80, TUNNEL)),
    ServiceKey(4, 0, b"", 0, 7): service(("10.0.0.7", 0, ROUTE), ("10.0.0.8", 0, ROUTE)),
    ServiceKey(4, 0, b"", 0, 8): service(("10.0.0.8", 0, MASQ)),
    ServiceKey(6, 0, b"", 0, 9): service(("2001:db8:1::9", 0, ROUTE)),
}
HEAD = "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData\n"


def line(  # noqa: PLR0917  a row
    proto: str, client: str, vip: str, real: str, state: str, expires: int, more: str = ""
) -> str:
    """ip_vs_conn_seq_show's; addresses as `192.0.2.1 80`."""

    def end(text: str) -> str:
        address, port = text.split()
        one = ip_address(address)
        return f"{one.packed.hex().upper() if one.version == 4 else one.exploded} {int(port):04X}"

    return f"{proto:<3} {end(client)} {end(vip)} {end(real)} {state:<11} {expires:7d}{more}\n"


class Header(ctypes.BigEndianStructure):
    _pack_ = 1
    _fields_ = (  # struct ip_vs_sync_mesg
        ("reserved", ctypes.c_uint8),
        ("syncid", ctypes.c_uint8),
        ("size", ctypes.c_uint16),
        ("nr_conns", ctypes.c_uint8),
        ("version", ctypes.c_int8),
        ("spare", ctypes.c_uint16),
    )


class Connection(ctypes.BigEndianStructure):
    _pack_ = 1
    _fields_ = (  # the head of struct ip_vs_sync_v4 and ip_vs_sync_v6; three addresses follow
        ("type", ctypes.c_uint8),
        ("protocol", ctypes.c_uint8),
        ("ver_size", ctypes.c_uint16),
        ("flags", ctypes.c_uint32),
        ("state", ctypes.c_uint16),
        ("cport", ctypes.c_uint16),
        ("vport", ctypes.c_uint16),
        ("dport", ctypes.c_uint16),
        ("fwmark", ctypes.c_uint32),
        ("timeout", ctypes.c_uint32),
    )


def received(datagram: bytes) -> Iterator[tuple[Any, ...]]:
    """As ip_vs_process_message reads it."""
    header = Header.from_buffer_copy(datagram)
    assert (header.reserved, header.version, header.spare) == (0, 1, 0)
    assert (header.syncid, header.size) == (7, len(datagram))
    at = ctypes.sizeof(Header)
    for _ in range(header.nr_conns):
        one = Connection.from_buffer_copy(datagram, at)
        width = 16 if one.type & 1 else 4
        assert one.ver_size == ctypes.sizeof(Connection) + 3 * width
        addresses = datagram[at + ctypes.sizeof(Connection) : at + one.ver_size]
        client, vip, real = (str(ip_address(addresses[n * width : (n + 1) * width])) for n in range(3))
        ends = (f"{client} {one.cport}", f"{vip} {one.vport}", f"{real} {one.dport}")
        yield (one.protocol, *ends, one.flags, one.state, one.fwmark, one.timeout)
        at += one.ver_size
    assert at == len(datagram)


def told(*lines: str) -> list[tuple[Any, ...]]:
    text = (HEAD + "".join(lines)).encode()
    return [one for datagram in messages(text, SERVICES, DAEMON) for one in received(datagram)]


WEB, WEB6 = "192.0.2.1 80", "2001:db8::1 80"


@pytest.mark.parametrize(
    ("given", "protocol", "rest"),
    [
        (("TCP", "198.51.100.9 4711", WEB, "10.0.0.1 80", "ESTABLISHED", 899), 6, (ROUTE, 1, 0, 899)),
        (("TCP", "198.51.100.9 4711", WEB, "10.0.0.2 8080", "ESTABLISHED", 0), 6, (MASQ, 1, 0, 1)),
        (("TCP", "2001:db8::9 1", WEB6, "2001:db8:1::1 80", "ESTABLISHED", 5), 6, (TUNNEL, 1, 0, 5)),
        # persistence templates, of an address and of a mark
        (("TCP", "198.51.100.0 0", WEB, "10.0.0.1 80", "ASSURED", 60), 6, (0x1000 | ROUTE, 1, 0, 60)),
        (("UDP", "198.51.100.9 0", "192.0.2.1 53", "10.0.0.1 53", "NONE", 60), 17, (0x1003, 0, 0, 60)),
        (("IP", "198.51.100.9 0", "0.0.0.7 0", "10.0.0.7 0", "NONE", 60), 0, (0x1003, 0, 7, 60)),
        (("IP", "2001:db8::9 0", "0:9:: 0", "2001:db8:1::9 0", "NONE", 60), 0, (0x1003, 0, 9, 60)),
        # a connection by a mark keeps its port
        (("TCP", "198.51.100.9 5", "192.0.2.9 443", "10.0.0.7 443", "ESTABLISHED", 9), 6, (ROUTE, 1, 7, 9)),
    ],
)
def test_what_is_told(given: tuple[Any, ...], protocol: int, rest: tuple[int, ...]) -> None:
    client, vip, real = given[1:4]
    vip = str(ip_address(vip.split()[0])) + " " + vip.split()[1]
    assert told(line(*given)) == [(protocol, client, vip, real, *rest)]


@pytest.mark.parametrize(
    "left_out",
    [
        line("TCP", "198.51.100.9 1", WEB, "10.0.0.1 80", "SYN_RECV", 60),
        line("TCP", "198.51.100.9 1", WEB, "10.0.0.1 80", "TIME_WAIT", 60),
        line("UDP", "198.51.100.9 1", "192.0.2.1 53", "10.0.0.1 53", "UDP", 60),
        line("SCTP", "198.51.100.9 1", WEB, "10.0.0.1 80", "ESTABLISHED", 60),
        line("TCP", "198.51.100.9 1", "192.0.2.1 81", "10.0.0.1 80", "ESTABLISHED", 60),  # of others
        line("TCP", "198.51.100.9 1", WEB, "10.0.0.3 80", "ESTABLISHED", 60),  # its real server is gone
        line("TCP", "198.51.100.9 1", WEB6, "2001:db8:1::1 80", "ESTABLISHED", 60),  # mixed families
        line("TCP", "198.51.100.9 1", "192.0.2.9 1", "10.0.0.8 1", "ESTABLISHED", 60),  # of which mark?
        line("IP", "198.51.100.9 0", "0.0.0.6 0", "10.0.0.7 0", "NONE", 60),
        line("UDP", "198.51.100.9 0", "192.0.2.1 53", "10.0.0.1 53", "NONE", 60, " sip abc"),
    ],
)
def test_what_is_not_told(left_out: str) -> None:
    assert told(left_out) == []


@pytest.mark.parametrize("maxlen", [1, 80, 1472, 65507])
def test_messages_are_as_long_as_may_be(maxlen: int) -> None:
    def client(number: int) -> str:
        return f"198.51.{number >> 8}.{number & 255} 4711"

    clients = [client(number) for number in range(1000)]
    text = HEAD + "".join(line("TCP", one, WEB, "10.0.0.1 80", "ESTABLISHED", 9) for one in clients)
    daemon = SyncDaemon(MASTER, "eth0", 7, maxlen, SYNC_GROUP, 8848, 1)
    datagrams = list(messages(text.encode(), SERVICES, daemon))
    assert max(map(len, datagrams)) <= max(maxlen, 80)
    assert [one[1] for datagram in datagrams for one in received(datagram)] == clients
    assert len(datagrams) == {1: 500, 80: 500, 1472: 25, 65507: 4}[maxlen]


def test_nothing_is_nothing() -> None:
    assert list(messages(b"", SERVICES, DAEMON)) == list(messages(HEAD.encode(), SERVICES, DAEMON)) == []
