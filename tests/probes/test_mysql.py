from __future__ import annotations

import pytest
from hypothesis import given

from lvs.checks import Answer, Mysql, Reason
from lvs.probes import mysql
from lvs.probes.mysql import CACHING, NATIVE, QUIT, MysqlTalk, packet
from probes.played import JUNK, endures, mangled, play, target, verdicts

GREETED = Mysql()
LOGIN = Mysql(user="check", password="database")
EMPTY = Mysql(user="check")
SECRETS = {"database": b"secret"}
SALT = bytes((70, 114, 92, 94, 1, 38, 11, 116, 63, 114, 23, 101, 126, 103, 26, 95, 81, 17, 24, 21))

UP, DENIED, WRONG, GARBLED = Reason.ANSWERED, Reason.DENIED, Reason.WRONG_ANSWER, Reason.GARBLED


def of(check: Mysql) -> MysqlTalk:
    return mysql.talk(check, target(check, 3306), SECRETS)


def greeting(
    method: bytes = NATIVE, version: bytes = b"5.5.5-10.11.18-MariaDB", low: bytes = b"\xfe\xf7"
) -> bytes:
    """Protocol::HandshakeV10, as MariaDB 10.11 says it."""
    return packet(
        0,
        b"\x0a"
        + version
        + b"\0\x54\0\0\0"
        + SALT[:8]
        + b"\0"
        + low
        + b"\x08\x02\0\xff\x81\x15\0\0\0\0\0\0\x1d\0\0\0"
        + SALT[8:]
        + b"\0"
        + method
        + b"\0",
    )


def error(number: int, code: int, said: bytes, state: bytes = b"#28000") -> bytes:
    return packet(number, b"\xff" + code.to_bytes(2, "little") + state + said)


OK = packet(2, b"\0\0\0\2\0\0\0")
DENIAL = error(2, 1045, b"Access denied for user 'check'@'192.0.2.9' (using password: YES)")
BLOCKED = error(0, 1129, b"Host '192.0.2.9' is blocked because of many connection errors", b"")
TO_CACHING = packet(2, b"\xfe" + CACHING + b"\0" + SALT + b"\0")
TO_NATIVE = packet(2, b"\xfe" + NATIVE + b"\0" + SALT + b"\0")
FAST, FULL = packet(4, b"\1\3"), packet(4, b"\1\4")
WANTS_TLS = (
    "caching_sha2_password asks for the password in clear, which needs TLS; mysql_native_password does not"
)
IN = 'logged in as check, version "10.11.18-MariaDB"'
OUT = "\"Access denied for user 'check'@'192.0.2.9' (using password: YES)\" (1045)"


def test_proofs() -> None:
    # As the MySQL client's own, in the tests of Go's driver (github.com/go-sql-driver/mysql, auth_test.go)
    assert mysql.native(b"secret", SALT).hex() == "35b18c9ffbbd7f356dfcac32d3c0f0a41a30cf2d"
    salt = bytes((10, 47, 74, 111, 75, 73, 34, 48, 88, 76, 114, 74, 37, 13, 3, 80, 82, 2, 23, 21))
    proof = "f490e76f66d9d86665ce54d98c78d0acfe2fb0b08b423da807144873d30b312c"
    assert mysql.caching(b"secret", salt) == bytes.fromhex(proof)
    assert mysql.native(b"", SALT) == mysql.caching(b"", SALT) == b""


def test_log_in() -> None:
    sent = play(of(LOGIN), [greeting()], ends=False)
    assert isinstance(sent, list)
    proof = mysql.native(b"secret", SALT)
    assert sent == [b"", packet(1, mysql.log_in("check", proof, NATIVE))]
    assert sent[1][4:].startswith(b"\x01\xa2\x08\x00\0\0\0\1\x21" + bytes(23) + b"check\0\x14")
    assert sent[1].endswith(b"mysql_native_password\0")


