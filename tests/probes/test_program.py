from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvs.checks import Program, Reason
from lvs.probes import program
from lvs.probes.program import Ended, Late, Outcome, Unstarted

RIP = ip_address("192.0.2.7")
CHECK = Program(("/x/check",), "OK")


def judged(outcome: Outcome, check: Program = CHECK) -> tuple[bool, Reason, str]:
    answer = program.verdict(check, outcome, 6.0)
    return answer.ok, answer.reason, answer.text


def test_only_whole_words_are_replaced() -> None:
    words = ("/x/check", "%h", "%p", "host=%h", "%%h", "%h:%p")
    assert program.command(words, RIP, 53) == ("/x/check", "192.0.2.7", "53", "host=%h", "%%h", "%h:%p")


def test_ipv6_is_without_brackets() -> None:
    assert program.command(("ping", "%h"), ip_address("2001:db8::1"), 0) == ("ping", "2001:db8::1")


def test_the_environment_tells_it_too() -> None:
    assert program.variables(RIP, 53) == {"LVS_REAL_SERVER": "192.0.2.7", "LVS_PORT": "53"}


@pytest.mark.parametrize("output", [b"OK", b"OK\n", b"OK.", b"OK "])
def test_output_as_expected(output: bytes) -> None:
    """nanny cut the last character off, whatever it was."""
    assert judged(Ended(0, output))[:2] == (True, Reason.ANSWERED)


@pytest.mark.parametrize(
    "output", [b"", b"\n", b"FAIL\n", b"ok\n", b" OK\n", b"OK\n\n", b"OKAY\n", b"\xff\0"]
)
def test_other_output(output: bytes) -> None:
    assert judged(Ended(0, output))[:2] == (False, Reason.WRONG_ANSWER)


def test_an_empty_expectation_is_one() -> None:
    check = Program(("/x/check",), "")
    assert judged(Ended(0, b"\n"), check)[0]
    assert not judged(Ended(0, b"no"), check)[0]


def test_without_expectation_the_status_decides() -> None:
    check = Program(("/x/check",))
    assert judged(Ended(0, b"whatever"), check) == (True, Reason.ANSWERED, "/x/check ended with status 0")
    assert not judged(Ended(3), check)[0]


@pytest.mark.parametrize(
    ("outcome", "reason", "text"),
    [
        (Ended(0, b"OK\n"), Reason.ANSWERED, '/x/check printed "OK"'),
        (Ended(0, b"FAIL\n"), Reason.WRONG_ANSWER, '/x/check printed "FAIL", "OK" expected'),
        (Ended(2, b"OK\n"), Reason.PROGRAM_FAILED, '/x/check ended with status 2 and printed "OK"'),
        (Ended(1), Reason.PROGRAM_FAILED, "/x/check ended with status 1 and printed nothing"),
        (Ended(-9), Reason.PROGRAM_FAILED, "/x/check was killed by SIGKILL and printed nothing"),
        (Ended(-40), Reason.PROGRAM_FAILED, "/x/check was killed by signal 40 and printed nothing"),
        (Late(), Reason.PROGRAM_TIMED_OUT, "/x/check did not end within 6 s"),
        (Unstarted("there is none"), Reason.PROGRAM_MISSING, "there is none"),
        (Unstarted("no memory", ours=True), Reason.LOCAL_FAULT, "no memory"),
    ],
)
def test_sentences(outcome: Outcome, reason: Reason, text: str) -> None:
    """None of the failures is up, `expect` set or not: nanny took them for no objection."""
    assert judged(outcome) == (reason is Reason.ANSWERED, reason, text)


@given(st.integers(-64, 255), st.binary(max_size=300), st.none() | st.text(max_size=20))
def test_every_end_has_an_answer_of_one_line(status: int, output: bytes, expect: str | None) -> None:
    answer = program.verdict(Program(("/x/check",), expect), Ended(status, output), 1.0)
    assert answer.ok <= (status == 0)
    assert answer.text.isprintable()
    assert not answer.text.endswith(".")
