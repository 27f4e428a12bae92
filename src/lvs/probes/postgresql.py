"""PostgreSQL's protocol 3.0 (its manual, chapter "Frontend/Backend Protocol").

Without a password the check ends where the server asks for one: that a process was forked, found the
database's files, read its access rules and wants to go on is what a balancer needs to know. With
one it logs in, and is up when the server is ready for queries. No query is made.

Each probe is a session of the server's; it ends with Terminate, so that nothing is logged as cut off.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from os import urandom

from lvs.checks import Answer, Postgresql, Reason, Target
from lvs.probes.scram import Scram
from lvs.probes.talk import credential, down, quoted, up

SSL_REQUEST = (8).to_bytes(4, "big") + (80877103).to_bytes(4, "big")
PROTOCOL = (3 << 16).to_bytes(4, "big")
TERMINATE = b"X\0\0\0\4"

# Of AuthenticationRequest
OK, CLEARTEXT, MD5, SASL, SASL_CONTINUE, SASL_FINAL = 0, 3, 5, 10, 11, 12
METHODS = {2: "Kerberos", 6: "SCM", 7: "GSSAPI", 9: "SSPI"}
MECHANISM = b"SCRAM-SHA-256"

# Messages that may come, by their first byte; what else comes first is no PostgreSQL.
KNOWN = b"REKSZNv"
ALLOWED = 1 << 16  # bytes of one message; 30,000 for errors in pre-authentication clients of libpq


CODE = re.compile(r"[0-9A-Z]{5}")

Random = Callable[[int], bytes]


def talk(
    check: Postgresql,
    target: Target,  # noqa: ARG001
    secrets: Mapping[str, bytes],
    random: Random = urandom,
) -> PostgresqlTalk:
    """The talk of a PostgreSQL check. Errors: LookupError, see `credential`."""
    password = None if check.password is None else credential(secrets, check.password)
    return PostgresqlTalk(check, password, random)


class PostgresqlTalk:
    """A session up to the request for a password, or through it; with TLS, SSLRequest comes first."""

    def __init__(self, check: Postgresql, password: bytes | None, random: Random) -> None:
        self._user = check.user
        self._password = password
        self._random = random
        self._tls = check.tls is not None
        self._startup = startup(check.user, check.database)
        self._forget()

    def _forget(self) -> None:
        self.secure = False  # the server has agreed: from now on TLS (`lvs.probes.tls`)
        self._buffer = bytearray()
        self._scram: Scram | None = None
        self._proved = True  # the server, that it knows the password; if it was to
        self._admitted = False
        self._version = ""

    def begin(self) -> bytes:
        self._forget()
        return SSL_REQUEST if self._tls else self._startup

    def received(self, data: bytes) -> bytes | Answer:
        self._buffer += data
        if self._tls and not self.secure:
            return self._agreed()
        said = b""
        while True:
            found = self._message()
            if found is None:
                return said
            if isinstance(found, Answer):
                return found
            reply = self._after(*found)
            if isinstance(reply, Answer):
                return reply
            said += reply

    def ended(self) -> Answer:
        return down(Reason.CLOSED, f"closed before {self._awaited()}")

    def silent(self) -> str:
        return self._awaited()

    def farewell(self) -> bytes:
        """What ends the session; to be sent once there is a verdict, before closing.

        A server that waits for a password would complain of any other message in its log, but takes
        the end of the connection in silence: it is how clients ask whether one is needed.
        """
        return TERMINATE if self._admitted else b""

    def _awaited(self) -> str:
        if self._tls and not self.secure:
            return "an answer to the request for TLS"
        return "readiness for queries" if self._admitted else "an answer to the startup message"

    def _agreed(self) -> bytes | Answer:
        """The answer to SSLRequest: one byte, before which and after which there is nothing."""
        if not self._buffer:
            return b""
        first, rest = self._buffer[:1], self._buffer[1:]
        if first == b"N" and not rest:
            return down(Reason.TLS, "the server does not speak TLS")
        if first == b"E":  # too busy even for that
            found = self._message()
            return b"" if found is None else found if isinstance(found, Answer) else failure(found[1])
        if first != b"S" or rest:  # what comes after S in clear is from whoever sits between (CVE-2021-23222)
            return self._garbled()
        self._buffer.clear()
        self.secure = True
        return self._startup

    def _message(self) -> tuple[int, bytes] | Answer | None:
        """The next message: its type and content; None if it is not all there."""
        buffer = self._buffer
        if buffer and buffer[0] not in KNOWN:
            return self._garbled()
        if len(buffer) < 5:
            return None
        length = int.from_bytes(buffer[1:5], "big")
        if not 4 <= length <= ALLOWED:
            return self._garbled()
        if len(buffer) < 1 + length:
            return None
        kind, content = buffer[0], bytes(buffer[5 : 1 + length])
        del buffer[: 1 + length]
        return kind, content

    def _garbled(self) -> Answer:
        return down(Reason.GARBLED, f"not PostgreSQL: {quoted(bytes(self._buffer[:200]))}")

    def _after(self, kind: int, content: bytes) -> bytes | Answer:
        match kind:
            case 0x45:  # E
                return failure(content)
            case 0x52:  # R
                return self._authentication(int.from_bytes(content[:4], "big"), content[4:])
            case 0x5A:  # Z
                if not self._admitted:
                    return down(Reason.GARBLED, "ready for queries, but nobody was let in")
                version = f", version {quoted(self._version)}" if self._version else ""
                return up(f"logged in as {self._named}{version}")
            case 0x53:  # S
                name, _, value = content.partition(b"\0")
                if name == b"server_version":
                    self._version = value.rstrip(b"\0").decode("utf-8", "replace")
        return b""

    @property
    def _named(self) -> str:
        return quoted(self._user)[1:-1]

    def _authentication(self, method: int, content: bytes) -> bytes | Answer:
        if method == OK:
            if not self._proved:
                return down(Reason.DENIED, "the server has not shown that it knows the password")
            self._admitted = True
            return b""
        if method in (SASL_CONTINUE, SASL_FINAL):
            return self._sasl(method, content)
        if self._password is None:
            if method in (CLEARTEXT, MD5, SASL) or method in METHODS:
                return up(f"asks {self._named} for a password")
            return down(Reason.GARBLED, f"asks for authentication method {method}")
        if method == CLEARTEXT:
            if not self.secure:
                return down(Reason.DENIED, "asks for the password in clear, and there is no TLS")
            return message(b"p", self._password + b"\0")
        if method == MD5:
            return message(b"p", hashed(self._user, self._password, content[:4]) + b"\0")
        if method == SASL and MECHANISM in content.split(b"\0"):
            return self._begin_sasl(self._password)
        asked = METHODS.get(method, f"method {method}")
        return down(Reason.DENIED, f"asks for authentication by {asked}, not by a password")

    def _begin_sasl(self, password: bytes) -> bytes:
        # The name is that of the startup message; the one here is not looked at
        self._scram = Scram("", password, self._random(18))
        self._proved = False
        first = self._scram.first()
        return message(b"p", MECHANISM + b"\0" + len(first).to_bytes(4, "big") + first)

    def _sasl(self, method: int, content: bytes) -> bytes | Answer:
        if self._scram is None:
            return down(Reason.GARBLED, "goes on with an exchange that was not begun")
        if method == SASL_CONTINUE:
            final = self._scram.final(content)
            return down(Reason.GARBLED, f"SCRAM: {final}") if isinstance(final, str) else message(b"p", final)
        if not self._scram.verified(content):
            return down(Reason.DENIED, "the server has not shown that it knows the password")
        self._proved = True
        return b""


def startup(user: str, database: str) -> bytes:
    """StartupMessage; the only one besides SSLRequest without a type."""
    words = ("user", user, "database", database, "application_name", "lvsd")
    content = PROTOCOL + b"".join(word.encode() + b"\0" for word in words) + b"\0"
    return (len(content) + 4).to_bytes(4, "big") + content


def message(kind: bytes, content: bytes) -> bytes:
    return kind + (len(content) + 4).to_bytes(4, "big") + content


def hashed(user: str, password: bytes, salt: bytes) -> bytes:
    """The answer to AuthenticationMD5Password: the server's choice, and better than the password itself."""
    inner = hashlib.md5(password + user.encode(), usedforsecurity=False).hexdigest()
    return b"md5" + hashlib.md5(inner.encode() + salt, usedforsecurity=False).hexdigest().encode()


def failure(content: bytes) -> Answer:
    """The verdict on an ErrorResponse: SQLSTATE and message, in the server's language."""
    fields = {part[:1]: part[1:].decode("utf-8", "replace") for part in content.split(b"\0") if part}
    code, said = fields.get(b"C", ""), fields.get(b"M", "")
    if not CODE.fullmatch(code):
        return down(Reason.GARBLED, f"an error without a code: {quoted(said)}")
    # Class 28: invalid authorization specification
    reason = Reason.DENIED if code.startswith("28") else Reason.WRONG_ANSWER
    return down(reason, f"{quoted(said, 100)} ({code})")
