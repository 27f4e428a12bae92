"""Versions, against systemd's own word."""

from __future__ import annotations

import shutil
import subprocess
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvs.updating.version import compare, newer

versions = st.text("019aZb.-~^_+", max_size=8)

# Each older than the next: UAPI.10's own examples, and what a release is called here.
ORDER = (
    "122.1",
    "123~rc1-1",
    "123",
    "123-a",
    "123-a.1",
    "123-1",
    "123-1.1",
    "123^post1",
    "123.a-1",
    "123.1-1",
)
RELEASES = ("0.1.0", "0.2.0~rc1", "0.2.0~rc2", "0.2.0", "0.2.0-1", "0.2.1", "0.10.0", "1")


@pytest.mark.parametrize("order", [ORDER, RELEASES])
def test_each_is_older_than_the_next(order: tuple[str, ...]) -> None:
    for older, later in pairwise(order):
        assert newer(later, older), f"{later} is not newer than {older}"
        assert not newer(older, later)


@given(versions, versions)
def test_turned_round(one: str, other: str) -> None:
    assert compare(one, other) == -compare(other, one)
    assert compare(one, one) == 0


# Drawn with hypothesis once; each runs systemd.
PAIRS = [
    *pairwise(ORDER),
    *pairwise(RELEASES),
    *(("1.0", "1.0"), ("01", "1"), ("1.", "1"), ("1~", "1"), ("a", "1"), ("1a", "1"), ("a1", "a~1")),
    *(("1-~a", "1-a"), ("1_2", "1.2"), ("1+2", "12"), ("1^", "1"), ("Z", "a"), ("1..1", "1.1"), ("", "0")),
]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze here to ask")
@pytest.mark.parametrize("pair", PAIRS)
def test_systemd_says_the_same(pair: tuple[str, str]) -> None:
    done = subprocess.run(("systemd-analyze", "compare-versions", *pair), check=False, capture_output=True)
    assert compare(*pair) == {11: 1, 12: -1, 0: 0}[done.returncode]
