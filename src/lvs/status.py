"""What `lvsd status` shows: the table of `ipvsadm -Ln`, with names, and why.

`gather` joins what the kernel has with what the configuration means; `table` draws it. Both
are pure; the value between them is also the JSON of `lvsd status --json`, documented in
docs/cli.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from lvs.health.maintenance import draining
from lvs.health.orders import Order
from lvs.health.ward import Health
from lvs.kernel import text
from lvs.kernel.desired import Desired
from lvs.kernel.keys import destination_of, service_key
from lvs.kernel.state import (
    ONE_PACKET,
    PERSISTENT,
    Destination,
    DestinationKey,
    ServiceKey,
    ServiceOptions,
)
from lvs.model import Protocol, VirtualServer
from lvs.why import Moment, clock, duration, lasted, rule, said

SORRY = "sorry server"


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
    state: str = ""  # code, lvs.checks.Reason; empty: not ours
    since_s: float | None = None  # seconds it has been so; None: not known


class VirtualServerStatus(msgspec.Struct, frozen=True):
    name: str
    service: str
    options: str
    vip: str
    serving: bool
    reason: str
    real_servers: tuple[RealServerStatus, ...]


class CheckVitals(msgspec.Struct, frozen=True):
    """How the checks themselves are doing; maxima of the last half minute."""

    followed: int = 0  # targets: each is asked again and again
    in_flight: int = 0
    waiting: int = 0  # due, but too many are in flight
    started: int = 0  # probes since the daemon started
    overdue: int = 0  # targets without any result for far too long
    late_s: float = 0.0  # the latest start of a probe
    stall_s: float = 0.0  # the event loop's longest stall


class OrderStatus(msgspec.Struct, frozen=True):
    """An operator's order for a real server that the configuration no longer has."""

    address: str
    verb: str
    by: str
    at: float  # seconds since the epoch


class OtherStatus(msgspec.Struct, frozen=True):
    """The other director of the pair, as it was heard last."""

    address: str
    alive: bool
    heard_s: float | None  # ago; None: never
    role: str
    reason: str
    version: str
    serial_no: int
    digest: str
    connections: int
    connections_per_s: float
    silent_paths: tuple[str, ...]
    lacking: str = ""  # what its kernel refuses of the configuration


class DirectorStatus(msgspec.Struct, frozen=True):
    """Which of the two directors this is, and what it is to the other."""

    seat: str  # primary, backup, aside, nobody, unknown
    role: str  # active, standby, fault
    since_s: float | None
    term: int
    reason: str
    faults: tuple[str, ...]
    heartbeat: str  # why there is none; empty: there is
    unusable: tuple[str, ...]  # networks by which no heartbeat can go, each with its reason
    late_s: float  # how late this director's heartbeat was at most, in the last minute
    shares: bool  # connections are told to the other director (syncdaemon)
    connections: int  # established ones, of services that both directors have; counted if they are
    connections_per_s: float  # how their number grows, over ten seconds
    other: OtherStatus | None


class Status(msgspec.Struct, frozen=True):
    version: str
    file: str
    serial_no: int | None
    digest: str
    state: str
    vips: tuple[str, ...]
    refused: tuple[str, ...]
    virtual_servers: tuple[VirtualServerStatus, ...]
    checks: CheckVitals = CheckVitals()
    orders: tuple[OrderStatus, ...] = ()  # of real servers that are in no table below
    pair: DirectorStatus | None = None  # None: there is no other director
    update: str = ""  # what is to be known of updates, if anything


def virtual_servers(
    goal: Desired, held: Mapping[ServiceKey, Held], health: Health, at: Moment
) -> Iterator[VirtualServerStatus]:
    """Ours in the configuration's order, then what else is in the table."""
    for key, configured in goal.origin.items():
        yield _ours(key, configured, goal, held.get(key), (health, at))
    for key, found in held.items():
        if key not in goal.state.services:  # what else is ours are ways for checks
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
    key: ServiceKey,
    configured: tuple[VirtualServer, ...],
    goal: Desired,
    found: Held | None,
    health: tuple[Health, Moment],
) -> VirtualServerStatus:
    first = configured[0]
    rows = list(_rows(configured, found, *health))
    serving = found is not None and any(row.serving for row in rows)
    if found is None:
        reason = "not in the kernel"
    elif not rows:
        reason = "no real servers"
    elif any(row.serving and row.name == SORRY for row in rows):
        reason = "sorry server serves"
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


