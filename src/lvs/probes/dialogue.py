"""Line protocols: a list of steps, each waiting for an expression and then sending.

SMTP, FTP, POP3, IMAP, NNTP, Redis and the like differ in their steps only; the steps of each end
politely, so that the server's log shows a visit and no breakdown. An expression is looked for in
what came since the last step, whole lines only, so that a verdict does not depend on how the
answer was cut.
"""

from __future__ import annotations

from lvs.checks import Answer, Dialogue, Reason, Step, Tls
from lvs.probes.expressions import posix
from lvs.probes.talk import down, quoted, up

MOST = 1 << 16  # bytes of an answer to one step


def smtp(tls: Tls | None = None, port: int | None = None, *, starttls: bool = False) -> Dialogue:
    """RFC 5321: greeting, EHLO, QUIT; with `starttls` EHLO again behind it (RFC 3207)."""
    hello = (Step(r"^220[ -]", b"EHLO lvsd.invalid\r\n"),)
    tail = (Step(r"(^|\n)250 ", b"QUIT\r\n"), Step("^221"))
    if not starttls:
        return Dialogue("smtp", (*hello, *tail), tls, None, port)
    asks = (Step(r"(^|\n)250 ", b"STARTTLS\r\n"), Step("^220", b""), Step(None, b"EHLO lvsd.invalid\r\n"))
    return Dialogue("smtp", (*hello, *asks, *tail), tls or Tls(), 3, port)


def ftp(tls: Tls | None = None, port: int | None = None) -> Dialogue:
    """RFC 959: greeting, QUIT."""
    return Dialogue("ftp", (Step(r"(^|\n)220 ", b"QUIT\r\n"), Step(r"(^|\n)221 ")), tls, None, port)


def pop3(tls: Tls | None = None, port: int | None = None, *, starttls: bool = False) -> Dialogue:
    """RFC 1939: greeting, QUIT; STLS by RFC 2595."""
    tail = (Step(None, b"QUIT\r\n"), Step(r"^\+OK"))
    if not starttls:
        return Dialogue("pop3", (Step(r"^\+OK", b"QUIT\r\n"), Step(r"^\+OK")), tls, None, port)
    asks = (Step(r"^\+OK", b"STLS\r\n"), Step(r"^\+OK", b""))
    return Dialogue("pop3", (*asks, *tail), tls or Tls(), 2, port)


def imap(tls: Tls | None = None, port: int | None = None, *, starttls: bool = False) -> Dialogue:
    """RFC 9051: greeting, LOGOUT."""
    tail = Step(r"(^|\n)a2 OK")
    if not starttls:
        return Dialogue("imap", (Step(r"^\* (OK|PREAUTH)", b"a2 LOGOUT\r\n"), tail), tls, None, port)
    asks = (
        Step(r"^\* OK", b"a1 STARTTLS\r\n"),
        Step(r"(^|\n)a1 OK", b""),
        Step(None, b"a2 LOGOUT\r\n"),
        tail,
    )
    return Dialogue("imap", asks, tls or Tls(), 2, port)


def nntp(tls: Tls | None = None, port: int | None = None) -> Dialogue:
    """RFC 3977: greeting, QUIT."""
    return Dialogue("nntp", (Step("^20[01]", b"QUIT\r\n"), Step("^205")), tls, None, port)


def redis(tls: Tls | None = None, port: int | None = None) -> Dialogue:
    """PING, QUIT. A server that asks for a password is there: it answers NOAUTH."""
    steps = (Step(None, b"PING\r\n"), Step(r"^(\+PONG|-NOAUTH|-NOPERM)", b"QUIT\r\n"), Step(r"^(\+OK|-)"))
    return Dialogue("redis", steps, tls, None, port)


def memcached(tls: Tls | None = None, port: int | None = None) -> Dialogue:
    """`version`, `quit`: memcached's doc/protocol.txt."""
    return Dialogue(
        "memcached", (Step(None, b"version\r\n"), Step("^VERSION ", b"quit\r\n")), tls, None, port
    )


def clamd(tls: Tls | None = None, port: int | None = None) -> Dialogue:
    """clamd(8): nPING, answered by a line."""
    return Dialogue("clamd", (Step(None, b"nPING\n"), Step("^PONG")), tls, None, port)


class DialogueTalk:
    """The client's side of a dialogue."""

    write_only = False

    def __init__(self, check: Dialogue) -> None:
        self._name = check.name
        self._steps = [
            (None if step.expect is None else posix(step.expect.encode()), step) for step in check.steps
        ]
        self._at = 0
        self._got = b""
        self._last = b""

    @property
    def step(self) -> int:
        """How many steps are done."""
        return self._at

    def begin(self) -> bytes:
        self._at = 0
        self._got = self._last = b""
        sent = self._send()
        assert not isinstance(sent, Answer)
        return sent

    def _send(self) -> bytes | Answer:
        """What the steps that wait for nothing send."""
        sent = b""
        while self._at < len(self._steps):
            expression, step = self._steps[self._at]
            if expression is not None:
                return sent
            sent += step.send or b""
            self._at += 1
        return sent

    def received(self, data: bytes) -> bytes | Answer:
        self._got += data
        sent = b""
        while self._at < len(self._steps):
            expression, step = self._steps[self._at]
            end = self._got.rfind(b"\n") + 1
            lines = self._got[:end]
            if expression is not None and (not lines or expression.search(lines) is None):
                if len(self._got) >= MOST or (lines and _refuses(lines)):
                    return self._wrong(lines or self._got)
                return sent
            self._last, self._got = lines, self._got[end:]
            sent += step.send or b""
            self._at += 1
            if step.send is not None:
                break
        more = self._send()
        assert not isinstance(more, Answer)
        return self._done() if self._at == len(self._steps) and not sent + more else sent + more

    def _done(self) -> Answer:
        return up(f"{self._name}: answered {quoted(self._last)}" if self._last else f"{self._name}: answered")

    def _wrong(self, got: bytes) -> Answer:
        _, step = self._steps[self._at]
        said = f"{self._name}: answered {quoted(got)}"
        return down(
            Reason.WRONG_ANSWER, f"{said}, {quoted(step.expect or '')} expected (step {self._at + 1})"
        )

    def ended(self) -> Answer:
        if self._at == len(self._steps):
            return self._done()
        said = f"closed after {quoted(self._got)}" if self._got else "closed"
        if self._got and not self._got.endswith(b"\n"):  # the last line may lack its end
            verdict = self.received(b"\n")
            if isinstance(verdict, Answer):
                return verdict
        return down(Reason.CLOSED, f"{self._name}: {said} in step {self._at + 1} of {len(self._steps)}")

    def silent(self) -> str:
        step = self._steps[min(self._at, len(self._steps) - 1)][1]
        return f"{self._name}: no answer in step {self._at + 1}, {quoted(step.expect or '')} expected"


def _refuses(lines: bytes) -> bool:
    """Whether a whole answer is there, which is not the expected one.

    A line that is continued has a hyphen behind its code (RFC 5321 section 4.2.1); a line of IMAP
    that begins with an asterisk is followed by others.
    """
    last = lines.rstrip(b"\r\n").rsplit(b"\n", 1)[-1]
    return not (last[3:4] == b"-" and last[:3].isdigit()) and not last.startswith(b"* ")
