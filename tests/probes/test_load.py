from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvs.checks import Answer, Load, Reason
from lvs.probes import load
from lvs.probes.program import Ended, Late

RIP = ip_address("192.0.2.7")


@pytest.mark.parametrize(
    ("said", "value"),
    [
        (b" 14:02:11 up 12 days,  3:07,  2 users,  load average: 0.52, 0.58, 0.59\n", 0.52),
        (b" 14:02:11 up 12 days,  3:07,  2 users,  load average: 0,52, 0,58, 0,59\n", 0.52),
        (b"14:02  up 3 days, 2 users, load averages: 1.52 1.41 1.33\n", 1.52),
        (b"  web1.example    up  3 days,  2:14,    load average: 0.12 0.10 0.08\n", 0.12),
        (b"web1          up   3+02:14,     2 users,  load 0.08, 0.03, 0.05\n", 0.08),
        (b"load: 12", 12.0),
        (b"LOAD 3\n", 3.0),
        (b"load:0.5,0.6,0.7", 0.5),
        (b"workload: 9\n", None),
        (b"load: \n", None),
        (b"load: -1", None),
        (b"load: nan", None),
        (b"load: 12345678901", None),
        (b"75%\n", -0.75),
        (b"up 75%\n", -0.75),
        (b"up,100%", -1.0),
        (b"250%", -2.5),
        (b"12.5%", -0.125),
        (b"cpu=75%", None),
        (b"load: 75%", None),
        (b"load: 0.75%", None),
        (b"-5%", None),
        (b"75", None),
        (b"", None),
        (b"\xff\0%", None),
    ],
)
def test_what_an_answer_names(said: bytes, value: float | None) -> None:
    assert load.value(said) == value


def test_no_share_at_all_is_not_no_load() -> None:
    none = load.value(b"0%")
    assert none is not None
    assert none < 0
    assert load.value(b"load: 0") == 0.0


def test_of_a_program() -> None:
    assert load.verdict("rup", Ended(0, b"load average: 0.52"), 10) == Answer(
        True, Reason.ANSWERED, "rup says load 0.52", 0.52
    )
    assert load.verdict("rup", Ended(0, b"75%"), 10).text == "rup asks for 75% of the weight"
    silent = load.verdict("rup", Ended(0, b"hm"), 10)
    assert (silent.ok, silent.value, silent.text) == (
        False,
        None,
        'rup names neither a load nor a share in "hm"',
    )
    assert load.verdict("rup", Ended(1, b"load: 1"), 10).reason is Reason.PROGRAM_FAILED
    assert load.verdict("rup", Late(), 10).text == "rup did not end within 10 s"


@pytest.mark.parametrize(
    ("url", "address", "place"),
    [
        ("http://%h:8080/load?x=1", "192.0.2.7", ("192.0.2.7:8080", 8080, "/load?x=1")),
        ("http://%h", "192.0.2.7", ("192.0.2.7", 80, "/")),
        ("http://%h:81", "2001:db8::1", ("[2001:db8::1]:81", 81, "/")),
    ],
)
def test_place(url: str, address: str, place: tuple[str, int, str]) -> None:
    assert load.place(url, ip_address(address)) == place


@pytest.mark.parametrize(
    "url", ["", "https://%h/", "http://", "http://%h:x/", "http://%h/a b", "http://%h/ä"]
)
def test_no_place(url: str) -> None:
    with pytest.raises(ValueError):
        load.place(url, RIP)


def agent() -> load.Agent:
    found = load.Agent(Load(url="http://%h:8080/load"), RIP)
    request = found.begin()
    assert request.startswith(b"GET /load HTTP/1.0\r\nHost: 192.0.2.7:8080\r\n")
    assert request.endswith(b"\r\n\r\n")
    return found


def heard(*pieces: bytes) -> Answer:
    one = agent()
    for piece in pieces:
        said = one.received(piece)
        if isinstance(said, Answer):
            return said
        assert said == b""
    return one.ended()


def test_agent_that_closes() -> None:
    assert heard(b"HTTP/1.1 200 OK\r\n\r\nlo", b"ad: 0.5\n").value == 0.5


def test_agent_that_counts() -> None:
    one = agent()
    said = one.received(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n75%")
    assert isinstance(said, Answer)
    assert said.value == -0.75


def test_agent_is_used_again() -> None:
    one = agent()
    one.received(b"HTTP/1.1 500 x\r\n\r\n")
    one.begin()
    one.received(b"HTTP/1.0 200\r\n\r\n50%")
    assert one.ended().value == -0.5


@pytest.mark.parametrize(
    ("said", "reason", "text"),
    [
        (b"", Reason.CLOSED, "closed without an answer"),
        (b"HTTP/1.1 200 OK\r\nX: y", Reason.CLOSED, "closed within the header of its answer"),
        (b"HTTP/1.1 503 No\r\n\r\n75%", Reason.WRONG_ANSWER, "status 503, 200 expected"),
        (b"75%", Reason.GARBLED, 'not an answer of HTTP: "75%"'),
        (b"x" * 20000, Reason.TOO_LONG, "http://192.0.2.7:8080/load answers with more than 16384 bytes"),
    ],
)
def test_agent_that_fails(said: bytes, reason: Reason, text: str) -> None:
    assert heard(said) == Answer(False, reason, text)


def test_agent_says_what_is_missing() -> None:
    one = agent()
    assert one.silent() == "an answer"
    one.received(b"HTTP/1.1 200 OK\r\n\r\n")
    assert one.silent() == "the end of its answer"


@given(
    st.lists(
        st.binary(max_size=80) | st.sampled_from([b"HTTP/1.1 200 OK\r\n", b"\r\n", b"Content-Length: 5"])
    )
)
def test_agent_always_answers(pieces: list[bytes]) -> None:
    assert heard(*pieces).text.isprintable()
