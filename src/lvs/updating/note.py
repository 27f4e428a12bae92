"""What is noted of an update over the boots that it takes, and what a boot makes of it. Pure.

The note lies on the state partition, which both slots share: who started an update, and who came up instead.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from lvs import events
from lvs.events import Event
from lvs.updating.slots import Slot


class Stage(StrEnum):
    """How far an update is on this machine."""

    LAYING = "laying"  # into the other slot
    LAID = "laid"  # in the other slot, whole and read back; the next boot starts it


class End(StrEnum):
    """How an update ended."""

    PROVED = "proved"  # it runs, and came up healthy
    FELL_BACK = "fell back"  # it was started, and what ran before runs again
    INTERRUPTED = "interrupted"  # it was never complete
    FAILED = "failed"  # it could not be laid into the slot


class Pending(msgspec.Struct, frozen=True):
    """An update that has begun."""

    version: str
    before: str  # version that ran
    boot: str  # in which it began, of /proc/sys/kernel/random/boot_id
    by: str  # whose signature it bears
    at: float  # seconds since the epoch
    stage: Stage = Stage.LAYING


class Last(msgspec.Struct, frozen=True):
    """An update that has ended."""

    version: str
    before: str
    end: End
    at: float
    reason: str = ""

    def text(self) -> str:
        match self.end:
            case End.PROVED:
                return f"{self.version} came up healthy, after {self.before}"
            case End.FELL_BACK:
                return f"{self.version} was given up for {self.before}: {self.reason}"
            case End.INTERRUPTED:
                return f"{self.version} was interrupted, {self.before} was not touched: repeat it"
            case End.FAILED:
                return f"{self.version} was not installed: {self.reason}"


class Note(msgspec.Struct, frozen=True):
    pending: Pending | None = None
    last: Last | None = None
    trouble: str = ""  # why the last boot on trial was not healthy, as far as lvsd could say
    shadowed: tuple[str, ...] = ()  # files of /etc that hide those of what runs


Judged = tuple[Note, Event | None]


def began(note: Note, pending: Pending) -> Note:
    """With an update that begins; what ended before is history."""
    return msgspec.structs.replace(note, pending=pending, trouble="")


def laid(note: Note) -> Note:
    """With the update complete in its slot."""
    assert note.pending is not None
    return msgspec.structs.replace(note, pending=msgspec.structs.replace(note.pending, stage=Stage.LAID))


def failed(note: Note, reason: str, at: float) -> Note:
    """With an update that could not be laid down."""
    return _ended(note, End.FAILED, at, reason)


def booted(note: Note, running: str, boot: str, slot: Slot | None, at: float) -> Judged:
    """With a boot: whether another version than the one that was meant came up.

    Shape: `slot` is that of the version that was meant, if there is one.
    """
    pending = note.pending
    if pending is None or boot == pending.boot or running == pending.version:
        return note, None
    if pending.stage is Stage.LAYING:
        new = _ended(note, End.INTERRUPTED, at)
        return new, events.UpdateInterrupted(pending.version, running)
    if slot is None:
        reason = "its slot cannot be started any more"
    elif slot.left == 0:
        reason = note.trouble or f"it did not come up healthy in {slot.done} tries"
    elif slot.done:
        reason = note.trouble or "it did not come up, and somebody chose this version"
    else:
        reason = "it was not started: somebody chose this version"
    new = _ended(note, End.FELL_BACK, at, reason)
    return new, events.UpdateFellBack(pending.version, running, reason)


def proved(note: Note, running: str, at: float) -> Judged:
    """With a boot that is healthy."""
    pending = note.pending
    if pending is None or running != pending.version:
        return note, None
    return _ended(note, End.PROVED, at), events.UpdateProved(running, pending.before)


def unhealthy(note: Note, running: str, trouble: str) -> Note:
    """With a boot on trial that is not healthy: whoever comes up instead will tell why."""
    pending = note.pending
    if pending is None or running != pending.version:
        return note
    return msgspec.structs.replace(note, trouble=trouble)


def _ended(note: Note, end: End, at: float, reason: str = "") -> Note:
    pending = note.pending
    assert pending is not None
    last = Last(pending.version, pending.before, end, at, reason)
    return msgspec.structs.replace(note, pending=None, last=last)


def told(note: Note, running: str) -> str:
    """What `lvsd status` says of updates; empty if there is nothing that an operator should know."""
    pending, last = note.pending, note.last
    if pending is not None:
        if pending.version == running:
            return f"{running} is on trial, after {pending.before}"
        if pending.stage is Stage.LAYING:
            return f"{pending.version} is being installed"
        return f"{pending.version} is installed, the next boot starts it"
    if last is not None and last.end is not End.PROVED:
        return last.text()
    return f"files of /etc hide those of {running}: {', '.join(note.shadowed)}" if note.shadowed else ""
