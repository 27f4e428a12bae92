"""The ward in a hurry: after anything, the state is what it would be if made at once.

What each input leads to is told by tests/transcripts.
"""

from __future__ import annotations

from ipaddress import ip_address

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from health.warded import PLAIN, servers
from lvs.checks import Answer, Icmp, Reason, Rows, Target
from lvs.health import maintenance, ward
from lvs.health.orders import Order, Verb
from lvs.health.serving import Ground, serving
from lvs.health.ward import Health
from lvs.model import VirtualServer, key_of
from strategies import config, real_server, virtual_server

ICMP = msgspec.structs.replace(PLAIN, checks=(Icmp(),))
VIRTUAL = [
    servers(1, 0, 1),
    servers(2, 1, 2),
    servers(3, 0, 1, 2, checking=ICMP),
    servers(1, 1),
    servers(2, 2, 1),
]
LOADS = st.lists(st.sampled_from(VIRTUAL), max_size=4, unique_by=key_of).map(lambda chosen: ("load", chosen))
ANSWERS = st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=6).map(
    lambda rows: ("answers", rows)
)
ORDERS = st.tuples(
    st.sampled_from([Verb.DRAIN, Verb.DISABLE]), st.integers(1, 3), st.none() | st.sampled_from(VIRTUAL)
).map(lambda order: ("order", order))
OTHERS = st.sampled_from([("enable", 1), ("enable", 2), ("pass", 7.0), ("pass", 40.0), ("emptied", None)])


def played(health: Health, action: tuple[str, object], now: float) -> tuple[Health, ward.Change]:
    match action:
        case "load", list(chosen):
            return ward.configured(health, config(*chosen), now)
        case "answers", list(rows):
            asked = sorted(health.askers, key=repr)
            answers = [
                (asked[index], Answer(ok, Reason.ANSWERED if ok else Reason.REFUSED, "it is so"))
                for index, ok in rows
                if index < len(asked)
            ]
            return ward.answered(health, answers, now)
        case "order", (Verb() as verb, int(number), virtual):
            key = key_of(virtual) if isinstance(virtual, VirtualServer) else None
            return maintenance.ordered(
                health,
                Order(verb, ip_address(f"10.0.0.{number}"), key, "carla", 0.0, now + 20, now + 60),
                now,
            )
        case "enable", int(number):
            return maintenance.enabled(health, ip_address(f"10.0.0.{number}"), None, "carla", now)
        case "emptied", _:
            return maintenance.emptied(health, maintenance.draining(health), now)
        case _:
            return maintenance.passed(health, now)


@given(st.lists(LOADS | ANSWERS | ORDERS | OTHERS, max_size=25))
def test_the_state_is_what_it_would_be_if_made_at_once(actions: list[tuple[str, object]]) -> None:
    health, now = Health(), 0.0
    asked: set[Target] = set()
    for action in actions:
        now += float(action[1]) if action[0] == "pass" else 1.0  # type: ignore[arg-type]
        if (due := maintenance.deadline(health)) is not None and due <= now:
            health, _ = maintenance.passed(health, now)
        before = health
        health, change = played(health, action, now)

        wanted = {target: set() for target in health.askers}  # type: ignore[var-annotated]
        for roster in health.rosters.values():
            for target, asker in ward._wanted(roster):
                wanted[target].add(asker)
        assert {target: set(askers) for target, askers in health.askers.items()} == wanted
        assert set(change.follow) == health.askers.keys() - before.askers.keys()
        assert set(change.forget) == before.askers.keys() - health.askers.keys()
        asked = (asked | set(change.follow)) - set(change.forget)
        assert asked == health.askers.keys()
        for target, askers in health.askers.items():
            if set(askers) - set(before.askers.get(target, ())):
                assert target in {*change.follow, *change.again}

        ground = Ground(health.orders, health.loads, now)
        for key, roster in health.rosters.items():
            again, who, _ = serving(roster, ground, health.serving[key])
            assert (again, who) == (roster, health.serving[key])
        assert health.serving.keys() == health.rosters.keys()


