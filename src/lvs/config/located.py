"""Where a value stands in a file, and what is wrong with it."""

from __future__ import annotations

from enum import StrEnum

import msgspec


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
        return f"{where}: {kind}{self.path}: {self.message}" if self.path else f"{where}: {kind}{self.message}"
