"""Rise and fall, against a dumb twin and against nanny's table."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lvs.checks import Answer, Reason, Rows
from lvs.health.verdict import Verdict, fold, guess

GOOD = Answer(ok=True, reason=Reason.ANSWERED, text="connected")
BAD = Answer(ok=False, reason=Reason.REFUSED, text="connection refused")
OURS = Answer(ok=False, reason=Reason.LOCAL_FAULT, text="too many open files")


def folded(answers: list[bool], rise: int, fall: int) -> list[bool]:
    verdict = guess(0.0, Reason.NOT_CHECKED_YET, "not checked yet", up=False)
    found = []
    for now, ok in enumerate(answers):
        verdict = fold(verdict, GOOD if ok else BAD, Rows(rise, fall), float(now))
        found.append(verdict.up)
    return found


def twin(answers: list[bool], rise: int, fall: int) -> list[bool]:
    """By looking back: it changes when so many in a row, the last of them this one, say otherwise."""
    found: list[bool] = []
    for index, ok in enumerate(answers):
        before = found[-1] if found else ok
        need = fall if before else rise
        since = next((back for back in range(index, -1, -1) if back == 0 or found[back - 1] != before), 0)
        row = answers[max(since, index - need + 1) : index + 1]
        found.append(ok if len(row) == need and set(row) == {not before} else before)
    return found


@given(st.lists(st.booleans(), max_size=40), st.integers(1, 5), st.integers(1, 5))
def test_it_is_what_a_look_back_says(answers: list[bool], rise: int, fall: int) -> None:
    assert folded(answers, rise, fall) == twin(answers, rise, fall)


def test_nannys_table() -> None:
    """lvs.cf section 4.6: the first is believed, one bad one is enough, so many good ones bring it back."""
    assert folded([True, False, True, True], 2, 1) == [True, False, False, True]
    assert folded([False, True, False, True, True], 2, 1) == [False, False, False, False, True]


def test_what_changes_nothing_is_the_identical_object() -> None:
    up = Verdict(True, 1.0, Reason.ANSWERED, "connected")
    assert fold(up, GOOD, Rows(2, 2), 9.0) is up
    assert fold(up, OURS, Rows(2, 1), 9.0) is up


def test_a_fault_of_ours_is_known_where_nothing_is() -> None:
    """Down for that reason, and the next answer still counts at once."""
    new = guess(3.0, Reason.NOT_CHECKED_YET, "not checked yet", up=False)
    faulty = fold(new, OURS, Rows(2, 2), 4.0)
    assert faulty == Verdict(False, 3.0, Reason.LOCAL_FAULT, "too many open files", fresh=True)
    assert fold(faulty, OURS, Rows(2, 2), 5.0) is faulty
    assert fold(faulty, GOOD, Rows(2, 2), 6.0) == Verdict(True, 6.0, Reason.ANSWERED, "connected")
    for known in (guess(3.0, Reason.NOT_CHECKED_YET, "", up=True), guess(3.0, Reason.ADOPTED, "", up=False)):
        assert fold(known, OURS, Rows(2, 2), 4.0) is known


def test_a_fault_of_ours_interrupts_no_row() -> None:
    up = Verdict(True, 1.0, Reason.ANSWERED, "connected")
    once = fold(up, BAD, Rows(1, 2), 2.0)
    assert once.up
    assert not fold(fold(once, OURS, Rows(1, 2), 3.0), BAD, Rows(1, 2), 4.0).up


def test_what_the_kernel_had_keeps_its_time_if_the_answer_agrees() -> None:
    adopted = guess(1.0, Reason.ADOPTED, "in use when lvsd started", up=True)
    agreed = fold(adopted, GOOD, Rows(1, 1), 5.0)
    assert (agreed.since, agreed.reason, agreed.fresh) == (1.0, Reason.ANSWERED, False)
    assert fold(adopted, BAD, Rows(1, 3), 5.0) == Verdict(False, 5.0, Reason.REFUSED, "connection refused")
