"""IPVS operations to and from generic netlink bytes; no socket.

Source: include/uapi/linux/ip_vs.h (IPVS_CMD_*, IPVS_*_ATTR_*), netlink(7), and
net/netfilter/ipvs/ip_vs_ctl.c for which attributes the kernel wants and in which order it
writes them. All integers are in host order but ports, IPv4 masks and addresses.

Tables are long and alike. What the messages of consecutive destinations share is made once,
so that encoding one is one `Struct.pack`; and a dumped datagram whose configured part was
seen before, whatever its counters say now, is decoded by one dictionary look-up.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import chain
from struct import Struct, error
from typing import NamedTuple, assert_never

from lvs.kernel.state import (
    AddDestination,
    AddService,
    Destination,
    DestinationKey,
    DestinationOp,
    RemoveDestination,
    RemoveService,
    ServiceKey,
    ServiceOp,
    ServiceOptions,
    SetDestination,
    SetService,
    SetTimeouts,
    TableOp,
    Timeouts,
)

NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 0x1, 0x4, 0x300
NLMSG_ERROR, NLMSG_DONE = 2, 3
GENL_ID_CTRL = 0x10
CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_ID, CTRL_ATTR_FAMILY_NAME = 3, 1, 2
FAMILY_NAME = "IPVS"
IPVS_VERSION = 1

NEW_SERVICE, SET_SERVICE, DEL_SERVICE, GET_SERVICE = 1, 2, 3, 4
NEW_DEST, SET_DEST, DEL_DEST, GET_DEST = 5, 6, 7, 8
SET_CONFIG, GET_CONFIG, GET_INFO = 12, 13, 15

CMD_SERVICE, CMD_DEST, CMD_TCP, CMD_TCP_FIN, CMD_UDP = 1, 2, 4, 5, 6
INFO_VERSION, INFO_CONN_TAB_SIZE = 1, 2

(
    SVC_AF,
    SVC_PROTOCOL,
    SVC_ADDR,
    SVC_PORT,
    SVC_FWMARK,
    SVC_SCHED,
    SVC_FLAGS,
    SVC_TIMEOUT,
    SVC_NETMASK,
    SVC_STATS,
    SVC_PE,
    SVC_STATS64,
) = range(1, 13)
(
    DEST_ADDR,
    DEST_PORT,
    DEST_FWD,
    DEST_WEIGHT,
    DEST_UPPER,
    DEST_LOWER,
    DEST_ACTIVE,
    DEST_INACTIVE,
    DEST_PERSISTENT,
    DEST_STATS,
    DEST_FAMILY,
    DEST_STATS64,
    DEST_TUN_TYPE,
    DEST_TUN_PORT,
    DEST_TUN_FLAGS,
) = range(1, 16)

AF = {4: 2, 6: 10}
FAMILY_OF_AF = {2: 4, 10: 6}
FLAG_MASK = 0xFFFFFFFF
KNOWN_FLAGS = 0x3D  # all but HASHED (0x2), which is the kernel's own

_NLMSGHDR = Struct("=IHHII")
_NLATTR = Struct("=HH")
_U8, _U16, _U32, _I32 = Struct("=B"), Struct("=H"), Struct("=I"), Struct("=i")
_FLAGS = Struct("=II")
_BE16, _BE32 = Struct(">H"), Struct(">I")
_IDENTITY = Struct("=HHHxx HHHxx HH16s HHBBxx").pack
_MESSAGE_HEAD = 16 + 4


def _attribute(kind: int, payload: bytes) -> bytes:
    length = 4 + len(payload)
    return _NLATTR.pack(length, kind) + payload + b"\0" * (-length & 3)


def message(family_id: int, command: int, body: bytes, sequence: int, flags: int = NLM_F_REQUEST) -> bytes:
    """One generic netlink message."""
    head = _NLMSGHDR.pack(_MESSAGE_HEAD + len(body), family_id, flags, sequence, 0)
    return head + bytes((command, IPVS_VERSION, 0, 0)) + body


def family_request(sequence: int) -> bytes:
    """Ask the kernel for the number of the IPVS family (genl-ctrl)."""
    name = _attribute(CTRL_ATTR_FAMILY_NAME, FAMILY_NAME.encode() + b"\0")
    return message(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, name, sequence)


@lru_cache(maxsize=1 << 14)
def service_identity(key: ServiceKey) -> bytes:
    """The attributes that name a service."""
    if key.fwmark:
        return _attribute(SVC_AF, _U16.pack(AF[key.family])) + _attribute(SVC_FWMARK, _U32.pack(key.fwmark))
    family, protocol, address = AF[key.family], key.protocol, key.address
    high, low = key.port >> 8, key.port & 255
    return _IDENTITY(
        6, SVC_AF, family, 6, SVC_PROTOCOL, protocol, 20, SVC_ADDR, address, 6, SVC_PORT, high, low
    )


def service_body(key: ServiceKey, options: ServiceOptions | None = None) -> bytes:
    """Body of a service command; with `options` for NEW and SET, without for DEL and GET_DEST."""
    if options is None:
        identity = service_identity(key)
        return _NLATTR.pack(4 + len(identity), CMD_SERVICE | 0x8000) + identity
    full = service_identity(key) + _service_options(key.family, options)
    return _NLATTR.pack(4 + len(full), CMD_SERVICE | 0x8000) + full


@lru_cache(maxsize=256)
def _service_options(family: int, options: ServiceOptions) -> bytes:
    netmask = _BE32.pack(options.netmask) if family == 4 else _U32.pack(options.netmask)
    full = (
        _attribute(SVC_SCHED, options.scheduler.encode() + b"\0")
        + _attribute(SVC_FLAGS, _FLAGS.pack(options.flags, FLAG_MASK))
        + _attribute(SVC_TIMEOUT, _U32.pack(options.timeout_s))
        + _attribute(SVC_NETMASK, netmask)
    )
    if options.engine:
        full += _attribute(SVC_PE, options.engine.encode() + b"\0")
    return full


@lru_cache(maxsize=1024)
def destination_options(family: int, destination: Destination | None) -> bytes:
    """What follows address and port in a destination; None: only its family."""
    address_family = _attribute(DEST_FAMILY, _U16.pack(AF[family]))
    if destination is None:
        return address_family
    return (
        _attribute(DEST_FWD, _U32.pack(destination.forwarding))
        + _attribute(DEST_WEIGHT, _U32.pack(destination.weight))
        + _attribute(DEST_TUN_TYPE, bytes((destination.tunnel_type,)))
        + _attribute(DEST_TUN_PORT, _BE16.pack(destination.tunnel_port))
        + _attribute(DEST_TUN_FLAGS, _U16.pack(destination.tunnel_flags))
        + _attribute(DEST_UPPER, _U32.pack(destination.upper_threshold))
        + _attribute(DEST_LOWER, _U32.pack(destination.lower_threshold))
        + address_family
    )


@lru_cache(maxsize=64)
def _destination_layout(head: int, address: int, tail: int) -> Callable[..., bytes]:
    """Packs start, sequence, head, address and tail; addresses are padded to 16 bytes."""
    return Struct(f"=8sI{head}s{address}s{16 - address}x{tail}s").pack


class Encoder:
    """Encodes operations of one netlink family."""

    def __init__(self, family_id: int) -> None:
        self.family_id = family_id

    def encode(self, op: TableOp, sequence: int) -> bytes:
        """One operation as one message that the kernel answers only if it fails."""
        return self.encode_all((op,), sequence)

    def encode_all(self, ops: Sequence[TableOp], first: int) -> bytes:
        """Operations as messages with consecutive sequence numbers from `first` on."""
        parts: list[bytes] = []
        append = parts.append
        kind: type[TableOp] | None = None
        service: ServiceKey | None = None
        options: Destination | None = None
        port = size = -1
        for sequence, op in enumerate(ops, first):
            if not isinstance(op, _OF_DESTINATIONS):
                append(self._other(op, sequence))
                continue
            key = op.key
            address = key.address
            wanted = None if type(op) is RemoveDestination else op.destination  # type: ignore[union-attr]
            if (
                op.service is not service
                or wanted is not options
                or key.port != port
                or len(address) != size
                or type(op) is not kind
            ):
                kind, service, options, port, size = type(op), op.service, wanted, key.port, len(address)
                start, head, tail = self._around(kind, service, options, port, size)
                pack = _destination_layout(len(head), size, len(tail))
            append(pack(start, sequence, head, address, tail))
        return b"".join(parts)

    def _around(
        self,
        kind: type[DestinationOp],
        service: ServiceKey,
        options: Destination | None,
        port: int,
        size: int,
    ) -> tuple[bytes, bytes, bytes]:
        """What stands around sequence and address in a destination's message."""
        tail = _PORT(6, DEST_PORT, port >> 8, port & 255) + destination_options(
            4 if size == 4 else 6, options
        )
        head = (
            _COMMAND_HEADS[kind]
            + service_body(service)
            + _DEST_HEAD(4 + 20 + len(tail), CMD_DEST | 0x8000, 20, DEST_ADDR)
        )
        length = 8 + 4 + len(head) + 16 + len(tail)
        return _START(length, self.family_id, NLM_F_REQUEST), head, tail

    def _other(self, op: ServiceOp | SetTimeouts, sequence: int) -> bytes:
        match op:
            case AddService(service, options):
                return message(self.family_id, NEW_SERVICE, service_body(service, options), sequence)
            case SetService(service, options):
                return message(self.family_id, SET_SERVICE, service_body(service, options), sequence)
            case RemoveService(service):
                return message(self.family_id, DEL_SERVICE, service_body(service), sequence)
            case SetTimeouts(timeouts):
                return message(self.family_id, SET_CONFIG, _timeouts_body(timeouts), sequence)
            case _:
                assert_never(op)


