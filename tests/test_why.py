"""Why a real server is as it is, and since when, in words."""

from __future__ import annotations

from datetime import datetime
from ipaddress import ip_address
from typing import Any

import msgspec
import pytest

from lvs.checks import Reason
from lvs.health.orders import Order, Verb
from lvs.health.serving import Effect
from lvs.why import Moment, duration, lasted, said

NOON = datetime(2026, 3, 1, 12, 0).astimezone().timestamp()
AT = Moment(1000.0, NOON)
ORDER = Order(Verb.DRAIN, ip_address("10.0.0.1"), None, "root", NOON - 200)


def ordered(reason: Reason, text: str, **changes: Any) -> Effect:
    return Effect(None, reason, text, order=msgspec.structs.replace(ORDER, **changes))


@pytest.mark.parametrize(
    ("why", "words"),
    [
        (Effect(1, Reason.ANSWERED, "connected", 800.0), "up 3 min: connected"),
        (Effect(0, Reason.REFUSED, "refused", 988.0), "down 12 s: refused"),
        (Effect(None, Reason.QUORUM_LOST, "up, but alone", 988.0), "out 12 s: up, but alone"),
        (Effect(1, Reason.UNCHECKED, "up, not checked"), "up, not checked"),
        (ordered(Reason.DISABLED, "disabled"), "disabled 3 min ago by root"),
        (ordered(Reason.DISABLED, "disabled", at=NOON + 9), "disabled 0 s ago by root"),
        (
            ordered(Reason.DISABLED, "disabled", until=1000.0 + 3600),
            "disabled 3 min ago by root, until 13:00",
        ),
        (
            ordered(Reason.DRAINING, "draining, ordered", deadline=1600.0, until=1000.0 + 86400),
            "draining, ordered 3 min ago by root, connections end 12:10, until 2026-03-02 12:00",
        ),
        (
            ordered(Reason.DRAINED, "drained, ordered", deadline=1600.0),
            "drained, ordered 3 min ago by root",
        ),
    ],
)
def test_since_when_by_whom_and_until_when(why: Effect, words: str) -> None:
    assert said(why, AT) == words


def test_how_long_it_has_lasted() -> None:
    assert lasted(ordered(Reason.DISABLED, "disabled"), AT) == 200
    assert lasted(Effect(1, Reason.ANSWERED, "connected", 800.0), AT) == 200
    assert lasted(Effect(1, Reason.UNCHECKED, "up, not checked"), AT) is None


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.0, "0 s"), (119.9, "119 s"), (120.0, "2 min"), (7200, "2 h"), (200000, "2 d")]
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words
