"""Asks neighbours for their link-layer address: by ARP (RFC 826), and by neighbour solicitation (RFC 4861).

Whoever answers is on the link and has the address, whatever its firewall thinks of echoes. Each
family has one socket, opened when it is needed first. A filter in the kernel keeps away what
others say: a link may carry thousands of ARP requests a second.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import socket
import struct
from collections.abc import Callable
from contextlib import suppress

from lvs.checks import Address, Answer, Reason, Target
from lvs.io.echo import ICMP6_FILTER, icmp6_filter
from lvs.io.failure import failure
from lvs.io.ways import Way, way_to
from lvs.kernel.frames import (
    ARP_ETHERNET,
    ARP_REPLY,
    ARP_REQUEST,
    BROADCAST,
    ETHERTYPE_ARP,
    ETHERTYPE_IPV4,
    HOP_LIMIT,
    IPV4_LENGTH,
    MAC_LENGTH,
    NEIGHBOUR_ADVERTISEMENT,
)
from lvs.probes.talk import down, up

ARP = struct.Struct("!HHBBH6s4s6s4s")
NEIGHBOUR_SOLICITATION = 135  # RFC 4861 section 4.3
SOURCE_LINK_LAYER_ADDRESS = 1  # RFC 4861 section 4.6.1
ADVERTISEMENT = struct.Struct("!BBHI16s")
SOLICITED_NODE = bytes.fromhex("ff0200000000000000000001ff")  # and 3 bytes, RFC 4291 section 2.7.1
BATCH = 64
SO_ATTACH_FILTER = 26  # include/uapi/asm-generic/socket.h
# struct sock_filter (linux/filter.h): load the operation of an ARP packet; pass it whole if it is
# a reply, and nothing else.
REPLIES_ONLY = b"".join(
    struct.pack("=HBBI", *line)
    for line in ((0x28, 0, 0, 6), (0x15, 0, 1, ARP_REPLY), (0x06, 0, 0, 0xFFFF), (0x06, 0, 0, 0))
)

Waiting = dict[Target, Callable[[Answer], None]]


class Neighbours:
    """Asks targets whose check is a `Neighbour`. The engine keeps the deadlines."""

    grace_s = 0.0

    def __init__(self, way: Callable[[Address], Way | str] = way_to) -> None:
        self._way = way
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sockets: dict[int, socket.socket] = {}  # by family
        self._waiting: dict[bytes, Waiting] = {}  # by packed address

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def close(self) -> None:
        for sock in self._sockets.values():
            assert self._loop is not None
            self._loop.remove_reader(sock.fileno())
            sock.close()
        self._sockets.clear()
        self._waiting.clear()

    def ask(self, target: Target, _deadline: float, done: Callable[[Answer], None]) -> None:
        """Send a request; `done` may be called at once, if it could not be sent."""
        address = target.address
        self._waiting.setdefault(address.packed, {})[target] = done
        try:
            way = self._way(address)
            if isinstance(way, str):
                answer: Answer | None = down(Reason.UNREACHABLE, way)
            elif address.version == 4:
                answer = self._arp(address, way)
            else:
                answer = self._solicit(address, way)
        except PermissionError:
            answer = down(Reason.LOCAL_FAULT, "no right to ask neighbours: run as root or with CAP_NET_RAW")
        except OSError as error:
            answer = failure(error.errno or errno.EIO)
        if answer is not None:
            self.abandon(target)
            done(answer)

    def abandon(self, target: Target) -> Answer:
        packed = target.address.packed
        waiting = self._waiting.get(packed)
        if waiting is not None:
            waiting.pop(target, None)
            if not waiting:
                del self._waiting[packed]
        return down(Reason.TIMED_OUT, f"no answer from the link within {target.pace.limit_s:g} s")

    def _arp(self, address: Address, way: Way) -> Answer | None:
        if len(way.mac) != MAC_LENGTH or not any(way.mac):
            return down(Reason.LOCAL_FAULT, f"{way.device} is no Ethernet device")
        # Without a source of our own on the link, this is an ARP probe (RFC 5227 section 1.1).
        source = way.source.packed if way.source is not None else bytes(IPV4_LENGTH)
        request = arp_request(address.packed, source, way.mac)
        self._socket(4).sendto(request, (way.device, ETHERTYPE_ARP, 0, 0, BROADCAST))
        return None

    def _solicit(self, address: Address, way: Way) -> Answer | None:
        if len(way.mac) != MAC_LENGTH or not any(way.mac):
            return down(Reason.LOCAL_FAULT, f"{way.device} is no Ethernet device")
        group = socket.inet_ntop(socket.AF_INET6, SOLICITED_NODE + address.packed[-3:])
        self._socket(6).sendto(solicitation(address.packed, way.mac), (group, 0, 0, way.index))
        return None

    def _socket(self, version: int) -> socket.socket:
        """The socket of a family. Errors: OSError, PermissionError above all."""
        found = self._sockets.get(version)
        if found is not None:
            return found
        if self._loop is None:
            raise OSError(errno.EPERM, "not opened")
        flags = socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        if version == 4:
            sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | flags, socket.htons(ETHERTYPE_ARP))
            attach(sock, REPLIES_ONLY)
            self._loop.add_reader(sock.fileno(), self._hear, sock, self._hear_arp)
        else:
            sock = socket.socket(socket.AF_INET6, socket.SOCK_RAW | flags, socket.IPPROTO_ICMPV6)
            wanted = icmp6_filter((NEIGHBOUR_ADVERTISEMENT,))
            sock.setsockopt(socket.IPPROTO_ICMPV6, ICMP6_FILTER, wanted)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, HOP_LIMIT)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 0)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
            self._loop.add_reader(sock.fileno(), self._hear, sock, self._hear_advertisement)
        self._sockets[version] = sock
        return sock

    def _hear(self, sock: socket.socket, take: Callable[[socket.socket], None]) -> None:
        for _ in range(BATCH):
            if sock.fileno() < 0:  # closed by who got an answer
                return
            try:
                take(sock)
            except BlockingIOError:
                return
            except OSError:
                continue  # the device went down; deadlines will tell

    def _hear_arp(self, sock: socket.socket) -> None:
        self._heard(advertised_by_arp(sock.recv(ARP.size)))

    def _hear_advertisement(self, sock: socket.socket) -> None:
        data, ancillary, _, _ = sock.recvmsg(256, 64)
        hops = [
            struct.unpack("=i", content)[0]
            for level, kind, content in ancillary
            if (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_HOPLIMIT)
        ]
        if hops == [HOP_LIMIT]:  # or a router passed it on (RFC 4861 section 7.1.2)
            self._heard(advertised_by_nd(data))

    def _heard(self, found: tuple[bytes, bytes] | None) -> None:
        """Someone says where an address is: tell all who wait for it."""
        if found is None:
            return
        packed, mac = found
        shown = f" from {mac.hex(':')}" if mac else ""
        for done in self._waiting.pop(packed, {}).values():
            done(up(f"answer{shown}"))


def arp_request(address: bytes, source: bytes, mac: bytes) -> bytes:
    """An ARP packet that asks who has an address."""
    head = (ARP_ETHERNET, ETHERTYPE_IPV4, MAC_LENGTH, IPV4_LENGTH, ARP_REQUEST)
    return ARP.pack(*head, mac, source, bytes(MAC_LENGTH), address)


def advertised_by_arp(data: bytes) -> tuple[bytes, bytes] | None:
    """Address and MAC of an ARP reply; None for anything else."""
    if len(data) < ARP.size:
        return None
    hardware, protocol, long, short, operation, mac, address, _, _ = ARP.unpack_from(data)
    head = (ARP_ETHERNET, ETHERTYPE_IPV4, MAC_LENGTH, IPV4_LENGTH, ARP_REPLY)
    return (address, mac) if (hardware, protocol, long, short, operation) == head else None


def solicitation(address: bytes, mac: bytes) -> bytes:
    """An ICMPv6 neighbour solicitation; the kernel fills in the checksum (RFC 3542 section 3.1)."""
    message = ADVERTISEMENT.pack(NEIGHBOUR_SOLICITATION, 0, 0, 0, address)
    return message + struct.pack("!BB6s", SOURCE_LINK_LAYER_ADDRESS, 1, mac)


def advertised_by_nd(data: bytes) -> tuple[bytes, bytes] | None:
    """Address and MAC (empty if it is not told) of a neighbour advertisement; None for anything else."""
    if len(data) < ADVERTISEMENT.size:
        return None
    kind, code, _, _, address = ADVERTISEMENT.unpack_from(data)
    if (kind, code) != (NEIGHBOUR_ADVERTISEMENT, 0):
        return None
    option = data[ADVERTISEMENT.size : ADVERTISEMENT.size + 8]
    told = len(option) == 8 and option[:2] == b"\x02\x01"  # target link-layer address
    return address, option[2:] if told else b""


def attach(sock: socket.socket, program: bytes) -> None:
    """Attach a classic BPF program (struct sock_fprog, linux/filter.h), and forget what came before it."""
    buffer = ctypes.create_string_buffer(program, len(program))
    prepared = struct.pack("HP", len(program) // 8, ctypes.addressof(buffer))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, prepared)
    with suppress(BlockingIOError):
        while True:
            sock.recv(1)
