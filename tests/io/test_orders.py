"""Orders on disk: what is kept is what was given, and a broken file is told."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import msgspec
import pytest

from lvs.errors import SystemFault
from lvs.health.orders import Order, Verb
from lvs.io import orders
from lvs.model import Protocol, VirtualKey

ORDERS = (
    Order(Verb.DRAIN, ip_address("10.0.0.3"), None, "root", 1764000000.0, deadline=5000.0),
    Order(
        Verb.DISABLE,
        ip_address("2001:db8::3"),
        VirtualKey(ip_address("2001:db8::1").packed, Protocol.UDP, 53, 0),
        "carla",
        1764000000.5,
        until=9000.25,
        drained=True,
    ),
)


def test_what_is_kept_is_what_was_given(tmp_path: Path) -> None:
    file = tmp_path / "state" / orders.NAME
    orders.save(file, ORDERS)
    for before, after in zip(ORDERS, orders.load(file), strict=True):
        assert msgspec.structs.replace(after, deadline=before.deadline, until=before.until) == before
        assert (
            after.deadline == pytest.approx(before.deadline, abs=1) if before.deadline else not after.deadline
        )
        assert after.until == pytest.approx(before.until, abs=1) if before.until else not after.until


def test_no_file_is_no_order(tmp_path: Path) -> None:
    assert orders.load(tmp_path / orders.NAME) == ()


@pytest.mark.parametrize("content", [b"", b"[", b"{}", b'[{"verb": "dance"}]', b"\xff"])
def test_a_broken_file_is_told(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / orders.NAME
    file.write_bytes(content)
    with pytest.raises(SystemFault, match="not understood"):
        orders.load(file)


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    file = tmp_path / orders.NAME
    file.with_name(file.name + ".new").mkdir()
    with pytest.raises(SystemFault):
        orders.save(file, ORDERS)
