"""IPVS operations to and from generic netlink bytes; no socket.

Source: include/uapi/linux/ip_vs.h (IPVS_CMD_*, IPVS_*_ATTR_*), netlink(7), and
net/netfilter/ipvs/ip_vs_ctl.c for which attributes the kernel wants and in which order it
writes them. All integers are in host order but ports, IPv4 masks and addresses.

A message for a destination is a constant head per service, sixteen bytes of address, two of
port, and a constant tail per set of options: both are kept, so that encoding a destination
is one `Struct.pack` (0.6 us), and decoding one seen before is one dictionary look-up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from struct import Struct
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
) = range(1, 12)
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
_U8, _U16, _U32, _FLAGS = Struct("=B"), Struct("=H"), Struct("=I"), Struct("=II")
_BE16, _BE32 = Struct(">H"), Struct(">I")
_MESSAGE_HEAD = 16 + 4


def _attribute(kind: int, payload: bytes) -> bytes:
    length = 4 + len(payload)
    return _NLATTR.pack(length, kind) + payload + b"\0" * (-length & 3)


def _nested(kind: int, payload: bytes) -> bytes:
    return _attribute(kind | 0x8000, payload)


def message(family_id: int, command: int, body: bytes, sequence: int, flags: int = NLM_F_REQUEST) -> bytes:
    """One generic netlink message."""
    head = _NLMSGHDR.pack(_MESSAGE_HEAD + len(body), family_id, flags, sequence, 0)
    return head + bytes((command, IPVS_VERSION, 0, 0)) + body


def family_request(sequence: int) -> bytes:
    """Ask the kernel for the number of the IPVS family (genl-ctrl)."""
    name = _attribute(CTRL_ATTR_FAMILY_NAME, FAMILY_NAME.encode() + b"\0")
    return message(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, name, sequence)


def service_identity(key: ServiceKey) -> bytes:
    """The attributes that name a service."""
    family = _attribute(SVC_AF, _U16.pack(AF[key.family]))
    if key.fwmark:
        return family + _attribute(SVC_FWMARK, _U32.pack(key.fwmark))
    return (
        family
        + _attribute(SVC_PROTOCOL, _U16.pack(key.protocol))
        + _attribute(SVC_ADDR, key.address.ljust(16, b"\0"))
        + _attribute(SVC_PORT, _BE16.pack(key.port))
    )


def service_body(key: ServiceKey, options: ServiceOptions | None = None) -> bytes:
    """Body of a service command; with `options` for NEW and SET, without for DEL and GET_DEST."""
    if options is None:
        return _nested(CMD_SERVICE, service_identity(key))
    netmask = _BE32.pack(options.netmask) if key.family == 4 else _U32.pack(options.netmask)
    full = (
        service_identity(key)
        + _attribute(SVC_SCHED, options.scheduler.encode() + b"\0")
        + _attribute(SVC_FLAGS, _FLAGS.pack(options.flags, FLAG_MASK))
        + _attribute(SVC_TIMEOUT, _U32.pack(options.timeout_s))
        + _attribute(SVC_NETMASK, netmask)
    )
    if options.engine:
        full += _attribute(SVC_PE, options.engine.encode() + b"\0")
    return _nested(CMD_SERVICE, full)


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


# A kept head: length, type and flags | sequence | everything up to the address.
_Head = tuple[bytes, bytes, Callable[..., bytes]]


class Encoder:
    """Encodes operations of one netlink family; keeps heads and tails for as long as it lives."""

    def __init__(self, family_id: int) -> None:
        self.family_id = family_id
        self._heads: dict[tuple[type[DestinationOp], ServiceKey, int], _Head] = {}
        self._tails: dict[tuple[int, Destination | None], bytes] = {}

    def encode(self, op: TableOp, sequence: int) -> bytes:
        """One operation as one message that the kernel answers only if it fails."""
        match op:
            case AddDestination(service, key, destination) | SetDestination(service, key, destination):
                return self._destination(type(op), service, key, destination, sequence)
            case RemoveDestination(service, key):
                return self._destination(RemoveDestination, service, key, None, sequence)
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

    def _destination(
        self,
        kind: type[DestinationOp],
        service: ServiceKey,
        key: DestinationKey,
        destination: Destination | None,
        sequence: int,
    ) -> bytes:
        address = key.address
        family = 4 if len(address) == 4 else 6
        tail = self._tails.get((family, destination))
        if tail is None:
            tail = self._tails[family, destination] = destination_options(family, destination)
        head = self._heads.get((kind, service, len(tail)))
        if head is None:
            head = self._heads[kind, service, len(tail)] = self._head(kind, service, len(tail))
        start, constant, pack = head
        return pack(start, sequence, constant, address, _PORT_HEAD, key.port >> 8, key.port & 255, tail)

    def _head(self, kind: type[DestinationOp], service: ServiceKey, tail: int) -> _Head:
        command = _COMMANDS[kind]
        destination = 4 + 20 + 8 + tail
        constant = (
            bytes(4)  # netlink port: the kernel fills it in
            + bytes((command, IPVS_VERSION, 0, 0))
            + service_body(service)
            + _NLATTR.pack(destination, CMD_DEST | 0x8000)
            + _NLATTR.pack(20, DEST_ADDR)
        )
        total = 12 + len(constant) + 16 + 8 + tail
        start = _NLMSGHDR.pack(total, self.family_id, NLM_F_REQUEST, 0, 0)[:8]
        return start, constant, Struct(f"=8sI{len(constant)}s16s4sBBxx{tail}s").pack


_PORT_HEAD = _NLATTR.pack(6, DEST_PORT)
_COMMANDS: dict[type[DestinationOp], int] = {
    AddDestination: NEW_DEST,
    SetDestination: SET_DEST,
    RemoveDestination: DEL_DEST,
}


def _timeouts_body(timeouts: Timeouts) -> bytes:
    return (
        _attribute(CMD_TCP, _U32.pack(timeouts.tcp_s))
        + _attribute(CMD_TCP_FIN, _U32.pack(timeouts.tcpfin_s))
        + _attribute(CMD_UDP, _U32.pack(timeouts.udp_s))
    )


_HEADER = Struct("=IHHI").unpack_from


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
    code: int = -Struct("=i").unpack_from(buffer, found.start)[0]
    return code


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
    """A service of a dump."""
    outer = attributes(buffer, found.start, found.end)[CMD_SERVICE]
    values = attributes(outer, 0, len(outer))
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
    """Decodes dumped destinations; what it has seen before costs one look-up.

    The kernel writes address, port, forwarding method, weight, tunnel and thresholds first
    and at fixed places (ip_vs_genl_fill_dest), so these 84 bytes and the family behind the
    counters stand for the decoded value. Messages of another shape are decoded attribute by
    attribute each time.
    """

    _CONFIGURED = 84  # bytes of attributes before the counters
    _FAMILY_AT = _CONFIGURED + 24  # three counters of 8 bytes

    def __init__(self) -> None:
        self._seen: dict[bytes, tuple[DestinationKey, Destination]] = {}

    def configured(self, buffer: bytes, found: Message) -> tuple[DestinationKey, Destination]:
        """Key and options of one dumped destination."""
        start = found.start + 4
        counters = start + self._CONFIGURED
        shape = buffer[start:counters] + buffer[counters + 24 : counters + 32]
        known = self._seen.get(shape)
        if known is None:
            known = _decode_destination(buffer, found)
            if _is_usual_shape(buffer, start):
                self._seen[shape] = known
        return known

    def counted(self, buffer: bytes, found: Message) -> Counted:
        """The same with connection counts."""
        outer = attributes(buffer, found.start, found.end)[CMD_DEST]
        values = attributes(outer, 0, len(outer))
        active, inactive, persistent = (
            _U32.unpack(values[kind])[0] for kind in (DEST_ACTIVE, DEST_INACTIVE, DEST_PERSISTENT)
        )
        return Counted(*self.configured(buffer, found), active, inactive, persistent)

    def collect(
        self, data: bytes, family_id: int, sequence: int, into: dict[DestinationKey, Destination]
    ) -> int | None:
        """Put the destinations of one dumped datagram into a dictionary.

        Shape: the errno that ended the dump (0 is success), None while there is more; as with
        `messages`, a truncated message ends the datagram.
        """
        at, length, seen = 0, len(data), self._seen
        while at + 16 <= length:
            size, kind, _flags, number = _HEADER(data, at)
            if size < 16 or at + size > length:
                break
            if number == sequence:
                if kind == family_id:
                    shape = data[at + 24 : at + 108] + data[at + 132 : at + 140]
                    known = seen.get(shape)
                    if known is None:
                        known = self.configured(data, Message(kind, number, at + _MESSAGE_HEAD, at + size))
                    into[known[0]] = known[1]
                elif kind in (NLMSG_DONE, NLMSG_ERROR):
                    return error_code(data, Message(kind, number, at + 16, at + size))
            at += (size + 3) & ~3
        return None

    def trim(self, held: int) -> None:
        """Forget everything if more than twice the destinations that are held were kept."""
        if len(self._seen) > 2 * held + 1000:
            self._seen.clear()


_USUAL = (
    (0, 20, DEST_ADDR),
    (20, 6, DEST_PORT),
    (28, 8, DEST_FWD),
    (36, 8, DEST_WEIGHT),
    (44, 5, DEST_TUN_TYPE),
    (52, 6, DEST_TUN_PORT),
    (60, 6, DEST_TUN_FLAGS),
    (68, 8, DEST_UPPER),
    (76, 8, DEST_LOWER),
    (84, 8, DEST_ACTIVE),
    (92, 8, DEST_INACTIVE),
    (100, 8, DEST_PERSISTENT),
    (108, 6, DEST_FAMILY),
)


def _is_usual_shape(buffer: bytes, start: int) -> bool:
    if len(buffer) < start + DestinationReader._FAMILY_AT + 8:  # noqa: SLF001
        return False
    return all(_NLATTR.unpack_from(buffer, start + at) == (size, kind) for at, size, kind in _USUAL)


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
