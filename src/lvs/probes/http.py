"""HTTP/1.1 (RFC 9112): a request, and as much of the answer as the verdict needs.

Without a body to look at, the head is enough. A body comes by length, in chunks, or until the end;
only its first `MOST` bytes are looked at. What was looked at once is not looked at again, but for
the search of the body, whose work is limited: a server that sends its page byte by byte costs little.
"""

from __future__ import annotations

import re
from functools import lru_cache

from lvs.checks import Address, Answer, Http, Reason
from lvs.probes.expressions import Expression, posix
from lvs.probes.talk import down, quoted, up

MOST = 1 << 16  # bytes of head, and of body
MOST_SEARCHED = 1 << 24  # bytes of a body that comes in pieces, all searches together
_LONGEST_LINE = 1 << 10
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])(?: [^\r\n]*)?\r?\n")  # RFC 9112 section 4
_BEGINNING = b"HTTP/1."
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_FIELD = re.compile(
    rb"^(content-length|transfer-encoding)[ \t]*:[ \t]*(.*?)[ \t]*\r?$", re.IGNORECASE | re.MULTILINE
)
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?\r?\n")
_NONE = 0  # a body's length, where there is none
_UNTIL_END, _CHUNKED = -1, -2


def request(check: Http, address: Address, port: int) -> bytes:
    """The request's bytes. Source: RFC 9112 section 3, Host by RFC 9110 section 7.2."""
    host = check.host
    if host is None:
        host = f"[{address}]" if address.version == 6 else str(address)
        if port != (443 if check.tls else 80):
            host += f":{port}"
    head = (
        f"{check.method} {check.path} HTTP/1.1",
        f"Host: {host}",
        "User-Agent: lvsd",
        "Accept: */*",
        "Connection: close",
    )
    return "\r\n".join((*head, "", "")).encode()


class HttpTalk:
    """One request; used again and again."""

    write_only = False

    def __init__(self, check: Http, address: Address, port: int) -> None:
        """Errors: ValueError, if `expect` is no expression."""
        self._request = request(check, address, port)
        self._wanted = check.status
        self._expression: Expression | None = None
        if check.expect is not None and check.use_regex:
            self._expression = posix(check.expect.encode())
        self._text = b"" if check.expect is None else check.expect.encode()
        self._expect = check.expect
        self._bodiless = check.method == "HEAD"
        self._body: Body | None = None
        self._got = b""
        self._looked = 0
        self._searched = 0

    def begin(self) -> bytes:
        self._got = b""
        self._looked = self._searched = 0
        self._body = None
        return self._request

    def received(self, data: bytes) -> bytes | Answer:
        if self._body is not None:
            return self._more(self._body, data)
        got = self._got + data if self._got else data
        while True:
            line = _STATUS.match(got)
            if line is None and (b"\n" in got or not _may_begin(got)):
                return down(Reason.GARBLED, f"not HTTP: {quoted(got[:200])}")
            end = _HEAD_END.search(got, self._looked)
            if end is None or line is None:
                self._got = got
                self._looked = max(len(got) - 3, 0)
                if len(got) > MOST:
                    return down(Reason.TOO_LONG, f"no end of the head after {MOST // 1024} KiB")
                return b""
            status = int(line[1])
            if status >= 200 or status == 101:
                break
            got = got[end.end() :]  # an interim answer (RFC 9110 section 15.2): the real one follows
            self._looked = 0
        if self._expect is None or self._bodiless:
            return _by_status(status, self._wanted)
        verdict = _by_status(status, self._wanted)
        if not verdict.ok:
            return verdict
        self._body = Body(got[: end.end()], status)
        return self._more(self._body, got[end.end() :])

    def _more(self, body: Body, data: bytes) -> bytes | Answer:
        """The verdict on the body as far as it is there."""
        before = len(body.bytes)
        whole = body.add(data)
        if len(body.bytes) > before:
            self._searched += len(body.bytes)
            if self._found(bytes(body.bytes)):
                return up(f"status {body.status}, body as expected")
        if whole is None:
            return down(Reason.GARBLED, f"status {body.status}, but the body's chunks are not understood")
        if whole or len(body.bytes) >= MOST:
            return self._missed(body)
        if self._searched > MOST_SEARCHED:
            return down(Reason.TOO_LONG, f"status {body.status}, and a body in too many pieces")
        return b""

    def _found(self, body: bytes) -> bool:
        return self._text in body if self._expression is None else self._expression.search(body) is not None

    def _missed(self, body: Body) -> Answer:
        words = "nothing in the body matches" if self._expression is not None else "the body has no"
        return down(Reason.WRONG_ANSWER, f"status {body.status}, but {words} {quoted(self._expect or '')}")

    def ended(self) -> Answer:
        body = self._body
        if body is None:
            said = f"closed after {quoted(self._got)}" if self._got else "closed without an answer"
            return down(Reason.CLOSED, f"{said}, an HTTP answer expected")
        if body.length == _UNTIL_END:
            return self._missed(body)
        return down(Reason.CLOSED, f"status {body.status}, closed before the body was complete")

    def silent(self) -> str:
        if self._body is not None:
            return f"the rest of the body, for {quoted(self._expect or '')} in it"
        return f"the rest of the head, after {quoted(self._got)}" if self._got else "an HTTP answer"


