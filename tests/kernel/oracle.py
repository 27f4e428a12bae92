"""IPVS messages as others see them: decoded by pyroute2, and written as Linux 6.12 writes them.

pyroute2 0.9.7 is independent of ours and right on what it decodes, but for these, each of
which is worked around where it is met below:

- IPVS_SVC_ATTR_NETMASK is always an IPv4 address; IPv6's prefix length is a number in host order.
- IPVS_DEST_ATTR_TUN_PORT is in host order; the kernel's is big-endian (nla_get_be16).
- the three timeouts are hexadecimal text.
- a sync daemon is hexadecimal text as a whole; here its attributes are given (ip_vs.h).
- the answer to IPVS_CMD_GET_INFO is decoded as if its attributes were those of a command.
"""

from __future__ import annotations

import struct
import sys
from ipaddress import IPv4Address, ip_address
from socket import AF_INET, AF_INET6, htons
from typing import Any

from pyroute2.netlink import genlmsg, nla
from pyroute2.netlink.generic.ipvs import ipvsmsg

from lvs.kernel import wire
from lvs.kernel.state import (
    AddDestination,
    AddService,
    Destination,
    DestinationKey,
    RemoveDestination,
    RemoveService,
    ServiceKey,
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

FAMILY_ID = 0x1E


def family_of(value: int) -> int:
    return {int(AF_INET): 4, int(AF_INET6): 6}[value]


def oracle_service_key(service: Any) -> ServiceKey:
    family = family_of(service.get_attr("IPVS_SVC_ATTR_AF"))
    mark = service.get_attr("IPVS_SVC_ATTR_FWMARK")
    if mark is not None:
        return ServiceKey(family, 0, b"", 0, mark)
    return ServiceKey(
        family,
        service.get_attr("IPVS_SVC_ATTR_PROTOCOL"),
        ip_address(service.get_attr("IPVS_SVC_ATTR_ADDR")).packed,
        service.get_attr("IPVS_SVC_ATTR_PORT"),
        0,
    )


def oracle_service_options(service: Any) -> ServiceOptions:
    flags = service.get_attr("IPVS_SVC_ATTR_FLAGS")
    assert flags["mask"] == 0xFFFFFFFF
    netmask = IPv4Address(service.get_attr("IPVS_SVC_ATTR_NETMASK"))
    ipv6 = service.get_attr("IPVS_SVC_ATTR_AF") == AF_INET6
    return ServiceOptions(
        scheduler=service.get_attr("IPVS_SVC_ATTR_SCHED_NAME"),
        flags=flags["flags"],
        timeout_s=service.get_attr("IPVS_SVC_ATTR_TIMEOUT"),
        netmask=int.from_bytes(netmask.packed, sys.byteorder) if ipv6 else int(netmask),
        engine=service.get_attr("IPVS_SVC_ATTR_PE_NAME") or "",
    )


def oracle_destination_key(destination: Any) -> DestinationKey:
    address = ip_address(destination.get_attr("IPVS_DEST_ATTR_ADDR"))
    assert family_of(destination.get_attr("IPVS_DEST_ATTR_ADDR_FAMILY")) == address.version
    return DestinationKey(address.packed, destination.get_attr("IPVS_DEST_ATTR_PORT"))


def oracle_destination(destination: Any) -> Destination:
    return Destination(
        forwarding=destination.get_attr("IPVS_DEST_ATTR_FWD_METHOD"),
        weight=destination.get_attr("IPVS_DEST_ATTR_WEIGHT"),
        upper_threshold=destination.get_attr("IPVS_DEST_ATTR_U_THRESH"),
        lower_threshold=destination.get_attr("IPVS_DEST_ATTR_L_THRESH"),
        tunnel_type=destination.get_attr("IPVS_DEST_ATTR_TUN_TYPE")
        or 0,  # left out: 0, as the kernel takes it
        tunnel_port=htons(destination.get_attr("IPVS_DEST_ATTR_TUN_PORT") or 0),
        tunnel_flags=destination.get_attr("IPVS_DEST_ATTR_TUN_FLAGS") or 0,
    )


class DaemonMessage(genlmsg):  # type: ignore[misc]
    """IPVS_DAEMON_ATTR_*, include/uapi/linux/ip_vs.h, read by pyroute2."""

    nla_map = tuple((name, "daemon" if name.endswith("DAEMON") else "hex") for name, *_ in ipvsmsg.nla_map)

    class daemon(nla):  # type: ignore[misc]  # noqa: N801
        nla_map = (
            ("UNSPEC", "none"),
            ("STATE", "uint32"),
            ("MCAST_IFN", "asciiz"),
            ("SYNC_ID", "uint32"),
            ("SYNC_MAXLEN", "uint16"),
            ("MCAST_GROUP", "ip4addr"),
            ("MCAST_GROUP6", "ip6addr"),
            ("MCAST_PORT", "uint16"),
            ("MCAST_TTL", "uint8"),
        )


def oracle_daemon_op(encoded: bytes) -> StartDaemon | StopDaemon:
    message = DaemonMessage(encoded)
    message.decode()
    given = message.get_attr("IPVS_CMD_ATTR_DAEMON")
    if message["cmd"] == 10:
        assert [name for name, _ in given["attrs"]] == ["STATE"]
        return StopDaemon(given.get_attr("STATE"))
    group = given.get_attr("MCAST_GROUP") or given.get_attr("MCAST_GROUP6")
    return StartDaemon(
        SyncDaemon(
            given.get_attr("STATE"),
            given.get_attr("MCAST_IFN"),
            given.get_attr("SYNC_ID"),
            given.get_attr("SYNC_MAXLEN"),
            ip_address(group).packed,
            given.get_attr("MCAST_PORT"),
            given.get_attr("MCAST_TTL"),
        )
    )


def oracle_op(encoded: bytes) -> TableOp:
    """The operation that pyroute2 sees in a message."""
    message = ipvsmsg(encoded)
    message.decode()
    command, service = message["cmd"], message.get_attr("IPVS_CMD_ATTR_SERVICE")
    if command in (9, 10):
        return oracle_daemon_op(encoded)
    if command == 12:
        hexes = [
            message.get_attr(f"IPVS_CMD_ATTR_TIMEOUT_{name}").replace(":", "")
            for name in ("TCP", "TCP_FIN", "UDP")
        ]
        return SetTimeouts(Timeouts(*(int.from_bytes(bytes.fromhex(h), sys.byteorder) for h in hexes)))
    key = oracle_service_key(service)
    match command:
        case 1:
            return AddService(key, oracle_service_options(service))
        case 2:
            return SetService(key, oracle_service_options(service))
        case 3:
            assert service.get_attr("IPVS_SVC_ATTR_SCHED_NAME") is None
            return RemoveService(key)
    destination = message.get_attr("IPVS_CMD_ATTR_DEST")
    match command:
        case 5:
            return AddDestination(key, oracle_destination_key(destination), oracle_destination(destination))
        case 6:
            return SetDestination(key, oracle_destination_key(destination), oracle_destination(destination))
        case 7:
            assert destination.get_attr("IPVS_DEST_ATTR_WEIGHT") is None
            return RemoveDestination(key, oracle_destination_key(destination))
    raise AssertionError(command)


# As pyroute2 writes


def of_pyroute2(name: str, attributes: list[tuple[str, Any]]) -> bytes:
    made = ipvsmsg()
    made["cmd"], made["version"] = 1, 1
    made["header"]["type"], made["header"]["sequence_number"] = FAMILY_ID, 1
    made["attrs"] = [(f"IPVS_CMD_ATTR_{name}", {"attrs": attributes})]
    made.encode()
    return bytes(made.data)


def address_of(packed: bytes) -> tuple[int, str]:
    return AF_INET if len(packed) == 4 else AF_INET6, str(ip_address(packed))


# As the kernel writes


def attribute(kind: int, payload: bytes) -> bytes:
    """nla_put."""
    return struct.pack("=HH", 4 + len(payload), kind) + payload + bytes(-len(payload) % 4)


def u16(value: int) -> bytes:
    return struct.pack("=H", value)


def u32(value: int) -> bytes:
    return struct.pack("=I", value)


def be16(value: int) -> bytes:
    return struct.pack(">H", value)


def stats(number: int) -> bytes:
    """ip_vs_genl_fill_stats64: ten counters, padded to eight bytes on some machines, not on others."""
    return b"".join(attribute(kind, struct.pack("=Q", number * kind)) for kind in range(1, 11))


def fill_service(key: ServiceKey, options: ServiceOptions, traffic: int = 9) -> bytes:
    """ip_vs_genl_fill_service: HASHED is set, and addresses take 16 bytes."""
    body = attribute(1, u16(AF_INET if key.family == 4 else AF_INET6))
    if key.fwmark:
        body += attribute(5, u32(key.fwmark))
    else:
        body += attribute(2, u16(key.protocol)) + attribute(3, key.address.ljust(16, b"\0"))
        body += attribute(4, be16(key.port))
    body += attribute(6, options.scheduler.encode() + b"\0")
    if options.engine:
        body += attribute(11, options.engine.encode() + b"\0")
    netmask = struct.pack(">I", options.netmask) if key.family == 4 else u32(options.netmask)
    body += attribute(7, u32(options.flags | 0x2) + u32(0xFFFFFFFF)) + attribute(8, u32(options.timeout_s))
    return body + attribute(9, netmask) + attribute(10, stats(traffic)) + attribute(12, stats(traffic))


def fill_dest(
    key: DestinationKey, destination: Destination, counts: tuple[int, int, int], traffic: int = 9
) -> bytes:
    """ip_vs_genl_fill_dest."""
    return b"".join(
        (
            attribute(1, key.address.ljust(16, b"\0")),
            attribute(2, be16(key.port)),
            attribute(3, u32(destination.forwarding)),
            attribute(4, u32(destination.weight)),
            attribute(13, bytes((destination.tunnel_type,))),
            attribute(14, be16(destination.tunnel_port)),
            attribute(15, u16(destination.tunnel_flags)),
            attribute(5, u32(destination.upper_threshold)),
            attribute(6, u32(destination.lower_threshold)),
            *(attribute(7 + index, u32(count)) for index, count in enumerate(counts)),
            attribute(11, u16(AF_INET if len(key.address) == 4 else AF_INET6)),
            attribute(10, stats(traffic)),
            attribute(12, stats(traffic)),
        )
    )


def fill_daemon(daemon: SyncDaemon) -> bytes:
    """ip_vs_genl_fill_daemon."""
    body = attribute(1, u32(daemon.state)) + attribute(2, daemon.device.encode() + b"\0")
    body += attribute(3, u32(daemon.sync_id)) + attribute(4, u16(daemon.maxlen))
    body += attribute(7, u16(daemon.port)) + attribute(8, bytes((daemon.ttl,)))
    return body + attribute(5 if len(daemon.group) == 4 else 6, daemon.group)


def shuffled(attributes: bytes, order: Any) -> bytes:
    """The same attributes in another order, as another kernel may write them."""
    parts, at = [], 0
    while at < len(attributes):
        size = (struct.unpack_from("=H", attributes, at)[0] + 3) & ~3
        parts.append(attributes[at : at + size])
        at += size
    order.shuffle(parts)
    return b"".join(parts)


def message(command: int, body: bytes, sequence: int = 1, kind: int = FAMILY_ID) -> bytes:
    """A message of a dump (NLM_F_MULTI)."""
    return struct.pack("=IHHIIBBH", 20 + len(body), kind, 2, sequence, 0, command, 1, 0) + body


def end(code: int, sequence: int = 1, kind: int = wire.NLMSG_DONE) -> bytes:
    return struct.pack("=IHHIIi", 20, kind, 2, sequence, 0, -code)


def destination_message(body: bytes, sequence: int = 1, kind: int = FAMILY_ID) -> bytes:
    return message(wire.NEW_DEST, attribute(wire.CMD_DEST, body), sequence, kind)
