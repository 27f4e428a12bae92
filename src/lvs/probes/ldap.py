"""LDAP: bind, and search if there is a base (RFC 4511).

A bind is always made, an anonymous one too: it is what every client of the directory does first,
and what a directory that cannot reach its database still refuses. A search asks for one entry and
none of its attributes. Finding more than one is as good: `sizeLimitExceeded` after an entry.
"""

from __future__ import annotations

from collections.abc import Mapping

from lvs.checks import Answer, Ldap, Reason, Target
from lvs.probes import ber
from lvs.probes.ldap_filter import filter_of
from lvs.probes.talk import LONGEST, credential, down, quoted, up

VERSION = 3
SCOPES = {"base": 0, "one": 1, "sub": 2}
START_TLS = b"1.3.6.1.4.1.1466.20037"  # RFC 4511 section 4.14.1
DISCONNECTION = b"1.3.6.1.4.1.1466.20036"  # section 4.4.1

BIND, BOUND, UNBIND = 0x60, 0x61, 0x42
SEARCH, ENTRY, DONE, REFERENCE = 0x63, 0x64, 0x65, 0x73
EXTENDED, EXTENDED_DONE, INTERMEDIATE = 0x77, 0x78, 0x79

# RFC 4511 appendix A
CODES = {
    0: "success",
    1: "operationsError",
    2: "protocolError",
    3: "timeLimitExceeded",
    4: "sizeLimitExceeded",
    5: "compareFalse",
    6: "compareTrue",
    7: "authMethodNotSupported",
    8: "strongerAuthRequired",
    10: "referral",
    11: "adminLimitExceeded",
    12: "unavailableCriticalExtension",
    13: "confidentialityRequired",
    14: "saslBindInProgress",
    16: "noSuchAttribute",
    17: "undefinedAttributeType",
    18: "inappropriateMatching",
    19: "constraintViolation",
    20: "attributeOrValueExists",
    21: "invalidAttributeSyntax",
    32: "noSuchObject",
    33: "aliasProblem",
    34: "invalidDNSyntax",
    36: "aliasDereferencingProblem",
    48: "inappropriateAuthentication",
    49: "invalidCredentials",
    50: "insufficientAccessRights",
    51: "busy",
    52: "unavailable",
    53: "unwillingToPerform",
    54: "loopDetect",
    64: "namingViolation",
    65: "objectClassViolation",
    66: "notAllowedOnNonLeaf",
    67: "notAllowedOnRDN",
    68: "entryAlreadyExists",
    69: "objectClassModsProhibited",
    71: "affectsMultipleDSAs",
    80: "other",
}
SUCCESS, SIZE_LIMIT = 0, 4
DENIALS = {7, 8, 13, 48, 49, 50}  # it would serve, but not one who comes like this

BINDING, SEARCHING, STARTING = 1, 2, 3  # identifiers of our messages (section 4.1.1.1)


def talk(check: Ldap, target: Target, secrets: Mapping[str, bytes]) -> LdapTalk:  # noqa: ARG001
    """The talk of an LDAP check. Errors: LookupError, see `credential`."""
    return LdapTalk(check, credential(secrets, check.password))


