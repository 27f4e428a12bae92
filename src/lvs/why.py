"""Why a real server is as it is, and since when, in an operator's words. Pure.

Checks are dated by the monotonic clock, orders by the clock on the wall, because they outlive the
machine that they were given on; a `Moment` has both.
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from lvs.checks import DOWN, Reason
from lvs.health.orders import Order
from lvs.health.serving import Effect, Ground, effect
from lvs.health.ward import Health
from lvs.model import VirtualServer, key_of


class Moment(msgspec.Struct, frozen=True):
    """Now, by both clocks."""

    now: float  # monotonic seconds
    wall: float  # seconds since the epoch


def rule(health: Health, virtual_server: VirtualServer, index: int, now: float) -> Effect:
    """What is done with a real server, and why."""
    roster = health.rosters.get(key_of(virtual_server))
    if roster is None or roster.virtual_server is not virtual_server:
        one = virtual_server.real_servers[index]
        return Effect(one.weight, Reason.NOT_CHECKED_YET, "not looked at yet")
    return effect(roster, index, Ground(health.orders, health.loads, now))


def lasted(why: Effect, at: Moment) -> float | None:
    """For how many seconds it has been so; None: not known."""
    if why.order is not None:
        return max(0.0, at.wall - why.order.at)
    return None if why.since is None else max(0.0, at.now - why.since)


def said(why: Effect, at: Moment) -> str:
    """`up 3 min: connected`, `down 12 s: connection refused`, `disabled 3 min ago by root, until 21:30`."""
    since_s = lasted(why, at)
    if since_s is None:
        return why.text
    if why.order is not None:
        return f"{why.text} {duration(since_s)} ago by {why.order.by}{_ends(why, why.order, at)}"
    if why.reason is Reason.QUORUM_LOST:
        word = "out"
    else:
        word = "down" if why.reason in DOWN or why.weight is None else "up"
    return f"{word} {duration(since_s)}: {why.text}"


def _ends(why: Effect, order: Order, at: Moment) -> str:
    """What time alone does to an order: `, connections end 21:30`, `, until 22:00`."""
    shift = at.wall - at.now
    words = ""
    if why.reason is Reason.DRAINING and order.deadline is not None:
        words += f", connections end {_hour(order.deadline + shift, at.wall)}"
    if order.until is not None:
        words += f", until {_hour(order.until + shift, at.wall)}"
    return words


def duration(seconds: float) -> str:
    """`12 s`, `3 min`, `5 h`, `2 d`: the largest unit that is there at least twice, but seconds."""
    for unit, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * unit:
            return f"{int(seconds // unit)} {name}"
    return f"{int(seconds)} s"


def clock(seconds: float) -> str:
    """A time since the epoch, as a clock on the wall shows it."""
    return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _hour(seconds: float, wall: float) -> str:
    """`21:30`, with its date if that is not today's."""
    date, _, time = clock(seconds).rpartition(":")[0].partition(" ")
    return time if clock(wall).startswith(date) else f"{date} {time}"