_PORT = Struct("=HHBBxx").pack
_OF_DESTINATIONS = (AddDestination, SetDestination, RemoveDestination)
# Netlink port, which the kernel fills in, and generic header.
_COMMAND_HEADS: dict[type[DestinationOp], bytes] = {
    AddDestination: bytes((0, 0, 0, 0, NEW_DEST, IPVS_VERSION, 0, 0)),
    SetDestination: bytes((0, 0, 0, 0, SET_DEST, IPVS_VERSION, 0, 0)),
    RemoveDestination: bytes((0, 0, 0, 0, DEL_DEST, IPVS_VERSION, 0, 0)),
}
_START, _DEST_HEAD = Struct("=IHH").pack, Struct("=HHHH").pack


def _timeouts_body(timeouts: Timeouts) -> bytes:
    return (
        _attribute(CMD_TCP, _U32.pack(timeouts.tcp_s))
        + _attribute(CMD_TCP_FIN, _U32.pack(timeouts.tcpfin_s))
        + _attribute(CMD_UDP, _U32.pack(timeouts.udp_s))
    )


class Message(NamedTuple):
    kind: int  # NLMSG_ERROR, NLMSG_DONE, or the family's number
    sequence: int
    start: int  # of the payload behind the generic header, in the buffer
    end: int


