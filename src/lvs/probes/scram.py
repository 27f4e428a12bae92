"""SCRAM-SHA-256, the client's side (RFC 5802, RFC 7677), without channel binding.

The server proves that it knows the password too: an exchange is good only if `verified` says so.
"""

from __future__ import annotations

import hashlib
import hmac
import stringprep
import unicodedata
from base64 import b64decode, b64encode
from binascii import Error
from functools import lru_cache

# What one probe is willing to compute, and what a hostile server may ask for; PostgreSQL's default
# is 4096 and takes 2 ms. RFC 7677 section 4: at least 4096.
MOST_ITERATIONS = 100_000
HEADER = b"n,,"  # no channel binding, no other identity
MOST_SALT = 1024


class Scram:
    """One exchange: `first`, then `final` on the server's answer, then `verified`."""

    def __init__(self, user: str, password: bytes, nonce: bytes) -> None:
        self._password = normalized(password)
        name = user.encode().replace(b"=", b"=3D").replace(b",", b"=2C")
        self._nonce = b64encode(nonce)
        self._first_bare = b"n=" + name + b",r=" + self._nonce
        self._signature = b""

    def first(self) -> bytes:
        return HEADER + self._first_bare

    def final(self, challenge: bytes) -> bytes | str:
        """What answers the server's first message, or a sentence on what is wrong with it."""
        fields = _fields(challenge)
        nonce, salt, count = fields.get(b"r", b""), _decoded(fields.get(b"s", b"")), fields.get(b"i", b"")
        if not nonce.startswith(self._nonce) or nonce == self._nonce:
            return "the nonce is not ours and the server's"
        if not salt or len(salt) > MOST_SALT or not (count.isdigit() and 0 < len(count) < 10):
            return "no salt or no iteration count"
        if not 0 < int(count) <= MOST_ITERATIONS:
            return f"{int(count)} iterations, {MOST_ITERATIONS} at most expected"
        salted = _salted(self._password, salt, int(count))
        without_proof = b"c=" + b64encode(HEADER) + b",r=" + nonce
        signed = b",".join((self._first_bare, challenge, without_proof))
        client_key = _hmac(salted, b"Client Key")
        client_signature = _hmac(hashlib.sha256(client_key).digest(), signed)
        proof = bytes(a ^ b for a, b in zip(client_key, client_signature, strict=True))
        self._signature = _hmac(_hmac(salted, b"Server Key"), signed)
        return without_proof + b",p=" + b64encode(proof)

    def verified(self, last: bytes) -> bool:
        """Whether the server's last message proves that it knows the password."""
        signature = _decoded(_fields(last).get(b"v", b""))
        return bool(self._signature) and hmac.compare_digest(signature, self._signature)


@lru_cache(maxsize=256)
def _salted(password: bytes, salt: bytes, iterations: int) -> bytes:
    """The dear part, 2 ms for 4096 iterations; a user's salt stays, so a check pays for it once."""
    return hashlib.pbkdf2_hmac("sha256", password, salt, iterations)


def normalized(password: bytes) -> bytes:
    """SASLprep (RFC 4013); a password that it refuses, or no UTF-8, as it is, as PostgreSQL does."""
    try:
        text = password.decode()
    except UnicodeDecodeError:
        return password
    if text.isascii():
        return password
    mapped = "".join(
        " " if stringprep.in_table_c12(c) else "" if stringprep.in_table_b1(c) else c for c in text
    )
    prepared = unicodedata.ucd_3_2_0.normalize("NFKC", mapped)
    if not prepared or any(prohibited(c) for c in prepared) or not _bidirectional(prepared):
        return password
    return prepared.encode()


def prohibited(c: str) -> bool:
    """RFC 4013 section 2.3 and 2.5."""
    tables = (
        *(stringprep.in_table_c12, stringprep.in_table_c21_c22, stringprep.in_table_c3),
        *(stringprep.in_table_c4, stringprep.in_table_c5, stringprep.in_table_c6, stringprep.in_table_c7),
        *(stringprep.in_table_c8, stringprep.in_table_c9, stringprep.in_table_a1),
    )
    return any(table(c) for table in tables)


def _bidirectional(text: str) -> bool:
    """RFC 3454 section 6."""
    if not any(stringprep.in_table_d1(c) for c in text):
        return True
    ends = stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1])
    return ends and not any(stringprep.in_table_d2(c) for c in text)


def _fields(message: bytes) -> dict[bytes, bytes]:
    return {part[:1]: part[2:] for part in message.split(b",") if part[1:2] == b"="}


def _decoded(text: bytes) -> bytes:
    try:
        return b64decode(text, validate=True)
    except (Error, ValueError):
        return b""


def _hmac(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, "sha256")
