"""Asks for ICMP echoes, through one socket for each family.

A raw socket sees every echo reply of the host, `ping`'s too, so each request has a sequence number
of ours that is in use once, and a token that nobody else can know; and the reply must come from
the address that was asked. Where raw sockets are not allowed, the kernel's ping sockets
(net.ipv4.ping_group_range) do: they choose the identifier themselves.
"""

from __future__ import annotations

import asyncio
import errno
import secrets
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address

from lvs.checks import Answer, Reason, Target
from lvs.io.failure import failure
from lvs.probes.talk import down, up

HEADER = struct.Struct("!BBHHH")  # type, code, checksum, identifier, sequence number (RFC 792)
TOKEN = 16  # bytes behind it
AT_ONCE = 1 << 15  # half of the sequence numbers: one is not used again soon
BATCH = 64  # packets read before the event loop does something else
LARGEST = 2048

# Types, by family: request, reply, destination unreachable
ICMP = (8, 0, 3)
ICMP6 = (128, 129, 1)  # RFC 4443
SOL_RAW = 255  # include/linux/socket.h
ICMP_FILTER = 1  # include/uapi/linux/icmp.h; a bit that is set blocks its type
ICMP6_FILTER = 1  # include/uapi/linux/icmpv6.h; the same

ECHOED = up("echo reply")


class Echo:
    """Asks targets by ICMP echo. The engine keeps the deadlines."""

    grace_s = 0.0

    def __init__(self) -> None:
        self._families = {4: _Family(4), 6: _Family(6)}

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        for family in self._families.values():
            family.loop = loop

    def close(self) -> None:
        for family in self._families.values():
            family.close()

    def ask(self, target: Target, _deadline: float, done: Callable[[Answer], None]) -> None:
        """Send a request; `done` may be called at once, if it could not be sent."""
        self._families[target.address.version].ask(target, done)

    def abandon(self, target: Target) -> Answer:
        self._families[target.address.version].abandon(target)
        return down(Reason.TIMED_OUT, f"no echo reply within {target.pace.limit_s:g} s")


