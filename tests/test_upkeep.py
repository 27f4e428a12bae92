"""What the maintenance commands make of their arguments, and the bar; they are run in tests/netns."""

from __future__ import annotations

import pytest

from lvs.errors import UsageError
from lvs.upkeep import bar, seconds


@pytest.mark.parametrize(
    ("text", "found"), [("90", 90), ("90s", 90), ("1.5m", 90), ("2 h", 7200), ("1d", 86400), ("5min", 300)]
)
def test_times(text: str, found: float) -> None:
    assert seconds(text) == found


@pytest.mark.parametrize("text", ["", "soon", "-5", "5w", "1e3", "5 m 3"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(UsageError, match="90s, 5m, 2h or 1d"):
        seconds(text)


def test_the_bar_fills() -> None:
    assert bar(8, 8) == f"[{'-' * 40}] 8 sessions left"
    assert bar(1, 4) == f"[{'#' * 30}{'-' * 10}] 1 session left"
    assert bar(0, 0) == f"[{'#' * 40}] 0 sessions left"
