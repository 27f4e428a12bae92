"""Schedule, rows of equal results, reference counts and vitals: with a clock that is set by hand."""

from __future__ import annotations

import random
from collections.abc import Iterator
from ipaddress import IPv4Address
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from io_fakes import FakeAsker, FakeLoop
from lvs.checks import Answer, File, Http, Icmp, Load, Pace, Reason, Rows, Target, Unchecked
from lvs.io import engine as module
from lvs.io.engine import TICK_S, Engine
from lvs.io.findings import Finished, Last
from lvs.probes.talk import down, up

PACE = Pace(interval_s=6.0, step_s=2.0, limit_s=4.0)
GOOD = up("fine")
BAD = down(Reason.REFUSED, "refused")
LATE = 2 * TICK_S + 0.001


def target(number: int = 1, pace: Pace = PACE, check: Any = None) -> Target:
    return Target(IPv4Address(0x0A000000 + number), 0, Icmp() if check is None else check, pace)


class World:
    """An engine on a clock of its own, with one asker for everything."""

    def __init__(self, **options: Any) -> None:
        self.loop = FakeLoop()
        self.asker = FakeAsker(self.loop)
        self.told: list[Finished] = []
        self.batches = 0
        self.engine = Engine(
            self._report,
            lambda _: None,
            {Icmp: self.asker, File: self.asker, Load: self.asker},
            clock=self.loop.clock,
            random=random.Random(1),
            **options,
        )
        self.engine.open(self.loop.loop)

    def _report(self, results: list[Finished]) -> None:
        self.batches += 1
        self.told += results

    def starts(self, wanted: Target) -> list[float]:
        return [at for at, one in self.asker.log if one == wanted]


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.engine.close()


def test_first_soon_second_at_random_then_exactly(world: World) -> None:
    one = target()
    world.asker.reply = lambda _: GOOD
    world.asker.takes_s = 1.5
    began = world.loop.now
    world.engine.follow([one])
    world.loop.run_for(600)
    starts = world.starts(one)
    assert starts[0] - began < 3 * TICK_S
    assert 0 < starts[1] - starts[0] < 6 + LATE
    assert 98 <= len(starts) <= 101
    for number, at in enumerate(starts[1:]):  # no drift: the last is as exact as the second
        assert abs(at - (starts[1] + 6 * number)) <= LATE


def test_targets_that_are_followed_together_are_spread(world: World) -> None:
    many = [target(number) for number in range(1, 1001)]
    world.asker.reply = lambda _: GOOD
    world.engine.follow(many)
    began = world.loop.now
    world.loop.run_for(0.3)
    assert list(dict.fromkeys(one for _, one in world.asker.log)) == many  # in order
    assert 0.1 < max(world.starts(one)[0] for one in many) - began < 0.3
    world.loop.run_for(12)
    seconds = [0] * 6
    for one in many:
        seconds[int(world.starts(one)[-1] % 6)] += 1
    assert min(seconds) > 100


def test_a_probe_that_runs_is_not_doubled(world: World) -> None:
    one = target(pace=Pace(interval_s=1.0, step_s=5.0, limit_s=5.0))
    world.asker.reply = lambda _: GOOD
    world.asker.takes_s = 2.5
    world.engine.follow([one])
    world.loop.run_for(30)
    gaps = [after - before for before, after in pairwise(world.starts(one))]
    assert all(2.5 <= gap < 2.5 + LATE for gap in gaps)


def test_down_interval_while_down(world: World) -> None:
    one = target(pace=Pace(interval_s=6.0, step_s=2.0, limit_s=4.0, down_interval_s=1.0))
    world.asker.reply = lambda _: BAD
    world.engine.follow([one])
    world.loop.run_for(10)
    assert len(world.starts(one)) >= 9
    world.asker.reply = lambda _: GOOD
    before = len(world.starts(one))
    world.loop.run_for(12.5)
    assert len(world.starts(one)) - before <= 4


def test_followed_fifty_times_is_one_probe(world: World) -> None:
    world.asker.reply = lambda _: GOOD
    for _ in range(50):
        world.engine.follow([target()])
    world.loop.run_for(60)
    assert 10 <= len(world.starts(target())) <= 12
    for _ in range(49):
        world.engine.forget([target()])
    world.loop.run_for(12)
    assert len(world.starts(target())) >= 12
    world.engine.forget([target()])
    world.loop.run_for(1)
    before = len(world.starts(target()))
    world.loop.run_for(60)
    assert len(world.starts(target())) == before
    assert world.engine.last(target()) == Last()


