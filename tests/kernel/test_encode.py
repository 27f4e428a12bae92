"""What we write, decoded by pyroute2's message class."""

from __future__ import annotations

import struct
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

import strategies
from kernel.oracle import (
    FAMILY_ID,
    oracle_op,
)
from lvs.kernel import encode
from lvs.kernel.state import (
    GUE,
    NOCSUM,
    TUNNEL,
    AddDestination,
    Destination,
    DestinationKey,
    ServiceKey,
    TableOp,
)

numbers = st.integers(0, 2**32 - 1)


@given(strategies.table_ops(), numbers)
def test_encoded_is_what_pyroute2_decodes(op: TableOp, sequence: int) -> None:
    encoded = encode.Encoder(FAMILY_ID).encode(op, sequence)
    length, kind, flags, number, port = struct.unpack_from("=IHHII", encoded)
    assert (length, kind, flags, number, port) == (len(encoded), FAMILY_ID, 1, sequence, 0)
    assert len(encoded) % 4 == 0
    assert encoded[16:20] == bytes((encoded[16], 1, 0, 0))  # IPVS_GENL_VERSION
    assert oracle_op(encoded) == op


@given(st.lists(strategies.table_ops(), min_size=2, max_size=6))
def test_what_an_encoder_keeps_is_right(ops: list[TableOp]) -> None:
    """One for all, twice over, gives what a new one gives for each."""
    encoder = encode.Encoder(FAMILY_ID)
    for sequence, op in enumerate(ops * 2):
        assert encoder.encode(op, sequence) == encode.Encoder(FAMILY_ID).encode(op, sequence)


def test_bytes_of_a_destination() -> None:
    """By hand, after include/uapi/linux/ip_vs.h; little-endian machines only."""
    if sys.byteorder != "little":
        pytest.skip("written for a little-endian machine")
    op = AddDestination(
        ServiceKey(4, 6, bytes((192, 0, 2, 1)), 80, 0),
        DestinationKey(bytes((10, 0, 0, 1)), 8080),
        Destination(TUNNEL, 1, 5, 2, GUE, 6080, NOCSUM),
    )
    assert encode.Encoder(0x1E).encode(op, 7) == bytes.fromhex(
        "a4000000 1e00 0100 07000000 00000000  05 01 0000"
        "3000 0180  0600 0100 02000000  0600 0200 06000000"
        "1400 0300 c0000201 000000000000000000000000  0600 0400 00500000"
        "6000 0280  1400 0100 0a000001 000000000000000000000000  0600 0200 1f900000"
        "0800 0300 02000000  0800 0400 01000000"
        "0500 0d00 01000000  0600 0e00 17c00000  0600 0f00 00000000"
        "0800 0500 05000000  0800 0600 02000000  0600 0b00 02000000"
    )


def test_family_request() -> None:
    """genl-ctrl's GETFAMILY by name; pyroute2's own controller message reads it."""
    from pyroute2.netlink import ctrlmsg

    message = ctrlmsg(encode.family_request(3))
    message.decode()
    assert message["header"]["type"] == 0x10
    assert (message["cmd"], message.get_attr("CTRL_ATTR_FAMILY_NAME")) == (3, "IPVS")
