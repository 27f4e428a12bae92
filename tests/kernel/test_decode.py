"""What the kernel writes, as bytes of Linux 6.12 and of pyroute2, decoded."""

from __future__ import annotations

import contextlib
import struct
from socket import htons
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroute2.netlink.generic.ipvs import ipvsmsg

import strategies
from kernel.oracle import (
    FAMILY_ID,
    address_of,
    attribute,
    destination_message,
    end,
    fill_daemon,
    fill_dest,
    fill_service,
    message,
    of_pyroute2,
    oracle_destination,
    oracle_destination_key,
    oracle_service_key,
    shuffled,
    u32,
)
from lvs.kernel import decode, wire
from lvs.kernel.dumped import ServiceReader, decode_service
from lvs.kernel.state import (
    BACKUP,
    MASQ,
    MASTER,
    ROUTE,
    Destination,
    DestinationKey,
    ServiceKey,
    ServiceOptions,
    SyncDaemon,
    Timeouts,
)

MALFORMED = (KeyError, struct.error)  # what a decoder says to bytes that no kernel writes

numbers = st.integers(0, 2**32 - 1)


def only(data: bytes) -> wire.Message:
    (found,) = wire.messages(data, len(data))
    return found


@given(st.sampled_from((MASTER, BACKUP)).flatmap(strategies.sync_daemons), st.randoms())
def test_a_sync_daemon_in_any_order(daemon: SyncDaemon, order: Any) -> None:
    data = message(wire.NEW_DAEMON, attribute(wire.CMD_DAEMON | 0x8000, shuffled(fill_daemon(daemon), order)))
    assert decode.decode_daemon(data, only(data)) == daemon


real_servers = strategies.service_keys().flatmap(strategies.destinations_of)
dumped = st.tuples(real_servers, st.tuples(numbers, numbers, numbers))


@given(dumped, st.randoms())
def test_a_dumped_destination(
    one: tuple[tuple[DestinationKey, Destination], tuple[int, int, int]], order: Any
) -> None:
    real_server, counts = one
    body = fill_dest(*real_server, counts)
    reader = decode.DestinationReader()
    for filled_in in (body, shuffled(body, order), body):
        data = destination_message(filled_in)
        assert reader.configured(data, only(data)) == real_server
        assert reader.counted(data, only(data)) == (*real_server, *counts)


@given(strategies.described(), real_servers)
def test_pyroute2_agrees_about_the_dumps_above(
    service: tuple[ServiceKey, ServiceOptions], real_server: tuple[DestinationKey, Destination]
) -> None:
    """The bytes made here are a dump for pyroute2, too: they are not made to fit our decoder."""
    data = message(
        wire.NEW_SERVICE,
        attribute(wire.CMD_SERVICE, fill_service(*service))
        + attribute(wire.CMD_DEST, fill_dest(*real_server, (1, 2, 3))),
    )
    decoded = ipvsmsg(data)
    decoded.decode()
    seen = decoded.get_attr("IPVS_CMD_ATTR_SERVICE")
    assert oracle_service_key(seen) == service[0]
    flags = seen.get_attr("IPVS_SVC_ATTR_FLAGS")
    assert flags["flags"] == service[1].flags | 2
    seen = decoded.get_attr("IPVS_CMD_ATTR_DEST")
    assert (oracle_destination_key(seen), oracle_destination(seen)) == real_server
    assert seen.get_attr("IPVS_DEST_ATTR_PERSIST_CONNS") == 3


@given(real_servers)
def test_a_destination_that_pyroute2_encoded(real_server: tuple[DestinationKey, Destination]) -> None:
    key, destination = real_server
    family, address = address_of(key.address)
    data = of_pyroute2(
        "DEST",
        [
            ("IPVS_DEST_ATTR_ADDR_FAMILY", family),
            ("IPVS_DEST_ATTR_ADDR", address),
            ("IPVS_DEST_ATTR_PORT", key.port),
            ("IPVS_DEST_ATTR_FWD_METHOD", destination.forwarding),
            ("IPVS_DEST_ATTR_WEIGHT", destination.weight),
            ("IPVS_DEST_ATTR_U_THRESH", destination.upper_threshold),
            ("IPVS_DEST_ATTR_L_THRESH", destination.lower_threshold),
            ("IPVS_DEST_ATTR_TUN_TYPE", destination.tunnel_type),
            ("IPVS_DEST_ATTR_TUN_PORT", htons(destination.tunnel_port)),
            ("IPVS_DEST_ATTR_TUN_FLAGS", destination.tunnel_flags),
        ],
    )
    assert decode.DestinationReader().configured(data, only(data)) == real_server


# Many in one datagram

REAL = DestinationKey(bytes((10, 0, 0, 1)), 80)
datagrams = st.lists(
    st.tuples(dumped, st.sampled_from((1, 1, 1, 2)), st.sampled_from((FAMILY_ID, FAMILY_ID, 0x11))),
    max_size=6,
)


