"""One service of the kernel: made of the virtual servers that stand behind it, and of who serves in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lvs.kernel import state
from lvs.kernel.keys import destination_of
from lvs.kernel.outline import Part
from lvs.kernel.state import Destination, DestinationKey, Service, ServiceKey, ServiceOptions
from lvs.model import (
    Forwarding,
    RealServer,
    SchedulerFlag,
    Serving,
    Tunnel,
    TunnelChecksum,
    TunnelType,
    VirtualKey,
    VirtualServer,
)

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


def service_of(key: ServiceKey, group: list[Part], serving: Mapping[VirtualKey, Serving]) -> Service:
    """One service; virtual servers that share a firewall mark agree on its options.

    A real server that two of them share serves if it does in both: the mark carries the packets of both.
    """
    destinations: dict[DestinationKey, Destination] = {}
    out: set[DestinationKey] = set()
    for part in group:
        virtual_server, serves = part.virtual_server, serving.get(part.outline.identity)
        options_of: dict[tuple[int, int, int], Destination] = {}
        real_servers = virtual_server.real_servers
        weights = [one.weight for one in real_servers] if serves is None else serves.weights
        for real_server, weight in zip(real_servers, weights, strict=True):
            if not real_server.active:
                continue
            destination_key = destination_of(virtual_server, real_server)
            if weight is None:
                out.add(destination_key)
                continue
            kind = (weight, real_server.upper_threshold, real_server.lower_threshold)
            if kind not in options_of:
                options_of[kind] = _destination(virtual_server, real_server, weight)
            held = destinations.setdefault(destination_key, options_of[kind])
            if not weight and held.weight:
                destinations[destination_key] = options_of[kind]
        if serves is not None and serves.sorry:
            sorry_key, sorry = _sorry_server(virtual_server)
            destinations[sorry_key] = sorry
            out.discard(sorry_key)
    for destination_key in out:
        destinations.pop(destination_key, None)
    return Service(_options(key, group[0].virtual_server), destinations)


def ways_for_checks(
    parts: tuple[Part, ...], before: Mapping[ServiceKey, Service], serving: Mapping[VirtualKey, Serving]
) -> Iterator[tuple[ServiceKey, Service]]:
    """Services by which checks reach one real server through the VIP, as its clients do."""
    for part in parts:
        serves = serving.get(part.outline.identity) if part.outline.through_vip else None
        if serves is None or not serves.marks or part.virtual_server.address is None:
            continue
        virtual_server = part.virtual_server
        family = 4 if part.virtual_server.address.version == 4 else 6
        for mark, real_server in zip(serves.marks, virtual_server.real_servers, strict=True):
            if not mark:
                continue
            key = ServiceKey(family, 0, b"", 0, mark)
            plain = ServiceOptions("rr", 0, 0, 0xFFFFFFFF if family == 4 else 128, "")
            one = Service(
                plain,
                {DestinationKey(real_server.address.packed, 0): _destination(virtual_server, real_server, 1)},
            )
            held = before.get(key)
            yield key, held if held == one else one


def _sorry_server(virtual_server: VirtualServer) -> tuple[DestinationKey, Destination]:
    """Weight 1, the forwarding method of the others, the virtual server's port (lvs.cf section 5.6)."""
    address = virtual_server.sorry_server
    assert address is not None, "no sorry server to serve"
    port = 0 if virtual_server.fwmark else virtual_server.port
    nobody = RealServer(
        "sorry server", address, port, port, active=True, weight=1, upper_threshold=0, lower_threshold=0
    )
    return DestinationKey(address.packed, port), _destination(virtual_server, nobody, 1)


def _destination(virtual_server: VirtualServer, real_server: RealServer, weight: int) -> Destination:
    tunneled = virtual_server.forwarding is Forwarding.TUNNELING
    tunnel = virtual_server.tunnel if tunneled else Tunnel()
    return Destination(
        forwarding=_FORWARDING[virtual_server.forwarding],
        weight=weight,
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
