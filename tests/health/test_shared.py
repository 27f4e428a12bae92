"""Orders and findings of two directors, whose clocks disagree and whose words take their time."""

from __future__ import annotations

from ipaddress import ip_address

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from lvs.checks import Answer, Connect, Icmp, Reason
from lvs.health import ward
from lvs.health.orders import Order, Verb, taken_back
from lvs.health.orders import given as ordered
from lvs.health.shared import (
    MEMORY_S,
    Book,
    Findings,
    Orders,
    Word,
    entries_of,
    findings,
    identity,
    merged,
    news,
    orders_of,
    written,
)
from lvs.health.ward import Health
from lvs.model import Checking, Protocol, VirtualKey, key_of
from strategies import config, real_server, virtual_server

REAL = ip_address("10.0.0.3")
WEB = VirtualKey(b"\x0a\0\0\5", Protocol.TCP, 80, 0)


class Machine:
    """A director's orders; its clocks are its own."""

    def __init__(self, wall: float, mono: float) -> None:
        self.wall, self.mono = wall, mono
        self.orders: tuple[Order, ...] = ()
        self.book: Book = {}

    def order(
        self, at: float, verb: Verb, virtual: VirtualKey | None = None, for_s: float | None = None
    ) -> None:
        until = None if for_s is None else at + self.mono + for_s
        new = Order(verb, REAL, virtual, "carla", at + self.wall, until=until)
        self.keep(ordered(self.orders, new), at)

    def enable(self, at: float, virtual: VirtualKey | None = None) -> None:
        self.keep(taken_back(self.orders, REAL, virtual), at)

    def keep(self, orders: tuple[Order, ...], at: float) -> None:
        self.orders = orders
        self.book = written(self.book, orders, at + self.wall)

    def tell(self, other: Machine, at: float, delay: float, since: Book | None = None) -> None:
        """As over the wire: encoded, decoded, and later there."""
        said = Orders(entries_of(news(since or {}, self.book), at + self.wall, at + self.mono))
        heard = msgspec.msgpack.decode(msgspec.msgpack.encode(said), type=Orders)
        after = at + delay
        other.book = merged(other.book, heard.entries, after + other.wall, after + other.mono)
        other.keep(orders_of(other.book), after)

    def meaning(self) -> set[tuple[object, ...]]:
        return {(one.verb, one.address, one.virtual, one.by) for one in self.orders}


def pair() -> tuple[Machine, Machine]:
    return Machine(1_700_000_000.0, 50.0), Machine(1_600_000_000.0, 90_000.0)


def test_an_order_arrives_with_its_times() -> None:
    here, there = pair()
    here.order(10.0, Verb.DISABLE, WEB, for_s=600.0)
    here.tell(there, 70.0, 0.5)
    (order,) = there.orders
    assert (order.verb, order.address, order.virtual, order.by) == (Verb.DISABLE, REAL, WEB, "carla")
    assert order.until is not None
    assert abs(order.until - (70.5 + there.mono + 540.0)) < 0.001
    assert abs(order.at - (10.5 + there.wall)) < 0.001


def test_what_is_taken_back_there_is_taken_back_here() -> None:
    here, there = pair()
    here.order(10.0, Verb.DRAIN)
    here.tell(there, 10.0, 0.3)
    there.enable(10.4)
    there.tell(here, 10.4, 0.3)
    assert not here.orders
    here.tell(there, 11.0, 0.3)
    assert not there.orders


def test_what_was_taken_back_does_not_come_back() -> None:
    """While they were apart one took the order back that the other still has."""
    here, there = pair()
    here.order(10.0, Verb.DRAIN)
    here.tell(there, 10.0, 0.0)
    here.enable(500.0)
    there.tell(here, 1000.0, 0.1)
    here.tell(there, 1000.0, 0.1)
    assert not here.orders
    assert not there.orders


def test_of_two_the_newest_counts() -> None:
    here, there = pair()
    here.order(10.0, Verb.DRAIN)
    there.order(200.0, Verb.DISABLE)
    here.tell(there, 300.0, 0.2)
    there.tell(here, 300.0, 0.2)
    assert here.meaning() == there.meaning() == {(Verb.DISABLE, REAL, None, "carla")}


def test_what_is_known_is_no_news() -> None:
    here, there = pair()
    here.order(10.0, Verb.DRAIN)
    here.tell(there, 10.0, 0.4)
    before = here.book, there.book
    for _ in range(3):
        there.tell(here, 20.0, 0.4)
        here.tell(there, 20.0, 0.4)
    assert (here.book, there.book) == before


def test_how_far_it_has_come_is_each_ones_own_until_its_deadline() -> None:
    here, there = pair()
    here.order(10.0, Verb.DRAIN)
    here.tell(there, 10.0, 0.4)
    here.keep((msgspec.structs.replace(here.orders[0], drained=True),), 20.0)
    here.tell(there, 20.0, 0.4)
    assert not there.orders[0].drained
    here.keep((msgspec.structs.replace(here.orders[0], over=True),), 30.0)
    here.tell(there, 30.0, 0.4)
    assert there.orders[0].over


def test_what_everybody_has_forgotten_is_forgotten() -> None:
    here, _ = pair()
    here.order(10.0, Verb.DRAIN)
    here.enable(20.0)
    assert len(here.book) == 1
    here.keep((), 21.0 + MEMORY_S)
    assert not here.book