class Body:
    """A body, as it comes."""

    def __init__(self, head: bytes, status: int) -> None:
        self.status = status
        self.length = _length(head, status)  # or what ends it
        self.bytes = bytearray()  # its first `MOST`, and a piece more
        self._raw = bytearray()  # of chunks: not understood yet
        self._left = 0  # bytes of the chunk that is coming

    def add(self, data: bytes) -> bool | None:
        """Whether all of it is there; None if its chunks make no sense."""
        if self.length == _CHUNKED:
            self._raw += data
            return self._unchunked()
        self.bytes += data
        if self.length == _UNTIL_END or len(self.bytes) < self.length:
            return False
        del self.bytes[self.length :]
        return True

    def _unchunked(self) -> bool | None:
        """RFC 9112 section 7.1. What follows the last chunk is not waited for."""
        raw = self._raw
        at = 0
        try:
            while at < len(raw):
                if self._left:
                    piece = raw[at : at + self._left]
                    self.bytes += piece
                    self._left -= len(piece)
                    at += len(piece)
                    continue
                line = _CHUNK.match(raw, at)
                if line is None:
                    # the end of the chunk before is an empty line here
                    if raw[at : at + 1] == b"\n" and self.bytes:
                        at += 1
                    elif raw[at : at + 2] == b"\r\n" and self.bytes:
                        at += 2
                    else:
                        return None if b"\n" in raw[at:] or len(raw) - at > _LONGEST_LINE else False
                    continue
                self._left = int(line[1], 16)
                at = line.end()
                if not self._left:
                    return True
            return False
        finally:
            del raw[:at]


def _length(head: bytes, status: int) -> int:
    """The body's length, or what ends it (RFC 9112 section 6.3)."""
    if status in (101, 204, 304):
        return _NONE
    fields = {name.lower(): value for name, value in _FIELD.findall(head)}
    if fields.get(b"transfer-encoding", b"").lower().endswith(b"chunked"):
        return _CHUNKED
    length = fields.get(b"content-length", b"")
    return int(length) if length.isdigit() and len(length) < 10 else _UNTIL_END


@lru_cache(maxsize=1024)
def _by_status(status: int, wanted: tuple[tuple[int, int], ...]) -> Answer:
    """The verdict on a status; the usual ones are made once."""
    if any([low <= status <= high for low, high in wanted]):  # noqa: C419
        return up(f"status {status}")
    return down(Reason.WRONG_ANSWER, f"status {status}, {ranges(wanted)} expected")


def ranges(wanted: tuple[tuple[int, int], ...]) -> str:
    """`200 to 399`, `200 or 204`."""
    return " or ".join([str(low) if low == high else f"{low} to {high}" for low, high in wanted])


def _may_begin(got: bytes) -> bool:
    """Whether this may become a status line."""
    return (got.startswith(_BEGINNING) or _BEGINNING.startswith(got)) and len(got) <= _LONGEST_LINE
