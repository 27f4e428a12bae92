"""Heartbeats on the wire: what goes out comes in, and nothing else does."""

from __future__ import annotations

import hmac
import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvs.model import Role
from lvs.pulse.wire import LONGEST, MAGIC, Bad, decode, encode
from lvs.pulse.words import Beat

KEY = b"k" * 32
BEAT = Beat(boot=7, number=1, role=Role.ACTIVE, term=3, version="1.0", reason="because")

counts = st.integers(0, (1 << 62) - 1)
texts = st.text(
    st.characters(categories=("L", "N", "P", "Zs"), exclude_characters="\u00a0"), max_size=40
).filter(str.isprintable)
beats = st.builds(
    Beat,
    boot=st.integers(1, (1 << 63) - 1),
    number=st.integers(1, (1 << 62) - 1),
    heard=counts,
    heard_number=counts,
    at_s=st.floats(allow_nan=False, allow_infinity=False),
    role=st.sampled_from(Role),
    term=counts,
    holding=st.booleans(),
    able=st.booleans(),
    wants=st.booleans(),
    handing=st.booleans(),
    leaving=st.booleans(),
    witness=st.booleans(),
    connections=counts,
    serial_no=counts,
    digest=texts,
    version=texts,
    reason=texts,
)


def signed(body: bytes, key: bytes = KEY) -> bytes:
    return body + hmac.digest(key, body, "sha256")


@given(beats)
def test_what_goes_out_comes_in(beat: Beat) -> None:
    data = encode(beat, KEY)
    assert len(data) <= LONGEST
    assert decode(data, KEY) == beat


@given(beats, st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_byte_is_a_forgery(beat: Beat, where: int, change: int) -> None:
    data = bytearray(encode(beat, KEY))
    data[where % len(data)] ^= change
    assert decode(bytes(data), KEY) in {Bad.FORGED, Bad.FOREIGN}


@given(beats)
def test_another_key_is_another_pair(beat: Beat) -> None:
    assert decode(encode(beat, b"o" * 32), KEY) is Bad.FORGED


@given(st.binary(max_size=2000))
def test_any_bytes_are_something(data: bytes) -> None:
    assert isinstance(decode(data, KEY), Bad)
    assert isinstance(decode(signed(MAGIC + b"\1" + data), KEY), Bad)


@pytest.mark.parametrize(
    "data",
    [b"\xda\xdb\xad\xbd", b"\xbd\xad\xdb\xda", b"\xad\xbd\xda\xbd", b"\xef\xbe\xad\xde"],
)
def test_piranhas_beats_are_known(data: bytes) -> None:
    assert decode(data, KEY) is Bad.PIRANHA


def test_another_protocol_says_so_only_if_it_is_authentic() -> None:
    body = MAGIC + b"\2" + msgspec.msgpack.encode(BEAT)
    assert decode(signed(body), KEY) is Bad.PROTOCOL
    assert decode(signed(body, b"x" * 32), KEY) is Bad.FORGED


def test_fields_of_a_newer_lvsd_are_ignored_and_those_of_an_older_one_have_defaults() -> None:
    newer = msgspec.to_builtins(BEAT) | {"humidity": 12}
    assert decode(signed(MAGIC + b"\1" + msgspec.msgpack.encode(newer)), KEY) == BEAT
    older = {"boot": 7, "number": 1}
    assert decode(signed(MAGIC + b"\1" + msgspec.msgpack.encode(older)), KEY) == Beat(boot=7, number=1)


@pytest.mark.parametrize(
    "odd",
    [
        {"boot": 0},
        {"number": 0},
        {"number": 1 << 63},
        {"term": -1},
        {"term": 1 << 63},
        {"at_s": math.inf},
        {"at_s": math.nan},
        {"deadtime_s": math.nan},
        {"deadtime_s": -1.0},
        {"reason": "two\nlines"},
        {"version": "v" * 301},
        {"role": "captain"},
        {"connections": -1},
        {"boot": "7"},
    ],
)
def test_authentic_nonsense_is_garbled(odd: dict[str, object]) -> None:
    body = MAGIC + b"\1" + msgspec.msgpack.encode(msgspec.to_builtins(BEAT) | odd)
    assert decode(signed(body), KEY) is Bad.GARBLED


def test_a_long_reason_is_cut() -> None:
    beat = decode(encode(msgspec.structs.replace(BEAT, reason="r" * 5000), KEY), KEY)
    assert isinstance(beat, Beat)
    assert beat.reason == "r" * 300
