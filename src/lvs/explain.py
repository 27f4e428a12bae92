"""What `lvsd explain` says of a real server: state, rule, last answers, what comes next. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

import msgspec

from lvs.checks import Answer, Rows, Target
from lvs.health import ward
from lvs.health.orders import Order, applying
from lvs.health.roster import Roster, rows_of
from lvs.health.verdict import Verdict
from lvs.kernel import text
from lvs.kernel.keys import destination_of, service_key
from lvs.kernel.state import ServiceKey
from lvs.model import Need
from lvs.state import State
from lvs.status import Held
from lvs.why import Moment, clock, duration, lasted, rule, said


class Asked(Protocol):
    """What the engine knows of a target; `lvs.io.engine.Last`."""

    @property
    def answer(self) -> Answer | None: ...
    @property
    def at(self) -> float | None: ...
    @property
    def next_at(self) -> float | None: ...
    @property
    def streak(self) -> int: ...


class Scene(msgspec.Struct, frozen=True):
    """All that there is to know at one moment."""

    state: State
    held: Mapping[ServiceKey, Held]
    asked: Callable[[Target], Asked]
    now: float  # monotonic seconds
    wall: float  # seconds since the epoch


def explained(scene: Scene, server: str, virtual: str | None) -> tuple[str, ...]:
    """Lines on a real server, by name or address; none if there is no such real server."""
    lines: list[str] = []
    for roster in scene.state.health.rosters.values():
        if virtual not in (None, roster.virtual_server.name):
            continue
        for index, one in enumerate(roster.virtual_server.real_servers):
            if server in (one.name, str(one.address), ward.address_of(one)):
                lines += _one(scene, roster, index)
    return tuple(lines)


def _one(scene: Scene, roster: Roster, index: int) -> Iterator[str]:
    state, now = scene.state, scene.now
    virtual_server = roster.virtual_server
    real_server, member = virtual_server.real_servers[index], roster.members[index]
    key = service_key(virtual_server)
    where = f"{virtual_server.name}, {text.service_name(key)}"
    yield f"{real_server.name} {ward.address_of(real_server)} in {where}"
    why = rule(state.health, virtual_server, index, now)
    at = Moment(now, scene.wall)
    since_s = lasted(why, at)
    since = "" if since_s is None else f", since {clock(scene.wall - since_s)}"
    yield f"  state    {said(why, at)} [{why.reason}]{since}"
    found = scene.held.get(key)
    row = found.destinations.get(destination_of(virtual_server, real_server)) if found else None
    if row is None:
        yield "  kernel   not in the table"
    else:
        counts = f"{row.active} active, {row.inactive} inactive connections"
        yield f"  kernel   weight {row.destination.weight}, {counts}"
    order = applying(state.health.orders, real_server.address, roster.key)
    if order is not None:
        yield f"  order    {_order(order, scene)}"
    if not member.targets:
        yield "  check    none"
    together = " (any of them is enough)" if virtual_server.checking.need is Need.ANY else " (all are needed)"
    for target, verdict in zip(member.targets, member.verdicts, strict=True):
        yield f"  check    {described(target)}{together if len(member.targets) > 1 else ''}"
        yield from _last(verdict, rows_of(virtual_server), scene.asked(target), now)
    if member.load is not None:
        value = state.health.loads.get(member.load)
        yield f"  load     {'no answer yet' if value is None else f'{value:g}'}"
    if why.next_at is not None:
        yield f"  next     its weight changes in {duration(max(0.0, why.next_at - now))}"


def _last(verdict: Verdict, counts: Rows, last: Asked, now: float) -> Iterator[str]:
    if last.answer is not None and last.at is not None:
        ago = duration(max(0.0, now - last.at))
        word = "good" if last.answer.ok else "bad"
        row = f", {last.streak} {word} in a row" if last.streak > 1 else ""
        yield f"  answer   {ago} ago: {last.answer.text} [{last.answer.reason}]{row}"
    else:
        yield "  answer   none yet"
    if last.next_at is not None:
        yield f"  again    in {max(0.0, last.next_at - now):.1f} s{_turning(verdict, counts)}"


def _turning(verdict: Verdict, counts: Rows) -> str:
    """How far it is from changing its mind."""
    if verdict.fresh:
        return "; the first answer counts"
    needed, word = (counts.fall, "bad") if verdict.up else (counts.rise, "good")
    return f"; {word} {verdict.against} of {needed} times in a row" if needed > 1 or verdict.against else ""


def described(target: Target) -> str:
    """`connect to port 631 every 6 s, limit 6 s`."""
    kind = target.check.__struct_config__.tag
    port = f" port {target.port}" if target.port else ""
    path = "" if target.path is None else f" by the VIP {target.path.vip}"
    pace = target.pace
    return f"{kind}{port}{path} every {pace.interval_s:g} s, limit {pace.limit_s:g} s"


def _order(order: Order, scene: Scene) -> str:
    shift = scene.wall - scene.now
    more = []
    if order.drained:
        more.append("no session is left")
    elif order.deadline is not None:
        more.append(f"connections are ended at {clock(order.deadline + shift)}")
    if order.until is not None:
        more.append(f"expires {clock(order.until + shift)}")
    return "; ".join([f"{order.verb} by {order.by}, {clock(order.at)}", *more])
