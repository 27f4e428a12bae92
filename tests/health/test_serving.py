"""Which rule counts, how weights grow, and what a quorum does."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvs.checks import Load, Pace, Reason, Target
from lvs.health.orders import Order, Verb
from lvs.health.roster import NOBODY, Member, Roster
from lvs.health.serving import Ground, effect, quorum, ramp, serving
from lvs.health.verdict import Verdict
from lvs.model import Checking, Drain, Protocol, Quorum, Serving, key_of
from strategies import real_server, virtual_server

UP = Verdict(True, 1.0, Reason.ANSWERED, "connected")
DOWN = Verdict(False, 2.0, Reason.REFUSED, "connection refused")
NEW = Verdict(False, 0.0, Reason.NOT_CHECKED_YET, "not checked yet", fresh=True)
NOTHING = Ground((), {}, 100.0)
RIP = ip_address("10.0.0.1")


def roster(*verdicts: Verdict, weights: tuple[int, ...] = (), met: bool = True, **changes: Any) -> Roster:
    """Real servers 10.0.0.1 and on, each with one check; unchecked members are `UP`."""
    weights = weights or (1,) * len(verdicts)
    servers = [real_server(f"r{n}", f"10.0.0.{n + 1}", weight) for n, weight in enumerate(weights)]
    built = virtual_server("web", "192.0.2.1", *servers, **changes)
    target = Target(RIP, 80, Load(), Pace(6, 6, 6))
    members = tuple(Member((target,), (verdict,)) for verdict in verdicts)
    return Roster(key_of(built), built, members, met)


def weights_of(found: Roster, ground: Ground = NOTHING) -> tuple[int | None, ...]:
    return serving(found, ground, None)[1].weights


def drain(**changes: Any) -> Ground:
    plain = Order(Verb.DRAIN, RIP, None, "carla", 0.0)
    return Ground((msgspec.structs.replace(plain, **changes),), {}, 100.0)


@pytest.mark.parametrize(
    ("found", "ground", "weight", "reason"),
    [
        (roster(UP), NOTHING, 1, Reason.ANSWERED),
        (roster(DOWN), NOTHING, None, Reason.REFUSED),
        (roster(DOWN, quiesce_server=True), NOTHING, 0, Reason.REFUSED),
        (roster(DOWN, quiesce_server=True, protocol=Protocol.UDP), NOTHING, None, Reason.REFUSED),
        (
            roster(DOWN, quiesce_server=True, protocol=Protocol.UDP, drain=Drain.STAY),
            NOTHING,
            0,
            Reason.REFUSED,
        ),
        (roster(NEW), NOTHING, None, Reason.NOT_CHECKED_YET),
        (roster(NEW, quiesce_server=True), NOTHING, None, Reason.NOT_CHECKED_YET),
        (roster(UP, weights=(0,)), NOTHING, 0, Reason.WEIGHT_ZERO),
        (roster(UP), drain(), 0, Reason.DRAINING),
        (roster(DOWN), drain(), 0, Reason.DRAINING),
        (roster(UP), drain(drained=True), 0, Reason.DRAINED),
        (roster(UP), drain(drained=True, deadline=900.0), 0, Reason.DRAINED),
        (roster(UP), drain(drained=True, over=True), None, Reason.DRAINED),
        (roster(UP), drain(verb=Verb.DISABLE), None, Reason.DISABLED),
        (roster(UP, protocol=Protocol.UDP), drain(), None, Reason.DRAINING),
        (roster(UP, protocol=Protocol.UDP, drain=Drain.STAY), drain(), 0, Reason.DRAINING),
        (roster(UP), drain(address=ip_address("10.0.0.2")), 1, Reason.ANSWERED),
    ],
)
def test_rules(found: Roster, ground: Ground, weight: int | None, reason: Reason) -> None:
    rule = effect(found, 0, ground)
    assert (rule.weight, rule.reason) == (weight, reason)
    assert weights_of(found, ground) == (weight,)


def test_an_order_for_one_virtual_server_is_for_that_one() -> None:
    found = roster(UP)
    assert weights_of(found, drain(virtual=found.key)) == (0,)
    other = msgspec.structs.replace(found.key, port=25)
    assert weights_of(found, drain(virtual=other)) == (1,)


SORRY: dict[str, Any] = {"sorry_server": ip_address("10.0.0.99")}


def test_the_sorry_server_serves_when_nobody_else_does() -> None:
    after, found, _ = serving(roster(DOWN, DOWN, **SORRY), NOTHING, None)
    assert found == Serving((None, None), sorry=True)
    assert not after.quorum


def test_nobody_is_sorry_before_all_were_checked() -> None:
    assert serving(roster(DOWN, NEW, **SORRY), NOTHING, None)[1] == Serving((None, None))


def test_a_sorry_server_that_is_in_place_stays_while_a_new_one_is_checked() -> None:
    assert serving(roster(DOWN, NEW, met=False, **SORRY), NOTHING, None)[1].sorry


def test_below_the_quorum_those_that_are_up_give_way_to_the_sorry_server() -> None:
    found = roster(UP, DOWN, quorum=Quorum(2), **SORRY)
    after, who, _ = serving(found, NOTHING, None)
    assert who == Serving((None, None), sorry=True)
    why = effect(after, 0, NOTHING)
    assert (why.reason, why.since) == (Reason.QUORUM_LOST, NOTHING.now)


def test_without_a_sorry_server_those_that_are_left_go_on() -> None:
    after, who, _ = serving(roster(UP, DOWN, quorum=Quorum(2)), NOTHING, None)
    assert (after.quorum, who) == (False, Serving((1, None)))


@pytest.mark.parametrize(
    ("up", "met", "after"),
    [(3, True, True), (1, True, True), (0, True, False), (2, False, False), (3, False, True)],
)
def test_a_quorum_has_hysteresis(up: int, *, met: bool, after: bool) -> None:
    found = roster(*[UP] * up, *[DOWN] * (4 - up), quorum=Quorum(2, 1), met=met)
    assert quorum(found, tuple([1] * up + [None] * (4 - up))) is after


def test_the_same_is_the_identical_object() -> None:
    found = roster(UP, DOWN)
    _, before, _ = serving(found, NOTHING, None)
    assert serving(found, NOTHING, before)[1] is before


# Slow start


def test_nannys_doubling() -> None:
    """lvs.cf section 4.6: 3, 6, 12, 24, 48, 96, 100, about every 20 s."""
    grows = virtual_server(
        "web", "192.0.2.1", weight_doubling=True, checking=Checking(None, None, False, None, 10, 15, None)
    )
    assert [ramp(grows, 100, at)[0] for at in range(0, 140, 20)] == [3, 6, 12, 24, 48, 96, 100]
    assert ramp(grows, 100, 25.0) == (6, 40)
    assert ramp(grows, 100, 120.0) == (100, None)
    slow = virtual_server(
        "web", "192.0.2.1", weight_doubling=True, checking=Checking(None, None, False, None, 30, 15, None)
    )
    assert ramp(slow, 64, 29.0) == (2, 30)


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 3)), max_size=4),
    st.sampled_from((NOTHING, drain(), drain(over=True))),
    st.booleans(),
    st.integers(0, 3),
)
def test_whom_nobody_asks_serves_as_by_rule(
    servers: list[tuple[bool, int]], ground: Ground, met: bool, least: int
) -> None:
    real_servers = [
        real_server(f"r{n}", f"10.0.0.{n + 1}", weight, active=active)
        for n, (active, weight) in enumerate(servers)
    ]
    built = virtual_server("web", "192.0.2.1", *real_servers, quorum=Quorum(least), sorry_server=RIP)
    shared = Roster(key_of(built), built, (NOBODY,) * len(servers), met)
    alike = msgspec.structs.replace(shared, members=tuple(Member() for _ in servers))
    after, serves, at = serving(shared, ground, None)
    assert (after, serves, at) == serving(alike, ground, None)
    assert serves.weights == tuple(effect(after, index, ground).weight for index in range(len(servers)))


@given(st.integers(0, 65535), st.floats(0, 1000), st.floats(0.1, 600), st.booleans())
def test_a_weight_grows_and_arrives(weight: int, up_s: float, slow_start_s: float, doubling: bool) -> None:
    plain = virtual_server(
        "web", "192.0.2.1", weight_doubling=doubling, slow_start_s=0 if doubling else slow_start_s
    )
    now, next_s = ramp(plain, weight, up_s)
    assert min(1, weight) <= now <= weight
    if next_s is None:
        assert now == weight
    else:
        assert next_s > up_s
        assert ramp(plain, weight, next_s)[0] >= now
        assert ramp(plain, weight, 10_000.0) == (weight, None)


def test_a_weight_that_grows_says_when_it_is_the_next() -> None:
    found = roster(UP, weights=(4,), slow_start_s=8.0)
    member = msgspec.structs.replace(found.members[0], up_from=98.0)
    found = msgspec.structs.replace(found, members=(member,))
    _, who, next_at = serving(found, NOTHING, None)
    assert (who.weights, next_at) == ((1,), 102.0)


# Load


def test_a_load_moves_the_weight() -> None:
    watched = Target(RIP, 0, Load(("rup", "%h")), Pace(20, 10, 10))
    found = roster(UP, weights=(8,))
    member = msgspec.structs.replace(found.members[0], load=watched)
    found = msgspec.structs.replace(found, members=(member,))
    assert weights_of(found) == (8,)
    idle = effect(found, 0, Ground((), {watched: 0.0}, 0.0))
    assert (idle.weight, idle.reason) == (80, Reason.LOAD)
    assert effect(found, 0, Ground((), {watched: 0.9}, 0.0)).weight == 42
    assert effect(found, 0, Ground((), {watched: -0.5}, 0.0)).weight == 4


def test_a_slow_start_grows_to_the_weight_by_load() -> None:
    watched = Target(RIP, 0, Load(("rup", "%h")), Pace(20, 10, 10))
    found = roster(UP, weights=(8,), slow_start_s=10.0)
    member = msgspec.structs.replace(found.members[0], load=watched, up_from=0.0)
    found = msgspec.structs.replace(found, members=(member,))
    begun = effect(found, 0, Ground((), {watched: -0.5}, 5.0))
    assert (begun.weight, begun.reason) == (2, Reason.SLOW_START)
    done = effect(found, 0, Ground((), {watched: -0.5}, 10.0))
    assert (done.weight, done.reason) == (4, Reason.LOAD)
