"""An update's container: a tar of regular files, in the order in which they are needed. Pure.

Only what `.ci/pack-update` writes is read: POSIX ustar headers of regular files with short names, pax(1p).
Extensions, links and directories are refused; what comes before a signature was checked is hostile.
`tar tvf` lists it like any other.
"""

from __future__ import annotations

import re

import msgspec

BLOCK = 512  # bytes; everything is padded to it
END = bytes(BLOCK)


class Entry(msgspec.Struct, frozen=True):
    """A file in the archive."""

    name: str
    size: int

    @property
    def padding(self) -> int:
        """Bytes behind its content."""
        return -self.size % BLOCK


class ArchiveError(Exception):
    """What came is no update; the text says why."""


def entry(header: bytes) -> Entry | None:
    """The file that a header announces; None at the archive's end. Errors: ArchiveError."""
    if header == END:
        return None
    if len(header) != BLOCK or header[257:263] not in (b"ustar\0", b"ustar "):
        raise ArchiveError("it is no update")
    if _octal(header[148:156]) != sum(header[:148]) + 8 * 0x20 + sum(header[156:]):
        raise ArchiveError("it is damaged: a header's sum is wrong")
    name = header[:100].rstrip(b"\0").decode("ascii", "replace")
    if header[156:157] not in (b"0", b"\0") or header[345] or not re.fullmatch(r"[0-9A-Za-z._~^-]+", name):
        raise ArchiveError(f"it holds something that no update holds: {name!r}")
    return Entry(name, _octal(header[124:136]))


def _octal(field: bytes) -> int:
    digits = field.strip(b" \0")
    if not re.fullmatch(rb"[0-7]{1,12}", digits):
        raise ArchiveError("it is damaged: a header holds no number where one belongs")
    return int(digits, 8)
