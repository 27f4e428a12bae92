"""HTTP/1.1 (RFC 9112): a request, and as much of the answer as the verdict needs.

Without a body to look at, the status line is enough. A body comes by length, in chunks, or until
the end; only its first `MOST` bytes are looked at.
"""

from __future__ import annotations

import re

from lvs.checks import Address, Answer, Http, Reason
from lvs.probes.expressions import Expression, posix
from lvs.probes.talk import down, quoted, up

MOST = 1 << 16  # bytes of header, and of body
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])(?:[ \r\n]|$)")  # RFC 9112 section 4
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_FIELD = re.compile(
    rb"^(content-length|transfer-encoding)[ \t]*:[ \t]*(.*?)[ \t]*\r?$", re.IGNORECASE | re.MULTILINE
)
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})(?:[ \t]*;[^\r\n]*)?\r?\n")


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
        self._request = request(check, address, port)
        self._wanted = check.status
        self._text: bytes | None = None
        self._expression: Expression | None = None
        if check.expect is not None and check.use_regex:
            self._expression = posix(check.expect.encode())
        elif check.expect is not None:
            self._text = check.expect.encode()
        self._expect = check.expect
        self._bodiless = check.method == "HEAD"
        self._good: dict[int, Answer] = {}  # by status: the usual answer is made once
        self._got = b""

    def begin(self) -> bytes:
        self._got = b""
        return self._request

    def received(self, data: bytes) -> bytes | Answer:
        got = self._got = self._got + data if self._got else data
        while True:
            verdict = self._status(got)
            if verdict is not None:
                return verdict
            end = _HEAD_END.search(got, 0, MOST)
            if end is None:
                if len(got) >= MOST:
                    return down(Reason.GARBLED, f"a header of more than {MOST} bytes")
                return b""
            if got[9:10] == b"1":  # an interim answer, RFC 9110 section 15.2: the real one follows
                got = self._got = got[end.end() :]
                if not got:
                    return b""
                continue
            return self._judged(got, end.end(), ended=False)

    def _status(self, got: bytes) -> Answer | None:
        """The verdict if the status line settles it, None if there is more to read."""
        match = _STATUS.match(got)
        if match is None:
            if len(got) < 13 and b"\n" not in got and _begins(got):
                return None
            return down(Reason.GARBLED, f"answered {quoted(got)}, no HTTP")
        status = int(match[1])
        if status < 200 and status != 101:
            return None
        if not any(low <= status <= high for low, high in self._wanted):
            return down(Reason.WRONG_ANSWER, f"status {status}, {ranges(self._wanted)} expected")
        if self._expect is not None and not self._bodiless:
            return None
        known = self._good.get(status)
        if known is None:
            known = self._good[status] = up(f"status {status}")
        return known

    def _judged(self, got: bytes, start: int, *, ended: bool) -> bytes | Answer:
        """The verdict on the body as far as it is there."""
        body, whole = _body(got[:start], got[start : start + MOST])
        if body is None:
            return down(Reason.GARBLED, "the body's chunks are not understood")
        if self._found(body):
            return up(f"status {got[9:12].decode()}, body as expected")
        if whole or ended or len(body) >= MOST or len(got) - start >= MOST:
            return down(Reason.WRONG_ANSWER, f"status {got[9:12].decode()}, but {self._missed()}")
        return b""

    def _found(self, body: bytes) -> bool:
        if self._expression is not None:
            return self._expression.search(body) is not None
        return self._text is not None and self._text in body

    def _missed(self) -> str:
        words = "nothing in the body matches" if self._expression else "the body has no"
        return f"{words} {quoted(self._expect or '')}"

    def ended(self) -> Answer:
        end = _HEAD_END.search(self._got, 0, MOST)
        if end is not None and self._got[9:10] != b"1":
            verdict = self._judged(self._got, end.end(), ended=True)
            if isinstance(verdict, Answer):
                return verdict
        said = f"closed after {quoted(self._got)}" if self._got else "closed without an answer"
        return down(Reason.CLOSED, f"{said}, an HTTP answer expected")

    def silent(self) -> str:
        return "no HTTP answer" if not self._got else f"only {quoted(self._got)}, no whole HTTP answer"


def ranges(wanted: tuple[tuple[int, int], ...]) -> str:
    """`200 to 399`, `200 or 204`."""
    return " or ".join(str(low) if low == high else f"{low} to {high}" for low, high in wanted)


def _begins(got: bytes) -> bool:
    """Whether this may become a status line."""
    return b"HTTP/1.".startswith(got[:7]) and (len(got) <= 7 or got[7:8] in b"01") and got[8:9] in (b"", b" ")


def _body(head: bytes, rest: bytes) -> tuple[bytes | None, bool]:
    """The body that is there, and whether it is all of it; None if its chunks make no sense."""
    fields = {name.lower(): value for name, value in _FIELD.findall(head)}
    coding = fields.get(b"transfer-encoding")
    if coding is not None and coding.lower().endswith(b"chunked"):
        return _unchunked(rest)
    length = fields.get(b"content-length", b"")
    if length.isdigit() and len(length) < 10:
        return rest[: int(length)], len(rest) >= int(length)
    return rest, False


def _unchunked(rest: bytes) -> tuple[bytes | None, bool]:
    """RFC 9112 section 7.1."""
    body = b""
    at = 0
    while at < len(rest):
        size = _CHUNK.match(rest, at)
        if size is None:
            return (body, False) if len(rest) - at < 32 and b"\n" not in rest[at:] else (None, False)
        length = int(size[1], 16)
        if not length:
            return body, True
        body += rest[size.end() : size.end() + length]
        at = size.end() + length
        if at + 2 > len(rest):
            return body, False
        at += 2 if rest[at : at + 2] == b"\r\n" else 1 if rest[at : at + 1] == b"\n" else len(rest)
    return body, False