def test_what_changes_nothing_is_not_told(world: World) -> None:
    one = target(pace=Pace(interval_s=1.0, step_s=1.0, limit_s=1.0))
    world.asker.reply = lambda _: GOOD
    world.engine.follow([one], {one: Rows(rise=2, fall=3)})
    world.loop.run_for(20)
    assert len(world.told) == 3
    assert world.engine.last(one).streak >= 19
    world.asker.reply = lambda _: BAD
    world.loop.run_for(20)
    assert [finished.answer for finished in world.told[3:]] == [BAD] * 3
    world.engine.loudly([one], {one: Rows(rise=2, fall=3)})
    world.loop.run_for(20)
    assert [finished.answer for finished in world.told[6:]] == [BAD] * 3
    assert world.told[-1].target == one


def test_as_many_are_told_as_the_most_patient_asks_for(world: World) -> None:
    """Who joins hears as many as it needs, also where nothing changes; one probe is enough for both."""
    one = target(pace=Pace(interval_s=1.0, step_s=1.0, limit_s=1.0))
    world.asker.reply = lambda _: GOOD
    world.engine.follow([one], {one: Rows(rise=2)})
    world.loop.run_for(20)
    world.told.clear()
    world.engine.loudly([one], {one: Rows(rise=1, fall=4)})
    world.loop.run_for(20)
    assert [finished.answer for finished in world.told] == [GOOD] * 4
    world.engine.follow([one], {one: Rows(rise=2)})
    world.loop.run_for(20)
    assert len(world.told) == 8
    world.told.clear()
    world.asker.reply = lambda _: BAD
    world.loop.run_for(20)
    assert [finished.answer for finished in world.told] == [BAD] * 4
    assert len(world.starts(one)) <= 82


def test_who_gets_less_patient_waits_no_longer(world: World) -> None:
    one = target(pace=Pace(interval_s=2.0, step_s=1.0, limit_s=1.0, down_interval_s=30.0))
    world.asker.reply = lambda _: GOOD
    world.engine.follow([one], {one: Rows(fall=5)})
    world.engine.loudly([one], {one: Rows()})
    world.loop.run_for(20)
    world.told.clear()
    world.asker.reply = lambda _: BAD
    before = len(world.starts(one))
    world.loop.run_for(60)
    assert len(world.starts(one)) - before <= 3
    assert len(world.told) == 1


def test_slower_only_once_it_is_down(world: World) -> None:
    """Down within interval x fall and up within interval x rise, however rarely a dead one is asked."""
    one = target(pace=Pace(interval_s=2.0, step_s=1.0, limit_s=1.0, down_interval_s=30.0))
    world.asker.reply = lambda _: GOOD
    world.engine.follow([one], {one: Rows(rise=2, fall=3)})
    world.loop.run_for(20)
    reasons = iter([Reason.REFUSED, Reason.TIMED_OUT, *[Reason.REFUSED] * 100])  # each is a bad one
    world.asker.reply = lambda _: down(next(reasons), "it is down")
    before = len(world.starts(one))
    world.loop.run_for(100)
    gaps = [after - before for before, after in pairwise(world.starts(one)[before - 1 :])]
    assert [round(gap) for gap in gaps] == [2, 2, 2, 30, 30, 30]
    world.asker.reply = lambda _: GOOD
    before = len(world.starts(one))
    world.loop.run_for(35)
    gaps = [after - before for before, after in pairwise(world.starts(one)[before:])]
    assert gaps
    assert {round(gap) for gap in gaps} == {2}


def test_another_reason_is_a_change(world: World) -> None:
    one = target(pace=Pace(interval_s=1.0, step_s=1.0, limit_s=1.0))
    answers = [BAD, BAD, down(Reason.TIMED_OUT, "late"), BAD, BAD]
    world.asker.reply = lambda _: answers[min(len(world.asker.log) - 1, 4)]
    world.engine.follow([one])
    world.loop.run_for(10)
    assert [told.answer.reason for told in world.told] == [Reason.REFUSED, Reason.TIMED_OUT, Reason.REFUSED]


def test_a_value_that_changes_is_told(world: World) -> None:
    one = target(pace=Pace(interval_s=1.0, step_s=1.0, limit_s=1.0), check=Load(words=("rup",)))
    values = [0.5, 0.5, 0.7, 0.7, None]
    world.asker.reply = lambda _: Answer(True, Reason.ANSWERED, "", values[min(len(world.asker.log) - 1, 4)])
    world.engine.follow([one])
    world.loop.run_for(10)
    assert [told.answer.value for told in world.told] == [0.5, 0.7, None]


