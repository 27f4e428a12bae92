"""The sockets of the heartbeat: a beat out by every way, authentic beats in, strangers counted.

Two sockets to a way. One is connected, so that the kernel hands it what comes from the other director's
address and port and nothing else; a flood from elsewhere fills the other one, which wakes nobody and is
read a little at a time, only to count. Nothing here waits.
"""

from __future__ import annotations

import errno
import math
import os
import socket
import time
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from lvs.pulse.line import Strangers, Unusable, Way, Wiring
from lvs.pulse.wire import LONGEST, Bad, decode, encode
from lvs.pulse.words import Beat, Ignored

AT_ONCE = 512  # datagrams of a way that are taken before time is looked at again; its buffer holds some 400
COUNT_AT_ONCE = 16
_TOS = 0xC0  # network control, RFC 4594 section 3.1 (CS6)
_RECEIVE_BUFFER = 1 << 18
# What says something of the other director or of the network, and not of this machine; 0: it was sent.
_PASSING = frozenset(
    {0, errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EAGAIN}
)
_WHY = {
    errno.EPERM: "a packet filter of this machine refuses what is sent",
    errno.EINVAL: "it is no address of this machine now",
}
TELL_EVERY_S = 60.0  # of a way that cannot be used, then can, then cannot


class Heard(NamedTuple):
    beat: Beat
    way: str
    skew_s: float  # our clock on the wall minus the sender's


class _Open(msgspec.Struct, gc=False):
    """The two sockets of a way."""

    way: Way
    beats: socket.socket
    others: socket.socket


class Sockets:
    """All ways of a wiring; one that cannot be opened is tried again when asked to."""

    def __init__(self) -> None:
        self._wiring: Wiring | None = None
        self._open: dict[str, _Open] = {}
        self.version = 0  # counts up when a socket is opened
        self._refused: dict[str, str] = {}  # why a way cannot be used
        self._told: dict[str, str] = {}
        self._told_at: dict[str, float] = {}
        self._strangers: Counter[str] = Counter()
        self._example = ""

    def wire(self, wiring: Wiring) -> None:
        """Use these ways from now on; what did not change stays open."""
        kept = {}
        for name, one in self._open.items():
            if self._wiring is not None and wiring.port == self._wiring.port and one.way in wiring.ways:
                kept[name] = one
            else:
                _close(one)
        self._open, self._wiring = kept, wiring
        self._refused = {name: why for name, why in self._refused.items() if name in kept}
        self._told_at = {}
        self.retry()

    def retry(self) -> None:
        """Open what is not open: an address may have come."""
        assert self._wiring is not None, "retry before wire"
        for way in self._wiring.ways:
            if way.name in self._open:
                continue
            try:
                self._open[way.name] = _opened(way, self._wiring.port)
                self.version += 1
                self._refused.pop(way.name, None)
            except OSError as fault:
                why = fault.strerror or os.strerror(fault.errno or 0)
                self._refused[way.name] = f"{way.ours} port {self._wiring.port}: {why.lower()}"

    def close(self) -> None:
        for one in self._open.values():
            _close(one)
        self._open = {}

    def descriptors(self) -> Iterator[int]:
        """Those that are worth waking for."""
        for one in self._open.values():
            yield one.beats.fileno()

    @property
    def whole(self) -> bool:
        """Whether all ways are open."""
        return self._wiring is not None and len(self._open) == len(self._wiring.ways)

    def send(self, beat: Beat) -> None:
        """Send a beat by every way; what the network does not take is lost, as if on the wire."""
        assert self._wiring is not None, "send before wire"
        data = encode(msgspec.structs.replace(beat, at_s=time.time()), self._wiring.key)
        for name, one in self._open.items():
            refused = _sent(one.beats, data)
            if refused == errno.ECONNREFUSED:  # of an earlier beat: nobody listened; this one was not sent
                refused = _sent(one.beats, data)
            if refused in _PASSING:
                self._refused.pop(name, None)
            else:
                # The socket stays: it hears as before, and sends again when its address is back or the filter
                # lets it. Who is mute and deaf would take its VIPs beside the other.
                self._refused[name] = f"{one.way.ours}: {_WHY.get(refused, os.strerror(refused).lower())}"

    def receive(self) -> Iterator[Heard]:
        """Authentic beats that have arrived."""
        assert self._wiring is not None, "receive before wire"
        for one in tuple(self._open.values()):
            for data, _ in _datagrams(one.beats, AT_ONCE):
                found = decode(data, self._wiring.key)
                if isinstance(found, Bad):
                    self._count(found, one.way.theirs)
                else:
                    yield Heard(found, one.way.name, time.time() - found.at_s)
            for data, sender in _datagrams(one.others, COUNT_AT_ONCE):
                theirs = sender == one.way.theirs  # from another port
                self._count(decode(data, self._wiring.key) if theirs else "address", sender)

    def count(self, what: Ignored, way: str) -> None:
        """Count a beat that was authentic and counts for nothing."""
        if way in self._open:
            self._count(what, self._open[way].way.theirs)

    def _count(self, what: Beat | Bad | str, sender: str) -> None:
        self._strangers["port" if isinstance(what, Beat) else str(what)] += 1
        self._example = sender

    def news(self, now: float) -> Iterator[Unusable]:
        """Ways that cannot be used, each one now and then; or can again."""
        for name in self._told.keys() | self._refused.keys():
            reason = self._refused.get(name, "")
            if self._told.get(name, "") == reason:
                continue
            if reason and now - self._told_at.get(name, -math.inf) < TELL_EVERY_S:
                continue
            if reason:
                self._told_at[name] = now
            self._told[name] = reason
            yield Unusable(name, reason)

    def strangers(self) -> Strangers | None:
        """What was counted since the last call."""
        if not self._strangers:
            return None
        counted, self._strangers = Strangers(dict(self._strangers), self._example), Counter()
        return counted


def _opened(way: Way, port: int) -> _Open:
    family = socket.AF_INET6 if ":" in way.ours else socket.AF_INET
    made: list[socket.socket] = []
    try:
        for connected in (False, True):
            one = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
            made.append(one)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind((way.ours, port))
            if connected:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
                one.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, 6)  # tc-prio(8): the first to be sent
                level, option = (
                    (socket.IPPROTO_IPV6, socket.IPV6_TCLASS)
                    if family == socket.AF_INET6
                    else (socket.IPPROTO_IP, socket.IP_TOS)
                )
                one.setsockopt(level, option, _TOS)
                one.connect((way.theirs, port))
    except OSError:
        for one in made:
            one.close()
        raise
    return _Open(way, made[1], made[0])


def _close(one: _Open) -> None:
    one.beats.close()
    one.others.close()


def _sent(one: socket.socket, data: bytes) -> int:
    """Send a datagram; errno, 0 if it was taken."""
    try:
        one.send(data)
    except OSError as fault:
        return fault.errno or errno.EIO
    return 0


def _datagrams(one: socket.socket, most: int) -> Iterator[tuple[bytes, str]]:
    """Up to so many that are there, with their sender's address."""
    for _ in range(most):
        try:
            data, sender = one.recvfrom(LONGEST + 1)
        except BlockingIOError:
            return
        except OSError:  # an ICMP error of something that was sent; it is gone now
            continue
        yield data, sender[0]
