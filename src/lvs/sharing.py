"""What both directors of a pair know of real servers: operators' orders, and what checks found.

Orders go both ways as they are given, and whole when the two meet; findings go from the active to the
standby, so that a takeover begins with them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

import msgspec

from lvs.health import shared
from lvs.health.orders import Order
from lvs.health.roster import Roster
from lvs.health.shared import Book, Entry, Orders
from lvs.inputs import Input, OrdersShared
from lvs.io.pairfile import Memory
from lvs.letters import Letter
from lvs.model import VirtualKey
from lvs.state import State

TELL_EVERY_S = 1.0  # what checks found


class Director(Protocol):
    """What it needs of the daemon."""

    state: State

    def feed(self, what: Input) -> None: ...


class Line(Protocol):
    """What it needs of the channel."""

    @property
    def connected(self) -> bool: ...
    def send(self, letter: Letter) -> None: ...


class Sharing:
    """Keeps the book of orders, and what the other director has heard."""

    def __init__(self, director: Director, line: Line, memory: Memory, remember: Callable[[], None]) -> None:
        """`memory` is what was known at the last stop; `remember` is told when it is out of date."""
        self._director, self._line, self._remember = director, line, remember
        self._findings_told: dict[VirtualKey, Roster] = {}
        self._book: Book = {}
        wall, now = time.time(), time.monotonic()
        late_s = max(0.0, wall - memory.at)
        taken_back = [msgspec.structs.replace(one, age_s=one.age_s + late_s) for one in memory.taken_back]
        with suppress(ValueError):
            self._book = shared.merged({}, taken_back, wall, now)
        self._book = shared.written(self._book, director.state.health.orders, wall)

    def taken_back(self, wall: float) -> tuple[Entry, ...]:
        """Orders that are no more: the other director may still have them."""
        taken_back = {key: word for key, word in self._book.items() if word.order is None}
        return shared.entries_of(taken_back, wall, time.monotonic())

    def connected(self) -> None:
        """The other director is there, and has heard nothing yet."""
        self._findings_told = {}
        self._send(self._book)

    def orders_kept(self, orders: tuple[Order, ...]) -> None:
        """The operators' orders are these now."""
        book = shared.written(self._book, orders, time.time())
        fresh = shared.news(self._book, book)
        self._book = book
        if fresh:
            self._send(fresh)
            self._remember()

    def orders_heard(self, entries: tuple[Entry, ...]) -> None:
        """What the other director has of them."""
        try:
            book = shared.merged(self._book, entries, time.time(), time.monotonic())
        except ValueError:  # an address that is none: of a later lvsd
            return
        if book is not self._book:
            self._book = book
            self._remember()
            self._director.feed(OrdersShared(shared.orders_of(book)))

    def _send(self, book: Book) -> None:
        if book:
            self._line.send(Orders(shared.entries_of(book, time.time(), time.monotonic())))

    async def telling(self, active: Callable[[], bool]) -> None:
        """Tell the standby what checks find."""
        while True:
            await asyncio.sleep(TELL_EVERY_S)
            if not self._line.connected or not active():
                continue
            rosters = self._director.state.health.rosters
            findings = shared.findings(rosters, self._findings_told, time.monotonic())
            self._findings_told = dict(rosters)
            if findings.rows:
                self._line.send(findings)
