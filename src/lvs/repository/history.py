"""Commits as they are read, shown and made. Pure."""

from __future__ import annotations

import time  # noqa: TID251  strftime of a time that is given
from collections.abc import Iterable, Sequence
from enum import StrEnum

import msgspec

from lvs.repository.tree import printable

FORMAT = "%H%x00%P%x00%an%x00%ae%x00%at%x00%s%x00"  # for git log; NUL cannot be in any of them
FIELDS = 6
SHORT = 10  # digits of a commit's name, where a person reads it


class Way(StrEnum):
    """How main came to where it is."""

    BEGIN = "begin"
    PUSH = "push"
    PULL = "pull"
    ROLLBACK = "rollback"
    UNCONFIRMED = "not confirmed"
    EDIT = "hand edit"
    PEER = "other director"
    JOIN = "join"


class Person(msgspec.Struct, frozen=True):
    """Who made a change."""

    name: str
    email: str

    def __str__(self) -> str:
        return f"{self.name} <{self.email}>"


class Commit(msgspec.Struct, frozen=True):
    """A commit as git log tells it."""

    id: str
    parents: tuple[str, ...]
    author: Person
    at: int  # seconds since the epoch
    subject: str


def person(name: str, host: str) -> Person:
    """A user of a machine, without what git would not take in a name."""
    clean = "".join(one for one in printable(name) if one not in "<>\n") or "unknown"
    return Person(clean, f"{clean.replace(' ', '.')}@{host}")


def commits(said: bytes) -> tuple[Commit, ...]:
    """What git log says with FORMAT. Errors: ValueError if it is something else."""
    fields = said.decode(errors="replace").split("\0")
    found = []
    for at in range(0, len(fields) - FIELDS, FIELDS):
        name, parents, author, email, when, subject = fields[at : at + FIELDS]
        found.append(
            Commit(
                name.strip(),
                tuple(parents.split()),
                Person(printable(author), printable(email)),
                int(when or 0),
                printable(subject),
            )
        )
    return tuple(found)


def short(commit: str) -> str:
    return commit[:SHORT]


class Row(msgspec.Struct, frozen=True):
    """A line of the history."""

    commit: Commit
    serial: str  # serial_no in it; `-`: no valid configuration
    note: str = ""  # what else is to be said of it


def table(rows: Iterable[Row]) -> Iterable[str]:
    """The history for people, the newest first."""
    shown = [("COMMIT", "WHEN", "SERIAL", "AUTHOR", "WHAT")]
    for row in rows:
        commit = row.commit
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(commit.at)) if commit.at else "-"
        what = f"{commit.subject} ({row.note})" if row.note else commit.subject
        shown.append((short(commit.id), when, row.serial, commit.author.name, what))
    widths = [max(len(line[column]) for line in shown) for column in range(4)]
    for line in shown:
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=False)]
        yield "  ".join([*cells, line[4]]).rstrip()


def message(subject: str, *paragraphs: str, trailers: Sequence[tuple[str, str]] = ()) -> str:
    """The message of a commit that lvsd makes."""
    parts = [subject, *paragraphs]
    if trailers:
        parts.append("\n".join(f"{key}: {value}" for key, value in trailers))
    return "\n\n".join(parts) + "\n"
