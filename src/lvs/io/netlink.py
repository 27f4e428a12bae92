"""The kernel's IPVS table, over one generic netlink socket; most of it is read with getsockopt(2).

Operations are sent hundreds to a datagram. The kernel carries them out in order, goes on
after one that fails, and answers only failures, by sequence number; a GET_INFO that asks for
an acknowledgement ends each batch, so that silence in front of it means success.
Source: netlink(7); net/netlink/af_netlink.c, netlink_rcv_skb.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
import sys
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from lvs.errors import Exit, KernelError
from lvs.kernel import decode, dumped, encode, proc, wire
from lvs.kernel.decode import Counted
from lvs.kernel.dumped import Found
from lvs.kernel.refusal import reason
from lvs.kernel.state import (
    Destination,
    DestinationKey,
    Service,
    ServiceKey,
    ServiceOptions,
    SyncDaemon,
    TableOp,
    Timeouts,
)

if TYPE_CHECKING:
    from lvs.io.entries import Entries

NETLINK_GENERIC = 16
SO_SNDBUFFORCE, SO_RCVBUFFORCE = 32, 33  # include/uapi/asm-generic/socket.h
_BATCH = 500  # operations to a send: best of 100 to 1,500 (a batch of 1,000 is not faster)
_SEND_BUFFER = 4 << 20
_RECEIVE_BUFFER = 8 << 20  # a refused operation queues about 900 bytes
# The kernel makes and clears a buffer of this size for each datagram of a dump; a service with 30
# destinations fits into one.
_ANSWER_WITHIN = struct.pack("ll", 10, 0)  # struct timeval: seconds, microseconds
_READ_BYTES = 1 << 13
CONNECTIONS = Path("/proc/net/ip_vs")


def established(without: Collection[ServiceKey] = ()) -> int:
    """How many established connections the kernel has, but for those of some services.

    Asks /proc, not the table's socket, so it needs no turn of the kernel's: call it from any thread.
    Errors: KernelError if IPVS is not there.
    """
    try:
        text = CONNECTIONS.read_bytes()
    except OSError as fault:
        raise KernelError(f"{CONNECTIONS}: {fault.strerror}", fault.errno or 0) from fault
    return proc.established(text, without)


class Refusal(msgspec.Struct, frozen=True):
    """An operation that the kernel refused."""

    op: TableOp
    errno: int
    reason: str


class GaveWay(Exception):
    """Reading was given up, for something that is urgent waits."""


class ServiceDump(msgspec.Struct, frozen=True):
    """A service as it stands, with the connections of its destinations."""

    key: ServiceKey
    options: ServiceOptions
    destinations: tuple[Counted, ...]


class Table:
    """The IPVS table of this network namespace.

    Not safe for use by two threads at a time. Errors: KernelError with a sentence.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_GENERIC
        )
        self._socket.bind((0, 0))
        for forced, plain, size in (
            (SO_SNDBUFFORCE, socket.SO_SNDBUF, _SEND_BUFFER),
            (SO_RCVBUFFORCE, socket.SO_RCVBUF, _RECEIVE_BUFFER),
        ):
            try:
                self._socket.setsockopt(socket.SOL_SOCKET, forced, size)
            except PermissionError:
                self._socket.setsockopt(socket.SOL_SOCKET, plain, size)
        # The kernel answers at once; a thread that waited for ever would hold everything up unseen.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _ANSWER_WITHIN)
        self._sequence = 0
        self._reader = decode.DestinationReader()
        self._service_reader = dumped.ServiceReader()
        self._entries: Entries | None = None
        try:
            self._encoder = encode.Encoder(self._family())
        except BaseException:
            self._socket.close()
            raise

    def close(self) -> None:
        self._socket.close()
        if self._entries is not None:
            self._entries.close()

    def execute(self, ops: Sequence[TableOp]) -> list[Refusal]:
        """Carry out operations in order; what the kernel refused, in the same order."""
        refusals: list[Refusal] = []
        for start in range(0, len(ops), _BATCH):
            refusals += self._batch(ops[start : start + _BATCH])
        return refusals

    def _batch(self, ops: Sequence[TableOp]) -> list[Refusal]:
        first = self._sequence + 1
        barrier = first + len(ops)
        self._sequence = barrier
        flags = wire.NLM_F_REQUEST | wire.NLM_F_ACK
        end = wire.message(self._encoder.family_id, wire.GET_INFO, b"", barrier, flags)
        self._send(self._encoder.encode_all(ops, first) + end)
        refusals: list[Refusal] = []
        for data in self._receive():
            for found in wire.messages(data, len(data)):
                if found.kind != wire.NLMSG_ERROR or not first <= found.sequence <= barrier:
                    continue
                code = wire.error_code(data, found)
                if found.sequence == barrier:
                    return refusals
                op = ops[found.sequence - first]
                refusals.append(Refusal(op, code, reason(op, code)))
        return refusals

    def read(
        self, keys: Iterable[ServiceKey] | None = None, give_way: threading.Event | None = None
    ) -> dict[ServiceKey, Service]:
        """The services of the table, or those of `keys` that exist, with their destinations.

        Errors: GaveWay as soon as `give_way` is set.
        """
        table = {}
        found = self._services() if keys is None else list(self._some(keys))
        entries = self._whole(found) if keys is None else None
        for key, options in found:
            if give_way is not None and give_way.is_set():
                raise GaveWay
            known = entries.destinations(key) if entries else None
            table[key] = Service(options, self._destinations(key) if known is None else known)
        if keys is None:
            held = sum(len(service.destinations) for service in table.values())
            self._reader.trim(held)
            if entries:
                entries.trim(held)
        return table

    def dump(self) -> list[ServiceDump]:
        """The whole table with connection counts."""
        dumps = []
        found = self._services()
        entries = self._whole(found)
        for key, options in found:
            counted = entries.counted(key) if entries else None
            dumps.append(ServiceDump(key, options, self._counted(key) if counted is None else counted))
        return dumps

    def timeouts(self) -> Timeouts:
        """IPVS's connection timeouts in seconds."""
        data, found = self._ask(wire.GET_CONFIG, b"")
        return decode.decode_timeouts(data, found)

    def daemons(self) -> frozenset[SyncDaemon]:
        """The sync daemons that run."""
        return frozenset(decode.decode_daemon(*one) for one in list(self._dump(wire.GET_DAEMON, b"")))

    def info(self) -> tuple[str, int]:
        """IPVS version, and size of the connection table."""
        data, found = self._ask(wire.GET_INFO, b"")
        return decode.decode_info(data, found)

    def _services(self) -> list[Found]:
        """All services, without their destinations."""
        found: list[Found] = []
        sequence = self._ask_dump(wire.GET_SERVICE, b"")
        for data in self._receive():
            end = self._service_reader.collect(data, self._encoder.family_id, sequence, found)
            if end:
                raise _refused(end, "read the IPVS table")
            if end is not None:
                self._service_reader.trim(len(found))
                return found
        raise AssertionError("unreachable: _receive never ends")

    def _some(self, keys: Iterable[ServiceKey]) -> Iterator[Found]:
        """Those of these services that exist."""
        for key in keys:
            with contextlib.suppress(_Absent):
                yield dumped.decode_service(*self._ask(wire.GET_SERVICE, encode.service_body(key)))

    def _whole(self, found: Sequence[Found]) -> Entries | None:
        """What tells the destinations of most services for less than netlink; opened when there are some."""
        if self._entries is None and found:
            from lvs.io.entries import Entries  # an empty table is filled without ctypes

            try:
                self._entries = Entries()
            except OSError:  # no descriptor is left: netlink has one
                return None
        if self._entries is not None:
            self._entries.begin([key for key, _ in found])
        return self._entries

    def _counted(self, key: ServiceKey) -> tuple[Counted, ...]:
        counted: list[Counted] = []
        with contextlib.suppress(_Absent):  # removed by somebody since we saw it
            for data, one in self._dump(wire.GET_DEST, encode.service_body(key)):
                counted.append(self._reader.counted(data, one))
        return tuple(counted)

    def _destinations(self, key: ServiceKey) -> dict[DestinationKey, Destination]:
        """As `_dump`, without a step of Python per message: there may be 10,000."""
        parts: list[dict[DestinationKey, Destination]] = []
        sequence = self._ask_dump(wire.GET_DEST, encode.service_body(key))
        family_id = self._encoder.family_id
        for data in self._receive():
            seen = self._reader.seen(data, family_id, sequence)
            if seen is not None:
                parts.append(seen)
                continue
            found: dict[DestinationKey, Destination] = {}
            end = self._reader.collect(data, family_id, sequence, found)
            parts.append(found)
            if end in (errno.ENOENT, errno.ESRCH):
                return {}  # removed by somebody since we saw it
            if end:
                raise _refused(end, "read the IPVS table")
            if end is not None:
                filled = [part for part in parts if part]
                return filled[0] if len(filled) == 1 else dict(chain.from_iterable(map(dict.items, filled)))
        raise AssertionError("unreachable: _receive never ends")

    def _dump(self, command: int, body: bytes) -> Iterator[tuple[bytes, wire.Message]]:
        """The messages of one dump."""
        sequence = self._ask_dump(command, body)
        for data in self._receive():
            for found in wire.messages(data, len(data)):
                if found.sequence != sequence:
                    continue
                if found.kind == self._encoder.family_id:
                    yield data, found
                elif code := wire.error_code(data, found):
                    raise _refused(code, "read the IPVS table")
                else:
                    return

    def _ask_dump(self, command: int, body: bytes) -> int:
        sequence = self._next()
        flags = wire.NLM_F_REQUEST | wire.NLM_F_DUMP
        self._send(wire.message(self._encoder.family_id, command, body, sequence, flags))
        return sequence

    def _ask(self, command: int, body: bytes) -> tuple[bytes, wire.Message]:
        """The one answer to a request."""
        return self._answer(wire.message(self._encoder.family_id, command, body, self._next()))

    def _answer(self, request: bytes) -> tuple[bytes, wire.Message]:
        self._send(request)
        for data in self._receive():
            for found in wire.messages(data, len(data)):
                if found.sequence != self._sequence:
                    continue
                if found.kind == wire.NLMSG_ERROR:
                    raise _refused(wire.error_code(data, found), "answer")
                return data, found
        raise AssertionError("unreachable: _receive never ends")

    def _next(self) -> int:
        self._sequence += 1
        return self._sequence

    def _family(self) -> int:
        try:
            data, found = self._answer(encode.family_request(self._next()))
        except _Absent:
            raise KernelError(
                "this kernel has no IPVS loaded: load the module ip_vs (modprobe ip_vs)",
                errno.ENOENT,
                Exit.UNSUPPORTED,
            ) from None
        number = wire.attributes(data, found.start, found.end)[wire.CTRL_ATTR_FAMILY_ID]
        return int.from_bytes(number, sys.byteorder)

    def _send(self, data: bytes) -> None:
        try:
            self._socket.send(data)
        except OSError as fault:
            raise _refused(fault.errno or 0, "take a netlink request") from fault

    def _receive(self) -> Iterator[bytes]:
        while True:
            try:
                data = self._socket.recv(_READ_BYTES)
            except OSError as fault:
                # ENOBUFS: answers were lost, the operations were carried out all the same.
                raise _refused(fault.errno or 0, "deliver its netlink answers") from fault
            yield data


class _Absent(KernelError):
    """The thing asked for is not there."""


def _refused(code: int, what: str) -> KernelError:
    if code in (errno.ENOENT, errno.ESRCH):
        return _Absent(f"the kernel knows no such service (could not {what})", code)
    if code in (errno.EPERM, errno.EACCES):
        return KernelError("not permitted to use IPVS: run as root or give CAP_NET_ADMIN", code, Exit.RIGHTS)
    return KernelError(f"the kernel did not {what}: {os.strerror(code)}", code)
