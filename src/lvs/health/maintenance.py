"""Operators' orders in the ward: given, taken back, and over with time; and for which real servers they are.

Each function gives the next state and what follows, as those of `lvs.health.ward`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from lvs import events
from lvs.events import Event
from lvs.health.orders import Order, Verb, due, given, taken_back
from lvs.health.ward import Change, Health, Turn, served
from lvs.model import Address, VirtualKey


def deadline(health: Health) -> float | None:
    """When `passed` is due, in monotonic seconds."""
    times = [*health.next_at.values(), *(at for order in health.orders if (at := due(order)) is not None)]
    return min(times, default=None)


def passed(health: Health, now: float) -> Turn:
    """Time has passed: weights that grow, orders that expire or reach their deadline."""
    keys = [key for key, at in health.next_at.items() if at <= now]
    kept: list[Order] = []
    told: list[Event] = []
    for order in health.orders:
        if order.until is not None and order.until <= now:
            told.append(events.MaintenanceEnded(_who(health, order), str(order.address), "expired", order.by))
        elif order.deadline is not None and order.deadline <= now and not order.over:
            kept.append(msgspec.structs.replace(order, drained=True, over=True))
            told.append(events.DrainFinished(_who(health, order), str(order.address), "its deadline came"))
        else:
            kept.append(order)
    if not told:
        return served(health, keys, now) if keys else (health, Change())
    new, change = served(msgspec.structs.replace(health, orders=tuple(kept)), health.rosters, now)
    return new, msgspec.structs.replace(change, told=(*told, *change.told), orders_changed=True)


def ordered(health: Health, order: Order, now: float) -> Turn:
    """With an operator's order."""
    new = msgspec.structs.replace(health, orders=given(health.orders, order))
    new, change = served(new, _where(health, order.address, order.virtual), now)
    told = events.MaintenanceOrdered(_who(health, order), str(order.address), str(order.verb), order.by)
    return new, msgspec.structs.replace(change, told=(told, *change.told), orders_changed=True)


def enabled(health: Health, address: Address, virtual: VirtualKey | None, by: str, now: float) -> Turn:
    """Without the orders for a real server."""
    left = taken_back(health.orders, address, virtual)
    if left == health.orders:
        return health, Change()
    gone = [order for order in health.orders if order not in left]
    new, change = served(msgspec.structs.replace(health, orders=left), _where(health, address, None), now)
    told = [events.MaintenanceEnded(_who(health, order), str(address), "enabled", by) for order in gone]
    return new, msgspec.structs.replace(change, told=(*told, *change.told), orders_changed=True)


def shared(health: Health, orders: tuple[Order, ...], now: float) -> Turn:
    """With the orders as both directors have them by now."""
    if orders == health.orders:
        return health, Change()
    new, change = served(msgspec.structs.replace(health, orders=orders), health.rosters, now)
    told: list[Event] = []
    for order in health.orders:
        if not any((order.address, order.virtual) == (one.address, one.virtual) for one in orders):
            name, by = _who(health, order), "the other director"
            told.append(events.MaintenanceEnded(name, str(order.address), "enabled", by))
    for order in orders:
        if not any(
            order.address == one.address and order.virtual == one.virtual and order.verb is one.verb
            for one in health.orders
        ):
            name, by = _who(health, order), f"{order.by}, on the other director"
            told.append(events.MaintenanceOrdered(name, str(order.address), str(order.verb), by))
    return new, msgspec.structs.replace(change, told=(*told, *change.told), orders_changed=True)


def emptied(health: Health, orders: Iterable[Order], now: float) -> Turn:
    """These drains have no session left."""
    done = [order for order in orders if order in health.orders and not order.drained]
    if not done:
        return health, Change()
    marked = tuple(
        [msgspec.structs.replace(order, drained=True) if order in done else order for order in health.orders]
    )
    new, change = served(msgspec.structs.replace(health, orders=marked), health.rosters, now)
    told = [
        events.DrainFinished(_who(health, order), str(order.address), "no session is left") for order in done
    ]
    return new, msgspec.structs.replace(change, told=(*told, *change.told), orders_changed=True)


def _where(health: Health, address: Address, virtual: VirtualKey | None) -> list[VirtualKey]:
    return [
        key
        for key, roster in health.rosters.items()
        if virtual in (None, key)
        and any(one.address == address for one in roster.virtual_server.real_servers)
    ]


def _who(health: Health, order: Order) -> str:
    """`real1`, or `real1 of web`; the address if the configuration no longer has it."""
    for key in _where(health, order.address, order.virtual):
        virtual_server = health.rosters[key].virtual_server
        name = next(one.name for one in virtual_server.real_servers if one.address == order.address)
        return f"{name} of {virtual_server.name}" if order.virtual else name
    return str(order.address)


def servers_called(
    health: Health, word: str, virtual: str | None
) -> Mapping[Address, tuple[VirtualKey, ...]]:
    """Real servers by name or address, and where they are: in all virtual servers, or in those of a name."""
    found: dict[Address, tuple[VirtualKey, ...]] = {}
    for key, roster in health.rosters.items():
        if virtual not in (None, roster.virtual_server.name):
            continue
        for one in roster.virtual_server.real_servers:
            if word in (one.name, str(one.address)) and key not in found.get(one.address, ()):
                found[one.address] = (*found.get(one.address, ()), key)
    return found


def draining(health: Health) -> tuple[Order, ...]:
    """Orders to drain that are not done."""
    return tuple(order for order in health.orders if order.verb is Verb.DRAIN and not order.drained)
