"""What is put comes out once, never early, and in the tick after its time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lvs.io.wheel import Wheel

TICK_S = 0.025


@given(st.lists(st.floats(0, 100), max_size=30), st.floats(0, 1e6))
def test_everything_comes_once_and_in_time(delays: list[float], start: float) -> None:
    wheel: Wheel[int] = Wheel(TICK_S, start)
    slots = [wheel.put(number, start + delay) for number, delay in enumerate(delays)]
    came = set()
    while (now := wheel.next_at()) is not None:
        for slot, items in wheel.passed(now):
            for item in items:
                assert slots[item] == slot
                assert item not in came
                came.add(item)
                assert -TICK_S / 1000 <= now - (start + delays[item]) <= 2 * TICK_S
    assert came == set(range(len(delays)))


def test_what_is_put_while_slots_are_handed_out_is_not_lost() -> None:
    wheel: Wheel[str] = Wheel(TICK_S, 10.0)
    wheel.put("first", 10.1)
    slots = wheel.passed(10.1)
    assert next(slots)[1] == ["first"]
    wheel.put("again", 9.0)
    assert list(slots) == []
    assert [items for _, items in wheel.passed(10.2)] == [["again"]]


def test_an_empty_wheel_waits_for_nothing() -> None:
    wheel: Wheel[str] = Wheel(TICK_S, 10.0)
    assert wheel.next_at() is None
    assert list(wheel.passed(1000.0)) == []
    slot = wheel.put("late", 5.0)
    assert [(slot, ["late"])] == list(wheel.passed(1000.1))
