"""A server's part, played to a talk without a socket: in one piece, and a byte at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from ipaddress import ip_address

from hypothesis import strategies as st

from lvs.checks import Answer, Check, Pace, Reason, Target
from lvs.probes.talk import Talk

JUNK = st.lists(st.binary(max_size=200), max_size=4)


def target(check: Check, port: int = 1) -> Target:
    return Target(address=ip_address("192.0.2.1"), port=port, check=check, pace=Pace(6, 2, 4))


def play(talk: Talk, answers: Iterable[bytes], *, ends: bool = True) -> Answer | list[bytes]:
    """The verdict; without one, and if the server does not end, all that was sent."""
    sent = [talk.begin()]
    for answer in answers:
        said = talk.received(answer)
        if isinstance(said, Answer):
            return said
        if said:
            sent.append(said)
    return talk.ended() if ends else sent


def verdicts(talk: Talk, answers: Sequence[bytes]) -> Answer:
    """The verdict on a stream, which must not depend on how it was cut, nor on the probe before."""
    whole = play(talk, answers)
    assert isinstance(whole, Answer)
    bytewise = play(talk, [bytes((byte,)) for answer in answers for byte in answer])
    assert isinstance(bytewise, Answer)
    assert (bytewise.ok, bytewise.reason) == (whole.ok, whole.reason)
    # What is not of the protocol is quoted as far as it was there.
    assert bytewise.text == whole.text or whole.reason is Reason.GARBLED
    assert sound(whole)
    assert talk.silent()
    return whole


def endures(talk: Talk, junk: list[bytes], before: Sequence[bytes] = ()) -> None:
    """Whatever comes after a good beginning, there is an answer, and it is fit for a journal."""
    verdict = play(talk, [*before, *junk])
    assert isinstance(verdict, Answer)
    assert sound(verdict)
    assert talk.silent().isprintable()


def sound(answer: Answer) -> bool:
    return answer.text.isprintable() and not answer.text.endswith(".") and len(answer.text) < 250


def mangled(answer: bytes) -> st.SearchStrategy[bytes]:
    """A right answer with some bytes replaced."""
    spots = st.lists(st.tuples(st.integers(0, len(answer) - 1), st.integers(0, 255)), min_size=1, max_size=4)

    def mangle(changes: list[tuple[int, int]]) -> bytes:
        data = bytearray(answer)
        for at, byte in changes:
            data[at] = byte
        return bytes(data)

    return spots.map(mangle)


Random = Callable[[int], bytes]


def fixed(length: int) -> bytes:
    """No randomness at all."""
    return bytes(range(length))
