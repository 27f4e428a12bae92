"""What the two directors write to each other, and how: letters in frames, within TLS.

A frame is four bytes of length, the highest first, and that much MessagePack. The first letter each way
is a Hello; until it is there nothing long is read. Fields that the reader does not know are passed
over, and so are letters of a kind that it does not know: those of a newer lvsd. Pure.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import msgspec

from lvs.health.shared import Findings, Orders
from lvs.repository.exchange import Lacks, Pack, Probation, Tip
from lvs.sync.messages import Abort, Answer, Commit, Done, Message, Offer, Review, Reviewed, Standing, Take
from lvs.updating.letters import (
    Missive,
    UpdateData,
    UpdateEnded,
    UpdateGot,
    UpdateOffered,
    UpdateQuery,
    UpdateSide,
    UpdateStart,
)

PROTOCOL = 1  # what this lvsd speaks
LEAST = 1  # the oldest that it still speaks
LONGEST = (64 << 20) + (1 << 16)  # bytes: the longest configuration, and what is around it
LONGEST_HELLO = 4096
_LENGTH = struct.Struct("!I")


class Hello(msgspec.Struct, frozen=True, tag="hello"):
    """Who speaks, and what language. These fields never change their meaning."""

    protocol: int
    least: int
    version: str  # of lvsd
    name: str = ""  # of the machine


class Ping(msgspec.Struct, frozen=True, tag="ping"):
    """Still here."""


Letter = (
    Hello | Ping | Message | Orders | Findings | Missive | Review | Reviewed | Tip | Lacks | Pack | Probation
)

_KINDS: dict[str, type[Letter]] = {
    kind.__struct_config__.tag: kind  # type: ignore[misc]
    for kind in (
        *(Hello, Ping, Standing, Offer, Answer, Commit, Done, Abort, Take, Orders, Findings),
        *(UpdateQuery, UpdateSide, UpdateOffered, UpdateData, UpdateGot, UpdateEnded, UpdateStart),
        *(Review, Reviewed, Tip, Lacks, Pack, Probation),
    )
}


class _Kind(msgspec.Struct):
    type: str


class FrameError(Exception):
    """What came is no frame, or no letter; the text says why."""


def frame(letter: Letter) -> bytes:
    """A letter as it goes over the wire."""
    body = msgspec.msgpack.encode(letter)
    return _LENGTH.pack(len(body)) + body


def letter(body: bytes) -> Letter | None:
    """The letter in a frame; None for one of a kind that is not known. Errors: FrameError."""
    try:
        kind = _KINDS.get(msgspec.msgpack.decode(body, type=_Kind).type)
        return None if kind is None else msgspec.msgpack.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as fault:
        raise FrameError(f"not understood: {fault}") from fault


class Frames:
    """Cuts frames out of a stream, however it was cut."""

    def __init__(self) -> None:
        self.longest = LONGEST_HELLO
        self._held = bytearray()

    @property
    def begun(self) -> bool:
        """Whether a frame has begun and not ended."""
        return bool(self._held)

    def cut(self, data: bytes) -> Iterator[bytes]:
        """The bodies that are complete with this. Errors: FrameError for one that is too long."""
        held = self._held
        held += data
        at = 0
        try:
            while len(held) - at >= _LENGTH.size:
                (length,) = _LENGTH.unpack_from(held, at)
                if not 0 < length <= self.longest:
                    raise FrameError(f"a frame of {length} bytes; {self.longest} are the most")
                end = at + _LENGTH.size + length
                if len(held) < end:
                    return
                body = bytes(held[at + _LENGTH.size : end])
                at = end
                yield body
        finally:
            del held[:at]


def unfit(hello: Hello) -> str:
    """Why the other director cannot be talked to; empty if it can."""
    if hello.least <= PROTOCOL and hello.protocol >= LEAST:
        return ""
    older, newer = ("this one", "the other") if hello.least > PROTOCOL else ("the other", "this one")
    return (
        f"it is lvsd {hello.version} and speaks protocol {hello.least} to {hello.protocol}, this one "
        f"{LEAST} to {PROTOCOL}: {older} is too old for {newer}, upgrade it"
    )
