"""Who serves: a roster and the operators' orders -> weights for the kernel, with the rule for each.

The rules stand in the order in which they count, in `_rule`. A sum of weights below the quorum
puts the sorry server in, if there is one; without one those that are left go on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec

from lvs.checks import Reason, Target
from lvs.health import load
from lvs.health.orders import Order, Verb, applying
from lvs.health.roster import Roster, decisive, is_up, nobody_asked, pending
from lvs.model import Drain, Protocol, Serving, VirtualServer

RAMP_STEP_S = 1.0  # a weight that grows is not changed more often


class Effect(msgspec.Struct, frozen=True, gc=False):
    """What is done with a real server, and by which rule."""

    weight: int | None  # None: not in the kernel
    reason: Reason
    text: str
    since: float | None = None  # monotonic seconds
    next_at: float | None = None  # when time alone changes it
    order: Order | None = None  # by which it is so


class Ground(msgspec.Struct, frozen=True, gc=False):
    """What counts beside the roster itself."""

    orders: tuple[Order, ...]
    loads: Mapping[Target, float]
    now: float  # monotonic seconds


def effect(roster: Roster, index: int, ground: Ground) -> Effect:
    """What is done with one real server."""
    rule = _rule(roster, index, ground)
    if roster.quorum or not rule.weight or roster.virtual_server.sorry_server is None:
        return rule
    weight = 0 if roster.virtual_server.quiesce_server else None
    least = roster.virtual_server.quorum.least
    text = f"up, but a quorum of {least} is not met: the sorry server serves"
    return Effect(weight, Reason.QUORUM_LOST, text, roster.quorum_since)


def _rule(roster: Roster, index: int, ground: Ground) -> Effect:
    virtual_server = roster.virtual_server
    real_server, member = virtual_server.real_servers[index], roster.members[index]
    if not real_server.active:
        return Effect(None, Reason.INACTIVE, "inactive in the configuration")
    if ground.orders:
        order = applying(ground.orders, real_server.address, roster.key)
        if order is not None:
            return _ordered(order, virtual_server)
    verdict = decisive(member, virtual_server.checking.need)
    if not is_up(member, virtual_server.checking.need) and verdict is not None:
        stays = virtual_server.quiesce_server and not pending(member) and not _leaves(virtual_server)
        weight = 0 if stays else None
        return Effect(weight, verdict.reason, verdict.text, verdict.since)
    if verdict is None:
        reason, text, since = Reason.UNCHECKED, "up, not checked", None
    else:
        reason, text, since = verdict.reason, verdict.text, verdict.since
    if real_server.weight == 0:
        return Effect(0, Reason.WEIGHT_ZERO, "weight 0: gets no new connections", since)
    return _weighed(roster, index, ground, Effect(None, reason, text, since))


def _ordered(order: Order, virtual_server: VirtualServer) -> Effect:
    if order.verb is Verb.DISABLE:
        return Effect(None, Reason.DISABLED, "disabled", order=order)
    if order.over:
        return Effect(None, Reason.DRAINED, "drained, ordered", order=order)
    weight = None if _leaves(virtual_server) else 0
    if order.drained:
        return Effect(weight, Reason.DRAINED, "drained, ordered", order=order)
    return Effect(weight, Reason.DRAINING, "draining, ordered", next_at=order.deadline, order=order)


def _leaves(virtual_server: VirtualServer) -> bool:
    """Whether clients leave by removal only: a steady flow of UDP stays on weight 0, even a dead one."""
    return virtual_server.protocol is Protocol.UDP and virtual_server.drain is Drain.LEAVE


def _weighed(roster: Roster, index: int, ground: Ground, plain: Effect) -> Effect:
    """What is up has its weight, by its load and by how long it is up."""
    virtual_server = roster.virtual_server
    real_server, member = virtual_server.real_servers[index], roster.members[index]
    weight, reason, text, next_at = real_server.weight, plain.reason, plain.text, None
    if member.load is not None and (value := ground.loads.get(member.load)) is not None:
        weight = load.weight(real_server.weight, value)
        if weight != real_server.weight:
            reason = Reason.LOAD
            text = f"weight {weight} of {real_server.weight} by its load"
    if member.up_from is not None:
        grown, next_at = ramp(virtual_server, weight, ground.now - member.up_from)
        if grown < weight:
            weight, reason, text = grown, Reason.SLOW_START, f"slow start: weight {grown} of {weight}"
        next_at = None if next_at is None else member.up_from + next_at
    return Effect(weight, reason, text, plain.since, next_at)


def ramp(virtual_server: VirtualServer, weight: int, up_s: float) -> tuple[int, float | None]:
    """The weight after so many seconds of being up, and after how many it is the next.

    nanny's doubling begins with a 32nd and doubles at each adjustment, about every 20 s
    (lvs.cf section 4.6); `slow_start` is a straight line.
    """
    if weight <= 1:
        return weight, None
    if virtual_server.weight_doubling:
        timeout_s = virtual_server.checking.timeout_s
        step_s = timeout_s if timeout_s > 20 else 20 // timeout_s * timeout_s
        steps = int(up_s // step_s)
        grown = min(weight, max(1, weight // 32) << min(steps, 16))
        return grown, None if grown == weight else (steps + 1) * step_s
    whole_s = virtual_server.slow_start_s
    if up_s >= whole_s:
        return weight, None
    grown = max(1, math.floor(weight * up_s / whole_s))
    return grown, max(up_s + RAMP_STEP_S, whole_s * (grown + 1) / weight)


def quorum(roster: Roster, effects: tuple[int | None, ...]) -> bool:
    """Whether enough of the real servers serve, with hysteresis; of those not checked yet none is missed.

    Shape: `effects` are the weights by rule, before the quorum itself counts. What is up counts
    with its configured weight, as in keepalived.
    """
    terms = roster.virtual_server.quorum
    servers = roster.virtual_server.real_servers
    present = sum([one.weight for one, weight in zip(servers, effects, strict=True) if weight])
    if present >= terms.least + (0 if roster.quorum else terms.hysteresis):
        return True
    if roster.quorum and present >= terms.least - terms.hysteresis:
        return True
    return roster.quorum and any(map(pending, roster.members))


def serving(roster: Roster, ground: Ground, before: Serving | None) -> tuple[Roster, Serving, float | None]:
    """The roster with its quorum, who serves, and when time alone changes that.

    The Serving is the identical object as `before` if it is equal.
    """
    servers = roster.virtual_server.real_servers
    next_at = None
    if not ground.orders and nobody_asked(roster):
        weights = tuple([one.weight if one.active else None for one in servers])
    else:
        rules = [_rule(roster, index, ground) for index in range(len(servers))]
        weights = tuple([rule.weight for rule in rules])
        next_at = min([rule.next_at for rule in rules if rule.next_at is not None], default=None)
    met = quorum(roster, weights)
    if met is not roster.quorum:
        roster = msgspec.structs.replace(roster, quorum=met, quorum_since=ground.now)
    sorry = not met and roster.virtual_server.sorry_server is not None
    if sorry:
        instead = 0 if roster.virtual_server.quiesce_server else None
        weights = tuple([instead if weight else weight for weight in weights])
    marks = tuple([member.mark for member in roster.members])
    after = Serving(weights, sorry, marks if any(marks) else ())
    return roster, before if before == after and before is not None else after, next_at