@given(datagrams, st.sampled_from((b"", end(0), end(3), end(2, kind=wire.NLMSG_ERROR), end(0, 2))))
def test_collect_is_configured_one_by_one(datagram: list[Any], last: bytes) -> None:
    """Other sequence numbers and families are not ours; DONE and ERROR end the dump."""
    data = b"".join(
        destination_message(fill_dest(key, destination, counts), sequence, kind)
        for ((key, destination), counts), sequence, kind in datagram
    )
    data += last
    reader, collected = decode.DestinationReader(), dict[DestinationKey, Destination]()
    wanted, ended = dict[DestinationKey, Destination](), None
    for found in wire.messages(data, len(data)):
        if found.sequence == 1 and found.kind == FAMILY_ID:
            key, destination = decode.DestinationReader().configured(data, found)
            wanted[key] = destination
        elif found.sequence == 1 and found.kind in (wire.NLMSG_DONE, wire.NLMSG_ERROR):
            ended = wire.error_code(data, found)
    for _ in range(2):  # the second time everything is known
        assert reader.collect(data, FAMILY_ID, 1, collected) == ended
        assert collected == wanted


@given(st.lists(real_servers, min_size=1, max_size=4), st.data())
def test_collect_all_at_once_is_one_by_one(
    some: list[tuple[DestinationKey, Destination]], data: st.DataObject
) -> None:
    """A datagram of nothing but ours, one byte of it changed perhaps, by a reader that knows some of it."""
    reader = decode.DestinationReader()
    known = filled(data.draw(st.lists(st.sampled_from(some), min_size=1)), 1, 3)
    reader.collect(known, FAMILY_ID, 1, {})
    changed = bytearray(filled(some, 1, 5))
    at = data.draw(st.integers(0, len(changed) - 1))
    changed[at] ^= data.draw(st.sampled_from((0, 1, 2, 4, 8, 0x80)))
    wanted, collected = dict[DestinationKey, Destination](), dict[DestinationKey, Destination]()
    try:
        for one in wire.messages(bytes(changed), len(changed)):
            if one.sequence == 1 and one.kind == FAMILY_ID:
                key, destination = decode.DestinationReader().configured(bytes(changed), one)
                wanted[key] = destination
    except MALFORMED:
        return
    reader.collect(bytes(changed), FAMILY_ID, 1, collected)
    assert collected == wanted


def filled(real_servers: list[tuple[DestinationKey, Destination]], sequence: int, count: int) -> bytes:
    """A datagram of a dump; `count` is in all of its counters, of messages and statistics."""
    return b"".join(
        destination_message(fill_dest(key, destination, (count, count + 1, count + 2), count), sequence)
        for key, destination in real_servers
    )


@given(st.lists(real_servers, min_size=1, max_size=4), st.data())
def test_a_datagram_that_was_seen(
    some: list[tuple[DestinationKey, Destination]], data: st.DataObject
) -> None:
    """Known whatever its counters and number are; not known if any of the rest differs."""
    reader, wanted = decode.DestinationReader(), dict[DestinationKey, Destination]()
    first = filled(some, 1, 7)
    assert reader.seen(first, FAMILY_ID, 1) is None
    assert reader.collect(first, FAMILY_ID, 1, wanted) is None
    for sequence, count in ((1, 7), (2, 7), (3, 2**31)):
        assert reader.seen(filled(some, sequence, count), FAMILY_ID, sequence) == wanted
    again = filled(some, 2, 8)
    assert reader.seen(again, FAMILY_ID, 1) is None  # the answer to another request
    assert reader.seen(again, FAMILY_ID + 1, 2) is None  # of another family
    assert reader.seen(again + end(0, 2), FAMILY_ID, 2) is None  # its end is to be read
    assert reader.seen(again[: data.draw(st.integers(0, len(again) - 1))], FAMILY_ID, 2) is None
    other = list(some)
    place = data.draw(st.integers(0, len(some) - 1))
    other[place] = data.draw(real_servers)
    if other[place] != some[place]:
        assert reader.seen(filled(other, 2, 8), FAMILY_ID, 2) is None


