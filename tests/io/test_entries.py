"""Asking with getsockopt(2): of a fake kernel; a real one is asked in tests/netns."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest

import strategies
from kernel import sockopt
from lvs.io import entries
from lvs.io.entries import Entries
from lvs.kernel.state import ROUTE, Destination, DestinationKey, Service, ServiceKey, ServiceOptions

OPTIONS = ServiceOptions("wlc", 0, 0, strategies.ALL_IPV4, "")
IPV4 = [ServiceKey(4, 6, strategies.packed("192.0.2.1"), port, 0) for port in range(1, 1001)]
IPV6 = ServiceKey(6, 6, strategies.packed("2001:db8::1"), 80, 0)


def service(number: int) -> Service:
    keys = [DestinationKey(strategies.packed("10.0.0.1"), port) for port in range(1, number + 1)]
    return Service(OPTIONS, dict.fromkeys(keys, Destination(ROUTE, 1)))


@pytest.fixture
def services(monkeypatch: pytest.MonkeyPatch) -> dict[ServiceKey, Service]:
    held: dict[ServiceKey, Service] = {}

    def getsockopt(_: int, level: int, option: int, buffer: Any, length: Any) -> int:
        assert level == 0  # SOL_IP
        answer = sockopt.answered(held, option, bytes(buffer[: length._obj.value]))
        if isinstance(answer, int):
            return -1
        ctypes.memmove(buffer, answer, len(answer))
        return 0

    monkeypatch.setattr(entries, "_getsockopt", getsockopt)
    return held


def test_the_table_is_read_whatever_its_size(services: dict[ServiceKey, Service]) -> None:
    services |= {key: service(3) for key in IPV4} | {IPV6: service(1), IPV4[0]: service(2000)}
    asked = Entries()
    asked.begin(list(services))
    for key in IPV4:
        assert asked.destinations(key) == services[key].destinations
    assert asked.destinations(IPV6) is None
    counted = asked.counted(IPV4[1])
    assert counted is not None
    assert [one.inactive for one in counted] == [1, 2, 3]
    asked.trim(5000)
    asked.close()


def test_a_service_that_goes_meanwhile_is_left_to_netlink(services: dict[ServiceKey, Service]) -> None:
    services |= {key: service(3) for key in IPV4[:2]}
    asked = Entries()
    asked.begin(IPV4[:2])
    del services[IPV4[0]]
    assert asked.destinations(IPV4[0]) is None
    assert asked.counted(IPV4[0]) is None
    assert asked.destinations(IPV4[1]) == services[IPV4[1]].destinations
    asked.begin(IPV4[:2])  # one of them is gone: nothing is sure
    assert asked.destinations(IPV4[1]) is None
    services.clear()
    asked.begin([])
    assert asked.destinations(IPV4[1]) is None
    asked.close()


def test_a_kernel_that_does_not_answer_so_is_asked_by_netlink() -> None:
    """This host's kernel, if it has no IPVS; else there is no such service."""
    asked = Entries()
    asked.begin(IPV4[:1])
    assert asked.destinations(IPV4[0]) is None
    asked.close()
