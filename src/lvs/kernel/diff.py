"""From what the kernel holds to what it should hold, in an order that never stops service.

Order: give up VIPs, load modules, set sysctls, timeouts and the firewall, add and change services, take
VIPs, stop and start sync daemons, remove services. A held VIP always has its services, and a run that
stopped halfway can be started again. Within a service, destinations are added and changed before others
are removed, so that it is never empty on the way.

A VIP that only moves (to another device, prefix or label) stays where it is during the work on
the table. It is taken at its new place before it is dropped at the old one, and so held throughout,
except where the kernel sees one place in both; then the drop stands right before its take.

Connections are received from the other director until the VIPs are here, and sent to it while it takes
them: a sync daemon changes when the VIPs have.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from lvs.kernel.state import (
    AddDestination,
    AddService,
    DropVip,
    KernelState,
    LoadModule,
    Op,
    RemoveDestination,
    RemoveService,
    Service,
    ServiceKey,
    SetDestination,
    SetFirewall,
    SetService,
    SetSysctl,
    SetTimeouts,
    StartDaemon,
    StopDaemon,
    SyncDaemon,
    SystemOp,
    TableOp,
    TakeVip,
    Timeouts,
    Vip,
)


def diff(actual: KernelState, desired: KernelState) -> tuple[Op, ...]:
    """The operations that lead from `actual` to `desired`, in a safe order.

    Shape: `actual` holds what is ours or wanted; what else the kernel has must not be in it.
    Timeouts of 0 and sysctls that are not named in `desired` are left as they are.
    """
    drops, takes = sorted(actual.vips - desired.vips), sorted(desired.vips - actual.vips)
    staying = {vip.address for vip in desired.vips} if drops else set()
    return (
        *(DropVip(vip) for vip in drops if vip.address not in staying),
        *settings(actual, desired),
        *changes(actual.services, desired.services),
        *_moves([vip for vip in drops if vip.address in staying], takes),
        *daemons(actual.daemons, desired.daemons),
        *removals(actual.services, desired.services),
    )


def _moves(drops: list[Vip], takes: list[Vip]) -> Iterator[SystemOp]:
    """VIPs to take, and to drop where they stood before."""
    in_the_way = {_place(vip): vip for vip in drops}
    swaps = {vip: in_the_way.pop(_place(vip)) for vip in takes if _place(vip) in in_the_way}
    yield from (TakeVip(vip) for vip in takes if vip not in swaps)
    for vip, before in reversed(swaps.items()):  # the first one on a device is the dearest to remove
        yield DropVip(before)
        yield TakeVip(vip)
    yield from (DropVip(vip) for vip in in_the_way.values())


def _place(vip: Vip) -> tuple[str, bytes, int]:
    """What can be on a device once: an IPv4 address with its prefix, an IPv6 address whatever its prefix.

    Source: inet_insert_ifa, net/ipv4/devinet.c; ipv6_add_addr_hash, net/ipv6/addrconf.c.
    """
    return vip.device, vip.address, vip.prefix if len(vip.address) == 4 else 0


def settings(actual: KernelState, desired: KernelState) -> Iterator[Op]:
    """Modules to load, sysctls, timeouts and the firewall to set."""
    for module in sorted(desired.modules - actual.modules):
        yield LoadModule(module)
    for name, value in desired.sysctls.items():
        if actual.sysctls.get(name) != value:
            yield SetSysctl(name, value)
    have, want = actual.timeouts, desired.timeouts
    missing = Timeouts(
        want.tcp_s if want.tcp_s != have.tcp_s else 0,
        want.tcpfin_s if want.tcpfin_s != have.tcpfin_s else 0,
        want.udp_s if want.udp_s != have.udp_s else 0,
    )
    if missing != Timeouts(0, 0, 0):
        yield SetTimeouts(missing)
    if actual.firewall != desired.firewall:
        yield SetFirewall(desired.firewall)


def changes(actual: dict[ServiceKey, Service], desired: dict[ServiceKey, Service]) -> Iterator[TableOp]:
    """Services and destinations to add and change, and destinations to remove from what stays."""
    for key, want in desired.items():
        have = actual.get(key)
        if have is want:
            continue
        if have is None:
            yield AddService(key, want.options)
            for destination_key, destination in want.destinations.items():
                yield AddDestination(key, destination_key, destination)
            continue
        if have.options != want.options:
            yield SetService(key, want.options)
        if have.destinations != want.destinations:
            yield from _destination_changes(key, have, want)


def _destination_changes(key: ServiceKey, have: Service, want: Service) -> Iterator[TableOp]:
    for destination_key, destination in want.destinations.items():
        present = have.destinations.get(destination_key)
        if present is None:
            yield AddDestination(key, destination_key, destination)
        elif present != destination:
            yield SetDestination(key, destination_key, destination)
    for destination_key in have.destinations:
        if destination_key not in want.destinations:
            yield RemoveDestination(key, destination_key)


def daemons(actual: Collection[SyncDaemon], desired: Collection[SyncDaemon]) -> Iterator[TableOp]:
    """Sync daemons to stop and to start; one that is to run otherwise is started anew."""
    yield from (StopDaemon(one.state) for one in sorted(actual) if one not in desired)
    yield from (StartDaemon(one) for one in sorted(desired) if one not in actual)


def removals(actual: Collection[ServiceKey], desired: Collection[ServiceKey]) -> Iterator[TableOp]:
    """Services to remove; the kernel removes their destinations with them."""
    for key in actual:
        if key not in desired:
            yield RemoveService(key)