def messages(buffer: bytes | memoryview, length: int) -> Iterator[Message]:
    """Walk the messages in a buffer; stops at a truncated one.

    The payload of NLMSG_ERROR and NLMSG_DONE starts right behind the netlink header.
    """
    at = 0
    while at + 16 <= length:
        size, kind, _flags, sequence, _port = _NLMSGHDR.unpack_from(buffer, at)
        if size < 16 or at + size > length:
            return
        start = at + 16 if kind in (NLMSG_ERROR, NLMSG_DONE) else at + _MESSAGE_HEAD
        yield Message(kind, sequence, start, at + size)
        at += (size + 3) & ~3


def error_code(buffer: bytes | memoryview, found: Message) -> int:
    """The errno of an NLMSG_ERROR or NLMSG_DONE; 0 is success."""
    if found.end - found.start < 4:
        return 0
    (code,) = _I32.unpack_from(buffer, found.start)
    return -int(code)


def attributes(buffer: bytes, start: int, end: int) -> dict[int, bytes]:
    """The attributes between two offsets, by number."""
    found: dict[int, bytes] = {}
    while start + 4 <= end:
        size, kind = _NLATTR.unpack_from(buffer, start)
        if size < 4 or start + size > end:
            break
        found[kind & 0x3FFF] = buffer[start + 4 : start + size]
        start += (size + 3) & ~3
    return found