class _Family:
    """The socket of a family, opened when it is needed first, and who is waited for."""

    def __init__(self, version: int) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self._version = version
        self._types = ICMP if version == 4 else ICMP6
        self._socket: socket.socket | None = None
        self._raw = True
        self._identifier = secrets.randbelow(1 << 16)
        self._token = secrets.token_bytes(TOKEN)
        self._next = secrets.randbelow(1 << 16)
        self._waiting: dict[int, tuple[Target, Callable[[Answer], None]]] = {}  # by sequence number
        self._numbers: dict[Target, int] = {}

    def close(self) -> None:
        if self._socket is not None:
            assert self.loop is not None
            self.loop.remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None
        self._waiting.clear()
        self._numbers.clear()

    def ask(self, target: Target, done: Callable[[Answer], None]) -> None:
        answer = self._send(target, done)
        if answer is not None:
            self.abandon(target)
            done(answer)

    def abandon(self, target: Target) -> None:
        number = self._numbers.pop(target, None)
        if number is not None:
            del self._waiting[number]

    def _send(self, target: Target, done: Callable[[Answer], None]) -> Answer | None:
        """Send; an answer if that is all there will be."""
        if len(self._waiting) >= AT_ONCE:
            return down(Reason.LOCAL_FAULT, f"{AT_ONCE} echoes are waited for")
        self.abandon(target)
        while self._next in self._waiting:
            self._next = (self._next + 1) & 0xFFFF
        number = self._next
        self._next = (number + 1) & 0xFFFF
        try:
            sock = self._socket or self._open()
            self._waiting[number] = (target, done)
            self._numbers[target] = number
            sock.sendto(self._request(number), (str(target.address), 0))
        except PermissionError:
            return down(Reason.LOCAL_FAULT, "no right to send ICMP: run as root or with CAP_NET_RAW")
        except OSError as error:
            return failure(error.errno or errno.EIO)
        return None

    def _request(self, number: int) -> bytes:
        kind = self._types[0]
        packet = HEADER.pack(kind, 0, 0, self._identifier, number) + self._token
        if self._version == 6 or not self._raw:
            return packet  # the kernel's task (RFC 3542 section 3.1)
        return HEADER.pack(kind, 0, checksum(packet), self._identifier, number) + self._token

    def _open(self) -> socket.socket:
        """The socket. Errors: OSError, PermissionError if neither kind is allowed."""
        if self.loop is None:
            raise OSError(errno.EPERM, "not opened")
        v4 = self._version == 4
        family = socket.AF_INET if v4 else socket.AF_INET6
        protocol = socket.IPPROTO_ICMP if v4 else socket.IPPROTO_ICMPV6
        flags = socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        try:
            sock = socket.socket(family, socket.SOCK_RAW | flags, protocol)
            self._raw = True
        except PermissionError:
            sock = socket.socket(family, socket.SOCK_DGRAM | flags, protocol)
            self._raw = False
        if self._raw and v4:
            wanted = sum(1 << kind for kind in self._types[1:])
            sock.setsockopt(SOL_RAW, ICMP_FILTER, struct.pack("=I", ~wanted & 0xFFFFFFFF))
        elif self._raw:
            sock.setsockopt(socket.IPPROTO_ICMPV6, ICMP6_FILTER, icmp6_filter(self._types[1:]))
        with suppress(OSError):  # room for the replies to a burst
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.loop.add_reader(sock.fileno(), self._readable)
        self._socket = sock
        return sock

    def _readable(self) -> None:
        for _ in range(BATCH):
            if self._socket is None:  # closed by who got an answer
                return
            try:
                data, source = self._socket.recvfrom(LARGEST)
            except BlockingIOError:
                return
            except OSError:
                continue  # an error that the kernel queued for one packet; its deadline will tell
            if self._raw and self._version == 4:
                data = without_ip_header(data)
            self._take(data, source[0])

    def _take(self, data: bytes, source: str) -> None:
        """Look at an ICMP message."""
        if len(data) < HEADER.size:
            return
        kind, code, _, identifier, number = HEADER.unpack_from(data)
        _, reply, unreachable = self._types
        if kind == reply:
            token = data[HEADER.size : HEADER.size + TOKEN]
            ours = token == self._token and (identifier == self._identifier or not self._raw)
            self._answer(number, ECHOED, source if ours else "")
        elif kind == unreachable:
            asked = self._quoted(data[HEADER.size :])
            if asked is not None:
                number, address = asked
                said = "" if source == address else f" (says {source})"
                self._answer(number, down(Reason.UNREACHABLE, f"{_why(self._version, code)}{said}"), address)

    def _answer(self, number: int, answer: Answer, address: str) -> None:
        """Tell who waits for a sequence number, if that is whom the address names."""
        asked = self._waiting.get(number)
        if asked is not None and address.partition("%")[0] == str(asked[0].address).partition("%")[0]:
            target, done = asked
            self.abandon(target)
            done(answer)

    def _quoted(self, packet: bytes) -> tuple[int, str] | None:
        """Sequence number and destination of our request in the packet that an error quotes."""
        if self._version == 4:
            if len(packet) < 20:
                return None
            address, inner = str(IPv4Address(packet[16:20])), without_ip_header(packet)
        else:
            if len(packet) < 40 or packet[6] != socket.IPPROTO_ICMPV6:
                return None
            address, inner = str(IPv6Address(packet[24:40])), packet[40:]
        if len(inner) < HEADER.size:
            return None
        kind, _, _, identifier, number = HEADER.unpack_from(inner)
        if kind != self._types[0] or identifier != self._identifier:
            return None
        return number, address


def without_ip_header(packet: bytes) -> bytes:
    """What follows an IPv4 header (RFC 791 section 3.1); nothing if it is not whole."""
    return packet[(packet[0] & 15) * 4 :] if len(packet) >= 20 else b""


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data[: len(data) & ~1]))
    if len(data) % 2:
        total += data[-1] << 8
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def icmp6_filter(kinds: tuple[int, ...]) -> bytes:
    """ICMP6_FILTER that lets these types through (RFC 3542 section 3.2): a 1 blocks."""
    words = [0xFFFFFFFF] * 8
    for kind in kinds:
        words[kind >> 5] &= ~(1 << (kind & 31))
    return struct.pack("=8I", *words)


def _why(version: int, code: int) -> str:
    """Words of a code of destination unreachable (RFC 1812 section 5.2.7.1, RFC 4443 section 3.1)."""
    v4 = {
        0: "network unreachable",
        1: "host unreachable",
        9: "prohibited",
        10: "prohibited",
        13: "prohibited",
    }
    v6 = {0: "no route", 1: "prohibited", 3: "host unreachable"}
    return (v4 if version == 4 else v6).get(code, f"unreachable, code {code}")