@given(st.lists(real_servers, min_size=1, max_size=3), st.data())
def test_one_changed_byte_is_not_what_was_seen(
    some: list[tuple[DestinationKey, Destination]], data: st.DataObject
) -> None:
    """Anywhere but in what the kernel counts: flags and numbers of messages, counters, statistics."""
    reader = decode.DestinationReader()
    known = filled(some, 1, 7)
    reader.collect(known, FAMILY_ID, 1, {})
    configured = (*range(6), *range(20, 108), *range(132, 140))
    at = data.draw(st.integers(0, len(some) - 1)) * (len(known) // len(some))
    changed = bytearray(known)
    changed[at + data.draw(st.sampled_from(configured))] ^= data.draw(st.sampled_from((1, 2, 4, 0x80)))
    assert reader.seen(bytes(changed), FAMILY_ID, 1) is None


@pytest.mark.parametrize("left_out", ["usual shape", "end"])
def test_what_is_not_kept(left_out: str) -> None:
    """Attributes in another order, and the last datagram, are decoded each time."""
    body = fill_dest(REAL, Destination(ROUTE, 1), (0, 0, 0))
    data = destination_message(body[20:28] + body[:20] + body[28:] if left_out == "usual shape" else body)
    data += end(0) if left_out == "end" else b""
    reader, collected = decode.DestinationReader(), dict[DestinationKey, Destination]()
    reader.collect(data, FAMILY_ID, 1, collected)
    assert collected == {REAL: Destination(ROUTE, 1)}
    assert reader.seen(data, FAMILY_ID, 1) is None


@pytest.mark.parametrize(("left_out", "family"), [(11, 4), (13, 4), (14, 6), (15, 6)])
def test_kernels_before_6_12(left_out: int, family: int) -> None:
    """No family before 3.18, no tunnel types before 5.3: each has its default."""
    key = DestinationKey(strategies.REALS[family][0], 80)
    body = fill_dest(key, Destination(ROUTE, 1), (0, 0, 0))
    kept, at = b"", 0
    while at < len(body):
        size, kind = struct.unpack_from("=HH", body, at)
        if kind != left_out:
            kept += body[at : at + (size + 3 & ~3)]
        at += size + 3 & ~3
    data = destination_message(kept)
    reader = decode.DestinationReader()
    for _ in range(2):
        assert reader.configured(data, only(data)) == (key, Destination(ROUTE, 1))
    collected: dict[DestinationKey, Destination] = {}
    assert reader.collect(data, FAMILY_ID, 1, collected) is None
    assert collected == {key: Destination(ROUTE, 1)}


def test_flags_of_a_connection_are_not_the_destinations() -> None:
    """Old kernels give all of conn_flags as the forwarding method; its mask is 7."""
    data = destination_message(fill_dest(REAL, Destination(ROUTE | 0x100, 1), (0, 0, 0)))
    assert decode.DestinationReader().configured(data, only(data))[1].forwarding == ROUTE


def test_what_was_seen_is_forgotten_when_it_is_too_much() -> None:
    reader = decode.DestinationReader()
    for port in range(1, 1100):
        data = destination_message(
            fill_dest(DestinationKey(REAL.address, port), Destination(MASQ, 1), (0, 0, 0))
        )
        reader.collect(data, FAMILY_ID, 1, {})
    reader.trim(50)
    assert len(reader._seen) == 1099
    reader.trim(49)
    assert not reader._seen


def test_timeouts_and_info() -> None:
    data = message(wire.SET_CONFIG, attribute(4, u32(900)) + attribute(5, u32(120)) + attribute(6, u32(300)))
    assert decode.decode_timeouts(data, only(data)) == Timeouts(900, 120, 300)
    data = message(wire.GET_INFO, attribute(1, u32(0x010201)) + attribute(2, u32(4096)))
    assert decode.decode_info(data, only(data)) == ("1.2.1", 4096)


# What no kernel writes


def decode_all(data: bytes) -> None:
    """Each decoder on each message; a malformed one may be told, and nothing else."""
    reader = decode.DestinationReader()
    decoders = (
        decode_service,
        decode.decode_timeouts,
        decode.decode_info,
        wire.error_code,
        reader.configured,
        reader.counted,
    )
    for found in wire.messages(data, len(data)):
        for decoder in decoders:
            try:
                decoder(data, found)
            except MALFORMED:
                continue
    with contextlib.suppress(*MALFORMED):
        reader.collect(data, FAMILY_ID, 1, {})
    with contextlib.suppress(*MALFORMED):
        ServiceReader().collect(data, FAMILY_ID, 1, [])


@given(st.binary(max_size=200))
def test_garbage(data: bytes) -> None:
    decode_all(data)
    wire.attributes(data, 0, len(data))


@st.composite
def nearly(draw: st.DrawFn) -> bytes:
    """A good datagram with a few bytes changed, and perhaps cut."""
    service, (real_server, counts) = draw(strategies.described()), draw(dumped)
    data = bytearray(
        message(wire.NEW_SERVICE, attribute(wire.CMD_SERVICE, fill_service(*service)))
        + destination_message(fill_dest(*real_server, counts))
        + end(0)
    )
    for _ in range(draw(st.integers(1, 4))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.sampled_from((0, 1, 2, 4, 5, 10, 255)))
    return bytes(data[: draw(st.integers(0, len(data)))]) if draw(st.booleans()) else bytes(data)


@given(nearly())
def test_nearly_right(data: bytes) -> None:
    decode_all(data)


@given(dumped, st.data())
def test_a_cut_datagram_gives_its_whole_messages(one: Any, data: st.DataObject) -> None:
    (key, destination), counts = one
    first = destination_message(fill_dest(REAL, Destination(ROUTE, 1), (0, 0, 0)))
    second = destination_message(fill_dest(key, destination, counts))
    cut = (first + second)[: len(first) + data.draw(st.integers(0, len(second) - 1))]
    assert [found.end for found in wire.messages(cut, len(cut))] == [len(first)]
    collected: dict[DestinationKey, Destination] = {}
    assert decode.DestinationReader().collect(cut, FAMILY_ID, 1, collected) is None
    assert collected == {REAL: Destination(ROUTE, 1)}
