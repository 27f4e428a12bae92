"""The operators' orders, where they outlive the daemon and the machine.

A file of the state directory, replaced as a whole. Within the daemon times are monotonic, here
they are seconds since the epoch: an order for two hours ends after two hours, reboot or not.
"""

from __future__ import annotations

import time
from ipaddress import ip_address
from pathlib import Path

import msgspec

from lvs.errors import SystemFault
from lvs.health.orders import Order, Verb
from lvs.io import durable
from lvs.model import Protocol, VirtualKey

NAME = "maintenance.json"


class _Virtual(msgspec.Struct, frozen=True):
    """A virtual server's identity, for people too."""

    address: str  # empty: it has none
    protocol: Protocol
    port: int
    fwmark: int


class _Kept(msgspec.Struct, frozen=True):
    """An order as it is kept; times in seconds since the epoch."""

    verb: Verb
    address: str
    virtual: _Virtual | None
    by: str
    at: float
    deadline: float | None = None
    until: float | None = None
    drained: bool = False
    over: bool = False


def load(path: Path) -> tuple[Order, ...]:
    """The orders that were kept; none if there is no file. Errors: SystemFault if it cannot be read."""
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=tuple[_Kept, ...])
        return tuple(_order(one, time.monotonic() - time.time()) for one in kept)
    except FileNotFoundError:
        return ()
    except OSError as fault:
        raise SystemFault(f"{fault.strerror}") from fault
    except (msgspec.MsgspecError, ValueError) as fault:
        raise SystemFault(f"not understood: {fault}") from fault


def save(path: Path, orders: tuple[Order, ...]) -> None:
    """Replace what was kept. Errors: SystemFault with the reason."""
    kept = [_kept(order, time.time() - time.monotonic()) for order in orders]
    try:
        durable.replace(path, msgspec.json.format(msgspec.json.encode(kept), indent=2))
    except OSError as fault:
        raise SystemFault(durable.why(fault, path.parent)) from fault


def _shifted(at: float | None, by: float) -> float | None:
    return None if at is None else at + by


def _kept(order: Order, by: float) -> _Kept:
    virtual = order.virtual
    named = None
    if virtual is not None:
        address = str(ip_address(virtual.address)) if virtual.address else ""
        named = _Virtual(address, virtual.protocol, virtual.port, virtual.fwmark)
    times = _shifted(order.deadline, by), _shifted(order.until, by)
    return _Kept(order.verb, str(order.address), named, order.by, order.at, *times, order.drained, order.over)


def _order(kept: _Kept, by: float) -> Order:
    virtual = kept.virtual
    key = None
    if virtual is not None:
        address = ip_address(virtual.address).packed if virtual.address else b""
        key = VirtualKey(address, virtual.protocol, virtual.port, virtual.fwmark)
    times = _shifted(kept.deadline, by), _shifted(kept.until, by)
    return Order(kept.verb, ip_address(kept.address), key, kept.by, kept.at, *times, kept.drained, kept.over)
