"""What the kernel should hold for a configuration; the one place where both vocabularies meet.

Virtual servers that are the identical object as before give the identical `Service` object,
so that what changed is seen by `is`, without looking at 10,000 real servers.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from operator import is_

import msgspec

from lvs.kernel import state
from lvs.kernel.state import (
    Destination,
    DestinationKey,
    KernelState,
    Service,
    ServiceKey,
    ServiceOptions,
    Timeouts,
    Vip,
)
from lvs.model import (
    Config,
    DeviceAddress,
    Forwarding,
    Protocol,
    RealServer,
    SchedulerFlag,
    Tunnel,
    TunnelChecksum,
    TunnelType,
    VirtualServer,
)

_PROTOCOL = {Protocol.TCP: state.TCP, Protocol.UDP: state.UDP, Protocol.SCTP: state.SCTP}
_FORWARDING = {
    Forwarding.MASQUERADING: state.MASQ,
    Forwarding.DIRECT_ROUTING: state.ROUTE,
    Forwarding.TUNNELING: state.TUNNEL,
}
_TUNNEL = {TunnelType.IPIP: state.IPIP, TunnelType.GUE: state.GUE, TunnelType.GRE: state.GRE}
_CHECKSUM = {
    TunnelChecksum.NONE: state.NOCSUM,
    TunnelChecksum.FULL: state.CSUM,
    TunnelChecksum.REMOTE: state.REMCSUM,
}
_FLAG = {
    SchedulerFlag.ONE_PACKET: state.ONE_PACKET,
    SchedulerFlag.SH_FALLBACK: state.SCHED1,
    SchedulerFlag.SH_PORT: state.SCHED2,
    SchedulerFlag.MH_FALLBACK: state.SCHED1,
    SchedulerFlag.MH_PORT: state.SCHED2,
}


class Part(msgspec.Struct, frozen=True):
    """What one active virtual server adds to the whole."""

    virtual_server: VirtualServer
    key: ServiceKey
    vip: Vip | None
    modules: tuple[str, ...]
    masqueraded: int | None  # the family whose packets are, 0 if a firewall mark does not tell


class Desired(msgspec.Struct, frozen=True):
    """The state, and which virtual servers each service stands for."""

    state: KernelState
    origin: dict[ServiceKey, tuple[VirtualServer, ...]]  # several for a shared firewall mark
    parts: tuple[Part, ...] = ()  # in the configuration's order


NOTHING = Desired(KernelState(), {})


def desired(config: Config, before: Desired = NOTHING) -> Desired:
    """What the kernel should hold; `before` is the last answer, reused where nothing changed."""
    parts = _parts(config, before)
    grouped: dict[ServiceKey, tuple[VirtualServer, ...]] = {}
    for part in parts:
        others = grouped.get(part.key, ())
        grouped[part.key] = (*others, part.virtual_server) if others else (part.virtual_server,)
    services = {}
    for key, virtual_servers in grouped.items():
        last = before.origin.get(key, ())
        same = len(last) == len(virtual_servers) and all(map(is_, last, virtual_servers))
        services[key] = before.state.services[key] if same else service(key, virtual_servers)
    held_vips = tuple(_vips(config, parts))
    held = KernelState(
        services=services,
        vips=frozenset(held_vips),
        timeouts=Timeouts(
            config.kernel.tcp_timeout_s, config.kernel.tcpfin_timeout_s, config.kernel.udp_timeout_s
        ),
        sysctls=_sysctls(config, parts, held_vips),
        modules=frozenset(_modules(parts)),
    )
    return Desired(held, grouped, parts)


def _parts(config: Config, before: Desired = NOTHING) -> tuple[Part, ...]:
    known = {id(part.virtual_server): part for part in before.parts}
    return tuple(
        [
            known.get(id(virtual_server)) or _part(virtual_server)
            for virtual_server in config.virtual_servers
            if virtual_server.active
        ]
    )


def _part(virtual_server: VirtualServer) -> Part:
    names = ["ip_vs", f"ip_vs_{virtual_server.scheduler.value}"]
    if virtual_server.persistence is not None and virtual_server.persistence.engine is not None:
        names.append(f"ip_vs_pe_{virtual_server.persistence.engine.value}")
    vip = None if virtual_server.vip is None else _vip(virtual_server.vip)
    masqueraded = None
    if virtual_server.forwarding is Forwarding.MASQUERADING:
        masqueraded = 0 if virtual_server.address is None else virtual_server.address.version
    return Part(virtual_server, service_key(virtual_server), vip, tuple(names), masqueraded)


def service_key(virtual_server: VirtualServer) -> ServiceKey:
    """The identity in the kernel of an active virtual server."""
    address = virtual_server.address
    family = 6 if address is not None and address.version == 6 else 4
    if virtual_server.fwmark or address is None:
        return ServiceKey(family, 0, b"", 0, virtual_server.fwmark)
    return ServiceKey(family, _PROTOCOL[virtual_server.protocol], address.packed, virtual_server.port, 0)


def service(key: ServiceKey, virtual_servers: tuple[VirtualServer, ...]) -> Service:
    """One service; virtual servers that share a firewall mark agree on its options."""
    destinations: dict[DestinationKey, Destination] = {}
    for virtual_server in virtual_servers:
        options_of: dict[tuple[int, int, int], Destination] = {}
        for real_server in virtual_server.real_servers:
            if real_server.active:
                destination_key = destination_of(virtual_server, real_server)
                kind = (real_server.weight, real_server.upper_threshold, real_server.lower_threshold)
                if kind not in options_of:
                    options_of[kind] = _destination(virtual_server, real_server)
                destinations.setdefault(destination_key, options_of[kind])
    return Service(_options(key, virtual_servers[0]), destinations)


def destination_of(virtual_server: VirtualServer, real_server: RealServer) -> DestinationKey:
    """A real server's identity within its service.

    A firewall mark has no port of its own: port 0 keeps each packet's, unless masquerading is
    told another one (`ip_vs_conn_new` takes dport from the destination, or the packet's if 0).
    """
    port = real_server.port
    translated = virtual_server.forwarding is Forwarding.MASQUERADING and port != virtual_server.port
    if virtual_server.fwmark and not translated:
        port = 0
    return DestinationKey(real_server.address.packed, port)


def _destination(virtual_server: VirtualServer, real_server: RealServer) -> Destination:
    tunneled = virtual_server.forwarding is Forwarding.TUNNELING
    tunnel = virtual_server.tunnel if tunneled else Tunnel()
    return Destination(
        forwarding=_FORWARDING[virtual_server.forwarding],
        weight=real_server.weight,
        upper_threshold=real_server.upper_threshold,
        lower_threshold=real_server.lower_threshold,
        tunnel_type=_TUNNEL[tunnel.type],
        tunnel_port=tunnel.port,
        tunnel_flags=_CHECKSUM[tunnel.checksum],
    )


def _options(key: ServiceKey, virtual_server: VirtualServer) -> ServiceOptions:
    flags = 0
    for flag in virtual_server.scheduler_flags:
        flags |= _FLAG[flag]
    prefix = 128 if key.family == 6 else 32
    timeout_s, engine = 0, ""
    if virtual_server.persistence is not None:
        flags |= state.PERSISTENT
        timeout_s = virtual_server.persistence.timeout_s
        prefix = prefix if virtual_server.persistence.prefix is None else virtual_server.persistence.prefix
        engine = virtual_server.persistence.engine or ""
    netmask = prefix if key.family == 6 else (0xFFFFFFFF << (32 - prefix)) & 0xFFFFFFFF
    return ServiceOptions(virtual_server.scheduler.value, flags, timeout_s, netmask, str(engine))


def vips(config: Config) -> Iterator[Vip]:
    """Addresses to hold: each VIP once, as the first active virtual server has it, and the NAT router."""
    return _vips(config, _parts(config))


def _vips(config: Config, parts: tuple[Part, ...]) -> Iterator[Vip]:
    held: set[bytes] = set()
    for part in parts:
        if part.vip is not None and part.vip.address not in held:
            held.add(part.vip.address)
            yield part.vip
    if config.nat_router is not None and any(part.masqueraded is not None for part in parts):
        yield _vip(config.nat_router)


def _vip(held: DeviceAddress) -> Vip:
    whole = 32 if held.address.version == 4 else 128
    prefix = whole if held.prefix is None else held.prefix
    return Vip(held.device, held.address.packed, prefix, held.label or "")


def sysctls(config: Config) -> dict[str, str]:
    """Kernel settings that the configuration needs, by sysctl(8) name; docs/kernel.md says why."""
    parts = _parts(config)
    return _sysctls(config, parts, tuple(_vips(config, parts)))


def _sysctls(config: Config, parts: tuple[Part, ...], held: tuple[Vip, ...]) -> dict[str, str]:
    kernel = config.kernel
    names = {
        "net/ipv4/vs/expire_nodest_conn": str(int(kernel.expire_nodest_conn)),
        "net/ipv4/vs/expire_quiescent_template": str(int(kernel.expire_quiescent_template)),
        "net/ipv4/vs/conn_reuse_mode": str(kernel.conn_reuse_mode),
        "net/ipv4/vs/conntrack": str(int(kernel.conntrack)),
    }
    masqueraded = {part.masqueraded for part in parts}
    if 4 in masqueraded:
        names["net/ipv4/ip_forward"] = "1"
    if 6 in masqueraded:
        names["net/ipv6/conf/all/forwarding"] = "1"
    # Without it the kernel drops every other address of a subnet with the first one (ip-sysctl).
    devices = sorted({vip.device for vip in held if len(vip.address) == 4})
    names.update((f"net/ipv4/conf/{device}/promote_secondaries", "1") for device in devices)
    return names


def modules(config: Config) -> Iterator[str]:
    """Kernel modules that the configuration needs."""
    return _modules(_parts(config))


def _modules(parts: tuple[Part, ...]) -> Iterator[str]:
    return chain.from_iterable(part.modules for part in parts)