class Messages:
    """LDAP messages out of a stream of bytes."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def clear(self) -> None:
        self._buffer.clear()

    def add(self, data: bytes) -> None:
        self._buffer += data

    def left(self) -> bool:
        return bool(self._buffer)

    def next(self) -> list[ber.Element] | Answer | None:
        """The parts of a message: identifier, operation, controls; None if not all is there."""
        length = ber.size(self._buffer)
        # Every message is a SEQUENCE: what begins otherwise is known at its first byte.
        if length is None or (self._buffer and self._buffer[0] != ber.SEQUENCE):
            return self._garbled(bytes(self._buffer))
        if length > LONGEST:
            return down(Reason.TOO_LONG, f"a message of {length} bytes")
        if length == ber.MORE or len(self._buffer) < length:
            return None
        whole = bytes(self._buffer[:length])
        del self._buffer[:length]
        outer = ber.elements(whole)
        parts = ber.elements(outer[0][1]) if outer else None
        if parts is None or len(parts) < 2 or parts[0][0] != ber.INTEGER:
            return self._garbled(whole)
        return parts

    @staticmethod
    def _garbled(data: bytes) -> Answer:
        return down(Reason.GARBLED, f"not LDAP: {quoted(data)}")


def result(content: bytes) -> tuple[int, str, bytes] | None:
    """An LDAPResult's code, its name and number with what the server says of it, and its disconnection's OID.

    Errors: None if it is no result (section 4.1.9).
    """
    parts = ber.elements(content)
    if parts is None or len(parts) < 3 or parts[0][0] != ber.ENUMERATED:
        return None
    code = ber.number(parts[0][1])
    if code is None:
        return None
    said = parts[2][1]
    name = next((value for tag, value in parts[3:] if tag == 0x8A), b"")
    text = f"{CODES.get(code, 'result code')} ({code})"
    return code, f"{text}, {quoted(said)}" if said.strip() else text, name


class LdapTalk:
    """A bind, and a search after it; with `starttls`, what comes after StartTLS is for within TLS."""

    def __init__(self, check: Ldap, password: bytes) -> None:
        self._binding = f"bind as {plain(check.bind)}" if check.bind else "anonymous bind"
        self._searching = f"search of {plain(check.base)}" if check.base is not None else ""
        simple = ber.encode(0x80, password)  # section 4.2: AuthenticationChoice, simple [0]
        self._bind = message(
            BINDING, BIND, ber.integer(VERSION), ber.encode(ber.OCTETS, check.bind.encode()), simple
        )
        self._search = b"" if check.base is None else _search(check.base, check.scope, check.filter)
        self._starttls = check.starttls
        self._messages = Messages()
        self.secure = False  # StartTLS is agreed on: from now on TLS (`lvs.probes.tls`)
        self._bound = False
        self._entries = 0

    def begin(self) -> bytes:
        self._messages.clear()
        self.secure = False
        self._bound = False
        self._entries = 0
        return START if self._starttls else self._bind

    def received(self, data: bytes) -> bytes | Answer:
        self._messages.add(data)
        while True:
            parts = self._messages.next()
            if parts is None:
                return b""
            if isinstance(parts, Answer):
                return parts
            verdict = self._operation(ber.number(parts[0][1]), *parts[1])
            if verdict is not None:
                return verdict

    def ended(self) -> Answer:
        return down(Reason.CLOSED, f"closed before an answer to {self._doing()}")

    def silent(self) -> str:
        return f"an answer to {self._doing()}"

    def farewell(self) -> bytes:
        """What ends the session (section 4.3); to be sent once there is a verdict, before closing."""
        return message(STARTING + 1, UNBIND)

    def _doing(self) -> str:
        if self._starttls and not self.secure:
            return "StartTLS"
        return self._searching if self._bound else self._binding

    def _operation(self, identifier: int | None, tag: int, content: bytes) -> bytes | Answer | None:
        """What follows from one message of the server; None: the next one."""
        if tag == EXTENDED_DONE and identifier == 0:
            return disconnected(content, self._doing())
        if tag == INTERMEDIATE:
            return None
        if self._starttls and not self.secure:
            return self._after_start(identifier, tag, content)
        if not self._bound and (identifier, tag) == (BINDING, BOUND):
            return self._after_bind(content)
        if self._bound and identifier == SEARCHING:
            if tag == ENTRY:
                self._entries += 1
                return None
            if tag == REFERENCE:
                return None
            if tag == DONE:
                return self._after_search(content)
        return down(Reason.GARBLED, f"{self._doing()}: an answer to something else (tag {tag:#04x})")

    def _after_start(self, identifier: int | None, tag: int, content: bytes) -> bytes | Answer:
        found = result(content)
        if (identifier, tag) != (STARTING, EXTENDED_DONE) or found is None:
            return garbled("StartTLS")
        code, text, _ = found
        if code != SUCCESS:
            return down(Reason.TLS, f"StartTLS: {text}")
        if self._messages.left():  # said in clear by whoever sits between
            return garbled("StartTLS")
        self.secure = True
        return self._bind

    def _after_bind(self, content: bytes) -> bytes | Answer:
        found = result(content)
        if found is None:
            return garbled(self._binding)
        code, text, _ = found
        if code != SUCCESS:
            return refused(code, f"{self._binding}: {text}")
        if not self._search:
            return up(f"{self._binding}: success")
        self._bound = True
        return self._search

    def _after_search(self, content: bytes) -> Answer:
        found = result(content)
        if found is None:
            return garbled(self._searching)
        code, text, _ = found
        if self._entries and code in (SUCCESS, SIZE_LIMIT):
            return up(f"{self._searching}: an entry is found")
        if code == SUCCESS:
            return down(Reason.WRONG_ANSWER, f"{self._searching}: no entry matches")
        return refused(code, f"{self._searching}: {text}")


def message(identifier: int, tag: int, *parts: bytes) -> bytes:
    """An LDAPMessage (section 4.1.1)."""
    return ber.encode(ber.SEQUENCE, ber.integer(identifier), ber.encode(tag, *parts))


START = message(STARTING, EXTENDED, ber.encode(0x80, START_TLS))


def _search(base: str, scope: str, filter_: str) -> bytes:
    """A SearchRequest for one entry, without its attributes (section 4.5.1)."""
    return message(
        SEARCHING,
        SEARCH,
        ber.encode(ber.OCTETS, base.encode()),
        ber.integer(SCOPES[scope], ber.ENUMERATED),
        ber.integer(0, ber.ENUMERATED),  # aliases are not followed
        ber.integer(1),  # sizeLimit
        ber.integer(0),  # timeLimit: the engine's
        ber.encode(ber.BOOLEAN, b"\0"),
        filter_of(filter_),
        ber.encode(ber.SEQUENCE, ber.encode(ber.OCTETS, b"1.1")),  # no attributes (section 4.5.1.8)
    )


def plain(name: str) -> str:
    """A name of the configuration, fit for a sentence."""
    return quoted(name)[1:-1]


def refused(code: int, text: str) -> Answer:
    return down(Reason.DENIED if code in DENIALS else Reason.WRONG_ANSWER, text)


def garbled(doing: str) -> Answer:
    return down(Reason.GARBLED, f"{doing}: the answer is no LDAP result")


def disconnected(content: bytes, doing: str) -> Answer:
    """The verdict on a notice of disconnection."""
    found = result(content)
    if found is None or found[2] != DISCONNECTION:
        return garbled(doing)
    return refused(found[0], f"{doing}: the server disconnects: {found[1]}")
