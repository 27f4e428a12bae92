"""Piranha's send and expect (lvs.cf section 4.3), with nanny's defects mended.

The answer must begin with `expect`, case and all; `*` is anything, on TCP also an orderly end
without a byte; an expression is found anywhere. nanny read once, at most 254 bytes: an answer in
two packets failed. Here what comes is put together, up to the length of `expect` or, for an
expression, up to `MOST` bytes.
"""

from __future__ import annotations

from lvs.checks import Answer, Exchange, Reason
from lvs.probes.expressions import posix
from lvs.probes.talk import down, quoted, up

MOST = 1 << 16  # bytes in which an expression is looked for
MOST_SEARCHED = 1 << 24  # bytes of an answer that comes in pieces, all searches together
ANY = b"*"

_EXPECTED = up("answered as expected")
_ANYTHING = up("answered")
_ENDED = up("ended the connection, which is answer enough")


class Sender:
    """Text is sent, and no answer expected: connecting and writing is enough."""

    write_only = True

    def __init__(self, check: Exchange) -> None:
        self._send = check.send or b""

    def begin(self) -> bytes:
        return self._send

    def received(self, _data: bytes) -> bytes | Answer:
        return b""

    def ended(self) -> Answer:
        return down(Reason.CLOSED, "closed the connection before the text was sent")

    def silent(self) -> str:
        return "what is sent to be taken"


class Prefix:
    """The answer begins with a text."""

    write_only = False

    def __init__(self, check: Exchange) -> None:
        self._send = check.send or b""
        self._expect = check.expect or b""
        self._udp = check.udp
        self._got = b""

    def begin(self) -> bytes:
        self._got = b""
        return self._send

    def received(self, data: bytes) -> bytes | Answer:
        if self._expect == ANY:
            return _ANYTHING
        got = self._got + data if self._got else data
        if got.startswith(self._expect):
            return _EXPECTED
        if not self._udp and self._expect.startswith(got):
            self._got = got
            return b""
        return _other(got, self._expect)

    def ended(self) -> Answer:
        if self._expect == ANY:
            return _ENDED
        said = f"closed after {quoted(self._got)}" if self._got else "closed without an answer"
        return down(Reason.CLOSED, f"{said}, {quoted(self._expect)} expected")

    def silent(self) -> str:
        if self._expect == ANY:
            return "any answer"
        after = f", after {quoted(self._got)}" if self._got else ""
        return f"an answer that begins {quoted(self._expect)}{after}"


class Search:
    """An expression is found in the answer."""

    write_only = False

    def __init__(self, check: Exchange) -> None:
        self._send = check.send or b""
        self._shown = quoted(check.expect or b"")
        self._expression = posix(check.expect or b"")
        self._udp = check.udp
        self._got = b""
        self._searched = 0

    def begin(self) -> bytes:
        self._got = b""
        self._searched = 0
        return self._send

    def received(self, data: bytes) -> bytes | Answer:
        got = self._got + data if self._got else data
        self._searched += len(got)
        if self._expression.search(got[:MOST]) is not None:
            return _EXPECTED
        if self._udp or len(got) >= MOST:
            return down(Reason.WRONG_ANSWER, f"answered {quoted(got)}, nothing matches {self._shown}")
        if self._searched > MOST_SEARCHED:
            return down(Reason.TOO_LONG, f"an answer in too many pieces, nothing matches {self._shown} yet")
        self._got = got
        return b""

    def ended(self) -> Answer:
        said = f"closed after {quoted(self._got)}" if self._got else "closed without an answer"
        return down(
            Reason.WRONG_ANSWER if self._got else Reason.CLOSED, f"{said}, nothing matches {self._shown}"
        )

    def silent(self) -> str:
        after = f", after {quoted(self._got)}" if self._got else ""
        return f"an answer that matches {self._shown}{after}"


def _other(got: bytes, expect: bytes) -> Answer:
    return down(Reason.WRONG_ANSWER, f"answered {quoted(got)}, {quoted(expect)} expected")


def talk(check: Exchange) -> Sender | Prefix | Search:
    """The talk of a check that sends or expects something. Errors: ValueError for a bad expression."""
    if check.expect is None:
        return Sender(check)
    return Search(check) if check.use_regex else Prefix(check)
