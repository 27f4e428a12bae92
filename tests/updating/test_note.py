"""What a boot makes of what was noted."""

from __future__ import annotations

import pytest

from lvs import events
from lvs.updating import note as noted
from lvs.updating.note import End, Last, Note, Pending, Stage
from lvs.updating.slots import Slot

BEGUN = noted.began(Note(), Pending("2", "1", "boot a", "release", 100.0))
LAID = noted.laid(BEGUN)


def test_nothing_is_made_of_nothing() -> None:
    assert noted.booted(Note(), "1", "boot b", None, 1.0) == (Note(), None)
    assert noted.proved(Note(), "1", 1.0) == (Note(), None)
    assert noted.unhealthy(Note(), "1", "why") == Note()
    assert noted.told(Note(), "1") == ""


def test_the_boot_in_which_it_was_laid_is_no_trial() -> None:
    assert noted.booted(LAID, "1", "boot a", None, 1.0) == (LAID, None)
    assert noted.proved(LAID, "1", 1.0) == (LAID, None)
    assert noted.told(BEGUN, "1") == "2 is being installed"
    assert noted.told(LAID, "1") == "2 is installed, the next boot starts it"


@pytest.mark.parametrize("note", [BEGUN, LAID])  # power may go between the last write and the note of it
def test_a_healthy_boot_proves_it(note: Note) -> None:
    assert noted.booted(note, "2", "boot b", Slot("2", "", 2, 1), 1.0) == (note, None)
    assert noted.told(note, "2") == "2 is on trial, after 1"
    after, event = noted.proved(note, "2", 200.0)
    assert event == events.UpdateProved("2", "1")
    assert after == Note(last=Last("2", "1", End.PROVED, 200.0))
    assert noted.told(after, "2") == ""


def test_an_interruption_is_told_once() -> None:
    after, event = noted.booted(BEGUN, "1", "boot b", None, 5.0)
    assert event == events.UpdateInterrupted("2", "1")
    assert after.last == Last("2", "1", End.INTERRUPTED, 5.0)
    assert noted.booted(after, "1", "boot c", None, 6.0) == (after, None)
    assert "repeat it" in noted.told(after, "1")


@pytest.mark.parametrize(
    ("slot", "trouble", "said"),
    [
        (Slot("2", "", 0, 3), "", "it did not come up healthy in 3 tries"),
        (Slot("2", "", 0, 3), "lvs.service is failed", "lvs.service is failed"),
        (Slot("2", "", 3, 0), "", "it was not started: somebody chose this version"),
        (Slot("2", "", 2, 1), "", "it did not come up, and somebody chose this version"),
        (None, "", "its slot cannot be started any more"),
    ],
)
def test_a_fallback_says_why(slot: Slot | None, trouble: str, said: str) -> None:
    note = noted.unhealthy(LAID, "2", trouble)
    after, event = noted.booted(note, "1", "boot e", slot, 9.0)
    assert event == events.UpdateFellBack("2", "1", said)
    assert after.pending is None
    assert after.last == Last("2", "1", End.FELL_BACK, 9.0, said)
    assert said in noted.told(after, "1")


def test_trouble_of_another_version_is_not_noted() -> None:
    assert noted.unhealthy(LAID, "1", "why") == LAID
    assert noted.began(noted.unhealthy(LAID, "2", "why"), Pending("3", "1", "b", "", 0.0)).trouble == ""


def test_a_failure_is_noted() -> None:
    after = noted.failed(BEGUN, "the disk is full", 3.0)
    assert after.last == Last("2", "1", End.FAILED, 3.0, "the disk is full")
    assert noted.told(after, "1") == "2 was not installed: the disk is full"


def test_hidden_files_are_told() -> None:
    assert noted.told(Note(shadowed=("/etc/issue",)), "2") == "files of /etc hide those of 2: /etc/issue"


def test_stages() -> None:
    assert (BEGUN.pending is not None and BEGUN.pending.stage) is Stage.LAYING
    assert (LAID.pending is not None and LAID.pending.stage) is Stage.LAID
