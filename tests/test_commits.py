"""Two directors with the same commits: real git, real TLS over loopback, no kernel."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from lvs import events
from lvs.io.git_program import GitFault
from lvs.protocol import RollbackRequest
from lvs.sync.messages import Use
from pushing import Copy, PushedTo
from stand import Two, until

pytestmark = pytest.mark.native


class Pair(Two):
    def __init__(self, place: Path) -> None:
        super().__init__(place, PushedTo)
        self.copies = [Copy(place / f"copy{number}", one.repository) for number, one in enumerate(self.both)]

    @property
    def both(self) -> list[PushedTo]:
        return [one for one in self.nodes if isinstance(one, PushedTo)]

    @property
    def tips(self) -> list[str]:
        return [one.keeper.tip for one in self.both]

    async def alike(self, tip: str = "") -> None:
        """Wait until both are at one commit, and run the same."""
        await until(lambda: [one.status for one in self.both] == ["same", "same"])
        await until(
            lambda: self.tips[0] and self.tips[0] == self.tips[1] and self.tips[0] == (tip or self.tips[0])
        )


@asynccontextmanager
async def pair(place: Path) -> AsyncIterator[Pair]:
    made = Pair(place)
    one, two = made.both
    try:
        one.start()
        await until(lambda: one.listens)
        two.start()
        await made.alike()
        yield made
        for node in made.both:
            assert node.task is not None
            assert not node.task.done(), node.task.exception()
    finally:
        for node in made.both:
            if node.task is not None:
                await node.stop()


def test_a_push_is_on_both_and_a_push_to_the_other_follows(tmp_path: Path) -> None:
    async def run() -> None:
        async with pair(tmp_path) as both:
            one, two = both.both
            assert one.heard_of(events.HistoriesJoined) == []  # both made the same first commit
            for copy in both.copies:
                await copy.clone()
            commit = await both.copies[0].commit(both.text(2, weight=5))
            code, said = await both.copies[0].push()
            print(said)
            assert code == 0, said
            name = one.coupling.peer  # type: ignore[union-attr]
            for words in (f"{name} can run it, too", f"{name} runs it, too", f"{name} has the commit"):
                assert words in said
            assert both.tips == [commit, commit]
            assert (one.weight, two.weight) == (5, 5)
            assert two.path.read_text() == both.text(2, weight=5)
            await both.copies[1].git("pull", "--quiet", "origin", "main")
            commit = await both.copies[1].commit(both.text(3, weight=6))
            code, said = await both.copies[1].push()
            assert code == 0, said
            assert both.tips == [commit, commit]
            assert one.path.read_text() == both.text(3, weight=6)
            ways = [event.way for event in one.heard_of(events.ConfigCommitted)]  # type: ignore[attr-defined]
            assert ways[-2:] == ["push", "other director"]

    asyncio.run(run())


def test_what_the_other_cannot_run_is_refused_before_anything_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with pair(tmp_path) as both:
            one, two = both.both
            tip = one.keeper.tip
            await both.copies[0].clone()
            assert two.coupling is not None
            consent, lacks = two.coupling.consent, ("lvs.toml:3: no such program",)
            monkeypatch.setattr(consent, "_objections", lambda _text: lacks)
            commit = await both.copies[0].commit(both.text(2, weight=5))
            code, said = await both.copies[0].push()
            assert code == 1
            assert "lvs.toml:3: no such program" in said
            assert "refused: nothing was changed" in said
            assert one.keeper.git.has((commit,)) == ()
            monkeypatch.setattr(
                "lvs.coupling.examine", lambda _file, _text: ("there is no room",)
            )  # and later
            monkeypatch.setattr(consent, "_objections", lambda _text: ())
            code, said = await both.copies[0].push()
            assert code == 1
            assert "the other director: there is no room" in said
            assert "NOT TAKEN: the director runs what it ran before" in said
            assert both.tips == [tip, tip]
            assert (one.weight, two.weight) == (1, 1)
            assert one.path.read_text() == two.path.read_text() == both.text(1)
            await both.alike(tip)

    asyncio.run(run())


def test_rollback_and_hand_edits_reach_the_other(tmp_path: Path) -> None:
    async def run() -> None:
        async with pair(tmp_path) as both:
            one, two = both.both
            await two.save(both.text(2, weight=4))
            await until(lambda: two.keeper.git.log("main")[0].subject.endswith("(serial 2)"))
            await both.alike(two.keeper.tip)
            reply = await one.changes.rollback(RollbackRequest(author="bob"), "root")
            assert reply.exit_code == 0, reply.err
            await both.alike(one.keeper.tip)
            assert (one.weight, two.weight) == (1, 1)
            subjects = [entry.subject for entry in two.keeper.git.log("main")]
            assert subjects[0].startswith("rollback to")
            assert len(subjects) == 3
            await two.changes.rollback(RollbackRequest(), "root")
            await both.alike(two.keeper.tip)
            assert (one.weight, two.weight) == (4, 4)
            assert one.heard_of(events.HistoriesJoined) == two.heard_of(events.HistoriesJoined) == []

    asyncio.run(run())


def test_a_push_while_the_other_is_away_reaches_it_later(tmp_path: Path) -> None:
    async def run() -> None:
        async with pair(tmp_path) as both:
            one, two = both.both
            await two.stop()
            await until(lambda: one.status == "away")
            for serial in (2, 3):
                commit, reply = await one.take(both.text(serial, weight=serial))
                assert reply.exit_code == 0, reply.err
                assert "pending: the other director is away, and gets it when it is back" in reply.out
            two.boot()
            two.start()
            await both.alike(commit)
            assert two.weight == 3
            assert [entry.subject for entry in two.keeper.git.log("main")][:2] == ["another weight"] * 2

    asyncio.run(run())


@pytest.mark.parametrize("use", [Use.HERE, Use.THERE])
def test_histories_that_parted_are_joined_and_nothing_is_lost(tmp_path: Path, use: Use) -> None:
    async def run() -> None:
        async with pair(tmp_path) as both:
            one, two = both.both
            await two.stop()
            await until(lambda: one.status == "away")
            here, _ = await one.take(both.text(2, weight=5))
            await one.stop()
            two.boot()
            two.start()
            await until(lambda: two.keeper.usable)
            there, _ = await two.take(both.text(3, weight=6))
            one.boot()
            one.start()
            await until(lambda: one.status == two.status == "conflict")
            assert one.coupling is not None
            assert await one.coupling.resolve(use) == ""
            await both.alike()
            kept, joined = (here, there) if use is Use.HERE else (there, here)
            (newest, *_) = two.keeper.git.log("main")
            assert newest.parents == (kept, joined)
            assert one.weight == two.weight == (5 if use is Use.HERE else 6)
            assert one.heard_of(events.HistoriesJoined)
            assert not two.heard_of(events.HistoriesJoined)
            commit, _ = await two.take(both.text(9, weight=7))
            assert both.tips == [commit, commit]

    asyncio.run(run())


def test_a_director_whose_disk_is_new_gets_the_history(tmp_path: Path) -> None:
    async def run() -> None:
        async with pair(tmp_path) as both:
            one = both.both[0]
            commit, _ = await one.take(both.text(2, weight=5))
            await one.stop()
            one.repository.rename(tmp_path / "gone.git")
            (one.place / "hooks").rename(tmp_path / "hooks")
            one.boot()
            one.start()
            await both.alike(commit)
            assert one.heard_of(events.HistoriesJoined) == []
            assert len(one.keeper.git.log("main")) == 2

    asyncio.run(run())


@pytest.mark.parametrize("serials", [(2, 2), (2, 3)])
def test_of_two_pushes_at_once_to_both_at_most_one_runs_on_both(
    tmp_path: Path, serials: tuple[int, int]
) -> None:
    async def run() -> None:
        async with pair(tmp_path) as both:
            for copy in both.copies:
                await copy.clone()
            commits = [
                await copy.commit(both.text(serial, weight=5 + number))
                for number, (copy, serial) in enumerate(zip(both.copies, serials, strict=True))
            ]
            before = both.tips[0]
            results = await asyncio.gather(*(copy.push() for copy in both.copies))
            print(*(said for _, said in results), sep="\n")
            accepted = [commit for commit, (code, _) in zip(commits, results, strict=True) if code == 0]
            assert len(accepted) <= 1
            await both.alike(accepted[0] if accepted else before)
            weight = 5 + commits.index(accepted[0]) if accepted else 1
            assert [one.weight for one in both.both] == [weight, weight]

    asyncio.run(run())


def test_what_could_not_be_taken_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lvs.commits.HELD_S", 0.2)
    monkeypatch.setattr("lvs.commits.RETRY_S", 0.2)

    async def run() -> None:
        async with pair(tmp_path) as both:
            two = both.both[1]

            def full(*_: object) -> None:
                raise GitFault("no space left on device")

            with monkeypatch.context() as patch:
                patch.setattr(two.keeper.git, "unpack", full)
                commit, reply = await both.both[0].take(both.text(2, weight=5))
                assert reply.out[-1].endswith("does not have the commit yet; it gets it")
                await until(lambda: two.heard_of(events.CommitsNotShared))
                assert two.weight == 5
            await both.alike(commit)

    asyncio.run(run())
