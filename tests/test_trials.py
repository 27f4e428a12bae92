"""A trial is known to both directors; the rest is in test_changes.py."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from lvs import events
from lvs.io import probation
from lvs.io.probation import Trial
from lvs.protocol import RollbackRequest
from lvs.repository.exchange import Probation
from lvs.trials import who_asks
from stand import until
from test_commits import pair

pytestmark = pytest.mark.native


def test_the_other_one_takes_it_back_if_the_first_is_gone(tmp_path: Path) -> None:
    async def run() -> None:
        async with pair(tmp_path) as both:
            one, two = both.both
            commit, _ = await one.take(both.text(2, weight=5), 60.0)
            assert two.changes.trials.trial is not None
            assert (two.changes.trials.trial.commit, two.changes.trials.trial.ours) == (commit, False)
            await one.stop()  # the change was its end
            await until(lambda: two.status in ("away", "pending"))
            two.changes.trials._ends = time.monotonic()
            two.changes.trials._moved.set()
            await until(lambda: two.weight == 1)
            await until(lambda: two.keeper.tip != commit)
            assert two.keeper.git.log("main")[0].subject.startswith("not confirmed, back to ")
            one.boot()
            one.start()
            await both.alike(two.keeper.tip)
            assert one.weight == 1
            assert one.changes.trials.trial is None or one.changes.trials.refusal() == ""

    asyncio.run(run())


def test_either_takes_the_confirmation(tmp_path: Path) -> None:
    async def run() -> None:
        async with pair(tmp_path) as both:
            one, two = both.both
            await one.take(both.text(2, weight=5), 60.0)
            await until(lambda: two.changes.trials.trial is not None)
            assert "is on trial for" in two.changes.trials.refusal()
            assert two.changes.trials.confirm("", "alice").exit_code == 0
            await until(lambda: one.changes.trials.trial is None)
            (told,) = one.heard_of(events.TrialConfirmed)
            assert told.text().endswith("is confirmed by alice")
            assert [one.weight for one in both.both] == [5, 5]
            # And a rollback ends it, on both.
            await one.take(both.text(3, weight=6), 60.0)
            assert (await two.changes.rollback(RollbackRequest(), "alice")).exit_code == 0
            await both.alike(two.keeper.tip)
            assert [one.changes.trials.refusal() for one in both.both] == ["", ""]
            assert [one.weight for one in both.both] == [5, 5]

    asyncio.run(run())


def test_what_is_told_is_not_believed_blindly(tmp_path: Path) -> None:
    async def run() -> None:
        async with pair(tmp_path) as both:
            _, two = both.both
            trials = two.changes.trials
            for told in (
                Probation("x" * 40, "1" * 40, 60.0),
                Probation("1" * 40, "main", 60.0),
                Probation("1" * 40, "2" * 40, 1e9),
                Probation("1" * 40, "2" * 40, float("nan")),
                Probation(""),
            ):
                trials.heard(told)
                assert trials.trial is None
            monkey = Probation("1" * 40, "2" * 40, 0.0)  # it never ran: nothing is gone back to
            trials.heard(monkey)
            trials._ends = time.monotonic()
            trials._moved.set()
            await until(lambda: trials.trial is None)
            assert both.tips == [two.keeper.git.tip()] * 2
            mine = Trial(two.keeper.tip, "2" * 40, time.time() + 60, 60.0, "me")
            trials.start(mine)
            trials.heard(Probation("1" * 40, "2" * 40, 1.0))
            assert trials.trial is mine
            trials.end()
            assert probation.load(two.place / probation.NAME) is None

    asyncio.run(run())


def test_who_asks() -> None:
    assert who_asks("alice", "root") == who_asks("alice", "lvs") == "alice"
    assert who_asks("alice", "bob") == who_asks("", "bob") == "bob"
    assert who_asks("\x1b[1m", "root") == "\\x1b[1m"
