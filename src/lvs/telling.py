"""Operations on the kernel, told in the operator's words as events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from ipaddress import ip_address
from typing import assert_never

from lvs import events
from lvs.events import counted
from lvs.kernel import text
from lvs.kernel.desired import Desired
from lvs.kernel.keys import destination_of
from lvs.kernel.state import (
    AddDestination,
    AddService,
    DestinationKey,
    DropVip,
    LoadModule,
    Op,
    RemoveDestination,
    RemoveService,
    ServiceKey,
    SetDestination,
    SetFirewall,
    SetService,
    SetSysctl,
    SetTimeouts,
    StartDaemon,
    StopDaemon,
    TakeVip,
)

ONE_BY_ONE = 50  # more changes than this at a time are told as one number
MACHINES = 10  # of them the first are named


def told(op: Op, before: Desired, after: Desired, reason: str) -> events.Event:
    """The event for an operation that was carried out on the way from `before` to `after`."""
    line = text.line(op)
    match op:
        case AddService(key):
            name = virtual_server_name(key, after)
            return events.VirtualServerAdded(name, text.service_name(key), line, reason)
        case SetService(key):
            name = virtual_server_name(key, after)
            return events.VirtualServerChanged(name, text.service_name(key), line, reason)
        case RemoveService(key):
            name = virtual_server_name(key, before)
            return events.VirtualServerRemoved(name, text.service_name(key), line, reason)
        case AddDestination(service, key):
            return events.RealServerAdded(*_names(service, key, after), line, reason)
        case SetDestination(service, key):
            return events.RealServerChanged(*_names(service, key, after), line, reason)
        case RemoveDestination(service, key):
            return events.RealServerRemoved(*_names(service, key, before), line, reason)
        case TakeVip(vip):
            return events.VipTaken(text.vip(vip), vip.label or vip.device, line, reason)
        case DropVip(vip):
            return events.VipDropped(text.vip(vip), vip.label or vip.device, line, reason)
        case StartDaemon(daemon):
            return events.SyncStarted(text.DAEMON_NAME[daemon.state], daemon.device, line, reason)
        case StopDaemon(state):
            return events.SyncStopped(text.DAEMON_NAME[state], line, reason)
        case LoadModule() | SetSysctl() | SetTimeouts() | SetFirewall():
            return events.SettingChanged(line, reason)
        case _:
            assert_never(op)


def virtual_server_name(key: ServiceKey, where: Desired) -> str:
    """Name of a virtual server; those that share a firewall mark are joined by commas."""
    names = [virtual_server.name for virtual_server in where.origin.get(key, ())]
    if not names and key in where.state.services:
        return f"{text.service_name(key)} (a way for checks)"
    return ", ".join(names) or text.service_name(key)


def real_server_name(service: ServiceKey, key: DestinationKey, where: Desired) -> str:
    """Name of a real server in a virtual server."""
    address = ip_address(key.address)
    for virtual_server in where.origin.get(service, ()):
        for real_server in virtual_server.real_servers:
            if (
                real_server.active
                and real_server.address == address
                and destination_of(virtual_server, real_server) == key
            ):
                return real_server.name
        if virtual_server.sorry_server == address:
            return "sorry server"
    return text.destination_name(key)


def _names(service: ServiceKey, key: DestinationKey, where: Desired) -> tuple[str, str, str]:
    return (
        virtual_server_name(service, where),
        real_server_name(service, key, where),
        text.destination_name(key),
    )


def moved(told: Sequence[events.RealServerUp | events.RealServerDown]) -> events.RealServersMoved:
    """Many real servers as one event, machine by machine: what most of them share comes first.

    `10.0.0.3 down in 51 virtual servers (refused: connection refused); and 3 more machines`
    """
    machines: dict[tuple[str, str], list[events.RealServerUp | events.RealServerDown]] = {}
    for event in told:
        word = "up" if isinstance(event, events.RealServerUp) else "down"
        machines.setdefault((event.address.rpartition(":")[0], word), []).append(event)
    lines = []
    for (address, word), of in sorted(machines.items(), key=lambda one: -len(one[1]))[:MACHINES]:
        ((code, answer), _), *others = Counter((event.code, event.answer) for event in of).most_common(2)
        where = counted(len({event.virtual_server for event in of}), "virtual server")
        lines.append(f"{address} {word} in {where} ({code}: {answer}{', and others' if others else ''})")
    if len(machines) > MACHINES:
        lines.append(f"and {counted(len(machines) - MACHINES, 'more machine')}")
    up = sum(isinstance(event, events.RealServerUp) for event in told)
    return events.RealServersMoved(up, len(told) - up, "; ".join(lines))


def shortened(ops: tuple[Op, ...], most: int = 5) -> str:
    """A few operations as lines, and how many more there are."""
    lines = [text.line(op) for op in ops[:most]]
    if len(ops) > most:
        lines.append(f"and {len(ops) - most} more")
    return "; ".join(lines)
