"""Whether the two directors know the same connections.

What is compared is established connections: exactly those are shared, and what a takeover would lose. Other
entries of the table are no measure: UDP flows of one packet and half-open connections are not shared.

The kernel sends what it has to tell in messages of some 40 entries, up to 3 s later, so a difference of
half a message is none. Neither is one that is over soon: a standby that was restarted, or a burst.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

# A connection that comes and goes has an entry for each: half a message of IPv4 (36 bytes each of 1472).
FEW = 20
SHARE = 0.1  # of the larger table
DRIFTED_AFTER_S = 30.0  # three times what is told again anyway (sync_refresh_period)
AGREED_AFTER_S = 5.0  # longer than a message waits
TREND_S = 10.0  # over which growth is told


class Told(StrEnum):
    """What is worth telling."""

    DRIFTED = "drifted"
    CAUGHT_UP = "caught up"


class Tables(msgspec.Struct, frozen=True):
    """How it has been so far."""

    drifted: bool = False
    since: float | None = None  # of what would end it, if that goes on; monotonic seconds


class Trend(msgspec.Struct, frozen=True):
    """How a number grows."""

    number: int = 0  # as it was ...
    at: float | None = None  # ... then; monotonic seconds, None: it was not known
    per_s: float = 0.0  # the growth before that; negative: it shrinks


def followed(before: Trend, number: int, now: float) -> Trend:
    """With the number now: its growth is told anew every `TREND_S`."""
    if before.at is None:
        return Trend(number, now)
    if now - before.at < TREND_S:
        return before
    return Trend(number, now, (number - before.number) / (now - before.at))


def agree(active: int, standby: int, *, part: float = 1.0) -> bool:
    """Whether two numbers of established connections differ by no more than this part of what is usual."""
    return abs(active - standby) <= part * max(FEW, SHARE * max(active, standby))


def compared(before: Tables, active: int, standby: int, now: float) -> tuple[Tables, Told | None]:
    """Fold one pair of numbers, as old as each other, into how the tables are; and what to tell.

    They have drifted when they differ without a break for `DRIFTED_AFTER_S`; they agree again when
    they have differed by less than half of that for `AGREED_AFTER_S`.
    """
    if before.drifted:
        ends, after = agree(active, standby, part=0.5), AGREED_AFTER_S
    else:
        ends, after = not agree(active, standby), DRIFTED_AFTER_S
    if not ends:
        return (before if before.since is None else Tables(before.drifted)), None
    since = now if before.since is None else before.since
    if now - since < after:
        return Tables(before.drifted, since), None
    return Tables(not before.drifted), Told.CAUGHT_UP if before.drifted else Told.DRIFTED
