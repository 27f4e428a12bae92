"""Line protocols: a list of steps, each waiting for an expression and then sending.

SMTP, FTP, POP3, IMAP, NNTP, Redis and the like differ in their steps only; the steps of each end
politely, so that the server's log shows a visit and no breakdown. An expression is looked for in
what came since the last step, with each whole line, so that a verdict does not depend on how the
answer was cut. Protocols that are known say where an answer ends, and one that is not the expected
one is a verdict; in steps of one's own, more lines are waited for.
"""

from __future__ import annotations

from collections.abc import Callable

from lvs.checks import Answer, Dialogue, Reason, Step, Tls
from lvs.probes.expressions import posix
from lvs.probes.talk import down, quoted, up

MOST, MOST_LINES = 1 << 14, 512  # of an answer to one step: bytes, lines
OWN = "dialogue"  # the name of those that are made of steps of one's own


def smtp(tls: Tls | None = None, port: int | None = None, *, starttls: bool = False) -> Dialogue:
    """RFC 5321: greeting, EHLO, QUIT; with `starttls` EHLO again behind it (RFC 3207)."""
    hello = (Step("^220", b"EHLO lvsd.invalid\r\n"),)
    tail = (Step("^250", b"QUIT\r\n"), Step("^221"))
    if not starttls:
        return Dialogue("smtp", (*hello, *tail), tls, None, port)
    asks = (
        Step("^250", b"STARTTLS\r\n"),
        Step("^220", b""),
        Step(None, b"EHLO lvsd.invalid\r\n"),
    )
    return Dialogue("smtp", (*hello, *asks, *tail), tls or Tls(), 3, port)


def lmtp(tls: Tls | None = None, port: int | None = None, *, starttls: bool = False) -> Dialogue:
    """RFC 2033: as SMTP, with LHLO."""
    built = smtp(tls, port, starttls=starttls)
    steps = tuple([Step(one.expect, one.send and one.send.replace(b"EHLO", b"LHLO")) for one in built.steps])
    return Dialogue("lmtp", steps, built.tls, built.starttls, port)


def ftp(tls: Tls | None = None, port: int | None = None) -> Dialogue:
    """RFC 959: greeting, QUIT."""
    return Dialogue("ftp", (Step("^220", b"QUIT\r\n"), Step("^221")), tls, None, port)


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


def redis(
    tls: Tls | None = None, port: int | None = None, *, user: str | None = None, password: str | None = None
) -> Dialogue:
    """PING, QUIT. A server that asks for a password is there: it answers NOAUTH.

    With a password (the name of a credential) AUTH goes before it, see `authenticated`.
    """
    pong = r"^(\+PONG|-NOAUTH|-NOPERM)" if password is None else r"^(\+PONG|-NOPERM)"
    steps = (Step(None, b"PING\r\n"), Step(pong, b"QUIT\r\n"), Step(r"^(\+OK|-)"))
    return Dialogue("redis", steps, tls, None, port, user, password)


