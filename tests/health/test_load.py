from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvs.health.load import weight

WEIGHTS = st.integers(0, 65535)


@pytest.mark.parametrize(
    ("configured", "value", "got"),
    [
        (1, 0.0, 10),
        (100, 0.0, 1000),
        (100, 0.5, 825),
        (100, 0.999, 200),
        (100, 0.49, 825),  # a step is a quarter
        (100, 1.0, 100),
        (100, 50.0, 100),
        (60000, 0.0, 65535),
        (0, 0.0, 0),
        (0, -1.0, 0),
        (100, -0.75, 75),
        (100, -0.76, 76),
        (100, -1.0, 100),
        (100, -2.5, 100),
        (100, -1e-6, 0),
        (1, -0.5, 1),
        (1, -0.49, 0),
        (7, None, 7),
        (7, math.nan, 7),
        (7, -math.inf, 7),
    ],
)
def test_weight(configured: int, value: float | None, got: int) -> None:
    assert weight(configured, value) == got


@given(WEIGHTS, st.floats() | st.none())
def test_b21_dynamic_weight_is_clamped(configured: int, value: float | None) -> None:
    got = weight(configured, value)
    if value is not None and value < 0:
        assert 0 <= got <= configured
    else:
        assert configured <= got <= min(10 * configured, 65535)


@given(WEIGHTS, st.floats(0, 20), st.floats(0, 20))
def test_the_lighter_loaded_gets_no_less(configured: int, one: float, other: float) -> None:
    less, more = sorted((one, other))
    assert weight(configured, less) >= weight(configured, more)
