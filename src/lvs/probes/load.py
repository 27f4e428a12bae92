"""Load monitors: what a program or an HTTP agent says of a real server's load, as one number.

nanny took the first number behind the word "load" and the next colon (lvs.cf section 4.7): the
one-minute average of uptime, and of rup. Its ruptime prints no colon and was never understood;
here it is. Beside that, an answer may name the share of its weight that the server wants: `75%`.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from lvs.checks import Address, Answer, Load, Reason
from lvs.probes.program import Ended, Outcome, failure
from lvs.probes.talk import down, quoted

LONGEST = 1 << 14  # bytes of an HTTP agent's answer, header included

# A share is a negative value; 0% must be told from a load of 0, which is the opposite.
NOTHING = 1e-6

# "load average: 0.52, 0.58, 0.59" of uptime and rup, "load averages: 1.5 1.4 1.3" of the BSDs,
# "load 0.10, 0.20, 0.30" of ruptime; "load average: 0,52, 0,58" where the comma is the decimal point.
# A number with % behind it is neither, hence the atomic group: no part of it may match.
_LOAD = re.compile(
    rb"(?<![a-z])load(?:[^\d:\n]{0,40}:[ \t]*|[ \t]+)((?>\d{1,6}(?:[.,]\d{1,9})?))(?![\d%])", re.IGNORECASE
)
_OF_LOAD = re.compile(rb"(?<![a-z])load(?![a-z])", re.IGNORECASE)
# A share stands by itself, as HAProxy's agents send it ("up 75%"): what is a part of "cpu=75%" is
# some other figure.
_SHARE = re.compile(rb"(?:^|[\s,])(\d{1,6}(?:\.\d{1,6})?)%(?=$|[\s,])")
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})(?: |\r?\n|$)")


def value(said: bytes) -> float | None:
    """The load, or minus the share of the weight, that an answer names; None: neither."""
    found = _LOAD.search(said)
    if found is not None:
        return float(found[1].replace(b",", b"."))
    if _OF_LOAD.search(said):
        return None  # "load: 75%" may mean a load as well as a share, and they are opposites
    share = _SHARE.search(said)
    return None if share is None else -max(float(share[1]) / 100, NOTHING)


def answer(said: bytes, who: str) -> Answer:
    """What an answer says, by a load monitor's name."""
    found = value(said)
    if found is None:
        return down(Reason.WRONG_ANSWER, f"{who} names neither a load nor a share in {quoted(said)}")
    text = f"{who} says load {found:g}" if found >= 0 else f"{who} asks for {-found:.0%} of the weight"
    return Answer(ok=True, reason=Reason.ANSWERED, text=text, value=found)


def verdict(program: str, outcome: Outcome, limit_s: float) -> Answer:
    """What a load monitor's program says, by how it ended."""
    failed = failure(program, outcome, limit_s)
    if failed is not None:
        return failed
    assert isinstance(outcome, Ended)
    return answer(outcome.output, program)


def place(url: str, address: Address) -> tuple[str, int, str]:
    """An HTTP agent's host as in a Host field, its port, and the path with its query.

    Shape: `url` is http://%h:PORT/PATH, with %h the real server.
    Errors: ValueError for what is no such URL; after `lvs.config.build` there is none.
    """
    shown = f"[{address}]" if address.version == 6 else str(address)
    parts = urlsplit(url.replace("%h", shown, 1))
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError(f"http://%h:PORT/PATH expected, got {url}")
    port = parts.port or 80
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not path.isascii() or not path.isprintable() or " " in path:
        raise ValueError(f"a URL is of printable ASCII without blanks, got {url}")
    return (shown if port == 80 else f"{shown}:{port}"), port, path


class Agent:
    """The Talk of a `Load` with a URL: HTTP/1.0 (RFC 1945), whose answer ends with the connection.

    HTTP/1.0 leaves servers no chunks to send (RFC 9112 section 7.1); Content-Length need not be
    waited for, but an answer that is complete by it is not kept waiting either.
    """

    def __init__(self, check: Load, address: Address) -> None:
        assert check.url is not None
        self._who = check.url.replace("%h", str(address), 1)
        host, _, path = place(check.url, address)
        self._request = (
            f"GET {path} HTTP/1.0\r\nHost: {host}\r\nUser-Agent: lvsd\r\nAccept: */*\r\n\r\n".encode()
        )
        self._said = bytearray()

    def begin(self) -> bytes:
        self._said.clear()
        return self._request

    def received(self, data: bytes) -> bytes | Answer:
        self._said += data
        if len(self._said) > LONGEST:
            return down(Reason.TOO_LONG, f"{self._who} answers with more than {LONGEST} bytes")
        head, separator, body = bytes(self._said).partition(b"\r\n\r\n")
        if separator:
            length = re.search(rb"\r\ncontent-length:[ \t]*(\d{1,9})[ \t]*(?:\r\n|$)", head.lower())
            if length is not None and len(body) >= int(length[1]):
                return self._judged(head, body[: int(length[1])])
        return b""

    def ended(self) -> Answer:
        if not self._said:
            return down(Reason.CLOSED, "closed without an answer")
        head, separator, body = bytes(self._said).partition(b"\r\n\r\n")
        if not separator and _STATUS.match(head):
            return down(Reason.CLOSED, "closed within the header of its answer")
        return self._judged(head, body)

    def silent(self) -> str:
        return "the end of its answer" if self._said else "an answer"

    def _judged(self, head: bytes, body: bytes) -> Answer:
        status = _STATUS.match(head)
        if status is None:
            return down(Reason.GARBLED, f"not an answer of HTTP: {quoted(head)}")
        if status[1] != b"200":
            return down(Reason.WRONG_ANSWER, f"status {int(status[1])}, 200 expected")
        return answer(body, self._who)
