"""When two tables of connections are told to drift apart, and to agree again."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvs.pulse.tables import (
    AGREED_AFTER_S,
    DRIFTED_AFTER_S,
    FEW,
    TREND_S,
    Tables,
    Told,
    Trend,
    agree,
    compared,
    followed,
)

Samples = Iterable[tuple[float, int, int]]


def heard(samples: Samples, tables: Tables = Tables()) -> list[tuple[float, Told]]:  # noqa: B008  frozen
    found = []
    for now, active, standby in samples:
        tables, told = compared(tables, active, standby, now)
        if told is not None:
            found.append((now, told))
    return found


def every_second(start: int, end: int, active: int, standby: int) -> Samples:
    return [(float(now), active, standby) for now in range(start, end)]


@pytest.mark.parametrize(
    ("active", "standby", "same"),
    [
        (0, 0, True),
        (FEW, 0, True),  # what one message may hold back
        (FEW + 1, 0, False),
        (1000, 900, True),
        (1000, 899, False),
        (899, 1000, False),  # ends that were not heard of are a difference, too
        (10_000_000, 9_000_001, True),
    ],
)
def test_what_is_the_same(active: int, standby: int, *, same: bool) -> None:
    assert agree(active, standby) == same


def test_drift_is_told_once_when_it_lasts_and_its_end_too() -> None:
    samples = [*every_second(0, 100, 1000, 0), *every_second(100, 200, 1000, 990)]
    assert heard(samples) == [
        (DRIFTED_AFTER_S, Told.DRIFTED),
        (100 + AGREED_AFTER_S, Told.CAUGHT_UP),
    ]


def test_a_standby_that_fills_in_time_is_no_drift() -> None:
    samples = [*every_second(0, 29, 1000, 0), (29.0, 1000, 950), *every_second(30, 59, 1000, 0)]
    assert heard(samples) == []


def test_what_hardly_agrees_ends_no_drift() -> None:
    """A number at the edge must not be told back and forth."""
    drifted = Tables(drifted=True)
    assert heard(every_second(0, 100, 1000, 901), drifted) == []
    assert heard(every_second(0, 100, 1000, 899), Tables(drifted=False)) == [(DRIFTED_AFTER_S, Told.DRIFTED)]
    flapping = [(float(now), 1000, 990 if now % 4 else 0) for now in range(100)]
    assert heard(flapping, drifted) == []


@given(st.lists(st.tuples(st.floats(0.01, 100), st.integers(0, 10**6), st.integers(0, 10**6))))
def test_drift_and_its_end_take_turns_and_their_time(steps: list[tuple[float, int, int]]) -> None:
    now, samples = 0.0, []
    for passed, active, standby in steps:
        now += passed
        samples.append((now, active, standby))
    told = heard(samples)
    assert [what for _, what in told] == [Told.DRIFTED, Told.CAUGHT_UP] * (len(told) // 2) + [
        Told.DRIFTED
    ] * (len(told) % 2)
    last = samples[0][0] if samples else 0.0
    for at, what in told:
        assert at - last >= (DRIFTED_AFTER_S if what is Told.DRIFTED else AGREED_AFTER_S)
        last = at


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.floats(0, 1e6))
def test_the_same_input_gives_the_same_answer(active: int, standby: int, now: float) -> None:
    assert compared(Tables(), active, standby, now) == compared(Tables(), active, standby, now)


def test_growth_is_told_every_ten_seconds() -> None:
    trend = followed(Trend(), 100, 5.0)
    assert trend == Trend(100, 5.0)
    assert followed(trend, 900, 5.0 + TREND_S / 2) == trend
    assert followed(trend, 80, 5.0 + 2 * TREND_S).per_s == -1.0
