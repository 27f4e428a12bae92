"""Letters and frames: there and back, cut anywhere, and of a later lvsd."""

from __future__ import annotations

import struct
from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvs.health.orders import Verb
from lvs.health.shared import Entry, Findings, Orders, Row
from lvs.letters import (
    LONGEST,
    LONGEST_HELLO,
    PROTOCOL,
    FrameError,
    Frames,
    Hello,
    Letter,
    Ping,
    frame,
    letter,
    unfit,
)
from lvs.model import Protocol, VirtualKey
from lvs.sync.messages import Abort, Answer, Commit, Done, Offer, Standing, Take
from lvs.sync.version import Agreed, Text, Version

KEY = VirtualKey(b"\xc0\0\2\1", Protocol.TCP, 80, 0)
ONE = Version(2**32 - 1, "ab12")
LETTERS: tuple[Letter, ...] = (
    Hello(1, 1, "0.1.0", "lb1"),
    Ping(),
    Standing(ONE, None, Agreed(7, ONE), True),
    Offer(1, Text(ONE, b"\xff\0any bytes", "cf"), True),
    Answer(1, ("lvs.toml:1: no",), True),
    Commit(1),
    Done(1, "why not"),
    Abort(1),
    Take(),
    Orders((Entry("10.0.0.3", KEY, Verb.DRAIN, "carla", 3.5, None, 10.0, number=2),)),
    Findings(((KEY, (Row(b"\x0a\0\0\3", 80, b"12345678", True, 4.5),)),)),
)


@pytest.mark.parametrize("one", LETTERS, ids=lambda one: type(one).__name__)
def test_there_and_back(one: Letter) -> None:
    (body,) = Frames().cut(frame(one))
    assert letter(body) == one


@given(st.lists(st.sampled_from(LETTERS), max_size=8), st.lists(st.integers(1, 40), min_size=1, max_size=30))
def test_cut_anywhere(letters: list[Letter], sizes: list[int]) -> None:
    stream = b"".join(map(frame, letters))
    frames, found = Frames(), []
    while stream:
        size = sizes[len(stream) % len(sizes)]
        found += [letter(body) for body in frames.cut(stream[:size])]
        stream = stream[size:]
    assert found == letters
    assert not frames.begun


@pytest.mark.parametrize("length", [0, LONGEST_HELLO + 1, LONGEST, 2**32 - 1])
def test_no_such_length(length: int) -> None:
    with pytest.raises(FrameError, match=f"a frame of {length} bytes"):
        list(Frames().cut(struct.pack("!I", length)))


def test_after_the_hello_a_whole_configuration_fits() -> None:
    frames = Frames()
    frames.longest = LONGEST
    assert not list(frames.cut(struct.pack("!I", LONGEST)))
    assert frames.begun
    other = Frames()
    other.longest = LONGEST
    with pytest.raises(FrameError):
        list(other.cut(struct.pack("!I", LONGEST + 1)))


def test_what_a_later_version_says() -> None:
    assert letter(msgspec.msgpack.encode({"type": "gossip", "what": [1, 2]})) is None
    known = msgspec.msgpack.encode({"type": "commit", "id": 5, "mood": "good"})
    assert letter(known) == Commit(5)


@given(st.binary(max_size=200))
def test_whatever_comes_is_a_letter_or_an_error(body: bytes) -> None:
    with suppress(FrameError):
        letter(body)


def test_nesting_has_an_end() -> None:
    with pytest.raises(FrameError):
        letter(b"\x81\xa4type" + b"\x91" * 100_000)


@pytest.mark.parametrize(
    ("least", "protocol", "said"),
    [
        (PROTOCOL, PROTOCOL, ""),
        (PROTOCOL, PROTOCOL + 5, ""),
        (0, PROTOCOL, ""),
        (PROTOCOL + 1, PROTOCOL + 2, "this one is too old for the other"),
        (0, PROTOCOL - 1, "the other is too old for this one"),
    ],
)
def test_who_can_talk_to_whom(least: int, protocol: int, said: str) -> None:
    found = unfit(Hello(protocol, least, "9.9"))
    assert said in found
    assert bool(found) is bool(said)
