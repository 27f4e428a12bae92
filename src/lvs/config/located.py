"""Where a value stands in a file, and what is wrong with it.

Both readers make the same tree out of their text, a `Part`: option names and values that
are already of the model's types, not yet judged together. No line numbers are kept: they are
needed only when something is wrong, and each reader's `locate` then finds them again.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

UNKNOWN = ""  # in `bad`: any number of words that are no options
LONGEST_NAME = 255  # characters of a virtual or real server's name; it is in messages about others
GIVEN_BEFORE = "given before; the last one counts"


class Severity(StrEnum):
    ERROR = "error"  # the file is refused
    WARNING = "warning"  # the file is taken, and this is said


class Problem(msgspec.Struct, frozen=True, order=True, gc=False):
    """One thing to tell the author of a file.

    Prints as `lvs.toml:10: virtual[0].server[1].weight: 0 to 65535, got -4`; warnings carry
    the word. The key path is the truth; a line in doubt is that of the enclosing block.
    """

    file: str
    line: int  # from 1; 0: the file as a whole
    path: str  # key path, empty for a line that has none
    message: str
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        kind = "warning: " if self.severity is Severity.WARNING else ""
        return (
            f"{where}: {kind}{self.path}: {self.message}" if self.path else f"{where}: {kind}{self.message}"
        )


class Place(msgspec.Struct, frozen=True, gc=False):
    """A key path within a stretch of text: indices count from its beginning."""

    key: str = ""  # option; empty: the block itself
    block: int = -1  # index of the virtual server; -1: global
    server: int = -1  # index of the real server in it; -1: the virtual server's own
    kind: str = "virtual"  # or failover
    check: int = -1  # index of the check in it

    def path(self, first: int = 0) -> str:
        """Return the key path, `first` being the number of such blocks before the stretch."""
        if self.block < 0:
            return self.key
        path = f"{self.kind}[{self.block + first}]"
        if self.server >= 0:
            path += f".server[{self.server}]"
        if self.check >= 0:
            path += f".check[{self.check}]"
        return f"{path}.{self.key}" if self.key else path


NOWHERE = Place()


class Note(msgspec.Struct, frozen=True, gc=False):
    """A problem in a stretch of text, before its line and index in the file are known."""

    place: Place
    message: str
    severity: Severity = Severity.ERROR
    line: int = 0  # from 1, within the stretch; 0: where `place` is


class Server(msgspec.Struct):
    """A real server as read."""

    name: str
    values: dict[str, Any]  # by option
    bad: frozenset[str] = frozenset()  # options refused: what depends on them is not judged; UNKNOWN
    port: int | None = None  # lvs.cf: what it inherits from the virtual server above it


class CheckTable(msgspec.Struct):
    """A check of lvs.toml as read."""

    type: str  # empty: missing, or unknown
    values: dict[str, Any]
    bad: bool = False  # something of it was refused


class Virtual(msgspec.Struct):
    """A virtual server as read; in lvs.cf also a failover block."""

    name: str
    values: dict[str, Any]
    bad: frozenset[str] = frozenset()
    servers: list[Server] = []  # msgspec copies an empty default
    index: int = 0
    kind: str = "virtual"
    checks: list[CheckTable] = []


class Part(msgspec.Struct):
    """All that a reader found in a stretch of text."""

    values: dict[str, Any] = {}  # global options
    bad: frozenset[str] = frozenset()
    virtuals: list[Virtual] = []
    failovers: int = 0
    notes: list[Note] = []
    alone: bool = True  # false: means something else when read on its own than within its file


class BadSyntaxError(Exception):
    """The text is not of its language at all; `line` and `place` say where, if it is known."""

    def __init__(self, message: str, line: int, place: Place = NOWHERE) -> None:
        super().__init__(message)
        self.line = line
        self.place = place
