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
    TableOp,
    Timeouts,
)
from lvs.kernel.wire import (
    AF,
    BE16,
    BE32,
    CMD_DEST,
    CMD_SERVICE,
    CMD_TCP,
    CMD_TCP_FIN,
    CMD_UDP,
    CTRL_ATTR_FAMILY_NAME,
    CTRL_CMD_GETFAMILY,
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
_IDENTITY = Struct("=HHHxx HHHxx HH16s HHBBxx").pack


@lru_cache(maxsize=1 << 14)
def service_identity(key: ServiceKey) -> bytes:
    """The attributes that name a service."""
    if key.fwmark:
        return attribute(SVC_AF, U16.pack(AF[key.family])) + attribute(SVC_FWMARK, U32.pack(key.fwmark))
    family, protocol, address = AF[key.family], key.protocol, key.address
    high, low = key.port >> 8, key.port & 255
    return _IDENTITY(
        6, SVC_AF, family, 6, SVC_PROTOCOL, protocol, 20, SVC_ADDR, address, 6, SVC_PORT, high, low
    )


def service_body(key: ServiceKey, options: ServiceOptions | None = None) -> bytes:
    """Body of a service command; with `options` for NEW and SET, without for DEL and GET_DEST."""
    if options is None:
        identity = service_identity(key)
        return NLATTR.pack(4 + len(identity), CMD_SERVICE | 0x8000) + identity
    full = service_identity(key) + _service_options(key.family, options)
    return NLATTR.pack(4 + len(full), CMD_SERVICE | 0x8000) + full


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
    """What follows address and port in a destination; None: only its family."""
    address_family = attribute(DEST_FAMILY, U16.pack(AF[family]))
    if destination is None:
        return address_family
    return (
        attribute(DEST_FWD, U32.pack(destination.forwarding))
        + attribute(DEST_WEIGHT, U32.pack(destination.weight))
        + attribute(DEST_TUN_TYPE, bytes((destination.tunnel_type,)))
        + attribute(DEST_TUN_PORT, BE16.pack(destination.tunnel_port))
        + attribute(DEST_TUN_FLAGS, U16.pack(destination.tunnel_flags))
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
        attribute(CMD_TCP, U32.pack(timeouts.tcp_s))
        + attribute(CMD_TCP_FIN, U32.pack(timeouts.tcpfin_s))
        + attribute(CMD_UDP, U32.pack(timeouts.udp_s))
    )
