"""Services from bytes that Linux 6.12 and pyroute2 write."""

from __future__ import annotations

import errno
import sys
from ipaddress import IPv4Address
from socket import AF_INET, AF_INET6
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

import strategies
from kernel.oracle import (
    FAMILY_ID,
    address_of,
    attribute,
    end,
    fill_service,
    message,
    of_pyroute2,
    shuffled,
    stats,
)
from lvs.kernel import wire
from lvs.kernel.dumped import Found, ServiceReader, decode_service
from lvs.kernel.state import ServiceKey, ServiceOptions

OPTIONS = ServiceOptions("wlc", 0, 0, strategies.ALL_IPV4, "")
SOME = st.lists(strategies.described(), min_size=1, max_size=4)


def only(data: bytes) -> wire.Message:
    (found,) = wire.messages(data, len(data))
    return found


def written(body: bytes, sequence: int = 1) -> bytes:
    return message(wire.NEW_SERVICE, attribute(wire.CMD_SERVICE, body), sequence)


def collected(reader: ServiceReader, data: bytes) -> tuple[list[Found], int | None]:
    found: list[Found] = []
    return found, reader.collect(data, FAMILY_ID, 1, found)


@given(strategies.described(), st.randoms())
def test_one_service_in_any_order(service: Found, order: Any) -> None:
    body = fill_service(*service)
    for one in (body, shuffled(body, order)):
        data = written(one)
        assert decode_service(data, only(data)) == service


@given(SOME, st.randoms())
def test_a_datagram_of_services(services: list[Found], order: Any) -> None:
    """The first time, known but for the counters, and of a kernel that writes in another order."""
    reader = ServiceReader()
    for traffic in (9, 9, 10):
        data = b"".join(written(fill_service(*one, traffic)) for one in services)
        assert collected(reader, data) == (services, None)
    data = b"".join(written(shuffled(fill_service(*one), order)) for one in services)
    assert collected(reader, data) == (services, None)


@given(strategies.described())
def test_what_another_kernel_adds_is_passed_over(service: Found) -> None:
    """Before the statistics, behind them, and where it was learned how long these are."""
    body, more = fill_service(*service), attribute(60, bytes(4))
    at = len(body) - 2 * len(attribute(wire.SVC_STATS, stats(9)))
    reader = ServiceReader()
    for one in (body, body + more, body[:at] + more + body[at:], more + body, body):
        assert collected(reader, written(one)) == ([service], None)


def test_the_end_of_a_dump() -> None:
    """What answers another request is not ours."""
    service = strategies.KEYS[0], OPTIONS
    body = fill_service(*service)
    reader = ServiceReader()
    assert collected(reader, written(body) + end(0)) == ([service], 0)
    assert collected(reader, end(errno.EPERM, 1, wire.NLMSG_ERROR)) == ([], errno.EPERM)
    assert collected(reader, written(body, 2) + end(errno.EPERM, 2)) == ([], None)
    assert collected(reader, written(body)[:-1]) == ([], None)


def test_what_was_read_long_ago_is_forgotten() -> None:
    reader = ServiceReader()
    for port in range(1, 1100):
        key = ServiceKey(4, 6, strategies.packed("192.0.2.1"), port, 0)
        collected(reader, written(fill_service(key, OPTIONS)))
    assert len(reader._seen) == 1099
    reader.trim(50)
    assert len(reader._seen) == 1099
    reader.trim(49)
    assert not reader._seen


@given(strategies.described())
def test_a_service_that_pyroute2_encoded(service: tuple[ServiceKey, ServiceOptions]) -> None:
    """With short IPv4 addresses and in an order of its own."""
    key, options = service
    raw = options.netmask.to_bytes(4, "big" if key.family == 4 else sys.byteorder)
    where: list[tuple[str, Any]] = [("IPVS_SVC_ATTR_FWMARK", key.fwmark)]
    if not key.fwmark:
        where = [
            ("IPVS_SVC_ATTR_ADDR", address_of(key.address)[1]),
            ("IPVS_SVC_ATTR_PROTOCOL", key.protocol),
            ("IPVS_SVC_ATTR_PORT", key.port),
        ]
    data = of_pyroute2(
        "SERVICE",
        [
            ("IPVS_SVC_ATTR_AF", AF_INET if key.family == 4 else AF_INET6),
            ("IPVS_SVC_ATTR_NETMASK", str(IPv4Address(raw))),
            ("IPVS_SVC_ATTR_TIMEOUT", options.timeout_s),
            ("IPVS_SVC_ATTR_FLAGS", {"flags": options.flags, "mask": 0xFFFFFFFF}),
            ("IPVS_SVC_ATTR_PE_NAME", options.engine),
            ("IPVS_SVC_ATTR_SCHED_NAME", options.scheduler),
            *where,
        ],
    )
    assert decode_service(data, only(data)) == service
