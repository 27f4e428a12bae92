"""Answers for operators, made of the director's state and what the kernel holds. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import msgspec

from lvs import __version__, events, telling
from lvs.errors import Exit
from lvs.events import counted
from lvs.health.orders import Order, Verb
from lvs.inputs import Converged, ConvergeFailed
from lvs.kernel import text
from lvs.kernel.desired import Desired
from lvs.kernel.state import (
    Op,
    RemoveDestination,
    RemoveService,
    ServiceKey,
    SetDestination,
    SetService,
    TakeVip,
    Vip,
)
from lvs.model import Address, Config, Role, VirtualKey
from lvs.pair import Seat
from lvs.protocol import Reply
from lvs.pulse.line import Seen
from lvs.state import State
from lvs.status import (
    CheckVitals,
    DirectorStatus,
    Held,
    OtherStatus,
    Status,
    VirtualServerStatus,
    left_over,
    virtual_servers,
)
from lvs.why import Moment


def summary(state: State) -> str:
    """One line for systemd and the head of `lvsd status`."""
    if state.unavailable:
        return f"cannot manage the kernel: {state.unavailable}"
    if state.config is None:
        return "waiting for a valid configuration"
    refused = f", {counted(len(state.refused), 'operation')} refused" if state.refused else ""
    if state.pairing.role is not Role.ACTIVE:
        return f"{state.pairing.role}, with {counted(len(state.goal.origin), 'virtual server')}{refused}"
    return f"serving {counted(len(state.goal.origin), 'virtual server')}{refused}"


def status(
    state: State,
    file: str,
    held: Mapping[ServiceKey, Held],
    at: Moment,
    checks: CheckVitals,
    *,
    lacking: str = "",
    each: Callable[[VirtualServerStatus], VirtualServerStatus] = lambda one: one,
) -> Status:
    """What `lvsd status` shows; `each` virtual server goes through it as soon as it is made.

    `lacking` says what the other director's kernel refuses.
    """
    refusals = {line for line, _ in state.refused}
    return Status(
        version=__version__,
        file=file,
        serial_no=None if state.config is None else state.config.serial_no,
        digest=state.digest,
        state=summary(state),
        vips=tuple(_vip(vip, refusals) for vip in sorted(state.goal.state.vips)),
        refused=tuple(f"{line}: {reason}" for line, reason in state.refused),
        virtual_servers=tuple(map(each, virtual_servers(state.goal, held, state.health, at))),
        checks=checks,
        orders=left_over(state.health),
        pair=_pair(state, at.now, lacking),
    )


def encoded(shown: VirtualServerStatus) -> VirtualServerStatus:
    """Its JSON, which stands for it in a status that is to be encoded and nothing else.

    Ten thousand real servers encoded at once hold up every check for as long as that takes.
    """
    return msgspec.Raw(msgspec.json.encode(shown))  # type: ignore[return-value]


def _pair(state: State, now: float, lacking: str) -> DirectorStatus | None:
    pairing = state.pairing
    if pairing.seat is Seat.ALONE:
        return None
    other = None
    if pairing.wire is not None:
        seen = pairing.seen or Seen(None)
        beat = seen.beat
        other = OtherStatus(
            address=pairing.wire.ways[0].theirs,
            alive=seen.alive,
            heard_s=None if beat is None else seen.heard_s + max(0.0, now - pairing.seen_at),
            role="" if beat is None else str(beat.role),
            reason="" if beat is None else beat.reason,
            version="" if beat is None else beat.version,
            serial_no=0 if beat is None else beat.serial_no,
            digest="" if beat is None else beat.digest,
            connections=0 if beat is None else beat.connections,
            connections_per_s=pairing.growth[1].per_s,
            silent_paths=seen.silent,
            lacking=lacking,
        )
    return DirectorStatus(
        seat=str(pairing.seat),
        role=str(pairing.role),
        since_s=None if pairing.since is None else max(0.0, now - pairing.since),
        term=pairing.term,
        reason=pairing.reason,
        faults=tuple(fault.text for fault in pairing.faults),
        heartbeat=pairing.lost,
        unusable=tuple(f"{name} network: {why}" for name, why in sorted(pairing.unusable.items())),
        late_s=pairing.late[0][1] if pairing.late else 0.0,
        shares=state.config is not None and state.config.pair.syncdaemon,
        connections=pairing.connections,
        connections_per_s=pairing.growth[0].per_s,
        other=other,
    )


def _vip(vip: Vip, refusals: set[str]) -> str:
    missing = " (refused)" if text.line(TakeVip(vip)) in refusals else ""
    return f"{text.vip(vip)} {vip.label or vip.device}{missing}"


def unknown(config: Config | None, server: str, virtual: str | None) -> Reply:
    """That no active virtual server has such a real server; which others have it, if any."""
    idle = [
        one.name
        for one in (() if config is None else config.virtual_servers)
        if not one.active
        and virtual in (None, one.name)
        and any(server in (real.name, str(real.address)) for real in one.real_servers)
    ]
    if idle:
        where = f"{', '.join(idle)}, which {'is' if len(idle) == 1 else 'are'} not active"
        return Reply(Exit.PROBLEMS, err=(f"real server {server} is in {where}",))
    where = "" if virtual is None else f" in {virtual}"
    return Reply(Exit.PROBLEMS, err=(f"no real server {server}{where}; `lvsd status` names them",))


def emptying(
    orders: Iterable[Order], server: str, where: tuple[Address, VirtualKey | None], left: int
) -> Reply:
    """How many sessions a drained real server has left, what is said at the end, or why it drains no more."""
    address, virtual = where
    ours = [one for one in orders if one.address == address and one.virtual in (None, virtual)]
    drains = [one for one in ours if one.verb is Verb.DRAIN]
    if not drains:
        why = f"disabled by {ours[0].by}" if ours else "the order was taken back, or has expired"
        return Reply(Exit.FAILED, err=(f"{server}: no longer draining: {why}",))
    if left:
        return Reply(sessions=left)
    over = any(one.over for one in drains)
    return Reply(
        out=(f"{server}: drained, {'its deadline came' if over else 'no session is left'}",), sessions=0
    )


def plan(
    ops: tuple[Op, ...], held: Mapping[ServiceKey, Held], before: Desired, after: Desired
) -> tuple[str, ...]:
    """Operations as lines, each with the connections it would touch behind a `#`."""
    if not ops:
        return ("# nothing to change",)
    return tuple(f"{text.line(op)}{_touched(op, held, before, after)}" for op in ops)


def _touched(op: Op, held: Mapping[ServiceKey, Held], before: Desired, after: Desired) -> str:
    match op:
        case RemoveService(key) | SetService(key):
            counts = list(_counts(held.get(key)))
            name = telling.virtual_server_name(key, before if isinstance(op, RemoveService) else after)
        case RemoveDestination(service, key) | SetDestination(service, key):
            found = held[service].destinations.get(key) if service in held else None
            counts = [(found.active, found.inactive)] if found else []
            where = before if isinstance(op, RemoveDestination) else after
            real_server = telling.real_server_name(service, key, where)
            name = f"{real_server} of {telling.virtual_server_name(service, where)}"
        case _:
            return ""
    active, inactive = sum(count[0] for count in counts), sum(count[1] for count in counts)
    return f"  # {name}: {active} active, {inactive} inactive connections"


def _counts(found: Held | None) -> Iterator[tuple[int, int]]:
    if found is not None:
        for connections in found.destinations.values():
            yield connections.active, connections.inactive


def serial_warning(state: State, file: str, config: Config) -> tuple[str, ...]:
    """That the content is another under the same serial number."""
    before = state.config
    if before is None or before == config or before.serial_no != config.serial_no:
        return ()
    return (f"warning: {events.SerialUnchanged(file, config.serial_no).text()}",)


def reloaded(
    file: str, result: Converged | ConvergeFailed, warnings: tuple[str, ...], lacking: str = ""
) -> Reply:
    """What `lvsd reload` says once the kernel was converged; `lacking` is what the other one's refused."""
    warnings = (*warnings, lacking) if lacking else warnings
    if isinstance(result, ConvergeFailed):
        return Reply(Exit.FAILED, err=(*warnings, result.reason))
    lines = tuple(text.line(op) for op in result.done)
    shown = lines if len(lines) <= telling.ONE_BY_ONE else (f"{len(lines)} changes",)
    refused = tuple(f"refused: {line}: {reason}" for line, reason in result.refused)
    return Reply(
        Exit.FAILED if refused or lacking else Exit.OK,
        out=(f"{file}: applied in {result.took_s * 1000:.0f} ms", *shown),
        err=(*warnings, *refused),
    )
