"""How messages quote what they refuse."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lvs.config.refusal import shown


@given(st.one_of(st.text(), st.integers(), st.floats(), st.booleans(), st.lists(st.integers()), st.none()))
def test_shown_is_short_and_one_line(value: object) -> None:
    assert len(shown(value)) < 700
    assert "\n" not in shown(value)