def decode_service(buffer: bytes, found: Message) -> tuple[ServiceKey, ServiceOptions]:
    """A service of a dump; without its counters it is one that was decoded before."""
    start = found.start + 4
    end = _statistics_of_service(buffer, start, found.end)
    if end:
        return _decode_service(buffer[start:end])
    values = attributes(buffer, start, found.end)
    return _decode_service(b"".join(_attribute(k, v) for k, v in values.items() if k not in _COUNTED))


def _statistics_of_service(buffer: bytes, start: int, end: int) -> int:
    """Where nothing but statistics follows, in the order of ip_vs_genl_fill_service; 0 in any other."""
    try:
        _, kind = _NLATTR.unpack_from(buffer, start + 8)
        at = start + (16 if kind == SVC_FWMARK else 44)  # family, mark or protocol, address and port
        size, kind = _NLATTR.unpack_from(buffer, at)
        if kind != SVC_SCHED:
            return 0
        at += (size + 3) & ~3
        size, kind = _NLATTR.unpack_from(buffer, at)
        if kind == SVC_PE:
            at += (size + 3) & ~3
        at += 12 + 8 + 8  # flags, timeout, netmask
        size, kind = _NLATTR.unpack_from(buffer, at)
        after = at + ((size + 3) & ~3)
        size64, kind64 = _NLATTR.unpack_from(buffer, after)
    except error:
        return 0
    known = kind & 0x3FFF == SVC_STATS and kind64 & 0x3FFF == SVC_STATS64 and after + size64 == end
    return at if known else 0


_COUNTED = (SVC_STATS, SVC_STATS64)


@lru_cache(maxsize=1 << 14)
def _decode_service(configured: bytes) -> tuple[ServiceKey, ServiceOptions]:
    values = attributes(configured, 0, len(configured))
    family = FAMILY_OF_AF[_U16.unpack(values[SVC_AF])[0]]
    fwmark = _U32.unpack(values[SVC_FWMARK])[0] if SVC_FWMARK in values else 0
    size = 4 if family == 4 else 16
    netmask = (_BE32 if family == 4 else _U32).unpack(values[SVC_NETMASK])[0]
    key = ServiceKey(
        family=family,
        protocol=0 if fwmark else _U16.unpack(values[SVC_PROTOCOL])[0],
        address=b"" if fwmark else values[SVC_ADDR][:size],
        port=0 if fwmark else _BE16.unpack(values[SVC_PORT])[0],
        fwmark=fwmark,
    )
    options = ServiceOptions(
        scheduler=_text(values[SVC_SCHED]) if SVC_SCHED in values else "",
        flags=_U32.unpack_from(values[SVC_FLAGS])[0] & KNOWN_FLAGS,
        timeout_s=_U32.unpack(values[SVC_TIMEOUT])[0],
        netmask=netmask,
        engine=_text(values[SVC_PE]) if SVC_PE in values else "",
    )
    return key, options


def _text(value: bytes) -> str:
    return value.rstrip(b"\0").decode("ascii", "replace")


