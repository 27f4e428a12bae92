"""The frame of messages: their ends, what is cut, and errors."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from kernel.oracle import (
    FAMILY_ID,
    end,
)
from lvs.kernel import wire

numbers = st.integers(0, 2**32 - 1)


def only(data: bytes) -> wire.Message:
    (found,) = wire.messages(data, len(data))
    return found


def test_error_codes() -> None:
    for data, code in ((end(0), 0), (end(17, kind=wire.NLMSG_ERROR), 17), (end(3), 3)):
        assert wire.error_code(data, only(data)) == code
    short = struct.pack("=IHHII", 16, wire.NLMSG_DONE, 2, 1, 0)
    assert wire.error_code(short, only(short)) == 0


@given(st.binary(max_size=200))
def test_garbage(data: bytes) -> None:
    for found in wire.messages(data, len(data)):
        assert 16 <= found.start <= len(data) + 4
        assert found.end <= len(data)
        wire.error_code(data, found)
    wire.attributes(data, 0, len(data))


@given(st.lists(st.tuples(st.integers(1, 0x3FFF), st.binary(max_size=9)), unique_by=lambda one: one[0]))
def test_attributes_are_what_was_written(some: list[tuple[int, bytes]]) -> None:
    data = b"".join(wire.attribute(kind, payload) for kind, payload in some)
    assert len(data) % 4 == 0
    assert wire.attributes(data, 0, len(data)) == dict(some)


@given(st.lists(st.binary(max_size=9).map(lambda body: body + bytes(-len(body) & 3)), max_size=3), numbers)
def test_messages_are_what_was_written(bodies: list[bytes], sequence: int) -> None:
    data = b"".join(wire.message(FAMILY_ID, wire.GET_DEST, body, sequence) for body in bodies)
    found = list(wire.messages(data, len(data)))
    assert [data[one.start : one.end] for one in found] == bodies
    assert {one[:2] for one in found} <= {(FAMILY_ID, sequence)}
