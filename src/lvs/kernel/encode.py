"""Operations on IPVS's table -> generic netlink bytes.

Source: net/netfilter/ipvs/ip_vs_ctl.c for which attributes the kernel wants.

Tables are long and alike. What the messages of consecutive destinations share is made once,
so that encoding one is one `Struct.pack`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from struct import Struct
from typing import assert_never

from lvs.kernel.state import (
    AddDestination,
    AddService,
    DaemonOp,
    Destination,
    DestinationOp,
    RemoveDestination,
    RemoveService,
    ServiceKey,
    ServiceOp,
    ServiceOptions,
    SetDestination,
    SetService,
    SetTimeouts,
    StartDaemon,
    StopDaemon,
    SyncDaemon,
    TableOp,
    Timeouts,
)
from lvs.kernel.wire import (
    AF,
    BE16,
    BE32,
    CMD_DAEMON,
    CMD_DEST,
    CMD_SERVICE,
    CMD_TCP,
    CMD_TCP_FIN,
    CMD_UDP,
    CTRL_ATTR_FAMILY_NAME,
    CTRL_CMD_GETFAMILY,
    DAEMON_GROUP,
    DAEMON_GROUP6,
    DAEMON_IFN,
    DAEMON_MAXLEN,
    DAEMON_PORT,
    DAEMON_STATE,
    DAEMON_SYNC_ID,
    DAEMON_TTL,
    DEL_DAEMON,
    DEL_DEST,
    DEL_SERVICE,
    DEST_ADDR,
    DEST_FAMILY,
    DEST_FWD,
    DEST_LOWER,
    DEST_PORT,
    DEST_TUN_FLAGS,
    DEST_TUN_PORT,
    DEST_TUN_TYPE,
    DEST_UPPER,
    DEST_WEIGHT,
    FAMILY_NAME,
    FLAG_MASK,
    GENL_ID_CTRL,
    IPVS_VERSION,
    NEW_DAEMON,
    NEW_DEST,
    NEW_SERVICE,
    NLATTR,
    NLM_F_REQUEST,
    SET_CONFIG,
    SET_DEST,
    SET_SERVICE,
    SVC_ADDR,
    SVC_AF,
    SVC_FLAGS,
    SVC_FWMARK,
    SVC_NETMASK,
    SVC_PE,
    SVC_PORT,
    SVC_PROTOCOL,
    SVC_SCHED,
    SVC_TIMEOUT,
    U16,
    U32,
    attribute,
    message,
)


def family_request(sequence: int) -> bytes:
    """Ask the kernel for the number of the IPVS family (genl-ctrl)."""
    name = attribute(CTRL_ATTR_FAMILY_NAME, FAMILY_NAME.encode() + b"\0")
    return message(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, name, sequence)


_FLAGS = Struct("=II")
_FAMILIES, _IDENTITY = Struct("=HHHxx HHHxx HH").pack, Struct("=20s16s HHBBxx").pack


def _identity(key: ServiceKey) -> bytes:
    """The attributes that name a service."""
    if key.fwmark:
        return attribute(SVC_AF, U16.pack(AF[key.family])) + attribute(SVC_FWMARK, U32.pack(key.fwmark))
    port = key.port
    return _IDENTITY(_families(key.family, key.protocol), key.address, 6, SVC_PORT, port >> 8, port & 255)


@lru_cache
def _families(family: int, protocol: int) -> bytes:
    """The two attributes in front of a service's address, and the head of that one."""
    return _FAMILIES(6, SVC_AF, AF[family], 6, SVC_PROTOCOL, protocol, 20, SVC_ADDR)


service_identity = lru_cache(maxsize=1 << 14)(_identity)  # for those that are asked for every few seconds


def service_body(key: ServiceKey, options: ServiceOptions | None = None) -> bytes:
    """Body of a service command; with `options` for NEW and SET, without for DEL and GET_DEST."""
    body = service_identity(key)
    if options is not None:
        body += _service_options(key.family, options)
    return NLATTR.pack(4 + len(body), CMD_SERVICE | 0x8000) + body


