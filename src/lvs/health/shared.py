"""What the two directors tell each other of real servers: operators' orders, and what checks found.

Orders flow both ways. For each real server in each virtual server the newest word counts, and that
an order was taken back is a word, too, kept until everybody has forgotten the order. The clocks of the
two machines need not agree: on the wire a time is how long ago, or in how many seconds. What replaces
something else counts one more than that, which decides between words of the same few seconds: times
are off by what a message takes.

What checks found flows from the active director; the other believes it until its own first answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from hashlib import blake2b
from ipaddress import ip_address

import msgspec

from lvs.checks import Check, Reason
from lvs.health.orders import Order, Verb
from lvs.health.roster import Member, Roster
from lvs.health.verdict import Verdict, guess
from lvs.model import Address, VirtualKey

CLOSE_S = 5.0  # times that are not further apart tell nothing
SAME_S = 60.0  # the same order, that took its time on the way
MEMORY_S = 30 * 86400.0  # of orders that were taken back
MOST = 10_000  # of them

Key = tuple[Address, VirtualKey | None]


class Word(msgspec.Struct, frozen=True):
    """The newest word on a real server. Times: seconds since the epoch, by this machine's clock."""

    order: Order | None  # None: taken back
    at: float
    by: str = ""
    number: int = 1  # how many words there were, as far as who said it knew


Book = Mapping[Key, Word]


class Entry(msgspec.Struct, frozen=True):
    """A word on the wire, and in a file. Units: seconds from the moment of writing, or before it."""

    address: str
    virtual: VirtualKey | None
    verb: Verb | None  # None: taken back
    by: str
    age_s: float
    deadline_s: float | None = None
    until_s: float | None = None
    over: bool = False
    number: int = 1


class Orders(msgspec.Struct, frozen=True, tag="orders"):
    """Words, from one director to the other."""

    entries: tuple[Entry, ...]


def written(book: Book, orders: tuple[Order, ...], wall: float) -> Book:
    """The book after what was ordered and taken back here; the identical object if that is nothing new."""
    new = dict(book)
    held = {(order.address, order.virtual): order for order in orders}
    for key, order in held.items():
        before = book.get(key)
        if before is None:
            new[key] = Word(order, order.at, order.by)
        elif before.order != order:
            same = before.order is not None and _same(before.order, order)
            at, number = (before.at, 0) if same else (max(order.at, before.at), 1)
            new[key] = Word(order, at, order.by, before.number + number)
    for key, word in book.items():
        if word.order is not None and key not in held:
            new[key] = Word(None, max(wall, word.at), "", word.number + 1)
        elif word.order is None and key not in held and wall - word.at > MEMORY_S:
            del new[key]
    if len(new) > MOST:
        for key in sorted((key for key in new if new[key].order is None), key=lambda key: new[key].at):
            del new[key]
            if len(new) <= MOST:
                break
    return book if new == book else new


def news(before: Book, after: Book) -> Book:
    """The words of `after` that are not in `before`."""
    return {key: word for key, word in after.items() if before.get(key) != word}


def merged(book: Book, entries: Iterable[Entry], wall: float, now: float) -> Book:
    """The book with what the other director says; the identical object if it is no news.

    Errors: ValueError if an address is none.
    """
    new = dict(book)
    for entry in entries:
        key, word = _word(entry, wall, now)
        before = new.get(key)
        if before is not None and before.order and word.order and _same(before.order, word.order):
            if word.order.over and not before.order.over:  # else how far it has come is each one's own
                over = msgspec.structs.replace(before.order, over=True, drained=True)
                new[key] = msgspec.structs.replace(before, order=over)
            continue
        if before is not None and (before.order is word.order or not _newer(word, before)):
            continue
        new[key] = word
    return book if new == book else new


def orders_of(book: Book) -> tuple[Order, ...]:
    """The orders that hold, the oldest first."""
    held = [word for word in book.values() if word.order is not None]
    return tuple(word.order for word in sorted(held, key=lambda word: word.at) if word.order is not None)


def entries_of(book: Book, wall: float, now: float) -> tuple[Entry, ...]:
    """The words of a book as they are written at this moment."""
    return tuple(_entry(key, word, wall, now) for key, word in book.items())


def _same(one: Order, other: Order) -> bool:
    return (one.verb, one.by, one.deadline is None, one.until is None) == (
        other.verb,
        other.by,
        other.deadline is None,
        other.until is None,
    ) and abs(one.at - other.at) < SAME_S


