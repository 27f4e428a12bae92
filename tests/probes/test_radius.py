from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvs.checks import Answer, Radius, Reason
from lvs.probes import radius
from lvs.probes.radius import RadiusTalk
from probes.played import JUNK, fixed, mangled, sound, target

STATUS = Radius(secret="radius")
LOGIN = Radius(secret="radius", user="nemo", password="user")
SECRET = b"xyzzy5461"
SECRETS = {"radius": SECRET, "user": b"arctangent"}

# RFC 5997 section 6.1
STATUS_REQUEST = bytes.fromhex(
    "0cda0026 8a54f4686fb394c52866e302185d0623 5012 5a665e2e1e8411f3e243822097c84fa3"
)
STATUS_ANSWER = bytes.fromhex("02da0014 ef0d552a4bf2d693ec2b6fe8b5411d66")
# RFC 2865 section 7.1
NEMO_REQUEST = bytes.fromhex(
    "01000038 0f403f9473978057bd83d5cb98f4227a 01066e656d6f 02120dbe708d93d413ce3196e43f782a0aee"
    "0406c0a80110 050600000003"
)
NEMO_ANSWER = bytes.fromhex(
    "02000026 86fe220e7624ba2a1005f6bf9b55e0b2 060600000001 0f0600000000 0e06c0a80103"
)


def of(check: Radius) -> RadiusTalk:
    return radius.talk(check, target(check, 1812), SECRETS, fixed)


def answer(code: int, attributes: bytes = b"", *, secret: bytes = SECRET, sign: bool = False) -> bytes:
    """What a server says to a request of `fixed` randomness."""
    if sign:
        attributes += b"\x50\x12" + bytes(16)
    header = bytes((code, 0)) + (20 + len(attributes)).to_bytes(2, "big")
    if sign:
        attributes = attributes[:-16] + hmac.digest(secret, header + fixed(16) + attributes, "md5")
    return header + hashlib.md5(header + fixed(16) + attributes + secret).digest() + attributes


def test_the_rfcs_status_server() -> None:
    assert radius.signed(12, 0xDA, STATUS_REQUEST[4:20], b"", SECRET) == STATUS_REQUEST
    assert radius.ours(STATUS_ANSWER, STATUS_REQUEST, SECRET)
    assert not radius.ours(STATUS_ANSWER, STATUS_REQUEST, b"another")


def test_the_rfcs_access_request() -> None:
    assert radius.hidden(b"arctangent", SECRET, NEMO_REQUEST[4:20]) == NEMO_REQUEST[28:44]
    assert radius.ours(NEMO_ANSWER, NEMO_REQUEST, SECRET)


def test_long_passwords_are_chained() -> None:
    long = radius.hidden(b"p" * 20, SECRET, fixed(16))
    assert len(long) == 32
    mask = hashlib.md5(SECRET + long[:16]).digest()
    assert bytes(a ^ b for a, b in zip(long[16:], mask, strict=True)) == b"pppp" + bytes(12)
    assert len(radius.hidden(b"", SECRET, fixed(16))) == 16


def test_requests() -> None:
    asked = of(STATUS).begin()
    assert asked[:4] == b"\x0c\0\0" + bytes((len(asked),))
    assert asked[4:22] == fixed(16) + b"\x50\x12"
    assert asked[38:] == b"\x20\x06lvsd"
    asked = of(LOGIN).begin()
    assert asked[0] == 1
    assert asked[38:] == b"\x20\x06lvsd\x01\x06nemo\x02\x12" + radius.hidden(b"arctangent", SECRET, fixed(16))


@pytest.mark.parametrize("sign", [False, True])
@pytest.mark.parametrize(
    ("check", "code", "attributes", "reason", "text"),
    [
        (STATUS, 2, b"", Reason.ANSWERED, "Status-Server: Access-Accept"),
        (STATUS, 2, b"\x12\x04up", Reason.ANSWERED, 'Status-Server: Access-Accept, "up"'),
        (STATUS, 5, b"", Reason.ANSWERED, "Status-Server: Accounting-Response"),
        (STATUS, 3, b"", Reason.WRONG_ANSWER, "Status-Server: Access-Reject"),
        (LOGIN, 2, b"", Reason.ANSWERED, "Access-Request of nemo: Access-Accept"),
        (LOGIN, 3, b"\x12\x05no\n", Reason.DENIED, 'Access-Request of nemo: Access-Reject, "no"'),
        (LOGIN, 11, b"", Reason.ANSWERED, "Access-Request of nemo: Access-Challenge"),
        (LOGIN, 42, b"", Reason.WRONG_ANSWER, "Access-Request of nemo: code 42"),
        (LOGIN, 2, b"\x12\x00cut", Reason.ANSWERED, "Access-Request of nemo: Access-Accept"),
    ],
)
def test_verdicts(
    check: Radius, code: int, attributes: bytes, reason: Reason, text: str, *, sign: bool
) -> None:
    talk = of(check)
    for _ in range(2):
        talk.begin()
        verdict = talk.received(answer(code, attributes, sign=sign) + b"padding")
        assert isinstance(verdict, Answer)
        assert (verdict.ok, verdict.reason, verdict.text) == (reason is Reason.ANSWERED, reason, text)


def test_wrong_answers_are_passed_over() -> None:
    talk = of(STATUS)
    talk.begin()
    assert talk.silent() == "an answer to Status-Server; to a wrong secret there is none"
    wrong_sign = answer(2, b"\x50\x12" + bytes(16))
    other = bytes((2, 1)) + answer(2)[2:]
    cut = answer(2, b"\x12\x04up")[:-1]
    for said in (answer(2, secret=b"other"), wrong_sign, other, cut, b"", b"x", bytes(5000)):
        assert talk.received(said) == b""
    assert talk.silent() == "an answer to Status-Server; 7 came that the secret does not fit"
    assert isinstance(talk.received(answer(2)), Answer)
    talk.begin()
    assert talk.silent() == "an answer to Status-Server; to a wrong secret there is none"
    assert talk.ended().reason is Reason.CLOSED


def test_each_request_is_another() -> None:
    talk = radius.talk(STATUS, target(STATUS, 1812), SECRETS)
    assert talk.begin() != talk.begin()


@given(JUNK)
def test_junk(junk: list[bytes]) -> None:
    talk = of(LOGIN)
    talk.begin()
    assert all(talk.received(data) == b"" for data in junk)


@given(mangled(answer(3, b"\x12\x04no", sign=True)))
def test_mangled(said: bytes) -> None:
    talk = of(LOGIN)
    talk.begin()
    assert said == answer(3, b"\x12\x04no", sign=True) or talk.received(said) == b""


@given(st.binary(max_size=80), st.integers(0, 255))
def test_any_attributes_of_a_server_that_knows_the_secret(attributes: bytes, code: int) -> None:
    talk = of(LOGIN)
    talk.begin()
    verdict = talk.received(answer(code, attributes))
    assert verdict == b"" or (isinstance(verdict, Answer) and sound(verdict))
