"""The table from C structures: what it tells, and when it says that netlink has to be asked."""

from __future__ import annotations

from hypothesis import given

import strategies
from kernel import sockopt
from lvs.kernel import entries
from lvs.kernel.decode import Counted
from lvs.kernel.state import (
    IPIP,
    MASQ,
    ROUTE,
    TUNNEL,
    Destination,
    DestinationKey,
    KernelState,
    Service,
    ServiceKey,
    ServiceOptions,
)

KEY = ServiceKey(4, 6, strategies.packed("192.0.2.1"), 80, 0)
OPTIONS = ServiceOptions("wlc", 0, 0, strategies.ALL_IPV4, "")
REALS = [DestinationKey(strategies.packed(f"10.0.0.{last}"), 80 + last) for last in range(1, 5)]
ONE = Destination(ROUTE, 1)
ALL = dict.fromkeys(REALS, ONE)


def asked(services: sockopt.Services, option: int, question: bytes) -> memoryview:
    answer = sockopt.answered(services, option, question)
    assert isinstance(answer, bytes)
    return memoryview(answer)


def numbers(services: sockopt.Services, expected: int) -> dict[entries.Place, int]:
    return entries.services(asked(services, entries.GET_SERVICES, entries.ask_services(expected)))


def read(reader: entries.EntryReader, destinations: dict[DestinationKey, Destination], number: int) -> object:
    services = {KEY: Service(OPTIONS, destinations)}
    question = entries.ask_destinations(KEY, number)
    return reader.destinations(asked(services, entries.GET_DESTINATIONS, question))


@given(strategies.states(devices=(), sysctls=(), modules=()))
def test_what_is_told_is_so(state: KernelState) -> None:
    """All destinations of an IPv4 service, or nothing."""
    ours = [key for key in state.services if key.family == 4]
    found = numbers(state.services, len(ours))
    assert len(found) == len(ours)
    reader = entries.EntryReader()
    for key in ours:
        destinations = state.services[key].destinations
        number = found[entries.place(key)]
        assert number == len(destinations)
        answer = asked(state.services, entries.GET_DESTINATIONS, entries.ask_destinations(key, number))
        tunnelled = any(one.forwarding == TUNNEL for one in destinations.values())
        assert reader.destinations(answer) == (None if tunnelled else destinations)
        counted = tuple(Counted(*one, at, at + 1, 0) for at, one in enumerate(destinations.items()))
        assert reader.counted(answer) == (None if tunnelled else counted)


def test_services_that_come_and_go_meanwhile() -> None:
    services = {KEY: Service(OPTIONS, ALL)}
    assert numbers(services, 1) == {entries.place(KEY): 4}
    assert numbers(services, 0) == {}
    assert numbers(services, 2) == {}
    assert numbers({}, 0) == {}


def test_destinations_that_come_and_go_meanwhile() -> None:
    reader = entries.EntryReader()
    assert read(reader, ALL, 4) == ALL
    assert read(reader, ALL, 3) is None
    assert read(reader, ALL, 5) is None
    assert read(reader, {}, 0) == {}
    assert read(reader, {}, 1) is None
    assert read(reader, ALL, 0) is None


def test_a_destination_of_another_family_is_missed() -> None:
    """The number of destinations counts it."""
    other = DestinationKey(strategies.packed("2001:db8::1"), 80)
    assert read(entries.EntryReader(), {**ALL, other: Destination(TUNNEL, 1)}, 5) is None


def test_what_is_set_otherwise_is_seen() -> None:
    reader = entries.EntryReader()
    assert read(reader, ALL, 4) is read(reader, ALL, 4)
    for other in (
        Destination(MASQ, 1),
        Destination(ROUTE, 0),
        Destination(ROUTE, 65535),
        Destination(ROUTE, 1, 2**32 - 1, 1),
    ):
        changed = {**ALL, REALS[2]: other}
        assert read(reader, changed, 4) == changed
    assert read(reader, {**ALL, REALS[2]: Destination(TUNNEL, 1, 0, 0, IPIP)}, 4) is None
    elsewhere = {(DestinationKey(key.address, 1) if key == REALS[0] else key): ONE for key in ALL}
    assert read(reader, elsewhere, 4) == elsewhere


def test_what_was_read_long_ago_is_forgotten() -> None:
    reader = entries.EntryReader()
    first = read(reader, ALL, 4)
    for weight in range(400):
        read(reader, dict.fromkeys(REALS, Destination(ROUTE, weight)), 4)
    reader.trim(4)
    again = read(reader, ALL, 4)
    assert again == first
    assert again is not first
    reader.trim(4)
    assert read(reader, ALL, 4) is again