def authenticated(check: Dialogue, password: bytes) -> tuple[Step, ...]:
    """The steps of Redis with AUTH before them: an array of its protocol, which holds whatever bytes."""
    words = [b"AUTH", *([] if check.user is None else [check.user.encode()]), password]
    command = b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)
    return (Step(None, command), Step(r"^\+OK"), *check.steps)


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

    def __init__(self, check: Dialogue, password: bytes = b"") -> None:
        """Errors: ValueError, if a step expects what is no expression."""
        self._name = check.name
        self._password = password  # never shown, though a server says it again
        steps = authenticated(check, password) if check.password is not None else check.steps
        self._logs_in_at = 1 if check.password is not None else None
        self._steps = [(None if step.expect is None else posix(step.expect.encode()), step) for step in steps]
        self._whole = _WHOLE.get(check.name, _line if check.name != OWN else _never)
        self._tls_at = check.starttls
        self.write_only = check.tls is None and all(step.expect is None for step in check.steps)
        self._restart()

    def _restart(self) -> None:
        self._at = 0
        self._got = b""  # what no step has taken
        self._looked = self._lines = 0  # in it: lines that were looked at, their end and their number
        self._last = b""
        self._farewell = b""

    @property
    def step(self) -> int:
        """How many steps are done."""
        return self._at

    def begin(self) -> bytes:
        self._restart()
        return self._send(b"")

    def _send(self, sent: bytes) -> bytes:
        """What has been said so far, and what the next steps say without waiting."""
        while self._at < len(self._steps):
            expression, step = self._steps[self._at]
            if expression is not None:
                break
            sent += step.send or b""
            self._at += 1
        return sent

    def received(self, data: bytes) -> bytes | Answer:
        self._got += data
        sent = b""
        while self._at < len(self._steps):
            end = self._got.find(b"\n", self._looked) + 1
            if not end:
                return self._wrong(self._got) if len(self._got) > MOST else sent
            self._lines += 1
            lines = self._got[:end]
            self._looked = end
            expression, step = self._steps[self._at]
            whole = self._whole(lines)
            looks = whole or self._whole is not _code  # a line of a reply with a code says nothing by itself
            if expression is None or not looks or expression.search(lines) is None:
                if whole or end > MOST or self._lines > MOST_LINES:
                    return self._wrong(lines)
                continue
            self._last, self._got = lines, self._got[end:]
            self._looked = self._lines = 0
            self._at += 1
            if self._at == self._tls_at and self._got:  # said in clear by whoever sits between
                return self._unasked()
            sent = self._send(sent + (step.send or b""))
        self._farewell = sent
        return self._done()

    def _shown(self, said: bytes) -> str:
        return quoted(said.replace(self._password, b"...") if self._password else said)

    def _done(self) -> Answer:
        return up(
            f"{self._name}: answered {self._shown(self._last)}" if self._last else f"{self._name}: sent"
        )

    def _unasked(self) -> Answer:
        return down(Reason.GARBLED, f"{self._name}: {self._shown(self._got)} came in clear, where TLS begins")

    def _wrong(self, got: bytes) -> Answer:
        reason = Reason.DENIED if self._at == self._logs_in_at else Reason.WRONG_ANSWER
        return down(reason, f"{self._name}: answered {self._shown(got)}, {self._expected()}")

    def _expected(self) -> str:
        _, step = self._steps[min(self._at, len(self._steps) - 1)]
        return f"{quoted(step.expect or '')} expected (step {self._at + 1})"

    def ended(self) -> Answer:
        if self._got and not self._got.endswith(b"\n"):  # the last line may lack its end
            verdict = self.received(b"\n")
            if isinstance(verdict, Answer):
                return verdict
        said = f"closed after {self._shown(self._got)}" if self._got else "closed"
        return down(Reason.CLOSED, f"{self._name}: {said}, {self._expected()}")

    def silent(self) -> str:
        _, step = self._steps[min(self._at, len(self._steps) - 1)]
        said = f", only {self._shown(self._got)} came" if self._got else ""
        return f"step {self._at + 1} of {self._name}, {quoted(step.expect or '')}{said}"

    def farewell(self) -> bytes:
        """What the last step sends: there is nothing to be waited for behind it."""
        return self._farewell


def _never(_lines: bytes) -> bool:
    return False


def _line(_lines: bytes) -> bool:
    return True


def _code(lines: bytes) -> bool:
    """Whether a reply with a code is whole: a hyphen behind the code goes on until the code with a space.

    Source: RFC 959 section 4.2, where lines between need no code; RFC 5321 section 4.2.1.
    """
    code, hyphen = lines[:3], lines[3:4]
    if hyphen != b"-" or not code.isdigit():
        return True
    last = lines[lines.rfind(b"\n", 0, -1) + 1 :]
    return last.startswith(code) and last[3:4] != b"-"


def _tagged(lines: bytes) -> bool:
    """Whether an answer of IMAP is whole: untagged lines go before the one that ends it.

    Source: RFC 9051 section 2.2.2.
    """
    return not lines[lines.rfind(b"\n", 0, -1) + 1 :].startswith(b"* ")


# How each protocol ends an answer: where it is not here, with each line.
_WHOLE: dict[str, Callable[[bytes], bool]] = {
    "smtp": _code,
    "lmtp": _code,
    "ftp": _code,
    "nntp": _code,
    "imap": _tagged,
}