def _newer(word: Word, before: Word) -> bool:
    if abs(word.at - before.at) > CLOSE_S:
        return word.at > before.at
    return _rank(word) > _rank(before)


def _rank(word: Word) -> tuple[int, int, str]:
    """Which of two words of one moment counts, for both directors: of one number the more careful one."""
    if word.order is None:
        return word.number, 0, word.by
    return word.number, (2 if word.order.verb is Verb.DISABLE else 1), word.by


def _entry(key: Key, word: Word, wall: float, now: float) -> Entry:
    address, virtual = key
    order = word.order
    if order is None:
        return Entry(str(address), virtual, None, word.by, wall - word.at, number=word.number)
    return Entry(
        str(address),
        virtual,
        order.verb,
        order.by,
        wall - word.at,
        None if order.deadline is None else order.deadline - now,
        None if order.until is None else order.until - now,
        order.over,
        word.number,
    )


def _word(entry: Entry, wall: float, now: float) -> tuple[Key, Word]:
    address = ip_address(entry.address)
    at = wall - max(0.0, entry.age_s)
    if entry.verb is None:
        return (address, entry.virtual), Word(None, at, entry.by, entry.number)
    order = Order(
        entry.verb,
        address,
        entry.virtual,
        entry.by,
        at,
        None if entry.deadline_s is None else now + entry.deadline_s,
        None if entry.until_s is None else now + entry.until_s,
        drained=entry.over,
        over=entry.over,
    )
    return (address, entry.virtual), Word(order, at, entry.by, entry.number)


# What checks found


class Row(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one check found of a real server."""

    address: bytes  # packed
    port: int  # that is checked
    check: bytes  # which check: `identity`
    up: bool
    age_s: float  # since when


class Findings(msgspec.Struct, frozen=True, tag="findings"):
    """What the active director's checks found, by virtual server."""

    rows: tuple[tuple[VirtualKey, tuple[Row, ...]], ...]


@lru_cache(maxsize=65536)
def identity(check: Check) -> bytes:
    """What tells a check from another; equal on both directors for equal options."""
    return blake2b(msgspec.msgpack.encode(check), digest_size=8).digest()


def findings(rosters: Mapping[VirtualKey, Roster], told: Mapping[VirtualKey, Roster], now: float) -> Findings:
    """What was found since `told`, of real servers that were really asked."""
    found = []
    for key, roster in rosters.items():
        before = told.get(key)
        if before is roster:
            continue
        same = before is not None and before.virtual_server is roster.virtual_server
        known = before.members if before is not None and same else (None,) * len(roster.members)
        rows = [
            row
            for one, member, old in zip(
                roster.virtual_server.real_servers, roster.members, known, strict=True
            )
            if member is not old
            for row in _rows(one.address, member, now)
        ]
        if rows:
            found.append((key, tuple(rows)))
    return Findings(tuple(found))


def _rows(address: Address, member: Member, now: float) -> Iterable[Row]:
    for target, verdict in zip(member.targets, member.verdicts, strict=True):
        if not verdict.fresh:
            yield Row(address.packed, target.port, identity(target.check), verdict.up, now - verdict.since)


def believed(roster: Roster, rows: Iterable[Row], now: float) -> dict[int, Member]:
    """Members that change by what the other director found: of those that were not asked here yet."""
    found = {(row.address, row.port, row.check): row for row in rows}
    changed = {}
    for index, (one, member) in enumerate(
        zip(roster.virtual_server.real_servers, roster.members, strict=True)
    ):
        if not any(verdict.fresh for verdict in member.verdicts):
            continue
        verdicts = []
        for target, verdict in zip(member.targets, member.verdicts, strict=True):
            row = found.get((one.address.packed, target.port, identity(target.check)))
            verdicts.append(verdict if row is None or not verdict.fresh else _believed(verdict, row, now))
        if tuple(verdicts) != member.verdicts:
            changed[index] = msgspec.structs.replace(member, verdicts=tuple(verdicts))
    return changed


def _believed(before: Verdict, row: Row, now: float) -> Verdict:
    word = "up" if row.up else "down"
    if before.reason is Reason.ADOPTED and before.up == row.up and before.text.endswith(_SOURCE):
        return before
    return guess(now - max(0.0, row.age_s), Reason.ADOPTED, f"{word}{_SOURCE}", up=row.up)


_SOURCE = " by the other director's check"
