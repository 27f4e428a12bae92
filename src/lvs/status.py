"""What `lvsd status` shows: the table of `ipvsadm -Ln`, with names, and why.

`gather` joins what the kernel has with what the configuration means; `table` draws it. Both
are pure; the value between them is also the JSON of `lvsd status --json`, documented in
docs/cli.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from lvs.kernel import text
from lvs.kernel.desired import Desired, destination_of
from lvs.kernel.state import (
    ONE_PACKET,
    PERSISTENT,
    Destination,
    DestinationKey,
    ServiceKey,
    ServiceOptions,
)
from lvs.model import VirtualServer


class Connections(msgspec.Struct, frozen=True):
    """A destination as the kernel has it, with its connections."""

    destination: Destination
    active: int
    inactive: int


class Held(msgspec.Struct, frozen=True):
    """A service as the kernel has it."""

    options: ServiceOptions
    destinations: Mapping[DestinationKey, Connections]


class RealServerStatus(msgspec.Struct, frozen=True):
    name: str  # empty: not ours
    address: str
    forwarding: str
    weight: int
    active_connections: int
    inactive_connections: int
    serving: bool
    reason: str


class VirtualServerStatus(msgspec.Struct, frozen=True):
    name: str
    service: str
    options: str
    vip: str
    serving: bool
    reason: str
    real_servers: tuple[RealServerStatus, ...]


class Status(msgspec.Struct, frozen=True):
    version: str
    file: str
    serial_no: int | None
    digest: str
    state: str
    vips: tuple[str, ...]
    refused: tuple[str, ...]
    virtual_servers: tuple[VirtualServerStatus, ...]


def virtual_servers(goal: Desired, held: Mapping[ServiceKey, Held]) -> Iterator[VirtualServerStatus]:
    """Ours in the configuration's order, then what else is in the table."""
    for key, configured in goal.origin.items():
        yield _ours(key, configured, goal, held.get(key))
    for key, found in held.items():
        if key not in goal.origin:
            rows = [_row("", k, c, "not ours: left alone") for k, c in found.destinations.items()]
            yield VirtualServerStatus(
                name="",
                service=text.service_name(key),
                options=_options(key, found.options),
                vip="",
                serving=True,
                reason="not ours: left alone",
                real_servers=tuple(rows),
            )


def _ours(
    key: ServiceKey, configured: tuple[VirtualServer, ...], goal: Desired, found: Held | None
) -> VirtualServerStatus:
    first = configured[0]
    rows = list(_rows(configured, found))
    serving = found is not None and any(row.serving for row in rows)
    if found is None:
        reason = "not in the kernel"
    elif not rows:
        reason = "no real servers"
    else:
        reason = "serving" if serving else "no real server serves"
    options = found.options if found else goal.state.services[key].options
    return VirtualServerStatus(
        name=", ".join(virtual_server.name for virtual_server in configured),
        service=text.service_name(key),
        options=_options(key, options),
        vip="" if first.vip is None else f"{first.vip.address} {first.vip.label or first.vip.device}",
        serving=serving,
        reason=reason,
        real_servers=tuple(rows),
    )


def _rows(configured: Iterable[VirtualServer], found: Held | None) -> Iterator[RealServerStatus]:
    left = dict(found.destinations) if found else {}
    seen: set[DestinationKey] = set()
    for virtual_server in configured:
        for real_server in virtual_server.real_servers:
            key = destination_of(virtual_server, real_server)
            if real_server.active:
                if key in seen:
                    continue
                seen.add(key)
            held = left.pop(key, None) if real_server.active else None
            if held is not None:
                why = "configured" if held.destination.weight else "weight 0: gets no new connections"
                yield _row(real_server.name, key, held, why)
            else:
                why = "not in the kernel" if real_server.active else "inactive in the configuration"
                yield RealServerStatus(
                    real_server.name, text.destination_name(key), "-", real_server.weight, 0, 0, False, why
                )
    for key, held in left.items():
        yield _row("", key, held, "not configured")


def _row(name: str, key: DestinationKey, held: Connections, why: str) -> RealServerStatus:
    forwarding = held.destination.forwarding
    return RealServerStatus(
        name=name,
        address=text.destination_name(key),
        forwarding=text.FORWARDING_NAME.get(forwarding, str(forwarding)),
        weight=held.destination.weight,
        active_connections=held.active,
        inactive_connections=held.inactive,
        serving=held.destination.weight > 0,
        reason=why,
    )


def _options(key: ServiceKey, options: ServiceOptions) -> str:
    """As ipvsadm -Ln shows them behind the service: `wlc persistent 60`."""
    words = [options.scheduler]
    if flags := text.scheduler_flags(options):
        words.append(f"({','.join(flags)})")
    if options.flags & PERSISTENT:
        words.append(f"persistent {options.timeout_s}")
        if options.netmask != (text.ALL_IPV4 if key.family == 4 else text.ALL_IPV6):
            words.append(f"mask {text.netmask(key, options)}")
    if options.engine:
        words.append(f"pe {options.engine}")
    if options.flags & ONE_PACKET:
        words.append("ops")
    return " ".join(words)


def table(status: Status) -> Iterator[str]:
    """The lines of `lvsd status`."""
    serial = "no configuration yet" if status.serial_no is None else f"serial {status.serial_no}"
    yield f"lvsd {status.version}: {status.state}, {serial}, {status.file}"
    for line in status.refused:
        yield f"refused: {line}"
    if status.vips:
        yield f"VIPs: {', '.join(status.vips)}"
    rows = [row for virtual_server in status.virtual_servers for row in virtual_server.real_servers]
    name = max((len(row.name) for row in rows), default=0)
    address = max([27, *(len(row.address) for row in rows)])
    yield "Prot LocalAddress:Port Scheduler Flags"
    yield f"  -> {'RemoteAddress:Port':<{address}} Forward Weight ActiveConn InActConn  Why"
    for virtual_server in status.virtual_servers:
        label = f"  [{virtual_server.name}]" if virtual_server.name else ""
        why = "" if virtual_server.reason == "serving" else f"  ({virtual_server.reason})"
        yield f"{virtual_server.service} {virtual_server.options}{label}{why}"
        for row in virtual_server.real_servers:
            counts = f"{row.active_connections:<10} {row.inactive_connections:<10}"
            kernel = f"  -> {row.address:<{address}} {row.forwarding:<7} {row.weight:<6} {counts}"
            yield f"{kernel} {row.name:<{name}}  {row.reason}".rstrip()
