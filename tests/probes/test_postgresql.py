from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode

import msgspec
import pytest
from hypothesis import given

from lvs.checks import Answer, Postgresql, Reason, Tls
from lvs.probes import postgresql
from lvs.probes.postgresql import TERMINATE, PostgresqlTalk, message
from probes.played import JUNK, endures, fixed, mangled, play, target, verdicts

ASKED = Postgresql(user="check", database="db")
LOGIN = Postgresql(user="check", database="db", password="database")
OVER_TLS = msgspec.structs.replace(LOGIN, tls=Tls())
SECRETS = {"database": b"pencil"}


def of(check: Postgresql) -> PostgresqlTalk:
    return postgresql.talk(check, target(check, 5432), SECRETS, fixed)


def auth(method: int, content: bytes = b"") -> bytes:
    return message(b"R", method.to_bytes(4, "big") + content)


def error(code: str, said: str) -> bytes:
    return message(b"E", f"SFATAL\0VFATAL\0C{code}\0M{said}\0Fx.c\0\0".encode())


IN = auth(0)
CLEAR, MD5, SASL = auth(3), auth(5, b"salt"), auth(10, b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0")
VERSION = message(b"S", b"server_version\x0015.18 (Debian)\0")
READY = message(b"S", b"TimeZone\0UTC\0") + VERSION + message(b"K", bytes(8)) + message(b"Z", b"I")

# Computed by the other side's formulas (RFC 5802 section 3), the nonce being that of `fixed`
NONCE = b64encode(fixed(18)) + b"server"
CHALLENGE = auth(11, b"r=" + NONCE + b",s=c2FsdA==,i=4096")


def server_signature() -> bytes:
    salted = hashlib.pbkdf2_hmac("sha256", b"pencil", b"salt", 4096)
    signed = b"n=,r=" + b64encode(fixed(18)) + b"," + CHALLENGE[9:] + b",c=biws,r=" + NONCE
    return b64encode(postgresql_hmac(postgresql_hmac(salted, b"Server Key"), signed))


def postgresql_hmac(key: bytes, data: bytes) -> bytes:
    block = key.ljust(64, b"\0")
    inner = hashlib.sha256(bytes(b ^ 0x36 for b in block) + data).digest()
    return hashlib.sha256(bytes(b ^ 0x5C for b in block) + inner).digest()


PROVED = auth(12, b"v=" + server_signature())


def test_startup_message() -> None:
    assert of(ASKED).begin() == (
        b"\0\0\0\x3b\0\3\0\0user\0check\0database\0db\0application_name\0lvsd\0\0"
    ).replace(b"\x3b", bytes((8 + 11 + 12 + 22 + 1,)))


@pytest.mark.parametrize(
    ("check", "answers", "reason", "text"),
    [
        (ASKED, [SASL], Reason.ANSWERED, "asks check for a password"),
        (ASKED, [MD5], Reason.ANSWERED, "asks check for a password"),
        (ASKED, [auth(7)], Reason.ANSWERED, "asks check for a password"),
        (ASKED, [IN + READY], Reason.ANSWERED, 'logged in as check, version "15.18 (Debian)"'),
        (LOGIN, [IN, READY], Reason.ANSWERED, 'logged in as check, version "15.18 (Debian)"'),
        (LOGIN, [MD5, IN + READY], Reason.ANSWERED, 'logged in as check, version "15.18 (Debian)"'),
        (
            LOGIN,
            [SASL, CHALLENGE, PROVED + IN + READY],
            Reason.ANSWERED,
            'logged in as check, version "15.18 (Debian)"',
        ),
        (
            LOGIN,
            [SASL, CHALLENGE, IN + READY],
            Reason.DENIED,
            "the server has not shown that it knows the password",
        ),
        (
            LOGIN,
            [SASL, CHALLENGE, auth(12, b"v=eA==")],
            Reason.DENIED,
            "the server has not shown that it knows the password",
        ),
        (
            LOGIN,
            [SASL, auth(11, b"r=x")],
            Reason.GARBLED,
            "SCRAM: the nonce is not ours and the server's",
        ),
        (LOGIN, [CHALLENGE], Reason.GARBLED, "goes on with an exchange that was not begun"),
        (LOGIN, [CLEAR], Reason.DENIED, "asks for the password in clear, and there is no TLS"),
        (LOGIN, [auth(7)], Reason.DENIED, "asks for authentication by GSSAPI, not by a password"),
        (
            LOGIN,
            [auth(10, b"OTHER\0\0")],
            Reason.DENIED,
            "asks for authentication by method 10, not by a password",
        ),
        (ASKED, [auth(99)], Reason.GARBLED, "asks for authentication method 99"),
        (ASKED, [READY], Reason.GARBLED, "ready for queries, but nobody was let in"),
        (
            ASKED,
            [error("57P03", "the database system is starting up")],
            Reason.WRONG_ANSWER,
            '"the database system is starting up" (57P03)',
        ),
        (
            ASKED,
            [IN + error("3D000", 'database "db" does not exist')],
            Reason.WRONG_ANSWER,
            '"database .db. does not exist" (3D000)',
        ),
        (
            LOGIN,
            [MD5, error("28P01", "password authentication failed")],
            Reason.DENIED,
            '"password authentication failed" (28P01)',
        ),
        (ASKED, [message(b"E", b"Sx\0\0")], Reason.GARBLED, 'an error without a code: ""'),
        (ASKED, [message(b"N", b"SNOTICE\0\0") + SASL], Reason.ANSWERED, "asks check for a password"),
        (ASKED, [], Reason.CLOSED, "closed before an answer to the startup message"),
        (LOGIN, [IN], Reason.CLOSED, "closed before readiness for queries"),
        (ASKED, [b"HTTP/1.1 400"], Reason.GARBLED, 'not PostgreSQL: "HTTP/1.1 400"'),
        (ASKED, [b"R\xff\xff\xff\xff"], Reason.GARBLED, 'not PostgreSQL: "R...."'),
        (ASKED, [b"R\0\0\0\3"], Reason.GARBLED, None),
    ],
)
def test_verdicts(check: Postgresql, answers: list[bytes], reason: Reason, text: str | None) -> None:
    verdict = verdicts(of(check), answers)
    assert (verdict.ok, verdict.reason) == (reason is Reason.ANSWERED, reason)
    if text is not None:
        assert verdict.text.replace("\ufffd", ".") == text


def test_md5_is_salted() -> None:
    sent = play(of(LOGIN), [MD5], ends=False)
    assert isinstance(sent, list)
    inner = hashlib.md5(b"pencilcheck").hexdigest().encode()
    assert sent[1] == message(b"p", b"md5" + hashlib.md5(inner + b"salt").hexdigest().encode() + b"\0")


def test_scram_begins_with_its_name() -> None:
    sent = play(of(LOGIN), [SASL], ends=False)
    assert isinstance(sent, list)
    assert sent[1] == message(b"p", b"SCRAM-SHA-256\0\0\0\0\x20n,,n=,r=" + b64encode(fixed(18)))
    assert b64decode(sent[1][-24:]) == fixed(18)


def test_tls_comes_first() -> None:
    talk = of(OVER_TLS)
    assert talk.begin().hex() == "0000000804d2162f"
    assert talk.silent() == "an answer to the request for TLS"
    assert not talk.secure
    assert talk.received(b"S") == of(LOGIN).begin()  # for within TLS
    assert talk.secure
    assert talk.received(CLEAR) == message(b"p", b"pencil\0")
    talk.begin()
    assert not talk.secure


@pytest.mark.parametrize(
    ("said", "reason", "text"),
    [
        (b"N", Reason.TLS, "the server does not speak TLS"),
        (b"S" + IN, Reason.GARBLED, None),  # CVE-2021-23222: said in clear
        (b"X", Reason.GARBLED, 'not PostgreSQL: "X"'),
        (error("53300", "sorry, too many clients"), Reason.WRONG_ANSWER, '"sorry, too many clients" (53300)'),
        (b"", Reason.CLOSED, "closed before an answer to the request for TLS"),
    ],
)
def test_tls_refused(said: bytes, reason: Reason, text: str | None) -> None:
    verdict = play(of(OVER_TLS), [said])
    assert isinstance(verdict, Answer)
    assert (verdict.ok, verdict.reason) == (False, reason)
    assert text is None or verdict.text == text


def test_leave_is_taken_where_it_is_understood() -> None:
    talk = of(LOGIN)
    play(talk, [IN + READY])
    assert talk.farewell() == TERMINATE
    play(talk, [SASL])  # waits for a password, and for nothing else
    assert talk.farewell() == b""


@given(JUNK)
def test_junk(junk: list[bytes]) -> None:
    endures(of(LOGIN), junk)
    endures(of(OVER_TLS), junk)
    endures(of(LOGIN), junk, [SASL])
    endures(of(LOGIN), [message(b"R", b"".join(junk)), message(b"E", b"".join(junk))])


@given(mangled(SASL + CHALLENGE + PROVED + IN + READY))
def test_mangled(answer: bytes) -> None:
    endures(of(LOGIN), [answer[: len(SASL)], answer[len(SASL) :]])
