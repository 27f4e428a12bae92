"""An HTTP/1.1 answer out of a stream, whole: status and body (RFC 9112), for protocols carried by HTTP.

Each byte is looked at a bounded number of times, however the stream is cut. What has no end of its
own ends with the connection.
"""

from __future__ import annotations

import re

from lvs.checks import Answer, Reason
from lvs.probes.talk import LONGEST, down, quoted

STATUS_LINE = re.compile(rb"HTTP/1\.[0-9] ([1-5][0-9]{2})(?: [^\r\n]*)?\r?\n")
BLANK = re.compile(rb"\r?\n\r?\n")
LENGTH = re.compile(rb"[0-9]{1,18}")
CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\r?\n")  # section 7.1
LONGEST_HEAD = 1 << 14
LONGEST_CHUNK_LINE = 1 << 10

PREFIX = b"HTTP/1."
_UNTIL_END, _CHUNKED = -1, -2


class HttpAnswer:
    """One answer, fed as it comes; interim ones (RFC 9110 section 15.2) are passed over."""

    def __init__(self) -> None:
        self.status = 0  # known once the head is
        self.body = b""  # whole once `add` or `end` is True
        self._buffer = bytearray()
        self._at = 0  # in the buffer: before it, nothing is to be looked at again
        self._length: int | None = None  # of the body; None: the head is not all there
        self._chunks: list[bytes] = []
        self._trailer = False  # the last chunk is past

    def add(self, data: bytes) -> bool | Answer:
        """Whether the answer is whole now; an answer of ours, if it is none."""
        self._buffer += data
        while self._length is None:
            going = self._head()
            if going is not None:
                return going
        if self._length == _CHUNKED:
            return self._take_chunks()
        if 0 <= self._length <= len(self._buffer):
            self.body = bytes(self._buffer[: self._length])
            return True
        return False

    def end(self) -> bool:
        """Whether the answer is whole, now that the connection has ended."""
        if self._length != _UNTIL_END:
            return False
        self.body = bytes(self._buffer)
        return True

    def _head(self) -> bool | Answer | None:
        """Read the head if it is there; None: there was one, and `_length` says whether the last."""
        if not self._buffer.startswith(PREFIX[: len(self._buffer)]):
            return garbled(self._buffer)
        blank = BLANK.search(self._buffer, self._at)
        if blank is None:
            self._at = max(len(self._buffer) - 3, 0)
            return down(Reason.TOO_LONG, "no end of the head") if self._at > LONGEST_HEAD else False
        head = bytes(self._buffer[: blank.end()])
        del self._buffer[: blank.end()]
        self._at = 0
        line = STATUS_LINE.match(head)
        if line is None:
            return garbled(head)
        self.status = int(line[1])
        if self.status < 200:
            return None
        length = _body_length(head, self.status)
        if length is None:
            return garbled(head)
        if length > LONGEST:
            return down(Reason.TOO_LONG, f"a body of {length} bytes")
        self._length = length
        return None

    def _take_chunks(self) -> bool | Answer:
        while True:
            if self._trailer:
                return self._end_of_trailer()
            line = CHUNK.match(self._buffer, self._at)
            if line is None:
                wrong = b"\n" in self._buffer[self._at : self._at + LONGEST_CHUNK_LINE]
                if wrong or len(self._buffer) > self._at + LONGEST_CHUNK_LINE:
                    return garbled(self._buffer[self._at : self._at + 80])
                return False
            size = int(line[1], 16)
            if size > LONGEST:
                return down(Reason.TOO_LONG, f"a chunk of {size} bytes")
            if size == 0:
                self._at = line.end()
                self._trailer = True
                continue
            end = line.end() + size
            ending = bytes(self._buffer[end : end + 2])
            if not ending or ending == b"\r":
                return False
            if ending != b"\r\n" and not ending.startswith(b"\n"):
                return garbled(ending)
            self._chunks.append(bytes(self._buffer[line.end() : end]))
            self._at = end + (2 if ending == b"\r\n" else 1)

    def _end_of_trailer(self) -> bool | Answer:
        """Fields after the last chunk (section 7.1.2), up to an empty line."""
        while (end := self._buffer.find(b"\n", self._at)) >= 0:
            empty = not self._buffer[self._at : end].strip()
            self._at = end + 1
            if empty:
                self.body = b"".join(self._chunks)
                return True
        return False


def _body_length(head: bytes, status: int) -> int | None:
    """The body's length, or how else it ends (RFC 9112 section 6.3); None: the head contradicts itself."""
    fields: dict[bytes, list[bytes]] = {}
    for line in head.splitlines()[1:]:
        name, _, value = line.partition(b":")
        fields.setdefault(name.lower(), []).append(value.strip())
    if status in (204, 304):
        return 0
    coding = b",".join(fields.get(b"transfer-encoding", ())).lower()
    if coding:
        return _CHUNKED if coding == b"chunked" else None
    lengths = {length for value in fields.get(b"content-length", ()) for length in value.split(b",")}
    if not lengths:
        return _UNTIL_END
    (length, *others) = lengths
    return int(length) if not others and LENGTH.fullmatch(length.strip()) else None


def garbled(data: bytes | bytearray) -> Answer:
    return down(Reason.GARBLED, f"not HTTP: {quoted(bytes(data[:200]))}")
