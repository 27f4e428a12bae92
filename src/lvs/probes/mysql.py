"""MySQL's and MariaDB's greeting, and a log-in if there is a user (client/server protocol, version 10).

The server speaks first, and what it says proves that it accepts clients: too many connections, or a
host that it has blocked, is an error in the greeting's place.

Without a user, somebody without a password asks to be let in all the same, and to be denied it is
good. For a server counts who leaves after the greeting, however politely, as one whom it could not
agree with, and blocks that address after `max_connect_errors` (100) of them, which no later success
of this check would undo; those whom it denied it does not count (MariaDB 10.11, its table
performance_schema.host_cache: COM_QUIT, FIN and RST instead of a log-in are all counted). It notes
either in its log. Better is a user of its own without any privilege, which leaves no trace.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

import msgspec

from lvs.checks import Answer, Mysql, Reason, Target
from lvs.probes.talk import credential, down, quoted, up

LONGEST_PACKET = 1 << 16

# Capabilities: "Capabilities Flags" of MySQL's source documentation
LONG_PASSWORD, PROTOCOL_41, TRANSACTIONS, SECURE_CONNECTION, PLUGIN_AUTH = 0x1, 0x200, 0x2000, 0x8000, 0x80000
TLS = 0x800
OURS = LONG_PASSWORD | PROTOCOL_41 | TRANSACTIONS | SECURE_CONNECTION | PLUGIN_AUTH
MOST_PACKET = 1 << 24
UTF8 = 33  # utf8mb3_general_ci: every server has it
QUIT = b"\x01\0\0\0\x01"

ERROR = 0xFF
FAST, FULL = b"\x03", b"\x04"  # of caching_sha2_password, after AuthMoreData

NATIVE, CACHING = b"mysql_native_password", b"caching_sha2_password"

# 1044 and 1045 access denied, 1129 and 1130 host blocked and not allowed, 1251 and 1275 method not
# supported, 1524 plugin not there, 1698 access denied without password, 1820 and 1862 password
# expired, 3118 account locked, 4151 (MariaDB) account locked
HOST_DENIALS = {1129, 1130}
DENIALS = HOST_DENIALS | {1044, 1045, 1251, 1275, 1524, 1698, 1820, 1862, 3118, 4151}
NOBODY = "lvsd"  # who asks if there is no user


class Greeting(msgspec.Struct, frozen=True):
    """What the server says of itself."""

    version: str  # quoted
    salt: bytes  # 20 bytes
    method: bytes
    tls: bool  # it can


def talk(check: Mysql, target: Target, secrets: Mapping[str, bytes]) -> MysqlTalk:  # noqa: ARG001
    """The talk of a MySQL check. Errors: LookupError, see `credential`."""
    return MysqlTalk(check.user, credential(secrets, check.password), tls=check.tls is not None)


class MysqlTalk:
    """A greeting, and a log-in after it; with TLS, SSLRequest and TLS come between."""

    def __init__(self, user: str | None, password: bytes, *, tls: bool = False) -> None:
        self._tls = tls
        self._user = NOBODY if user is None else user
        self._nobody = user is None
        self._password = b"" if user is None else password
        self._forget()

    def _forget(self) -> None:
        self._buffer = bytearray()
        self._greeting: Greeting | None = None
        self._proven = b""  # the method that our last answer was made with
        self._in = False
        self.secure = False  # from now on TLS (`lvs.probes.tls`), but for `prelude`
        self.prelude = b""

    def begin(self) -> bytes:
        self._forget()
        return b""

    def received(self, data: bytes) -> bytes | Answer:
        self._buffer += data
        said = b""
        while True:
            found = self._packet()
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
        """What ends a session; to be sent once there is a verdict, before closing."""
        return QUIT if self._in else b""

    def _awaited(self) -> str:
        if self._greeting is None:
            return "the greeting"
        return f"an answer to the log-in as {self._named}"

    @property
    def _named(self) -> str:
        return quoted(self._user)[1:-1]

    def _packet(self) -> tuple[int, bytes] | Answer | None:
        """The next packet: its number and content; None if it is not all there."""
        buffer = self._buffer
        if len(buffer) < 4:
            return None
        length = int.from_bytes(buffer[:3], "little")
        # The greeting is packet 0; without this, text would be taken for a long packet
        if not 1 <= length <= LONGEST_PACKET or (self._greeting is None and buffer[3] != 0):
            return down(Reason.GARBLED, f"not MySQL: {quoted(bytes(buffer[:200]))}")
        if len(buffer) < 4 + length:
            return None
        number, content = buffer[3], bytes(buffer[4 : 4 + length])
        del buffer[: 4 + length]
        return number, content

    def _after(self, number: int, content: bytes) -> bytes | Answer:
        if self._greeting is None:
            return failure(content) if content[0] == ERROR else self._greeted(number, content)
        following = (number + 1) & 0xFF
        match content[0]:
            case 0xFF:  # ERR_Packet
                answer = failure(content)
                denied = answer.reason is Reason.DENIED and code_of(content) not in HOST_DENIALS
                return self._good("greets") if self._nobody and denied else answer
            case 0x00:  # OK_Packet
                self._in = True
                return self._good("greets" if self._nobody else f"logged in as {self._named}")
            case 0xFE:  # AuthSwitchRequest
                return self._switched(following, content)
            case 0x01 if self._nobody and content[1:] != FAST:
                return self._good("greets")
            case 0x01 if self._proven == CACHING:  # AuthMoreData
                if content[1:] == FAST:
                    return b""
                if content[1:] == FULL and self.secure:
                    return packet(following, self._password + b"\0")
                if content[1:] == FULL:
                    return down(
                        Reason.DENIED,
                        f"{CACHING.decode()} asks for the password in clear, which needs TLS;"
                        f" mysql_native_password does not",
                    )
        return down(Reason.GARBLED, f"not an answer to a log-in: {quoted(content)}")

    def _good(self, what: str) -> Answer:
        assert self._greeting is not None
        return up(f"{what}, version {self._greeting.version}")

    def _greeted(self, number: int, content: bytes) -> bytes | Answer:
        greeting = read_greeting(content)
        if greeting is None:
            return down(Reason.GARBLED, f"not MySQL: {quoted(content)}")
        self._greeting = greeting
        # A method that is not known here is answered as if it were another: the server asks again
        self._proven = greeting.method if greeting.method in PROOFS else NATIVE
        proof = PROOFS[self._proven](self._password, greeting.salt)
        if not self._tls:
            return packet(number + 1, log_in(self._user, proof, self._proven))
        if not greeting.tls:
            return down(Reason.TLS, "the server does not speak TLS")
        if self._buffer:  # said in clear by whoever sits between
            return down(Reason.GARBLED, f"{quoted(bytes(self._buffer))} came in clear, where TLS begins")
        self.secure = True
        self.prelude = packet(number + 1, head(OURS | TLS))  # Protocol::SSLRequest
        return packet(number + 2, log_in(self._user, proof, self._proven, OURS | TLS))

    def _switched(self, number: int, content: bytes) -> bytes | Answer:
        method, _, salt = content[1:].partition(b"\0")
        if self._nobody:  # is denied, whatever it says
            self._proven = method
            return packet(number, b"")
        if method not in PROOFS or len(salt.removesuffix(b"\0")) != 20:
            return down(
                Reason.DENIED,
                f"asks for authentication by {quoted(method or b'mysql_old_password')}, not supported here",
            )
        self._proven = method
        return packet(number, PROOFS[method](self._password, salt.removesuffix(b"\0")))


def read_greeting(content: bytes) -> Greeting | None:
    """Protocol::HandshakeV10; None if it is none, or of a server older than 4.1."""
    version, end, rest = content[1:].partition(b"\0")
    if content[0] != 10 or not end or len(rest) < 4 + 8 + 1 + 18:
        return None
    capabilities = int.from_bytes(rest[13:15] + rest[18:20], "little")
    length = max(12, rest[20] - 9)  # of the salt's second part, less the NUL after it
    salt = rest[4:12] + rest[31 : 31 + length]
    if not capabilities & PROTOCOL_41 or len(salt) != 20:
        return None
    method = rest[31 + length + 1 :].split(b"\0")[0] if capabilities & PLUGIN_AUTH else NATIVE
    # MariaDB hides behind a version of MySQL's that old clients know
    return Greeting(quoted(version.removeprefix(b"5.5.5-")), salt, method, bool(capabilities & TLS))


def head(capabilities: int) -> bytes:
    return capabilities.to_bytes(4, "little") + MOST_PACKET.to_bytes(4, "little") + bytes((UTF8,)) + bytes(23)


def log_in(user: str, proof: bytes, method: bytes, capabilities: int = OURS) -> bytes:
    """Protocol::HandshakeResponse41."""
    return b"".join(
        (
            head(capabilities),
            user.encode() + b"\0",
            bytes((len(proof),)) + proof,
            method + b"\0",
        )
    )


def packet(number: int, content: bytes) -> bytes:
    return len(content).to_bytes(3, "little") + bytes((number & 0xFF,)) + content


def native(password: bytes, salt: bytes) -> bytes:
    """SHA1(password) XOR SHA1(salt + SHA1(SHA1(password)))."""
    if not password:
        return b""
    first = hashlib.sha1(password, usedforsecurity=False).digest()
    second = hashlib.sha1(first, usedforsecurity=False).digest()
    return _xor(first, hashlib.sha1(salt + second, usedforsecurity=False).digest())


def caching(password: bytes, salt: bytes) -> bytes:
    """SHA256(password) XOR SHA256(SHA256(SHA256(password)) + salt)."""
    if not password:
        return b""
    first = hashlib.sha256(password).digest()
    second = hashlib.sha256(first).digest()
    return _xor(first, hashlib.sha256(second + salt).digest())


PROOFS: dict[bytes, Callable[[bytes, bytes], bytes]] = {NATIVE: native, CACHING: caching}


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def code_of(content: bytes) -> int:
    return int.from_bytes(content[1:3], "little")


def failure(content: bytes) -> Answer:
    """The verdict on an ERR_Packet; before the log-in, it has no SQLSTATE."""
    code = code_of(content)
    said = content[3:]
    if said.startswith(b"#"):
        said = said[6:]
    reason = Reason.DENIED if code in DENIALS else Reason.WRONG_ANSWER
    return down(reason, f"{quoted(said, 100)} ({code})")
