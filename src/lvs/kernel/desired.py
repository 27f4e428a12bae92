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
from operator import is_

import msgspec

from lvs.kernel import state
from lvs.kernel.firewall import Port, ruleset
from lvs.kernel.outline import Common, Part, in_common, outlined, own_addresses, vip_of
from lvs.kernel.service import service_of, ways_for_checks
from lvs.kernel.state import KernelState, Service, ServiceKey, SyncDaemon, Timeouts, Vip
from lvs.model import Config, Drain, Kernel, Pair, Role, Serving, VirtualKey, VirtualServer


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
    own, active = own_addresses(config.pair), role is Role.ACTIVE
    parts = outlined(config, own, before.parts, before.own)
    if _alike(parts, before.parts) and (active is before.active or not before.common.alone):
        stale = _stale(parts, before, serving)
        origin, services, common = dict(before.origin), dict(before.services), before.common
    else:
        stale = {part.outline.key for part in parts}
        origin, services, common = {}, {}, in_common(parts)
    for key, group in _groups(parts, stale if active else stale - common.alone).items():
        virtual_servers = origin[key] = tuple([part.virtual_server for part in group])
        last = before.origin.get(key, ())
        same = len(last) == len(virtual_servers) and all(map(is_, last, virtual_servers))
        for part in group:
            identity = part.outline.identity
            same = same and before.serving.get(identity) is serving.get(identity)
        services[key] = before.services[key] if same else service_of(key, group, serving)
    ways = dict(ways_for_checks(parts, before.state.services, serving)) if common.through_vip else {}
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


def _barred(held: frozenset[Vip], parts: tuple[Part, ...]) -> frozenset[Vip]:
    """What would be one too many on a director that is not active.

    A real server for direct routing has its VIPs, and a director that is one may, too.
    """
    outlines = [part.outline for part in parts]
    real = {one.vip.address for one in outlines if one.alone and one.vip is not None}
    return frozenset(vip for vip in held if vip.address not in real)


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


def _vips(config: Config, common: Common) -> frozenset[Vip]:
    """Addresses to hold: the VIPs, and the NAT router."""
    if config.nat_router is None or not common.masqueraded:
        return common.vips
    return common.vips | {vip_of(config.nat_router)}


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
