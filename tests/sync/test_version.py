"""Which of two versions wins."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvs.sync.version import Course, Version, decide

V1, V2, V2B, V3, V0 = (Version(*one) for one in ((1, "a"), (2, "b"), (2, "c"), (3, "d"), (0, "e")))


@pytest.mark.parametrize(
    ("base", "mine", "theirs", "course"),
    [
        (V1, V1, V1, Course.SAME),
        (None, None, None, Course.SAME),
        (V1, V2, V2, Course.SAME),
        (V1, V2, V1, Course.PUSH),
        (V1, V1, V2, Course.PULL),
        (V1, V2, V3, Course.CONFLICT),  # both edited, higher or not
        (V1, V2, V2B, Course.CONFLICT),
        (V2, V2, V2B, Course.CONFLICT),  # same number, other content
        (V1, V0, V1, Course.CONFLICT),  # a lower number with newer content
        (V1, V1, V0, Course.CONFLICT),
        (None, V2, V1, Course.PUSH),
        (None, V1, V2, Course.PULL),
        (None, V2, V2B, Course.CONFLICT),
        (None, V1, None, Course.PUSH),
        (None, None, V1, Course.PULL),
    ],
)
def test_decide(base: Version | None, mine: Version | None, theirs: Version | None, course: Course) -> None:
    found, why = decide(base, mine, theirs)
    assert found is course
    assert bool(why) is (course is Course.CONFLICT)


VERSIONS = st.none() | st.builds(Version, st.integers(0, 3), st.sampled_from("abcd"))
OPPOSITE = {Course.PUSH: Course.PULL, Course.PULL: Course.PUSH}


@given(VERSIONS, VERSIONS, VERSIONS)
def test_both_sides_decide_alike(base: Version | None, mine: Version | None, theirs: Version | None) -> None:
    here, there = decide(base, mine, theirs), decide(base, theirs, mine)
    assert here[0] is OPPOSITE.get(there[0], there[0])
    assert here[1] == there[1]
