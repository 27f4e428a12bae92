"""HTTP requests, and answers however they are cut."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvs.checks import Answer, Http, Reason, Tls
from lvs.probes import http
from probes.played import JUNK, endures, mangled, play, target, verdicts

OK = b"HTTP/1.1 200 OK\r\nServer: x\r\n"
PAGE = b"<p>all is well</p>"
SIZED = OK + b"Content-Length: 18\r\n\r\n" + PAGE
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n5;x=y\r\n<p>al\r\nD\r\nl is well</p>\r\n0\r\n\r\n"


def talk(**fields: object) -> http.HttpTalk:
    check = Http(**fields)  # type: ignore[arg-type]
    return http.HttpTalk(check, target(check).address, 80)


def test_request() -> None:
    assert talk().begin() == (
        b"GET / HTTP/1.1\r\nHost: 192.0.2.1\r\nUser-Agent: lvsd\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    )
    asked = talk(path="/health?x=1", host="www.example", method="HEAD").begin()
    assert asked.startswith(b"HEAD /health?x=1 HTTP/1.1\r\nHost: www.example\r\n")


@pytest.mark.parametrize(
    ("address", "port", "tls", "host"),
    [
        ("192.0.2.1", 8080, None, b"192.0.2.1:8080"),
        ("2001:db8::1", 80, None, b"[2001:db8::1]"),
        ("2001:db8::1", 443, None, b"[2001:db8::1]:443"),
        ("192.0.2.1", 443, Tls(), b"192.0.2.1"),
        ("192.0.2.1", 80, Tls(), b"192.0.2.1:80"),
    ],
)
def test_host_is_the_real_server(address: str, port: int, tls: Tls | None, host: bytes) -> None:
    assert b"\r\nHost: " + host + b"\r\n" in http.request(Http(tls=tls), ip_address(address), port)


@pytest.mark.parametrize(
    ("said", "reason", "text"),
    [
        (SIZED, Reason.ANSWERED, "status 200"),
        (b"HTTP/1.0 301 \n\n", Reason.ANSWERED, "status 301"),
        (b"HTTP/1.1 204\r\n\r\n", Reason.ANSWERED, "status 204"),
        (b"HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 103 Soon\r\nA: b\r\n\r\n" + SIZED, Reason.ANSWERED, "status 200"),
        (b"HTTP/1.1 503 No\r\n\r\n", Reason.WRONG_ANSWER, "status 503, 200 to 399 expected"),
        (b"HTTP/1.1 101 Up\r\n\r\n", Reason.WRONG_ANSWER, "status 101, 200 to 399 expected"),
        (b"<html>hello", Reason.GARBLED, 'not HTTP: "<"'),
        (b"HTTP/2.0 200 OK\r\n", Reason.GARBLED, 'not HTTP: "HTTP/2"'),
        (b"HTTP/1.1 2000 OK\r\n", Reason.GARBLED, 'not HTTP: "HTTP/1.1 2000 OK"'),
        (b"HTTP/1.1 900 OK\r\n", Reason.GARBLED, 'not HTTP: "HTTP/1.1 900 OK"'),
        (OK, Reason.CLOSED, 'closed after "HTTP/1.1 200 OK..Server: x", an HTTP answer expected'),
        (b"", Reason.CLOSED, "closed without an answer, an HTTP answer expected"),
        (b"HTTP/1.1 100 Go\r\n\r\n", Reason.CLOSED, "closed without an answer, an HTTP answer expected"),
        (OK + b"X: " + b"y" * 70_000, Reason.TOO_LONG, "no end of the head after 64 KiB"),
    ],
)
def test_status_however_it_is_cut(said: bytes, reason: Reason, text: str) -> None:
    found = play(talk(), [said])
    assert isinstance(found, Answer)
    assert found.reason is reason
    bytewise = play(talk(), [bytes((byte,)) for byte in said])
    assert isinstance(bytewise, Answer)
    assert (bytewise.reason, bytewise.text) == (reason, text)


def test_statuses_that_are_wanted() -> None:
    some = talk(status=((200, 200), (401, 403)))
    assert verdicts(some, [b"HTTP/1.1 402 Pay\r\n\r\n"]).ok
    assert verdicts(some, [b"HTTP/1.1 404 No\r\n\r\n"]).text == "status 404, 200 or 401 to 403 expected"


@pytest.mark.parametrize("said", [SIZED, CHUNKED, OK + b"\r\n" + PAGE, CHUNKED.replace(b"\r\n", b"\n")])
def test_body_by_length_in_chunks_and_to_the_end(said: bytes) -> None:
    for fields in ({"expect": "is well"}, {"expect": "i[s-u] +w[[:alpha:]]{3}<", "use_regex": True}):
        assert verdicts(talk(**fields), [said]).text == "status 200, body as expected"
    assert verdicts(talk(expect="ill"), [said]).text == 'status 200, but the body has no "ill"'
    lacking = verdicts(talk(expect="^ill", use_regex=True), [said])
    assert lacking.text == 'status 200, but nothing in the body matches "^ill"'
    assert lacking.reason is Reason.WRONG_ANSWER
    assert verdicts(talk(expect="Server"), [said]).reason is Reason.WRONG_ANSWER  # that is in the head


def test_body_that_is_not_whole() -> None:
    for said in (SIZED[:-1], CHUNKED[:-8]):
        cut = verdicts(talk(expect="</p>"), [said])
        assert cut.reason is Reason.CLOSED
        assert cut.text == "status 200, closed before the body was complete"
    assert verdicts(talk(expect="x"), [CHUNKED.replace(b"D\r\n", b"G\r\n")]).reason is Reason.GARBLED
    assert verdicts(talk(expect="well"), [CHUNKED.replace(b"\r\n0", b"\r\nG")]).ok  # found before that
    assert not verdicts(talk(expect="x"), [b"HTTP/1.1 204 None\r\n\r\nx"]).ok


def test_bad_status_is_enough_whatever_the_body() -> None:
    answer = verdicts(talk(expect="well"), [SIZED.replace(b"200", b"500")])
    assert answer.text == "status 500, 200 to 399 expected"


def test_head_has_no_body() -> None:
    assert verdicts(talk(method="HEAD", expect="well"), [SIZED[:-18]]).ok


def test_endless_body_is_judged_by_its_beginning() -> None:
    endless = play(talk(expect="never"), [OK + b"\r\n", *[b"x" * 4096] * 16], ends=False)
    assert isinstance(endless, Answer)
    assert endless.reason is Reason.WRONG_ANSWER
    dribbled = play(talk(expect="never"), [OK + b"\r\n", b"x" * 60_000, *[b"x"] * 300], ends=False)
    assert isinstance(dribbled, Answer)
    assert (dribbled.reason, dribbled.text) == (Reason.TOO_LONG, "status 200, and a body in too many pieces")


def test_what_is_waited_for() -> None:
    asking = talk(expect="well")
    asking.begin()
    assert asking.silent() == "an HTTP answer"
    asking.received(OK)
    assert asking.silent() == 'the rest of the head, after "HTTP/1.1 200 OK..Server: x"'
    asking.received(b"\r\n<p>")
    assert asking.silent() == 'the rest of the body, for "well" in it'


def test_no_expression() -> None:
    with pytest.raises(ValueError):
        talk(expect="(", use_regex=True)


@given(mangled(SIZED), mangled(CHUNKED), JUNK, st.integers(0, 80))
def test_endures_anything(sized: bytes, chunked: bytes, junk: list[bytes], cut: int) -> None:
    for fields in ({}, {"expect": "x"}, {"expect": "[xyz]+!", "use_regex": True}):
        endures(talk(**fields), [sized[:cut], *junk])
        endures(talk(**fields), [chunked[:cut], chunked[cut:], *junk])
        endures(talk(**fields), junk)