def test_a_batch_with_the_same_target_twice_counts_both() -> None:
    health, change = ward.configured(Health(), config(servers(2, 1)), 0.0)
    [target] = change.follow
    bad, good = Answer(False, Reason.REFUSED, "refused"), Answer(True, Reason.ANSWERED, "connected")
    health, change = ward.answered(health, [(target, bad), (target, good), (target, good)], 1.0)
    [roster] = health.rosters.values()
    assert roster.members[0].verdicts[0].up


def patient(port: int, rise: int, fall: int) -> VirtualServer:
    checking = msgspec.structs.replace(PLAIN, checks=(Icmp(),), rise=rise, fall=fall)
    return servers(port, 0, checking=checking)


def test_b20_one_probe_for_virtual_servers_that_believe_it_sooner_or_later() -> None:
    eager, slow = patient(2, 1, 1), patient(4, 3, 2)
    health, change = ward.configured(Health(), config(eager, slow), 0.0)
    [target] = change.follow
    assert ward.patience(health, target) == Rows(3, 2)
    bad, good = Answer(False, Reason.REFUSED, "refused"), Answer(True, Reason.ANSWERED, "connected")
    found = []
    for answer in (good, bad, bad, good, good, good):
        health, _ = ward.answered(health, [(target, answer)], 1.0)
        found.append([health.serving[key_of(one)].weights[0] for one in (eager, slow)])
    assert found == [[1, 1], [None, 1], [None, None], [1, None], [1, None], [1, 1]]


def test_another_rise_is_another_number_of_answers_and_no_other_probe() -> None:
    health, change = ward.configured(Health(), config(patient(2, 1, 1)), 0.0)
    [target] = change.follow
    health, change = ward.configured(health, config(patient(2, 4, 1)), 1.0)
    assert (change.follow, change.forget, change.again) == ((), (), (target,))
    assert ward.patience(health, target) == Rows(4, 1)


def test_a_fault_of_ours_is_a_first_answer_to_the_quorum() -> None:
    """Else a virtual server whose checks cannot be made would wait for its sorry server for ever."""
    odd = servers(3, 0, 1)
    health, change = ward.configured(Health(), config(odd), 0.0)
    assert not health.serving[key_of(odd)].sorry
    fault = Answer(False, Reason.LOCAL_FAULT, "this director could not ask: too many open files")
    health, told = ward.answered(health, [(target, fault) for target in change.follow], 1.0)
    assert health.serving[key_of(odd)].sorry
    assert [type(event).__name__ for event in told.told] == ["QuorumLost"]


def weights_by(*values: float) -> list[int | None]:
    """The weights that a load monitor's answers give, one after the other, to a configured 100."""
    watched = virtual_server(
        "web",
        "192.0.2.1",
        real_server("r1", "10.0.0.1", 100),
        checking=msgspec.structs.replace(PLAIN, load_monitor="rup"),
    )
    health, change = ward.configured(Health(), config(watched), 0.0)
    check, monitor = change.follow
    health, _ = ward.answered(health, [(check, Answer(True, Reason.ANSWERED, "connected"))], 1.0)
    found = []
    for value in values:
        said = Answer(True, Reason.ANSWERED, "its load", value)
        health, _ = ward.answered(health, [(monitor, said)], 2.0)
        found.append(health.serving[key_of(watched)].weights[0])
    return found


def test_a_small_step_of_the_load_is_none() -> None:
    """As nanny: a quarter of the weight (lvs.cf section 4.7)."""
    assert weights_by(0.0, 0.001, 0.5, 0.49, 1.0, 3.0) == [1000, 1000, 825, 825, 100, 100]


@given(st.floats(-1.0, 2.0), st.floats(-1.0, 2.0))
def test_b21_the_weight_depends_on_the_last_answer_alone(before: float, last: float) -> None:
    assert weights_by(before, last)[1] == weights_by(last)[0]


def test_a_share_of_the_weight_is_reached_from_anywhere() -> None:
    """0% above all, which drains a real server."""
    assert weights_by(-0.2, -1e-6, -0.24, -0.8, -1.0) == [20, 0, 24, 80, 100]
