"""What git and its hook proc-receive say to each other: pkt-lines; gitprotocol-common(5), githooks(5).

Pure, but for the stream that is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO

from lvs.repository.wishes import Update

FLUSH = b"0000"
LONGEST = 65520
GREETING = b"version=1\0push-options"
MOST = 1000  # lines until a flush


def packet(body: bytes) -> bytes:
    """One line as it goes over the pipe."""
    kept = body[: LONGEST - 4]
    return b"%04x" % (len(kept) + 4) + kept


def section(stream: BinaryIO) -> list[bytes]:
    """The lines until a flush. Errors: ValueError for what is cut short, or no pkt-line."""
    lines: list[bytes] = []
    while len(lines) <= MOST:
        said = stream.read(4)
        length = int(said, 16) if len(said) == 4 else -1
        if length == 0:
            return lines
        body = stream.read(length - 4) if 4 <= length <= LONGEST else b""
        if len(body) != length - 4:
            raise ValueError("not a pkt-line")
        lines.append(body)
    raise ValueError("too many lines")


def greeted(lines: Sequence[bytes]) -> bool:
    """Whether git speaks a version of this that we do."""
    return bool(lines) and lines[0].split(b"\0")[0].strip() == b"version=1"


def takes_options(lines: Sequence[bytes]) -> bool:
    """Whether options of the push follow its commands."""
    return bool(lines) and b"push-options" in lines[0].split(b"\0")[-1].split()


def update(line: bytes) -> Update:
    """A command of git's: which ref goes from where to where. Errors: ValueError."""
    old, new, ref = line.decode(errors="replace").strip().split(" ", 2)
    return Update(old, new, ref)


def verdict(ref: str, refused: str) -> bytes:
    """What git is to tell the client of a ref."""
    said = f"ng {ref} {refused}" if refused else f"ok {ref}"
    return packet(said.encode())