@pytest.mark.parametrize(
    ("check", "answers", "reason", "text"),
    [
        (LOGIN, [greeting(), OK], UP, IN),
        (LOGIN, [greeting(version=b"8.4.2"), OK], UP, 'logged in as check, version "8.4.2"'),
        (LOGIN, [greeting(CACHING), FAST + OK], UP, IN),
        (LOGIN, [greeting(), TO_CACHING, FAST, OK], UP, IN),
        (LOGIN, [greeting(CACHING), TO_NATIVE, OK], UP, IN),
        (LOGIN, [greeting(b"unheard_of"), TO_NATIVE, OK], UP, IN),
        (EMPTY, [greeting(), OK], UP, IN),
        (
            LOGIN,
            [greeting(CACHING), FULL],
            DENIED,
            WANTS_TLS,
        ),
        (LOGIN, [greeting(), DENIAL], DENIED, OUT),
        (
            LOGIN,
            [greeting(), packet(2, b"\xfeclient_ed25519\0" + bytes(32))],
            DENIED,
            'asks for authentication by "client_ed25519", not supported here',
        ),
        (
            LOGIN,
            [greeting(), packet(2, b"\xfe")],
            DENIED,
            'asks for authentication by "mysql_old_password", not supported here',
        ),
        # without a user
        (GREETED, [greeting(), DENIAL], UP, 'greets, version "10.11.18-MariaDB"'),
        (GREETED, [greeting(), OK], UP, 'greets, version "10.11.18-MariaDB"'),
        (GREETED, [greeting(CACHING), TO_NATIVE, DENIAL], UP, 'greets, version "10.11.18-MariaDB"'),
        (GREETED, [greeting(CACHING), FULL], UP, 'greets, version "10.11.18-MariaDB"'),
        (
            GREETED,
            [greeting(), packet(2, b"\xfeclient_ed25519\0" + bytes(32)), DENIAL],
            UP,
            'greets, version "10.11.18-MariaDB"',
        ),
        (
            GREETED,
            [BLOCKED],
            DENIED,
            "\"Host '192.0.2.9' is blocked because of many connection errors\" (1129)",
        ),
        (GREETED, [error(0, 1040, b"Too many connections", b"")], WRONG, '"Too many connections" (1040)'),
        (GREETED, [greeting(), error(2, 1053, b"Server shutdown")], WRONG, '"Server shutdown" (1053)'),
        (GREETED, [], Reason.CLOSED, "closed before the greeting"),
        (GREETED, [greeting()[:-1]], Reason.CLOSED, "closed before the greeting"),
        (LOGIN, [greeting()], Reason.CLOSED, "closed before an answer to the log-in as check"),
        (LOGIN, [greeting(), packet(2, b"\1\3")], GARBLED, 'not an answer to a log-in: ".."'),
        (GREETED, [packet(0, b"\x09old")], GARBLED, 'not MySQL: "old"'),
        (GREETED, [packet(0, b"\x0a8.0\0" + bytes(60))], GARBLED, None),
        (GREETED, [b"SSH-2.0-OpenSSH"], GARBLED, None),
        (GREETED, [bytes(8)], GARBLED, None),
    ],
)
def test_verdicts(check: Mysql, answers: list[bytes], reason: Reason, text: str | None) -> None:
    verdict = verdicts(of(check), answers)
    assert (verdict.ok, verdict.reason) == (reason is UP, reason)
    if text is not None:
        assert verdict.text == text


def test_text_is_no_greeting() -> None:
    verdict = play(of(GREETED), [b"220 mail.example ESMTP\r\n"])
    assert isinstance(verdict, Answer)
    assert verdict.text == 'not MySQL: "220 mail.example ESMTP"'


def test_nobody_leaves_without_being_denied() -> None:
    # who leaves after the greeting is blocked after a hundred times
    sent = play(of(GREETED), [greeting()], ends=False)
    assert sent == [b"", packet(1, mysql.log_in("lvsd", b"", NATIVE))]
    sent = play(of(GREETED), [greeting(CACHING), TO_NATIVE], ends=False)
    assert sent == [b"", packet(1, mysql.log_in("lvsd", b"", CACHING)), packet(3, b"")]


SECURE = MysqlTalk("check", b"secret", tls=True)
WITH_TLS = greeting(CACHING, low=b"\xfe\xff")


def test_tls_is_asked_for_before_anybody_logs_in() -> None:
    SECURE.begin()
    said = SECURE.received(WITH_TLS)
    capabilities = (mysql.OURS | mysql.TLS).to_bytes(4, "little")
    assert SECURE.secure
    assert SECURE.prelude == packet(1, capabilities + b"\0\0\0\1\x21" + bytes(23))
    proof = mysql.caching(b"secret", SALT)
    assert said == packet(2, mysql.log_in("check", proof, CACHING, mysql.OURS | mysql.TLS))
    # within TLS, the password may go as it is
    assert SECURE.received(FULL) == packet(5, b"secret\0")
    answer = SECURE.received(packet(6, b"\0\0\0\2\0\0\0"))
    assert isinstance(answer, Answer)
    assert answer.text == IN


def test_a_server_without_tls() -> None:
    assert verdicts(SECURE, [greeting()]) == Answer(False, Reason.TLS, "the server does not speak TLS")
    assert not SECURE.secure


def test_what_is_said_where_tls_begins_is_nobodys() -> None:
    SECURE.begin()
    found = SECURE.received(WITH_TLS + OK)
    assert isinstance(found, Answer)
    assert found.reason is GARBLED
    assert not SECURE.secure


def test_leave_is_taken_of_a_session() -> None:
    talk = of(LOGIN)
    play(talk, [greeting(), OK])
    assert talk.farewell() == QUIT
    play(talk, [greeting(), DENIAL])
    assert talk.farewell() == b""


@given(JUNK)
def test_junk(junk: list[bytes]) -> None:
    endures(SECURE, junk, [WITH_TLS])
    for check in (LOGIN, GREETED):
        endures(of(check), junk)
        endures(of(check), junk, [greeting(CACHING)])
        endures(of(check), [packet(0, b"\x0a" + b"".join(junk))])


@given(mangled(greeting(CACHING) + TO_NATIVE + OK))
def test_mangled(answer: bytes) -> None:
    endures(of(LOGIN), [answer])
    endures(of(GREETED), [answer])
