"""SIP OPTIONS."""

from __future__ import annotations

import re
from ipaddress import ip_address

from hypothesis import given

from lvs.checks import Answer, Reason, Sip
from lvs.probes import sip
from probes.played import JUNK, endures, fixed, mangled, play, target, verdicts

FIELDS = (
    b"Via: SIP/2.0/TCP lvsd.invalid;branch=z9hG4bK000102030405060708090a0b;rport=4;received=192.0.2.9\r\n"
    b"From: <sip:lvsd@lvsd.invalid>;tag=00010203\r\nTo: <sip:192.0.2.1>;tag=x\r\n"
    b"Call-ID: 0405060708090a0b@lvsd.invalid\r\nCSeq: 1 OPTIONS\r\n"
)


def talk(**fields: object) -> sip.SipTalk:
    check = Sip(**fields)  # type: ignore[arg-type]
    return sip.talk(check, target(check).address, 5060, fixed)


def answer(status: int, *, body: bytes = b"", fields: bytes = FIELDS) -> bytes:
    return b"SIP/2.0 %d Said\r\n%sContent-Length: %d\r\n\r\n%s" % (status, fields, len(body), body)


def verdict(asking: sip.SipTalk, *pieces: bytes) -> Answer:
    found = play(asking, pieces)
    assert isinstance(found, Answer)
    return found


def test_request() -> None:
    assert talk().begin().decode().split("\r\n") == [
        "OPTIONS sip:192.0.2.1 SIP/2.0",
        "Via: SIP/2.0/UDP lvsd.invalid;branch=z9hG4bK000102030405060708090a0b;rport",
        "Max-Forwards: 70",
        "From: <sip:lvsd@lvsd.invalid>;tag=00010203",
        "To: <sip:192.0.2.1>",
        "Call-ID: 0405060708090a0b@lvsd.invalid",
        "CSeq: 1 OPTIONS",
        "Contact: <sip:lvsd@lvsd.invalid>",
        "Accept: application/sdp",
        "User-Agent: lvsd",
        "Content-Length: 0",
        "",
        "",
    ]
    assert b"Via: SIP/2.0/TCP " in talk(udp=False).begin()
    assert talk(uri="sips:pbx.example").begin().startswith(b"OPTIONS sips:pbx.example SIP/2.0\r\n")
    other = sip.talk(Sip(), ip_address("2001:db8::1"), 5070, fixed)
    assert other.begin().startswith(b"OPTIONS sip:[2001:db8::1]:5070 SIP/2.0\r\n")


def test_each_probe_is_a_call_of_its_own() -> None:
    check = Sip()
    asking = sip.talk(check, target(check).address, 5060)
    calls = {re.search(rb"Call-ID: (.*)", asking.begin())[1] for _ in range(20)}  # type: ignore[index]
    assert len(calls) == 20


def test_status_is_judged() -> None:
    for udp in (True, False):
        asking = talk(udp=udp)
        assert verdict(asking, answer(200)) == verdict(asking, answer(200, body=b"v=0\r\n"))
        assert verdict(asking, answer(200)).text == "status 200"
        busy = verdict(asking, answer(486))
        assert (busy.reason, busy.text) == (Reason.WRONG_ANSWER, "status 486, 200 to 299 expected")
        assert verdict(asking, answer(407)).reason is Reason.DENIED
        assert verdict(talk(udp=udp, status=((200, 299), (404, 404))), answer(404)).ok


def test_provisional_answers_are_passed_over() -> None:
    for udp in (True, False):
        asking = talk(udp=udp)
        assert verdict(asking, answer(100, body=b"wait"), answer(183), answer(200)).ok


def test_over_tcp_it_is_put_together() -> None:
    asking = talk(udp=False)
    assert verdicts(asking, [b"\r\n\r\n", answer(100, body=b"SIP/2.0 500 no"), answer(200)]).ok
    assert verdicts(asking, [answer(200)[:-5]]).reason is Reason.CLOSED
    assert verdicts(asking, [b"HTTP/1.1 400 Bad\r\n\r\n"]).reason is Reason.GARBLED
    long = FIELDS + b"Content-Length: 99999999\r\n"
    assert verdicts(asking, [answer(100, fields=long)]).reason is Reason.GARBLED
    assert verdicts(asking, [b"SIP/2.0 200 OK\r\n" + b"X: y\r\n" * 4000]).reason is Reason.TOO_LONG


def test_fields_in_other_forms() -> None:
    short = FIELDS.replace(b"Call-ID:", b"i :").replace(b"CSeq: 1 ", b"cseq: 1\r\n ").replace(b"\r\n", b"\n")
    for udp in (True, False):
        assert verdict(talk(udp=udp), answer(200, fields=short)).ok


def test_what_is_not_our_answer_is_passed_over() -> None:
    asking = talk()
    for other in (
        b"",
        b"\0\0",
        b"OPTIONS sip:us SIP/2.0\r\n\r\n",
        b"SIP/2.0 200 OK",
        answer(200, fields=FIELDS.replace(b"Call-ID: 04", b"Call-ID: 05")),
        answer(200, fields=FIELDS.replace(b"1 OPTIONS", b"2 OPTIONS")),
        answer(200, fields=FIELDS.replace(b"1 OPTIONS", b"1 INVITE")),
    ):
        asking.begin()
        assert asking.received(other) == b""
        assert asking.silent() == "an answer to OPTIONS (1 datagrams were none)"
        assert isinstance(asking.received(answer(200)), Answer)


@given(mangled(answer(100, body=b"wait") + answer(200)), JUNK)
def test_endures_anything(message: bytes, junk: list[bytes]) -> None:
    for udp in (False, True):
        endures(talk(udp=udp), [message, *junk])
        endures(talk(udp=udp), junk)
