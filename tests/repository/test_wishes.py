"""Which refs and options a push may have."""

from __future__ import annotations

import pytest

from lvs.repository.wishes import MAIN, NOTHING, Update, Wishes, is_commit, refused, seconds, updates, wishes

ONE, TWO = "1" * 40, "2" * 40


def test_updates_are_read() -> None:
    assert updates(f"{ONE} {TWO} {MAIN}\n".encode()) == (Update(ONE, TWO, MAIN),)
    assert updates(b"") == ()
    assert updates(b"odd\n") == (Update("odd", "", ""),)


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ([Update(ONE, TWO, "refs/heads/dev")], "one branch, main"),
        ([Update(NOTHING, TWO, "refs/tags/v1")], "tags stay with you"),
        ([Update(ONE, TWO, MAIN), Update(NOTHING, TWO, "refs/heads/\x1b")], "refs/heads/\\x1b"),
        ([Update(ONE, NOTHING, MAIN)], "cannot be deleted"),
        ([], "one update"),
        ([Update(ONE, "f" * 64, MAIN)], "not a commit"),
    ],
)
def test_what_is_refused(wanted: list[Update], said: str) -> None:
    assert said in refused(wanted)


def test_main_may_move_and_begin() -> None:
    assert refused([Update(ONE, TWO, MAIN)]) == refused([Update(NOTHING, TWO, MAIN)]) == ""


def test_options() -> None:
    assert wishes([]) == Wishes()
    assert wishes(["dry-run", "confirm=5m"]) == Wishes(dry_run=True, confirm_s=300.0)
    for wrong in ("dry", "confirm=", "confirm=1", "confirm=2d", "confirm=-5", "confirm=٣0", "\x1b"):
        assert isinstance(wishes([wrong]), str)


def test_seconds() -> None:
    assert [seconds(one) for one in ("60", "90s", "5m", "1h", "1d", "x", "1.5")] == [
        *(60, 90, 300, 3600, 86400),
        *(None, None),
    ]


def test_is_commit() -> None:
    assert is_commit(ONE)
    assert not any(map(is_commit, ("", NOTHING, "1" * 39, "main", "1" * 40 + "\n")))
