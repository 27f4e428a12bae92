"""What the kernel should hold for a configuration; the one place where both vocabularies meet.

Virtual servers that are the identical object as before give the identical `Service` object,
so that what changed is seen by `is`, without looking at 10,000 real servers.

The director that is not active holds no VIP and no NAT router, but the whole table: a takeover is a
matter of addresses, and connections that are shared with it find their real servers. What it leaves out
is a virtual server that forwards to one of the directors as they are, VIP and all (direct routing,
tunnelling): it would balance again what the active one had forwarded to it, and part of that back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address
from itertools import chain
from operator import is_

import msgspec

from lvs.kernel import state
from lvs.kernel.firewall import Port, ruleset
from lvs.kernel.keys import destination_of as destination_of  # noqa: PLC0414  everything imports them from here
from lvs.kernel.keys import service_key as service_key  # noqa: PLC0414
from lvs.kernel.state import (
    Destination,
    DestinationKey,
    KernelState,
    Service,
    ServiceKey,
    ServiceOptions,
    SyncDaemon,
    Timeouts,
    Vip,
)
from lvs.model import (
    Address,
    CheckPath,
    Config,
    DeviceAddress,
    Drain,
    Forwarding,
    Kernel,
    Pair,
    RealServer,
    Role,
    SchedulerFlag,
    Serving,
    Tunnel,
    TunnelChecksum,
    TunnelType,
    VirtualKey,
    VirtualServer,
    key_of,
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


class Outline(msgspec.Struct, frozen=True):
    """What one active virtual server means for all but its own service; hardly an edit changes it."""

    identity: VirtualKey
    key: ServiceKey
    vip: Vip | None
    modules: tuple[str, ...]
    masqueraded: int | None  # the family whose packets are, 0 if a firewall mark does not tell
    through_vip: bool  # its real servers are checked that way
    drain: Drain
    alone: bool  # only the active director has it: a director is among its real servers


class Part(msgspec.Struct, frozen=True):
    """What one active virtual server adds to the whole."""

    virtual_server: VirtualServer
    outline: Outline
    real_servers: int  # those that are active


class Common(msgspec.Struct, frozen=True):
    """What all outlines together ask of the kernel."""

    vips: frozenset[Vip] = frozenset()
    modules: frozenset[str] = frozenset()
    masqueraded: frozenset[int] = frozenset()  # families whose packets are
    through_vip: bool = False  # some virtual server is checked that way
    checked_on: frozenset[str] = frozenset()  # devices with VIPs that are
    some_stay: bool = False  # clients of some virtual server stay while it drains
    alone: frozenset[ServiceKey] = frozenset()  # services that only the active director has


class Desired(msgspec.Struct, frozen=True):
    """The state, and which virtual servers each service stands for."""

    state: KernelState
    origin: dict[ServiceKey, tuple[VirtualServer, ...]]  # several for a shared firewall mark
    parts: tuple[Part, ...] = ()  # in the configuration's order
    serving: Mapping[VirtualKey, Serving] = {}  # who serves; without an entry: all as configured
    services: dict[ServiceKey, Service] = {}  # those of the state that virtual servers stand behind
    common: Common = Common()
    own: frozenset[int] = frozenset()  # the directors' own addresses that `parts` was made with
    active: bool = True
    walled: tuple[Config | None, frozenset[Port] | None] = (None, None)  # what the firewall was made of


NOTHING = Desired(KernelState(), {})

# How connections are shared (ip_vs_sync_conn_needed, ip_vs_sync.c); docs/kernel.md gives the reasons.
SHARING = {
    "net/ipv4/vs/sync_version": "1",
    "net/ipv4/vs/sync_threshold": "0 2",
    "net/ipv4/vs/sync_refresh_period": "10",
    "net/ipv4/vs/backup_only": "0",
}


def desired(
    config: Config,
    before: Desired = NOTHING,
    serving: Mapping[VirtualKey, Serving] | None = None,
    role: Role = Role.ACTIVE,
    open_to_all: frozenset[Port] | None = None,
) -> Desired:
    """What the kernel should hold; `before` is the last answer, reused where nothing changed.

    Shape: `open_to_all` is what a firewall leaves open beside what the configuration needs; None: no
    firewall.
    """
    serving = {} if serving is None else serving
    own, active = _own(config.pair), role is Role.ACTIVE
    parts = _parts(config, own, before)
    if _alike(parts, before.parts) and (active is before.active or not before.common.alone):
        stale = _stale(parts, before, serving)
        origin, services, common = dict(before.origin), dict(before.services), before.common
    else:
        stale = {part.outline.key for part in parts}
        origin, services, common = {}, {}, _common(parts)
    for key, group in _groups(parts, stale if active else stale - common.alone).items():
        virtual_servers = origin[key] = tuple([part.virtual_server for part in group])
        last = before.origin.get(key, ())
        same = len(last) == len(virtual_servers) and all(map(is_, last, virtual_servers))
        for part in group:
            identity = part.outline.identity
            same = same and before.serving.get(identity) is serving.get(identity)
        services[key] = before.services[key] if same else _service(key, group, serving)
    ways = dict(_ways(parts, before, serving)) if common.through_vip else {}
    vips = _vips(config, common)
    held = KernelState(
        services={**services, **ways} if ways else services,
        vips=vips if active else frozenset(),
        timeouts=Timeouts(
            config.kernel.tcp_timeout_s, config.kernel.tcpfin_timeout_s, config.kernel.udp_timeout_s
        ),
        sysctls=_sysctls(config, common, vips, leave=_leave(config.kernel, common, parts, serving)),
        modules=common.modules,
        daemons=frozenset(_daemons(config.pair, role)),
        barred=frozenset() if active else _barred(vips, parts),
        firewall=_firewall(config, before, open_to_all),
    )
    return Desired(held, origin, parts, serving, services, common, own, active, (config, open_to_all))


def _firewall(config: Config, before: Desired, open_to_all: frozenset[Port] | None) -> str:
    """The same for both roles: what is not here is not asked for, and a takeover has nothing to wait for."""
    if open_to_all is None:
        return ""
    known, opened = before.walled
    return (
        before.state.firewall if known is config and opened == open_to_all else ruleset(config, open_to_all)
    )


def alone(goal: Desired) -> frozenset[ServiceKey]:
    """The services that only the active director has."""
    return goal.common.alone


def _barred(held: frozenset[Vip], parts: tuple[Part, ...]) -> frozenset[tuple[str, bytes]]:
    """Where a VIP would be one too many on a director that is not active.

    A real server for direct routing has its VIPs, and a director that is one may, too.
    """
    outlines = [part.outline for part in parts]
    real = {one.vip.address for one in outlines if one.alone and one.vip is not None}
    return frozenset((vip.device, vip.address) for vip in held if vip.address not in real)


def _own(pair: Pair) -> frozenset[int]:
    """The addresses of two directors as numbers; none of one that runs alone."""
    addresses = (pair.primary, pair.primary_private, pair.backup, pair.backup_private)
    return frozenset(_number(one) for one in addresses if one is not None and pair.backup_active)


def _number(address: Address) -> int:
    """An address as a number that no address of the other family shares; hashed faster than itself."""
    return int(address) if type(address) is IPv4Address else int(address) + (1 << 128)


def _parts(config: Config, own: frozenset[int], before: Desired) -> tuple[Part, ...]:
    """One for each active virtual server; of one that is the identical object, the identical part.

    The outline is the identical object, too, if it is equal to that in the same place before.
    """
    known = {id(part.virtual_server): part for part in before.parts} if own == before.own else {}
    active = [virtual_server for virtual_server in config.virtual_servers if virtual_server.active]
    parts = [known.get(id(virtual_server)) for virtual_server in active]
    return tuple(
        [
            part or _part(virtual_server, own, before.parts[index] if index < len(before.parts) else None)
            for index, (part, virtual_server) in enumerate(zip(parts, active, strict=True))
        ]
    )


def _part(virtual_server: VirtualServer, own: frozenset[int], before: Part | None) -> Part:
    names = ["ip_vs", f"ip_vs_{virtual_server.scheduler.value}"]
    if virtual_server.persistence is not None and virtual_server.persistence.engine is not None:
        names.append(f"ip_vs_pe_{virtual_server.persistence.engine.value}")
    vip = None if virtual_server.vip is None else _vip(virtual_server.vip)
    masqueraded = None
    if virtual_server.forwarding is Forwarding.MASQUERADING:
        masqueraded = 0 if virtual_server.address is None else virtual_server.address.version
    outline = Outline(
        key_of(virtual_server),
        service_key(virtual_server),
        vip,
        tuple(names),
        masqueraded,
        virtual_server.checking.path is CheckPath.VIP,
        virtual_server.drain,
        bool(own) and _forwards_to(virtual_server, own),
    )
    if before is not None and before.outline == outline:
        outline = before.outline
    return Part(virtual_server, outline, sum([one.active for one in virtual_server.real_servers]))


def _forwards_to(virtual_server: VirtualServer, own: frozenset[int]) -> bool:
    """Whether one of these addresses gets its packets as they are; masquerading changes the VIP."""
    if virtual_server.forwarding is Forwarding.MASQUERADING:
        return False
    sorry = virtual_server.sorry_server
    return (sorry is not None and _number(sorry) in own) or any(
        [one.active and _number(one.address) in own for one in virtual_server.real_servers]  # noqa: C419
    )


def _alike(parts: tuple[Part, ...], before: tuple[Part, ...]) -> bool:
    """Whether the outlines are the same ones, in the same places."""
    return len(parts) == len(before) and all(
        map(is_, [part.outline for part in parts], [part.outline for part in before])
    )


def _stale(
    parts: tuple[Part, ...], before: Desired, serving: Mapping[VirtualKey, Serving]
) -> set[ServiceKey]:
    """Services, of the same outlines as before, that may have changed."""
    stale = {part.outline.key for part, old in zip(parts, before.parts, strict=True) if part is not old}
    if serving is not before.serving:
        now, then = serving.get, before.serving.get
        outlines = [part.outline for part in parts]
        stale.update([one.key for one in outlines if now(one.identity) is not then(one.identity)])
    return stale


def _groups(parts: tuple[Part, ...], keys: set[ServiceKey]) -> dict[ServiceKey, list[Part]]:
    """The parts that make up each of these services."""
    grouped: dict[ServiceKey, list[Part]] = {}
    for part in parts:
        if part.outline.key in keys:
            grouped.setdefault(part.outline.key, []).append(part)
    return grouped


def _service(key: ServiceKey, group: list[Part], serving: Mapping[VirtualKey, Serving]) -> Service:
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


def _ways(
    parts: tuple[Part, ...], before: Desired, serving: Mapping[VirtualKey, Serving]
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
            held = before.state.services.get(key)
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


def _common(parts: tuple[Part, ...]) -> Common:
    outlines = [part.outline for part in parts]
    vips: dict[bytes, Vip] = {}  # each VIP once, as the first active virtual server has it
    for one in outlines:
        if one.vip is not None:
            vips.setdefault(one.vip.address, one.vip)
    return Common(
        vips=frozenset(vips.values()),
        modules=frozenset(chain.from_iterable([one.modules for one in outlines])),
        masqueraded=frozenset([one.masqueraded for one in outlines if one.masqueraded is not None]),
        through_vip=any([one.through_vip for one in outlines]),  # noqa: C419  a list is faster
        checked_on=frozenset([one.vip.device for one in outlines if one.through_vip and one.vip is not None]),
        alone=frozenset([one.key for one in outlines if one.alone]),
        some_stay=any([one.drain is Drain.STAY for one in outlines]),  # noqa: C419
    )


def _vips(config: Config, common: Common) -> frozenset[Vip]:
    """Addresses to hold: the VIPs, and the NAT router."""
    if config.nat_router is None or not common.masqueraded:
        return common.vips
    return common.vips | {_vip(config.nat_router)}


def _vip(held: DeviceAddress) -> Vip:
    whole = 32 if held.address.version == 4 else 128
    prefix = whole if held.prefix is None else held.prefix
    return Vip(held.device, held.address.packed, prefix, held.label or "")


def _daemons(pair: Pair, role: Role) -> Iterator[SyncDaemon]:
    """The active director tells the other one of its connections."""
    if not (pair.syncdaemon and pair.backup_active):
        return
    kind = state.MASTER if role is Role.ACTIVE else state.BACKUP
    group = pair.syncd_group.packed
    maxlen = state.SYNC_MAXLEN[len(group)] if pair.syncd_maxlen is None else pair.syncd_maxlen
    if kind == state.BACKUP:
        maxlen = max(maxlen, 1024)  # the kernel takes no smaller buffer to receive (start_sync_thread)
    yield SyncDaemon(kind, pair.syncd_iface, pair.syncd_id, maxlen, group, pair.syncd_port, pair.syncd_ttl)


def _leave(
    kernel: Kernel, common: Common, parts: tuple[Part, ...], serving: Mapping[VirtualKey, Serving]
) -> bool:
    """Whether persistent clients leave a real server of weight 0.

    The kernel knows one answer for all services: they may stay while nobody but virtual servers
    whose `drain` says so has a real server of weight 0.
    """
    if not (kernel.expire_quiescent_template and common.some_stay):
        return kernel.expire_quiescent_template
    idle = {
        part.outline.drain
        for part in parts
        if (serves := serving.get(part.outline.identity)) is not None and 0 in serves.weights
    }
    return idle != {Drain.STAY}


def _sysctls(config: Config, common: Common, vips: frozenset[Vip], *, leave: bool) -> dict[str, str]:
    """Kernel settings that are needed, by sysctl(8) name; docs/kernel.md says why."""
    kernel = config.kernel
    names = {
        "net/ipv4/vs/expire_nodest_conn": str(int(kernel.expire_nodest_conn)),
        "net/ipv4/vs/expire_quiescent_template": str(int(leave)),
        "net/ipv4/vs/conn_reuse_mode": str(kernel.conn_reuse_mode),
        "net/ipv4/vs/conntrack": str(int(kernel.conntrack)),
    }
    if config.pair.syncdaemon and config.pair.backup_active:
        names |= SHARING
    if 4 in common.masqueraded:
        names["net/ipv4/ip_forward"] = "1"
    if 6 in common.masqueraded:
        names["net/ipv6/conf/all/forwarding"] = "1"
    # Without it the kernel drops every other address of a subnet with the first one (ip-sysctl).
    devices = sorted({vip.device for vip in vips if len(vip.address) == 4})
    names.update((f"net/ipv4/conf/{device}/promote_secondaries", "1") for device in devices)
    # The answer to a check through the VIP comes from an address that is our own: martian otherwise.
    names.update((f"net/ipv4/conf/{device}/accept_local", "1") for device in sorted(common.checked_on))
    return names
