"""RADIUS: Status-Server (RFC 5997), or an Access-Request with PAP if there is a user (RFC 2865).

An answer counts only if it was made with the secret and for this very request; any other datagram
is passed over, as if it had not come. A server that knows another secret, or not this client, says
nothing at all: to the check, it is silent.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterator, Mapping
from os import urandom

from lvs.checks import Answer, Radius, Reason, Target
from lvs.probes.talk import credential, down, quoted, up

ACCESS_REQUEST, ACCESS_ACCEPT, ACCESS_REJECT, ACCOUNTING_RESPONSE = 1, 2, 3, 5
ACCESS_CHALLENGE, STATUS_SERVER = 11, 12
CODES = {
    ACCESS_ACCEPT: "Access-Accept",
    ACCESS_REJECT: "Access-Reject",
    ACCOUNTING_RESPONSE: "Accounting-Response",
    ACCESS_CHALLENGE: "Access-Challenge",
}
USER_NAME, USER_PASSWORD, REPLY_MESSAGE, NAS_IDENTIFIER, MESSAGE_AUTHENTICATOR = 1, 2, 18, 32, 80
HEADER = 20
LONGEST = 4096  # RFC 2865 section 3
LONGEST_PASSWORD = 128  # section 5.2
NAME = b"lvsd"

Random = Callable[[int], bytes]


def talk(
    check: Radius,
    target: Target,  # noqa: ARG001
    secrets: Mapping[str, bytes],
    random: Random = urandom,
) -> RadiusTalk:
    """The talk of a RADIUS check. Errors: LookupError, see `credential`."""
    return RadiusTalk(
        check.user, credential(secrets, check.password), credential(secrets, check.secret), random
    )


class RadiusTalk:
    """One datagram there, one back."""

    def __init__(self, user: str | None, password: bytes, secret: bytes, random: Random) -> None:
        self._user = user
        self._password = password[:LONGEST_PASSWORD]
        self._secret = secret
        self._random = random
        self._what = "Status-Server" if user is None else f"Access-Request of {quoted(user)[1:-1]}"
        self._request = b""
        self._passed_over = 0

    def begin(self) -> bytes:
        self._passed_over = 0
        authenticator = self._random(16)
        attributes = [attribute(NAS_IDENTIFIER, NAME)]
        code = STATUS_SERVER
        if self._user is not None:
            code = ACCESS_REQUEST
            attributes.append(attribute(USER_NAME, self._user.encode()))
            attributes.append(attribute(USER_PASSWORD, hidden(self._password, self._secret, authenticator)))
        self._request = signed(code, self._random(1)[0], authenticator, b"".join(attributes), self._secret)
        return self._request

    def received(self, data: bytes) -> bytes | Answer:
        answer = data[: int.from_bytes(data[2:4], "big")]  # what follows is padding (RFC 2865 section 3)
        if not ours(answer, self._request, self._secret):
            self._passed_over += 1
            return b""
        return self._verdict(answer[0], answer[HEADER:])

    def ended(self) -> Answer:
        return down(Reason.CLOSED, f"no answer to {self._what}")

    def silent(self) -> str:
        if self._passed_over:
            return f"an answer to {self._what}; {self._passed_over} came that the secret does not fit"
        return f"an answer to {self._what}; to a wrong secret there is none"

    def _verdict(self, code: int, attributes: bytes) -> Answer:
        name = CODES.get(code, f"code {code}")
        said = b"".join(value for kind, value in _attributes(attributes) if kind == REPLY_MESSAGE)
        text = f"{self._what}: {name}, {quoted(said)}" if said.strip() else f"{self._what}: {name}"
        if code == ACCESS_ACCEPT:
            return up(text)
        # The port of accounting answers Status-Server with its own kind (RFC 5997 section 3)
        if self._user is None:
            return up(text) if code == ACCOUNTING_RESPONSE else down(Reason.WRONG_ANSWER, text)
        if code == ACCESS_CHALLENGE:  # the first factor was good enough for a second one
            return up(text)
        return down(Reason.DENIED if code == ACCESS_REJECT else Reason.WRONG_ANSWER, text)


def attribute(kind: int, value: bytes) -> bytes:
    value = value[:253]
    return bytes((kind, len(value) + 2)) + value


def signed(code: int, identifier: int, authenticator: bytes, attributes: bytes, secret: bytes) -> bytes:
    """A request with its Message-Authenticator, which comes first (RFC 3579 section 3.2)."""
    length = HEADER + 18 + len(attributes)
    header = bytes((code, identifier)) + length.to_bytes(2, "big") + authenticator
    unsigned = header + attribute(MESSAGE_AUTHENTICATOR, bytes(16)) + attributes
    digest = hmac.digest(secret, unsigned, "md5")
    return header + attribute(MESSAGE_AUTHENTICATOR, digest) + attributes


def hidden(password: bytes, secret: bytes, authenticator: bytes) -> bytes:
    """A User-Password's value (RFC 2865 section 5.2)."""
    padded = password.ljust(max(16, (len(password) + 15) // 16 * 16), b"\0")
    said, before = b"", authenticator
    for at in range(0, len(padded), 16):
        mask = _md5(secret + before)
        before = bytes(a ^ b for a, b in zip(padded[at : at + 16], mask, strict=True))
        said += before
    return said


def ours(answer: bytes, request: bytes, secret: bytes) -> bool:
    """Whether an answer was made for this request by one who knows the secret."""
    if not HEADER <= len(answer) <= LONGEST or not request:
        return False
    if answer[1] != request[1] or int.from_bytes(answer[2:4], "big") != len(answer):
        return False
    asked = request[4:HEADER]
    # Response Authenticator (RFC 2865 section 3)
    wanted = _md5(answer[:4] + asked + answer[HEADER:] + secret)
    if not hmac.compare_digest(answer[4:HEADER], wanted):
        return False
    at = HEADER
    for kind, value in _attributes(answer[HEADER:]):
        if kind == MESSAGE_AUTHENTICATOR:
            body = answer[HEADER : at + 2] + bytes(len(value)) + answer[at + 2 + len(value) :]
            digest = hmac.digest(secret, answer[:4] + asked + body, "md5")
            return hmac.compare_digest(value, digest)
        at += 2 + len(value)
    return True


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Kinds and values, as far as they make sense."""
    at = 0
    while at + 2 <= len(data) and data[at + 1] >= 2 and at + data[at + 1] <= len(data):
        yield data[at], data[at + 2 : at + data[at + 1]]
        at += data[at + 1]


def _md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()