class Counted(NamedTuple):
    """A destination as dumped, with its connections."""

    key: DestinationKey
    destination: Destination
    active: int
    inactive: int
    persistent: int


class DestinationReader:
    """Decodes dumped destinations, and keeps whole datagrams of them.

    The kernel writes address, port, forwarding method, weight, tunnel and thresholds first
    and at fixed places (ip_vs_genl_fill_dest), so these 84 bytes and the family behind the
    counters stand for the decoded value, and so does what is left of a datagram without its
    counters. Messages of another shape are decoded attribute by attribute each time.
    """

    def __init__(self) -> None:
        self._options: dict[bytes, tuple[Destination, int]] = {}  # and the length of an address
        self._seen: dict[bytes, dict[DestinationKey, Destination]] = {}

    def configured(self, buffer: bytes, found: Message) -> tuple[DestinationKey, Destination]:
        """Key and options of one dumped destination."""
        at = found.start + 4
        shape = buffer[at + 28 : at + 84] + buffer[at + 108 : at + 116]  # all but address and port
        known = self._options.get(shape)
        if known is None or buffer[at : at + 4] != _ADDRESS_HEAD or buffer[at + 20 : at + 24] != _PORT_HEAD:
            key, destination = _decode_destination(buffer, found)
            if _is_usual_shape(buffer, at):
                self._options[shape] = destination, len(key.address)
            return key, destination
        destination, size = known
        return DestinationKey(
            buffer[at + 4 : at + 4 + size], buffer[at + 24] << 8 | buffer[at + 25]
        ), destination

    def counted(self, buffer: bytes, found: Message) -> Counted:
        """The same with connection counts."""
        outer = attributes(buffer, found.start, found.end)[CMD_DEST]
        values = attributes(outer, 0, len(outer))
        active, inactive, persistent = (
            _U32.unpack(values[kind])[0] for kind in (DEST_ACTIVE, DEST_INACTIVE, DEST_PERSISTENT)
        )
        return Counted(*self.configured(buffer, found), active, inactive, persistent)

    def seen(self, data: bytes, family_id: int, sequence: int) -> dict[DestinationKey, Destination] | None:
        """The destinations of a datagram whose configured part was collected before; not to be changed.

        Shape: None if it was not. A datagram answers one request, so its first message tells whether
        it is ours.
        """
        if data[4:6] != family_id.to_bytes(2, sys.byteorder) or data[8:12] != _U32.pack(sequence):
            return None
        return self._seen.get(_configured_part(data))

    def collect(
        self, data: bytes, family_id: int, sequence: int, into: dict[DestinationKey, Destination]
    ) -> int | None:
        """Put the destinations of one dumped datagram into a dictionary.

        Shape: the errno that ended the dump (0 is success), None while there is more; as with
        `messages`, a truncated message ends the datagram.
        """
        found: dict[DestinationKey, Destination] = {}
        ended, alike = None, True
        for one in messages(data, len(data)):
            if one.sequence == sequence and one.kind == family_id:
                key, destination = self.configured(data, one)
                found[key] = destination
                alike = alike and _is_usual_shape(data, one.start + 4)
            elif one.sequence == sequence and one.kind in (NLMSG_DONE, NLMSG_ERROR):
                ended = error_code(data, one)
                break
            else:
                alike = False
        into.update(found)
        if found and alike and ended is None and (part := _configured_part(data)):
            self._seen[part] = found
        return ended

    def trim(self, held: int) -> None:
        """Forget everything if more than twice the destinations that are held were kept."""
        if sum(map(len, self._seen.values())) + len(self._options) > 2 * held + 1000:
            self._seen.clear()
            self._options.clear()