def _rows(
    configured: Iterable[VirtualServer], found: Held | None, health: Health, at: Moment
) -> Iterator[RealServerStatus]:
    left = dict(found.destinations) if found else {}
    seen: set[DestinationKey] = set()
    sorry: set[bytes] = set()
    for virtual_server in configured:
        if virtual_server.sorry_server is not None:
            sorry.add(virtual_server.sorry_server.packed)
        for index, real_server in enumerate(virtual_server.real_servers):
            key = destination_of(virtual_server, real_server)
            if real_server.active:
                if key in seen:
                    continue
                seen.add(key)
            why = rule(health, virtual_server, index, at.now)
            told = said(why, at)
            held = left.get(key) if real_server.active else None
            if held is not None:
                del left[key]
                if why.weight != held.destination.weight:
                    told = f"weight {why.weight or 0} is meant, {told}"
                row = _row(real_server.name, key, held, told)
            else:
                if why.weight is not None:
                    told = f"not in the kernel; {told}"
                name = text.destination_name(key)
                row = RealServerStatus(real_server.name, name, "-", real_server.weight, 0, 0, False, told)
            yield msgspec.structs.replace(row, state=str(why.reason), since_s=lasted(why, at))
    for key, held in left.items():
        if key.address in sorry:
            yield _row(SORRY, key, held, "serves while too few others do")
        else:
            yield _row("", key, held, "not configured")


def sessions(virtual_server: VirtualServer, index: int, held: Mapping[ServiceKey, Held]) -> int:
    """What a real server has to finish: its connections; of UDP every flow that is not forgotten yet."""
    found = held.get(service_key(virtual_server))
    row = None
    if found is not None:
        row = found.destinations.get(destination_of(virtual_server, virtual_server.real_servers[index]))
    if row is None:
        return 0
    return row.active + (row.inactive if virtual_server.protocol is Protocol.UDP else 0)


def ended(health: Health, held: Mapping[ServiceKey, Held]) -> tuple[Order, ...]:
    """Orders to drain whose real servers have no session left."""
    left = dict.fromkeys(draining(health), 0)
    for roster in health.rosters.values():
        for index, one in enumerate(roster.virtual_server.real_servers):
            for order in left:
                if order.address == one.address and order.virtual in (None, roster.key):
                    left[order] += sessions(roster.virtual_server, index, held)
    return tuple(order for order, number in left.items() if not number)


def left_over(health: Health) -> tuple[OrderStatus, ...]:
    """Orders for real servers that are not, or no longer, where they were given for."""
    there = {
        (one.address, virtual)
        for key, roster in health.rosters.items()
        for one in roster.virtual_server.real_servers
        for virtual in (None, key)
    }
    return tuple(
        OrderStatus(str(order.address), str(order.verb), order.by, order.at)
        for order in health.orders
        if (order.address, order.virtual) not in there
    )


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
    if status.pair is not None:
        yield from _pair(status.pair, status.digest)
    if status.update:
        yield f"Update: {status.update}"
    if status.vips:
        yield f"VIPs: {', '.join(status.vips)}"
    yield from _vitals(status.checks)
    for order in status.orders:
        given = f"{order.verb} by {order.by}, {clock(order.at)}"
        yield f"Order: {order.address}, not configured: {given}; `lvsd enable {order.address}` takes it back"
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


def _pair(pair: DirectorStatus, digest: str) -> Iterator[str]:
    since = "" if pair.since_s is None else f" {duration(pair.since_s)}"
    yield f"Director: {pair.seat}, {pair.role}{since} (term {pair.term}): {pair.reason}"
    for fault in pair.faults:
        yield f"Fault: {fault}"
    other = pair.other
    if other is None:
        return
    if other.lacking:
        yield f"Fault: {other.lacking}"
    if pair.heartbeat:
        yield f"Heartbeat: none, {pair.heartbeat}"
    else:
        yield f"Heartbeat: at most {pair.late_s * 1000:.0f} ms late in the last minute"
    for network in pair.unusable:
        yield f"Heartbeat: none on the {network}"
    if other.heard_s is None:
        yield f"Other: {other.address}, never heard"
        return
    heard = (
        f"heard {other.heard_s:.1f} s ago" if other.alive else f"SILENT for {duration(other.heard_s)}, was"
    )
    config = "the same configuration" if other.digest == digest else f"ANOTHER configuration, {other.digest}"
    silent = f", silent on {', '.join(other.silent_paths)}" if other.silent_paths else ""
    yield (
        f"Other: {other.address}, {heard} {other.role}{silent}, serial {other.serial_no}, {config}, "
        f"lvsd {other.version or 'unknown'}: {other.reason}"
    )
    if pair.shares:
        here = f"{pair.connections} established here ({pair.connections_per_s:+.1f}/s)"
        yield f"Connections: {here}, {other.connections} there ({other.connections_per_s:+.1f}/s)"


def _vitals(checks: CheckVitals) -> Iterator[str]:
    if checks.followed:
        overdue = f"{checks.overdue} OVERDUE" if checks.overdue else "none overdue"
        late = f"at most {checks.late_s * 1000:.0f} ms late in the last 30 s"
        yield f"Checks: {checks.followed}, {overdue}, {late}"
