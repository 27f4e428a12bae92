"""However many come, few are told of and all are counted."""

from __future__ import annotations

from lvs import events
from lvs.io.strangers import Strangers


def test_told_at_a_bounded_rate() -> None:
    told: list[events.Event] = []
    now = 0.0
    strangers = Strangers(told.append, lambda: now)
    for second in range(200):
        now = float(second)
        for _ in range(100):
            strangers.came("192.0.2.66", "it speaks no TLS")
    assert told == [
        events.PeerIntruder("192.0.2.66", "it speaks no TLS", attempts) for attempts in (1, 6000, 6000, 6000)
    ]
    assert strangers.counts == {"it speaks no TLS": 20_000}


def test_kinds_are_bounded() -> None:
    strangers = Strangers(lambda _event: None, lambda: 0.0)
    for number in range(5000):
        strangers.came("192.0.2.66", str(number))
    assert len(strangers.counts) == 1000
