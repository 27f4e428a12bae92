"""Versions of the configuration, and which of two wins: told by three, the third being what both last ran."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Version(msgspec.Struct, frozen=True):
    serial: int
    digest: str  # of the text

    def __str__(self) -> str:
        return f"serial {self.serial} ({self.digest})"


class Text(msgspec.Struct, frozen=True):
    """A configuration as its author wrote it."""

    version: Version
    content: bytes
    language: str  # lvs.model.Format


class Agreed(msgspec.Struct, frozen=True):
    """What both were last known to run; of two that differ, the higher number is right."""

    number: int = 0  # 0: nothing yet
    version: Version | None = None


class Course(StrEnum):
    SAME = "same"
    PUSH = "push"
    PULL = "pull"
    CONFLICT = "conflict"


def decide(base: Version | None, mine: Version | None, theirs: Version | None) -> tuple[Course, str]:
    """Whose version is to run on both, and for a conflict why that is not told by itself.

    Shape: seen from the other side, push is pull and all else the same.
    """
    if mine == theirs:
        return Course.SAME, ""
    if mine is None or theirs is None:
        return (Course.PULL if mine is None else Course.PUSH), ""
    if base is not None and base not in (mine, theirs):
        return Course.CONFLICT, f"both directors were changed since serial {base.serial}"
    if mine.serial == theirs.serial:
        return Course.CONFLICT, f"serial_no is {mine.serial} on both, with other content"
    if base is not None and (mine.serial > theirs.serial) is not (base == theirs):
        new, old = (mine, theirs) if base == theirs else (theirs, mine)
        return Course.CONFLICT, f"serial_no went down from {old.serial} to {new.serial} with other content"
    return (Course.PUSH if mine.serial > theirs.serial else Course.PULL), ""
