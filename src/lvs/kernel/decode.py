"""What the kernel says of destinations and all else but services, from generic netlink bytes.

Source: net/netfilter/ipvs/ip_vs_ctl.c for the order in which the kernel writes attributes.

Tables are long and alike, and read every few seconds: a dumped datagram whose configured part was
seen before, whatever its counters say now, is decoded by one dictionary look-up.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from struct import Struct
from typing import NamedTuple

from lvs.kernel.state import Destination, DestinationKey, SyncDaemon, Timeouts
from lvs.kernel.wire import (
    BE16,
    CMD_DAEMON,
    CMD_DEST,
    CMD_TCP,
    CMD_TCP_FIN,
    CMD_UDP,
    DAEMON_GROUP,
    DAEMON_GROUP6,
    DAEMON_IFN,
    DAEMON_MAXLEN,
    DAEMON_PORT,
    DAEMON_STATE,
    DAEMON_SYNC_ID,
    DAEMON_TTL,
    DEST_ACTIVE,
    DEST_ADDR,
    DEST_FAMILY,
    DEST_FWD,
    DEST_INACTIVE,
    DEST_LOWER,
    DEST_PERSISTENT,
    DEST_PORT,
    DEST_TUN_FLAGS,
    DEST_TUN_PORT,
    DEST_TUN_TYPE,
    DEST_UPPER,
    DEST_WEIGHT,
    FAMILY_OF_AF,
    INFO_CONN_TAB_SIZE,
    INFO_VERSION,
    NLATTR,
    NLMSG_DONE,
    NLMSG_ERROR,
    U8,
    U16,
    U32,
    Message,
    attributes,
    error_code,
    messages,
)


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
            U32.unpack(values[kind])[0] for kind in (DEST_ACTIVE, DEST_INACTIVE, DEST_PERSISTENT)
        )
        return Counted(*self.configured(buffer, found), active, inactive, persistent)

    def seen(self, data: bytes, family_id: int, sequence: int) -> dict[DestinationKey, Destination] | None:
        """The destinations of a datagram whose configured part was collected before; not to be changed.

        Shape: None if it was not. A datagram answers one request, so its first message tells whether
        it is ours.
        """
        length = len(data)
        if length < _DESTINATION:
            return None
        size, kind, number = _FIRST(data)
        if kind != family_id or number != sequence or size < _DESTINATION or size & 3 or length % size:
            return None
        return self._seen.get(b"".join(_configured(size, length // size)(data)))

    def collect(
        self, data: bytes, family_id: int, sequence: int, into: dict[DestinationKey, Destination]
    ) -> int | None:
        """Put the destinations of one dumped datagram into a dictionary.

        Shape: the errno that ended the dump (0 is success), None while there is more; as with
        `messages`, a truncated message ends the datagram.
        """
        length = len(data)
        if length == _END.size:  # the last of nearly every dump
            size, kind, number, code = _END.unpack(data)
            if size == length and kind == NLMSG_DONE and number == sequence:
                return -int(code)
        if length >= _DESTINATION:
            size, _, _ = _FIRST(data)
            if size >= _DESTINATION and not size & 3 and not length % size:
                alike = self._alike(data, size, family_id, sequence)
                if alike is not None:
                    self._seen[b"".join(_configured(size, length // size)(data))] = alike
                    into.update(alike)
                    return None
        found: dict[DestinationKey, Destination] = {}
        ended = None
        for one in messages(data, length):
            if one.sequence == sequence and one.kind == family_id:
                key, destination = self.configured(data, one)
                found[key] = destination
            elif one.sequence == sequence and one.kind in (NLMSG_DONE, NLMSG_ERROR):
                ended = error_code(data, one)
                break
        into.update(found)
        return ended

    def _alike(
        self, data: bytes, size: int, family_id: int, sequence: int
    ) -> dict[DestinationKey, Destination] | None:
        """All destinations of a datagram whose messages are of one size and the usual shape, or None."""
        found: dict[DestinationKey, Destination] = {}
        options = self._options
        at = 0
        for fields in _fields(size).iter_unpack(data):
            (
                length,
                kind,
                number,
                nest,
                head,
                address,
                port_head,
                high,
                low,
                shape,
                one,
                two,
                three,
                family,
            ) = fields
            if (
                length != size
                or kind != family_id
                or number != sequence
                or nest != size - _NEST
                or head != _ADDRESS_HEAD
                or port_head != _PORT_HEAD
                or one != _ACTIVE_HEAD
                or two != _INACTIVE_HEAD
                or three != _PERSISTENT_HEAD
            ):
                return None
            known = options.get(shape + family)
            if known is None:
                start = at + _NEST
                if not _is_usual_shape(data, start + 4):
                    return None
                key, destination = self.configured(data, Message(kind, number, start, at + size))
                known = destination, len(key.address)
            destination, width = known
            found[DestinationKey(address[:width], high << 8 | low)] = destination
            at += size
        return found

    def trim(self, held: int) -> None:
        """Forget everything if more than twice the destinations that are held were kept."""
        if sum(map(len, self._seen.values())) + len(self._options) > 2 * held + 1000:
            self._seen.clear()
            self._options.clear()


_DESTINATION = 140  # bytes of a message up to its statistics
_NEST = 20  # where its attribute begins, behind both headers
_FIRST = Struct("=IH2xI").unpack_from  # size, kind, sequence number
_END = Struct("=IH2xI4xi")  # and errno


@lru_cache(maxsize=64)
def _fields(size: int) -> Struct:
    """The fields of a destination's message: its header, then what `_is_usual_shape` says."""
    attributes = "H2x 4s16s 4sBB2x 56s 4s4x 4s4x 4s4x 8s"
    return Struct(f"=IH2xI4x 4x {attributes} {size - _DESTINATION}x")


