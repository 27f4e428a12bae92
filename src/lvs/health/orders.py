"""Maintenance: what operators ordered for a real server, until they take it back.

An order is kept over reload, restart and failover. It names a real server by its address, in one
virtual server or in all of them, those of a later configuration too. Times that decide are
monotonic seconds; `at` is what a clock on the wall said, for people.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

import msgspec

from lvs.model import Address, VirtualKey


class Verb(StrEnum):
    DRAIN = "drain"  # no new connections; what is there may end by itself, until a deadline
    DISABLE = "disable"  # out at once


class Order(msgspec.Struct, frozen=True):
    verb: Verb
    address: Address  # RIP
    virtual: VirtualKey | None  # None: in every virtual server
    by: str  # who gave it
    at: float  # seconds since the epoch
    deadline: float | None = None  # drain: when the connections that are left are ended
    until: float | None = None  # when it expires
    drained: bool = False  # no session is left
    over: bool = False  # its deadline has come


def applying(orders: Iterable[Order], address: Address, virtual: VirtualKey) -> Order | None:
    """The order for a real server of a virtual server: the one for just this before the one for all."""
    found = None
    for order in orders:
        if order.address == address and order.virtual in (None, virtual) and (found is None or order.virtual):
            found = order
    return found


def given(orders: tuple[Order, ...], order: Order) -> tuple[Order, ...]:
    """With a new order; it replaces those for the same real server that it includes."""
    return (*taken_back(orders, order.address, order.virtual), order)


def taken_back(orders: tuple[Order, ...], address: Address, virtual: VirtualKey | None) -> tuple[Order, ...]:
    """Without the orders for a real server in one virtual server, or in all."""
    return tuple(
        order for order in orders if order.address != address or (virtual and order.virtual != virtual)
    )


def due(order: Order) -> float | None:
    """When something happens to an order by itself."""
    times = [time for time in (order.until, None if order.over else order.deadline) if time is not None]
    return min(times, default=None)