def test_results_of_one_tick_come_together(world: World) -> None:
    world.asker.reply = lambda _: GOOD
    world.engine.follow([target(number) for number in range(1, 101)])
    world.loop.run_for(0.1)
    assert len(world.told) == 100
    assert world.batches <= 3


def test_now_is_off_schedule(world: World) -> None:
    one = target(pace=Pace(interval_s=60.0, step_s=1.0, limit_s=1.0))
    world.asker.reply = lambda _: GOOD
    world.engine.follow([one])
    world.loop.run_for(70)
    before = world.engine.last(one)
    world.engine.now([one])
    world.loop.run_for(0.1)
    after = world.engine.last(one)
    assert after.at is not None
    assert abs(after.at - world.loop.now) < 0.2
    assert after.next_at == before.next_at


def test_an_asker_that_forgets_its_deadline_is_abandoned(world: World) -> None:
    one = target()
    world.engine.follow([one])
    began = world.loop.now
    world.loop.run_for(4.9)
    assert world.asker.asked
    assert began + 4 <= world.asker.deadlines[0] < began + 4 + LATE
    world.loop.run_for(0.5)
    assert world.asker.abandoned == [one]
    assert world.told[0].answer == down(Reason.TIMED_OUT, "no answer within 4 s")


def test_an_answer_that_comes_too_late_is_none(world: World) -> None:
    one = target()
    world.engine.follow([one])
    world.loop.run_for(0.5)
    first = world.asker.asked[one]
    world.engine.forget([one])
    world.engine.follow([one])
    world.loop.run_for(0.5)
    assert len(world.asker.log) == 2
    first(BAD)
    world.loop.run_for(0.5)
    assert world.told == []
    world.asker.answer(one, GOOD)
    world.loop.run_for(0.5)
    assert [told.answer for told in world.told] == [GOOD]


def test_a_fault_of_ours_is_no_news(world: World) -> None:
    many = [target(number) for number in range(1, 51)]
    world.asker.reply = lambda _: GOOD
    world.engine.follow(many)
    world.loop.run_for(13)
    world.told.clear()
    known = world.engine.last(many[0])
    world.asker.reply = lambda _: down(Reason.LOCAL_FAULT, "no descriptors")
    world.loop.run_for(10)
    assert 3 <= len(world.told) <= 11  # once a second, not fifty times
    after = world.engine.last(many[0])
    assert (after.answer, after.at, after.streak) == (GOOD, known.at, known.streak)
    assert world.loop.now - world.starts(many[0])[-1] < 1.1  # tried again soon
    world.loop.run_for(20)
    assert world.engine.health(world.loop.now).overdue == 50
    world.asker.reply = lambda _: GOOD
    world.loop.run_for(7)
    assert world.engine.health(world.loop.now).overdue == 0


def test_who_waits_for_a_first_answer_hears_of_the_fault(world: World) -> None:
    """Each of them, or its virtual server would wait for it for ever."""
    many = [target(number) for number in range(1, 51)]
    world.asker.reply = lambda _: down(Reason.LOCAL_FAULT, "no descriptors")
    world.engine.follow(many)
    world.loop.run_for(0.5)
    assert {told.target for told in world.told} == set(many)
    world.told.clear()
    world.loop.run_for(10)
    assert 3 <= len(world.told) <= 11


def test_at_most_so_many_at_once() -> None:
    world = World(at_once=10)
    many = [target(number) for number in range(1, 31)]
    world.engine.follow(many)
    world.loop.run_for(2)
    assert list(world.asker.asked) == many[:10]
    vitals = world.engine.health(world.loop.now)
    assert (vitals.in_flight, vitals.waiting, vitals.followed) == (10, 20, 30)
    assert vitals.lateness_s > 1.9
    for one in many[:10]:
        world.asker.answer(one, GOOD)
    world.loop.run_for(0.1)
    assert list(world.asker.asked) == many[10:20]
    world.engine.close()


def test_overdue_is_noticed(world: World) -> None:
    world.engine.follow([target()])
    world.loop.run_for(21)
    assert world.engine.health(world.loop.now).overdue == 0  # it timed out, which is a result
    world.loop.now += 100  # the loop stands still
    vitals = world.engine.health(world.loop.now)
    assert vitals.overdue == 1
    assert vitals.stall_s > 90


