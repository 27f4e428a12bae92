"""send and expect."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvs.checks import Answer, Exchange, Reason
from lvs.probes import exchange
from lvs.probes.talk import Talk
from probes.played import JUNK, endures, play, verdicts


def talk(**fields: object) -> Talk:
    return exchange.talk(Exchange(**fields))  # type: ignore[arg-type]


def found(asking: Talk, *pieces: bytes, ends: bool = True) -> Answer:
    answer = play(asking, pieces, ends=ends)
    assert isinstance(answer, Answer)
    return answer


def test_sending_is_enough_without_expect() -> None:
    sending = talk(send=b"hello")
    assert sending.begin() == b"hello"
    assert getattr(sending, "write_only", False)
    assert sending.received(b"?") == b""
    assert sending.ended().reason is Reason.CLOSED
    assert sending.silent() == "what is sent to be taken"


def test_anything_at_all() -> None:
    anything = talk(expect=b"*")
    assert anything.begin() == b""
    assert found(anything, b"\0").ok
    assert found(anything).ok
    assert anything.silent() == "any answer"


def test_the_beginning_counts() -> None:
    http = talk(send=b"GET / HTTP/1.0\r\n\r\n", expect=b"HTTP")
    assert http.begin() == b"GET / HTTP/1.0\r\n\r\n"
    assert verdicts(http, [b"HTTP/1.1 500 Broken\r\n"]).text == "answered as expected"
    wrong = found(http, b"http/1.1 200 OK")
    assert (wrong.reason, wrong.text) == (
        Reason.WRONG_ANSWER,
        'answered "http/1.1 200 OK", "HTTP" expected',
    )
    assert found(http, b"H", b"X").reason is Reason.WRONG_ANSWER
    short = verdicts(http, [b"HT"])
    assert (short.reason, short.text) == (Reason.CLOSED, 'closed after "HT", "HTTP" expected')
    assert verdicts(http, []).text == 'closed without an answer, "HTTP" expected'
    http.begin()
    assert http.silent() == 'an answer that begins "HTTP"'
    http.received(b"HT")
    assert http.silent() == 'an answer that begins "HTTP", after "HT"'


def test_longer_than_nanny_compared() -> None:
    assert verdicts(talk(expect=b"x" * 300), [b"x" * 299, b"x"]).ok
    assert not verdicts(talk(expect=b"x" * 300), [b"x" * 299]).ok


def test_one_datagram_is_the_answer() -> None:
    assert found(talk(expect=b"abc", udp=True), b"abcd").ok
    assert found(talk(expect=b"abc", udp=True), b"ab", b"c").reason is Reason.WRONG_ANSWER
    assert not found(talk(expect=b"b", udp=True, use_regex=True), b"a", b"b").ok


def test_expression_anywhere() -> None:
    search = talk(expect=b"[[:digit:]]+ OK", use_regex=True)
    assert verdicts(search, [b"it is 20", b"0 OK there"]).ok
    wrong = verdicts(search, [b"it is not\r\n"])
    assert (wrong.reason, wrong.text) == (
        Reason.WRONG_ANSWER,
        'closed after "it is not", nothing matches "[[:digit:]]+ OK"',
    )
    assert verdicts(search, []).reason is Reason.CLOSED
    search.begin()
    assert search.silent() == 'an answer that matches "[[:digit:]]+ OK"'
    search.received(b"201")
    assert search.silent() == 'an answer that matches "[[:digit:]]+ OK", after "201"'


def test_endless_answer_is_searched_so_far() -> None:
    search = talk(expect=b"never", use_regex=True)
    assert found(search, *[b"x" * 4096] * 16, ends=False).reason is Reason.WRONG_ANSWER
    assert not found(search, b"x" * exchange.MOST, b"never").ok
    dribbled = found(search, b"x" * 60_000, *[b"x"] * 300, ends=False)
    assert dribbled.reason is Reason.TOO_LONG


def test_no_expression() -> None:
    with pytest.raises(ValueError, match="not a POSIX extended"):
        talk(expect=b"(", use_regex=True)


@given(JUNK, st.binary(min_size=1, max_size=4), st.booleans())
def test_endures_anything(junk: list[bytes], expect: bytes, udp: bool) -> None:
    endures(talk(expect=expect, udp=udp), junk)
    endures(talk(expect=b"HTTP/1.[01]+ 2", use_regex=True, udp=udp), junk)
    endures(talk(expect=b"*", udp=udp), junk)


@given(JUNK, st.sampled_from([b"a", b"ab", b"\0"]))
def test_beginning_is_the_same_however_it_is_cut(junk: list[bytes], expect: bytes) -> None:
    whole = expect[:1] + b"".join(junk)
    pieces = [expect[:1], *[piece for piece in junk if piece]]
    asking = talk(expect=expect)
    assert found(asking, *pieces).ok == whole.startswith(expect)