def _configured_part(data: bytes) -> bytes:
    """A datagram of destinations of the usual shape without what changes by itself; empty if it is none.

    Left out are sequence numbers, and of each message the counters (24 bytes from 108 on) and the
    statistics (from 140 on). Sizes and kinds stay in, so that what is equal is alike in shape.
    """
    size = int.from_bytes(data[:4], sys.byteorder)
    if size < _DESTINATION or size & 3 or len(data) % size:
        return b""
    return b"".join(chain.from_iterable(_uniform(size).iter_unpack(data)))


_DESTINATION = 140  # bytes of a message up to its statistics


@lru_cache(maxsize=64)
def _uniform(size: int) -> Struct:
    """Size and kind; the attributes before the counters, with their nest; the family."""
    return Struct(f"=6s14x88s24x8s{size - _DESTINATION}x")


_ADDRESS_HEAD, _PORT_HEAD = _NLATTR.pack(20, DEST_ADDR), _NLATTR.pack(6, DEST_PORT)

# Size and number of each attribute, by position.
_HEADS = Struct("=HH16x HH4x HH4x HH4x HH4x HH4x HH4x HH4x HH4x HH4x HH4x HH4x HH4x")
_USUAL = (
    *(20, DEST_ADDR),
    *(6, DEST_PORT),
    *(8, DEST_FWD),
    *(8, DEST_WEIGHT),
    *(5, DEST_TUN_TYPE),
    *(6, DEST_TUN_PORT),
    *(6, DEST_TUN_FLAGS),
    *(8, DEST_UPPER),
    *(8, DEST_LOWER),
    *(8, DEST_ACTIVE),
    *(8, DEST_INACTIVE),
    *(8, DEST_PERSISTENT),
    *(6, DEST_FAMILY),
)


def _is_usual_shape(buffer: bytes, start: int) -> bool:
    return len(buffer) >= start + _HEADS.size and _HEADS.unpack_from(buffer, start) == _USUAL


def _decode_destination(buffer: bytes, found: Message) -> tuple[DestinationKey, Destination]:
    outer = attributes(buffer, found.start, found.end)[CMD_DEST]
    values = attributes(outer, 0, len(outer))
    # Kernels before 3.18 give no family: theirs is the service's, and only IPv4 is told apart.
    family = FAMILY_OF_AF[_U16.unpack(values[DEST_FAMILY])[0]] if DEST_FAMILY in values else 4
    key = DestinationKey(values[DEST_ADDR][: 4 if family == 4 else 16], _BE16.unpack(values[DEST_PORT])[0])
    return key, Destination(
        forwarding=_U32.unpack(values[DEST_FWD])[0] & 0x7,
        weight=_U32.unpack(values[DEST_WEIGHT])[0],
        upper_threshold=_U32.unpack(values[DEST_UPPER])[0],
        lower_threshold=_U32.unpack(values[DEST_LOWER])[0],
        tunnel_type=_U8.unpack(values[DEST_TUN_TYPE])[0] if DEST_TUN_TYPE in values else 0,
        tunnel_port=_BE16.unpack(values[DEST_TUN_PORT])[0] if DEST_TUN_PORT in values else 0,
        tunnel_flags=_U16.unpack(values[DEST_TUN_FLAGS])[0] if DEST_TUN_FLAGS in values else 0,
    )


def decode_timeouts(buffer: bytes, found: Message) -> Timeouts:
    """The answer to GET_CONFIG."""
    values = attributes(buffer, found.start, found.end)
    tcp, tcp_fin, udp = (_U32.unpack(values[kind])[0] for kind in (CMD_TCP, CMD_TCP_FIN, CMD_UDP))
    return Timeouts(tcp, tcp_fin, udp)


def decode_info(buffer: bytes, found: Message) -> tuple[str, int]:
    """The answer to GET_INFO: IPVS version such as 1.2.1, and connection table size."""
    values = attributes(buffer, found.start, found.end)
    version = _U32.unpack(values[INFO_VERSION])[0]
    text = f"{version >> 16 & 255}.{version >> 8 & 255}.{version & 255}"
    return text, _U32.unpack(values[INFO_CONN_TAB_SIZE])[0]