@lru_cache(maxsize=256)
def _service_options(family: int, options: ServiceOptions) -> bytes:
    netmask = BE32.pack(options.netmask) if family == 4 else U32.pack(options.netmask)
    full = (
        attribute(SVC_SCHED, options.scheduler.encode() + b"\0")
        + attribute(SVC_FLAGS, _FLAGS.pack(options.flags, FLAG_MASK))
        + attribute(SVC_TIMEOUT, U32.pack(options.timeout_s))
        + attribute(SVC_NETMASK, netmask)
    )
    if options.engine:
        full += attribute(SVC_PE, options.engine.encode() + b"\0")
    return full


@lru_cache(maxsize=1024)
def destination_options(family: int, destination: Destination | None) -> bytes:
    """What follows address and port in a destination; None: only its family.

    What is left out is 0 to the kernel, for a new destination and for one that is changed: it begins
    with zeroes (`memset`, ip_vs_genl_parse_dest, net/netfilter/ipvs/ip_vs_ctl.c).
    """
    address_family = attribute(DEST_FAMILY, U16.pack(AF[family]))
    if destination is None:
        return address_family
    tunnel = b""
    if destination.tunnel_type or destination.tunnel_port or destination.tunnel_flags:
        tunnel = (
            attribute(DEST_TUN_TYPE, bytes((destination.tunnel_type,)))
            + attribute(DEST_TUN_PORT, BE16.pack(destination.tunnel_port))
            + attribute(DEST_TUN_FLAGS, U16.pack(destination.tunnel_flags))
        )
    return (
        attribute(DEST_FWD, U32.pack(destination.forwarding))
        + attribute(DEST_WEIGHT, U32.pack(destination.weight))
        + tunnel
        + attribute(DEST_UPPER, U32.pack(destination.upper_threshold))
        + attribute(DEST_LOWER, U32.pack(destination.lower_threshold))
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
        # What the operation before this one had, and the bytes of it.
        self._service: ServiceKey | None = None
        self._identity = b""
        self._options: tuple[ServiceOptions, int] | None = None
        self._options_bytes = b""
        self._tail_of: tuple[Destination | None, int, int] | None = None
        self._tail = self._tail_head = b""

    def encode(self, op: TableOp, sequence: int) -> bytes:
        """One operation as one message that the kernel answers only if it fails."""
        return self.encode_all((op,), sequence)

    def encode_all(self, ops: Sequence[TableOp], first: int) -> bytes:
        """Operations as messages with consecutive sequence numbers from `first` on."""
        parts: list[bytes] = []
        append = parts.append
        kind: type[DestinationOp] | None = None
        service: ServiceKey | None = None
        options: Destination | None = None
        port = size = -1
        removal = False
        start = head = tail = b""
        pack = _destination_layout(0, 4, 0)
        for sequence, op in enumerate(ops, first):
            if type(op) is kind:
                key = op.key
                address = key.address
                if (  # nothing differs from the one before but the address
                    op.service is service
                    and (removal or op.destination is options)  # type: ignore[union-attr]
                    and key.port == port
                    and len(address) == size
                ):
                    append(pack(start, sequence, head, address, tail))
                    continue
            elif not isinstance(op, _OF_DESTINATIONS):
                append(self._other(op, sequence))
                continue
            kind, service, port, address = type(op), op.service, op.key.port, op.key.address
            size = len(address)
            removal = isinstance(op, RemoveDestination)
            options = None if removal else op.destination  # type: ignore[union-attr]
            start, head, tail = self._around(kind, service, options, port, size)
            pack = _destination_layout(len(head), size, len(tail))
            append(pack(start, sequence, head, address, tail))
        return b"".join(parts)

    def _named(self, service: ServiceKey) -> bytes:
        """The attributes that name a service; those of the last one are at hand."""
        if service is not self._service:
            self._service, self._identity = service, _identity(service)
        return self._identity

    def _around(
        self,
        kind: type[DestinationOp],
        service: ServiceKey,
        options: Destination | None,
        port: int,
        size: int,
    ) -> tuple[bytes, bytes, bytes]:
        """What stands around sequence and address in a destination's message."""
        if (options, port, size) != self._tail_of:
            tail = _PORT(6, DEST_PORT, port >> 8, port & 255)
            tail += destination_options(4 if size == 4 else 6, options)
            self._tail_of, self._tail = (options, port, size), tail
            self._tail_head = _DEST_HEAD(4 + 20 + len(tail), CMD_DEST | 0x8000, 20, DEST_ADDR)
        tail, identity = self._tail, self._named(service)
        head = (
            _DESTINATION_HEAD(_COMMANDS[kind], IPVS_VERSION, 4 + len(identity), CMD_SERVICE | 0x8000)
            + identity
            + self._tail_head
        )
        return _START(28 + len(head) + len(tail), self.family_id, NLM_F_REQUEST), head, tail

    def _other(self, op: ServiceOp | SetTimeouts | DaemonOp, sequence: int) -> bytes:
        match op:
            case AddService():
                return self._with_options(NEW_SERVICE, op.key, op.options, sequence)
            case SetService():
                return self._with_options(SET_SERVICE, op.key, op.options, sequence)
            case RemoveService(service):
                return message(self.family_id, DEL_SERVICE, service_body(service), sequence)
            case SetTimeouts(timeouts):
                return message(self.family_id, SET_CONFIG, _timeouts_body(timeouts), sequence)
            case StartDaemon(daemon):
                return message(self.family_id, NEW_DAEMON, _daemon_body(daemon), sequence)
            case StopDaemon(state):
                body = attribute(CMD_DAEMON | 0x8000, attribute(DAEMON_STATE, U32.pack(state)))
                return message(self.family_id, DEL_DAEMON, body, sequence)
            case _:
                assert_never(op)

    def _with_options(self, command: int, key: ServiceKey, options: ServiceOptions, sequence: int) -> bytes:
        if (options, key.family) != self._options:
            self._options, self._options_bytes = (options, key.family), _service_options(key.family, options)
        identity, written = self._named(key), self._options_bytes
        size = 4 + len(identity) + len(written)
        head = _SERVICE_HEAD(
            20 + size,
            self.family_id,
            NLM_F_REQUEST,
            sequence,
            command,
            IPVS_VERSION,
            size,
            CMD_SERVICE | 0x8000,
        )
        return head + identity + written


_PORT = Struct("=HHBBxx").pack
_OF_DESTINATIONS = (AddDestination, SetDestination, RemoveDestination)
_COMMANDS: dict[type[DestinationOp], int] = {
    AddDestination: NEW_DEST,
    SetDestination: SET_DEST,
    RemoveDestination: DEL_DEST,
}
# Headers of netlink and generic netlink, and of the service's nest; the kernel fills in the netlink port.
_SERVICE_HEAD = Struct("=IHHI4x BBxx HH").pack
_START, _DESTINATION_HEAD = Struct("=IHH").pack, Struct("=4x BBxx HH").pack
_DEST_HEAD = Struct("=HHHH").pack


def _daemon_body(daemon: SyncDaemon) -> bytes:
    """Everything that ip_vs_genl_new_daemon reads; the port is in host order, unlike others."""
    group = DAEMON_GROUP if len(daemon.group) == 4 else DAEMON_GROUP6
    nested = (
        attribute(DAEMON_STATE, U32.pack(daemon.state))
        + attribute(DAEMON_IFN, daemon.device.encode() + b"\0")
        + attribute(DAEMON_SYNC_ID, U32.pack(daemon.sync_id))
        + attribute(DAEMON_MAXLEN, U16.pack(daemon.maxlen))
        + attribute(group, daemon.group)
        + attribute(DAEMON_PORT, U16.pack(daemon.port))
        + attribute(DAEMON_TTL, bytes((daemon.ttl,)))
    )
    return attribute(CMD_DAEMON | 0x8000, nested)


def _timeouts_body(timeouts: Timeouts) -> bytes:
    return (
        attribute(CMD_TCP, U32.pack(timeouts.tcp_s))
        + attribute(CMD_TCP_FIN, U32.pack(timeouts.tcpfin_s))
        + attribute(CMD_UDP, U32.pack(timeouts.udp_s))
    )
