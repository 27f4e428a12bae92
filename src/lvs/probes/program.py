"""Check programs: the command line a target gives, and what the way a program ended means.

nanny's send_program (lvs.cf section 4.5) with its bug mended: there a program that failed, hung
or was missing counted as up as soon as `expect` was set; here the exit status decides first.
"""

from __future__ import annotations

from signal import Signals

import msgspec

from lvs.checks import Address, Answer, Program, Reason
from lvs.probes.talk import down, quoted, up

KEPT = 4096  # bytes of output that are looked at; nanny read 4095


class Ended(msgspec.Struct, frozen=True, gc=False):
    """A program ended by itself, or was killed by somebody else."""

    status: int  # exit status; negative: the signal that killed it
    output: bytes = b""  # at most KEPT bytes of it


class Late(msgspec.Struct, frozen=True, gc=False):
    """A program did not end in time and was killed."""


class Unstarted(msgspec.Struct, frozen=True, gc=False):
    """A program could not be started; `text` is a sentence that names it."""

    text: str
    ours: bool = False  # no fault of the program's: this director lacks memory, descriptors, rights


Outcome = Ended | Late | Unstarted


def command(words: tuple[str, ...], address: Address, port: int) -> tuple[str, ...]:
    """The words to run: those that are exactly %h and %p replaced, as nanny did (`host=%h` stays)."""
    values = {"%h": str(address), "%p": str(port)}
    return tuple(values.get(word, word) for word in words)


def variables(address: Address, port: int) -> dict[str, str]:
    """What the environment tells a program beside its words."""
    return {"LVS_REAL_SERVER": str(address), "LVS_PORT": str(port)}


def failure(program: str, outcome: Outcome, limit_s: float) -> Answer | None:
    """What is wrong with the way a program ended; None if it ended with status 0."""
    match outcome:
        case Ended(status=0):
            return None
        case Ended(status, output):
            return down(Reason.PROGRAM_FAILED, f"{program} {_end(status)} and printed {_printed(output)}")
        case Late():
            return down(Reason.PROGRAM_TIMED_OUT, f"{program} did not end within {limit_s:g} s")
        case Unstarted(text, ours):
            return down(Reason.LOCAL_FAULT if ours else Reason.PROGRAM_MISSING, text)


def verdict(check: Program, outcome: Outcome, limit_s: float) -> Answer:
    """Whether a real server is up, by how its check program ended; lvs.cf section 4.5."""
    program = check.words[0]
    failed = failure(program, outcome, limit_s)
    if failed is not None:
        return failed
    assert isinstance(outcome, Ended)
    if check.expect is None:
        return up(f"{program} ended with status 0")
    printed = _printed(outcome.output)
    if matches(outcome.output, check.expect):
        return up(f"{program} printed {printed}")
    return down(Reason.WRONG_ANSWER, f"{program} printed {printed}, {quoted(check.expect)} expected")


def matches(output: bytes, expect: str) -> bool:
    """Whether output is what is expected, case and blanks included.

    A newline at its end does not count. nanny cut the last character off whatever it was, so a
    file made for a program that prints `OK.` may expect `OK`: that is taken as well.
    """
    wanted = expect.encode("utf-8", "surrogateescape")
    return wanted in (output.removesuffix(b"\n"), output[:-1])


def _end(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was killed by {Signals(-status).name}"
    except ValueError:  # a real-time signal
        return f"was killed by signal {-status}"


def _printed(output: bytes) -> str:
    return quoted(output) if output.strip() else "nothing"