def test_an_order_for_all_takes_the_place_of_one_for_some() -> None:
    here, there = pair()
    here.order(10.0, Verb.DRAIN, WEB)
    here.tell(there, 10.0, 0.1)
    here.order(20.0, Verb.DISABLE)
    here.tell(there, 20.0, 0.1)
    assert there.meaning() == {(Verb.DISABLE, REAL, None, "carla")}


DEEDS = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.sampled_from(["drain", "disable", "enable", "tell"]),
        st.sampled_from([None, WEB]),
        st.floats(0.001, 30.0),
        st.floats(0.0, 2.0),
    ),
    max_size=12,
)


@settings(max_examples=300, deadline=None)
@given(DEEDS)
def test_whatever_was_said_both_mean_the_same_in_the_end(
    deeds: list[tuple[int, str, VirtualKey | None, float, float]],
) -> None:
    machines = pair()
    now = 0.0
    for index, deed, virtual, after, delay in deeds:
        now += after
        machine, other = machines[index], machines[1 - index]
        match deed:
            case "enable":
                machine.enable(now, virtual)
            case "tell":
                machine.tell(other, now, delay)
                now += delay
            case _:
                machine.order(now, Verb(deed), virtual)
    now += 10.0
    for _ in range(2):
        for index in (0, 1):
            machines[index].tell(machines[1 - index], now, 0.01)
    words = [{key: word.order and word.order.verb for key, word in one.book.items()} for one in machines]
    assert words[0] == words[1]


def test_words_of_one_moment_are_ranked_alike() -> None:
    here, there = pair()
    here.order(10.0, Verb.DRAIN)
    there.order(10.0, Verb.DISABLE)
    here.tell(there, 11.0, 2.0)
    there.tell(here, 11.0, 0.0)
    assert here.meaning() == there.meaning() == {(Verb.DISABLE, REAL, None, "carla")}


def test_a_word_is_a_word() -> None:
    assert Word(None, 1.0) != Word(None, 2.0)


# What checks found

PLAIN = Checking(None, None, False, None, 6, 12, None)
SERVERS = [real_server(f"r{n}", f"10.0.0.{n}") for n in (1, 2, 3)]
SITE = virtual_server("web", "192.0.2.1", *SERVERS, checking=PLAIN)


def asked(answers: list[bool | None]) -> Health:
    health, change = ward.configured(Health(), config(SITE), 100.0)
    rows = [
        (target, Answer(ok, Reason.ANSWERED if ok else Reason.REFUSED, "so it is"))
        for target, ok in zip(change.follow, answers, strict=True)
        if ok is not None
    ]
    return ward.answered(health, rows, 110.0)[0]


def test_the_standby_begins_with_what_the_active_one_found() -> None:
    active = asked([True, False, None])
    said = msgspec.msgpack.encode(findings(active.rosters, {}, 150.0))
    heard = msgspec.msgpack.decode(said, type=Findings)
    assert [len(rows) for _, rows in heard.rows] == [2]
    standby, _ = ward.configured(Health(), config(SITE), 1000.0)
    assert standby.serving[key_of(SITE)].weights == (None, None, None)
    standby, change = ward.heard(standby, heard, 1050.0)
    assert standby.serving[key_of(SITE)].weights == (1, None, None)
    assert not change.told
    verdicts = [member.verdicts[0] for member in standby.rosters[key_of(SITE)].members]
    assert [(one.reason, one.fresh, one.since) for one in verdicts] == [
        (Reason.ADOPTED, True, 1010.0),
        (Reason.ADOPTED, True, 1010.0),
        (Reason.NOT_CHECKED_YET, True, 1000.0),
    ]
    again, _ = ward.heard(standby, heard, 1060.0)
    assert again is standby


def test_its_own_answers_count_more() -> None:
    heard = findings(asked([True, False, True]).rosters, {}, 150.0)
    standby = asked([False, True, None])
    after, _ = ward.heard(standby, heard, 160.0)
    assert after.serving[key_of(SITE)].weights == (None, 1, 1)


def test_only_what_moved_is_told_again() -> None:
    before = asked([True, True, True])
    target = next(iter(before.askers))
    after, _ = ward.answered(before, [(target, Answer(False, Reason.REFUSED, "no"))], 200.0)
    assert not findings(before.rosters, before.rosters, 200.0).rows
    ((_, rows),) = findings(after.rosters, before.rosters, 200.0).rows
    assert [(row.address, row.up) for row in rows] == [(target.address.packed, False)]


def test_other_checks_and_strangers_are_passed_over() -> None:
    other = virtual_server(
        "web", "192.0.2.1", *SERVERS, checking=msgspec.structs.replace(PLAIN, checks=(Icmp(),))
    )
    health, _ = ward.configured(Health(), config(other), 0.0)
    heard = findings(asked([True, True, True]).rosters, {}, 150.0)
    assert ward.heard(health, heard, 160.0)[0] is health
    elsewhere = Findings(((WEB, heard.rows[0][1]),))
    assert (
        ward.heard(asked([None, None, None]), elsewhere, 160.0)[0].serving[key_of(SITE)].weights
        == (None,) * 3
    )


def test_identity_tells_checks_apart() -> None:
    assert identity(Connect()) == identity(Connect(None))
    assert len({identity(Connect()), identity(Connect(80)), identity(Icmp())}) == 3
