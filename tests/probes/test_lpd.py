from __future__ import annotations

import pytest
from hypothesis import given

from lvs.checks import Answer, Lpd, Reason
from lvs.probes import lpd
from lvs.probes.talk import Talk
from probes.played import JUNK, endures, play, target, verdicts

UP, NO, DENIED, GARBLED = Reason.ANSWERED, Reason.WRONG_ANSWER, Reason.DENIED, Reason.GARBLED


def of(queue: str = "office") -> Talk:
    check = Lpd(queue=queue)
    return lpd.talk(check, target(check, 515), {})


def test_the_question() -> None:
    assert of().begin() == b"\x03office\n"


@pytest.mark.parametrize(
    ("said", "reason", "text"),
    [
        # CUPS 2.4.2, cups-lpd
        (b"office is ready\nno entries\n", UP, 'queue office: "office is ready"'),
        (b"office is ready and printing\n", UP, 'queue office: "office is ready and printing"'),
        (b"office is not ready\nno entries\n", NO, 'queue office: "office is not ready"'),
        (
            b"Unable to get printer office: successful-ok",
            NO,
            'queue office: "Unable to get printer office: successful-ok"',
        ),
        (
            b"Unable to connect to server 127.0.0.1: Bad file descriptor",
            NO,
            'queue office: "Unable to connect to server 127.0.0.1: Bad file descriptor"',
        ),
        # LPRng 3.8.B
        (b"office@localhost 0 jobs\n", UP, 'queue office: "office@localhost 0 jobs"'),
        (
            b"office@localhost 0 jobs (printing disabled, spooling disabled)\n",
            NO,
            'queue office: "office@localhost 0 jobs (printing disabled, spooling disabled)"',
        ),
        (
            b"Printer: office@localhost - ERROR: spool queue for 'office' does not exist\n",
            NO,
            "queue office: \"Printer: office@localhost - ERROR: spool queue for 'office' does not exist\"",
        ),
        # BSD
        (b"no entries\n", UP, 'queue office: "no entries"'),
        (b"\nlp is ready and printing\n", UP, 'queue office: "lp is ready and printing"'),
        (b"lpd: office: unknown printer\n", NO, 'queue office: "lpd: office: unknown printer"'),
        (
            b"print.example: lpd: Your host does not have line printer access\n",
            DENIED,
            'queue office: "print.example: lpd: Your host does not have line printer access"',
        ),
        (b"Warning: office is down: \n", NO, 'queue office: "Warning: office is down:"'),
        # what users call their jobs is not looked at
        (b"office is ready\nactive bob 1 not found, no permission\n", UP, 'queue office: "office is ready"'),
        (b"\1", NO, "queue office: refused with code 1"),
        (b"\x15\x03\x01\x00\x02\x02\x0a", GARBLED, 'queue office: not LPD: "......"'),
        (b"", Reason.CLOSED, "queue office: closed without an answer"),
        (b"\n \n", Reason.CLOSED, "queue office: closed without an answer"),
    ],
)
def test_verdicts(said: bytes, reason: Reason, text: str) -> None:
    verdict = verdicts(of(), [said])
    assert (verdict.ok, verdict.reason, verdict.text) == (reason is UP, reason, text)


def test_a_queue_may_have_any_name() -> None:
    assert verdicts(of("error"), [b"error is ready\n"]).ok
    assert not verdicts(of("error"), [b"error: unknown printer\n"]).ok


def test_a_line_that_does_not_end() -> None:
    verdict = play(of(), [b"x" * 5000])
    assert isinstance(verdict, Answer)
    assert verdict.reason is GARBLED


@given(JUNK)
def test_junk(junk: list[bytes]) -> None:
    endures(of(), junk)