@lru_cache(maxsize=256)
def _configured(size: int, count: int) -> Callable[[bytes], tuple[bytes, ...]]:
    """Cuts messages of one size into pieces that tell destinations apart.

    Left out are sequence numbers, and of each message the counters (24 bytes from 108 on) and the
    statistics (from 140 on). Sizes and kinds stay in, so that what is equal is alike in shape.
    """
    return Struct("=" + f"6s14x88s24x8s{size - _DESTINATION}x" * count).unpack


_ADDRESS_HEAD, _PORT_HEAD = NLATTR.pack(20, DEST_ADDR), NLATTR.pack(6, DEST_PORT)
_ACTIVE_HEAD, _INACTIVE_HEAD = NLATTR.pack(8, DEST_ACTIVE), NLATTR.pack(8, DEST_INACTIVE)
_PERSISTENT_HEAD = NLATTR.pack(8, DEST_PERSISTENT)

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
    family = FAMILY_OF_AF[U16.unpack(values[DEST_FAMILY])[0]] if DEST_FAMILY in values else 4
    key = DestinationKey(values[DEST_ADDR][: 4 if family == 4 else 16], BE16.unpack(values[DEST_PORT])[0])
    return key, Destination(
        forwarding=U32.unpack(values[DEST_FWD])[0] & 0x7,
        weight=U32.unpack(values[DEST_WEIGHT])[0],
        upper_threshold=U32.unpack(values[DEST_UPPER])[0],
        lower_threshold=U32.unpack(values[DEST_LOWER])[0],
        tunnel_type=U8.unpack(values[DEST_TUN_TYPE])[0] if DEST_TUN_TYPE in values else 0,
        tunnel_port=BE16.unpack(values[DEST_TUN_PORT])[0] if DEST_TUN_PORT in values else 0,
        tunnel_flags=U16.unpack(values[DEST_TUN_FLAGS])[0] if DEST_TUN_FLAGS in values else 0,
    )


def decode_daemon(buffer: bytes, found: Message) -> SyncDaemon:
    """A sync daemon of a dump (ip_vs_genl_fill_daemon)."""
    outer = attributes(buffer, found.start, found.end)[CMD_DAEMON]
    values = attributes(outer, 0, len(outer))
    return SyncDaemon(
        state=U32.unpack(values[DAEMON_STATE])[0],
        device=values[DAEMON_IFN].rstrip(b"\0").decode(errors="replace"),
        sync_id=U32.unpack(values[DAEMON_SYNC_ID])[0],
        maxlen=U16.unpack(values[DAEMON_MAXLEN])[0],
        group=values[DAEMON_GROUP6] if DAEMON_GROUP6 in values else values[DAEMON_GROUP],
        port=U16.unpack(values[DAEMON_PORT])[0],
        ttl=values[DAEMON_TTL][0],
    )


def decode_timeouts(buffer: bytes, found: Message) -> Timeouts:
    """The answer to GET_CONFIG."""
    values = attributes(buffer, found.start, found.end)
    tcp, tcp_fin, udp = (U32.unpack(values[kind])[0] for kind in (CMD_TCP, CMD_TCP_FIN, CMD_UDP))
    return Timeouts(tcp, tcp_fin, udp)


def decode_info(buffer: bytes, found: Message) -> tuple[str, int]:
    """The answer to GET_INFO: IPVS version such as 1.2.1, and connection table size."""
    values = attributes(buffer, found.start, found.end)
    version = U32.unpack(values[INFO_VERSION])[0]
    text = f"{version >> 16 & 255}.{version >> 8 & 255}.{version & 255}"
    return text, U32.unpack(values[INFO_CONN_TAB_SIZE])[0]
