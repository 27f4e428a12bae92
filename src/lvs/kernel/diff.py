"""From what the kernel holds to what it should hold, in an order that never stops service.

Order: give up VIPs, load modules, set sysctls and timeouts, add and change services, take VIPs, remove
services. A held VIP always has its services, and a run that stopped halfway can be started
again. Within a service, destinations are added and changed before others are removed, so
that it is never empty on the way.
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
    SetService,
    SetSysctl,
    SetTimeouts,
    TableOp,
    TakeVip,
    Timeouts,
)


def diff(actual: KernelState, desired: KernelState) -> tuple[Op, ...]:
    """The operations that lead from `actual` to `desired`, in a safe order.

    Shape: `actual` holds what is ours or wanted; what else the kernel has must not be in it.
    Timeouts of 0 and sysctls that are not named in `desired` are left as they are.
    """
    return (
        *(DropVip(vip) for vip in sorted(actual.vips - desired.vips)),
        *settings(actual, desired),
        *changes(actual.services, desired.services),
        *(TakeVip(vip) for vip in sorted(desired.vips - actual.vips)),
        *removals(actual.services, desired.services),
    )


def settings(actual: KernelState, desired: KernelState) -> Iterator[Op]:
    """Modules to load, sysctls and timeouts to set."""
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


def removals(actual: Collection[ServiceKey], desired: Collection[ServiceKey]) -> Iterator[TableOp]:
    """Services to remove; the kernel removes their destinations with them."""
    for key in actual:
        if key not in desired:
            yield RemoveService(key)
