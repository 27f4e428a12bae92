"""Whose branch becomes what."""

from __future__ import annotations

import pytest

from lvs.repository.exchange import Course, Kinship, course

NEWER, OLDER, APART, SAME = Kinship.NEWER, Kinship.OLDER, Kinship.APART, Kinship.SAME


@pytest.mark.parametrize(
    ("kinship", "ours", "theirs", "joins", "wanted"),
    [
        (NEWER, "x", "runs", False, Course.FOLLOW),
        (NEWER, "runs", "x", False, Course.STAY),  # it does not run here yet
        (OLDER, "runs", "x", True, Course.STAY),
        (SAME, "runs", "runs", True, Course.STAY),
        (APART, "runs", "x", True, Course.JOIN),
        (APART, "runs", "runs", True, Course.JOIN),
        (APART, "x", "runs", True, Course.JOIN_THEIRS),
        (APART, "x", "y", True, Course.STAY),
        (APART, "runs", "x", False, Course.STAY),  # the other one joins
    ],
)
def test_course(kinship: Kinship, ours: str, theirs: str, joins: bool, wanted: Course) -> None:
    assert course(kinship, runs="runs", ours=ours, theirs=theirs, joins=joins) is wanted


def test_a_first_commit_gives_way_to_a_history() -> None:
    for joins in (True, False):
        assert course(APART, runs="r", ours="r", theirs="r", joins=joins, alone=True) is Course.FOLLOW
        assert course(APART, runs="r", ours="x", theirs="r", joins=joins, alone=True) is not Course.FOLLOW