def test_time_that_we_stood_still_is_not_the_real_servers(world: World) -> None:
    one = target()
    world.engine.follow([one])
    world.loop.run_for(2)
    world.loop.now += 10  # stopped by a debugger, or a snapshot of the machine
    world.loop.run_for(0.1)
    assert world.told == []
    world.asker.answer(one, GOOD)
    world.loop.run_for(0.1)
    assert [told.answer for told in world.told] == [GOOD]


def test_nothing_to_do_is_no_tick(world: World) -> None:
    world.loop.run_for(1)
    world.asker.reply = lambda _: GOOD
    world.engine.follow([target(pace=Pace(interval_s=60, step_s=1, limit_s=1))])
    world.loop.run_for(120)
    fired = world.loop.fired
    world.loop.run_for(600)
    assert world.loop.fired - fired < 60
    world.engine.forget([target(pace=Pace(interval_s=60, step_s=1, limit_s=1))])
    world.loop.run_for(200)
    fired = world.loop.fired
    world.loop.run_for(600)
    assert world.loop.fired == fired


def test_no_check_is_not_probed(world: World) -> None:
    world.engine.follow([target(check=Unchecked())])
    world.loop.run_for(60)
    world.engine.forget([target(check=Unchecked())])
    world.loop.run_for(1)
    assert world.engine.health(world.loop.now).followed == 0


def test_what_cannot_be_checked_is_a_fault_of_ours(world: World) -> None:
    world.engine.follow([target(check=Http())])
    world.loop.run_for(1)
    assert world.told[0].answer.reason is Reason.LOCAL_FAULT


def test_a_protocol_that_raises_stops_nothing() -> None:
    def raising(_: Target) -> None:
        raise ValueError("broken")

    world = World()
    world.engine._talk_for = raising
    world.asker.reply = lambda _: GOOD
    world.engine.follow([target(check=Http()), target()])
    world.loop.run_for(13)
    assert "ValueError: broken" in world.told[0].answer.text
    assert len(world.starts(target())) >= 2
    assert world.engine.health(world.loop.now).in_flight == 0


def test_orders_are_done_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SLICE_S", -1.0)
    world = World()
    world.engine.follow([target(number) for number in range(1, 101)])
    world.loop.run_for(0)
    assert 0 < world.engine.health(world.loop.now).followed <= 100
    world.engine.forget([target(number) for number in range(1, 101)])
    world.loop.run_for(0.5)
    assert world.engine.health(world.loop.now).followed == 0
    world.engine.close()


def test_opened_after_following_and_closed_twice() -> None:
    world = World()
    world.engine.close()
    world.engine.follow([target()])
    world.engine.open(world.loop.loop)
    world.loop.run_for(1)
    assert list(world.asker.asked) == [target()]
    world.engine.close()
    world.engine.close()
    assert world.asker.abandoned == [target()]
    world.loop.run_for(10)
    assert world.told == []


STEPS = st.lists(
    st.tuples(st.sampled_from(["follow", "forget", "now", "loudly", "answer", "wait"]), st.integers(1, 5)),
    max_size=60,
)


@settings(max_examples=60, deadline=None)
@given(STEPS, st.integers(1, 3))
def test_never_twice_at_a_time_and_none_is_lost(steps: list[tuple[str, int]], at_once: int) -> None:
    """`FakeAsker.ask` refuses a target that is being asked."""
    world = World(at_once=at_once)
    wanted: dict[int, int] = {}
    for what, number in steps:
        one = target(number)
        match what:
            case "follow":
                wanted[number] = wanted.get(number, 0) + 1
                world.engine.follow([one])
            case "forget":
                wanted[number] = max(wanted.get(number, 0) - 1, 0)
                world.engine.forget([one])
            case "now":
                world.engine.now([one])
            case "loudly":
                world.engine.loudly([one])
            case "answer":
                world.asker.answer(one, GOOD if number % 2 else BAD)
            case _:
                world.loop.run_for(number * 0.7)
        assert world.engine.health(world.loop.now).in_flight == len(world.asker.asked) <= at_once
    world.loop.run_for(0.1)
    for one in list(world.asker.asked):
        world.asker.answer(one, GOOD)
    world.asker.reply = lambda _: GOOD
    world.asker.log.clear()
    world.loop.run_for(PACE.interval_s + PACE.limit_s + 2)
    assert {one for _, one in world.asker.log} == {target(n) for n, count in wanted.items() if count}
    assert world.engine.health(world.loop.now).followed == sum(count > 0 for count in wanted.values())
    world.engine.close()
