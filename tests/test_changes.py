"""Pushes, rollbacks, trials and hand edits: real git with its hooks, a real file, no kernel."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lvs import events
from lvs.io import install, probation
from lvs.io.git import Git, blob_id
from lvs.io.git_program import GitFault
from lvs.protocol import PushRequest, RollbackRequest
from pushing import Copy, PushedTo
from stand import FILE, until

pytestmark = pytest.mark.native


def text(serial: int, weight: int = 1, more: str = "") -> str:
    """The file of a director without another one."""
    alone = FILE.replace('primary = "127.0.0.1"\nbackup = "127.0.0.2"\nheartbeat_port = {port}\n', "")
    return alone.replace('pair_key = "{key}"\n', "").format(serial=serial, weight=weight, more=more)


@asynccontextmanager
async def director(place: Path) -> AsyncIterator[tuple[PushedTo, Copy]]:
    """One that runs, its first commit made, and a working copy."""
    home = place / "director"
    home.mkdir()
    (home / "lvs.toml").write_text(text(1))
    one = PushedTo(home, "127.0.0.1")
    one.start()
    try:
        await until(lambda: one.keeper.usable and one.keeper.tip)
        copy = Copy(place / "copy", one.repository)
        await copy.clone()
        yield one, copy
        assert one.task is not None
        assert not one.task.done(), one.task.exception()
    finally:
        await one.stop()


def test_a_push_runs_and_says_what_it_did(tmp_path: Path) -> None:
    async def run() -> None:
        async with director(tmp_path) as (one, copy):
            commit = await copy.commit(text(2, weight=5))
            code, said = await copy.push()
            print(said)
            assert code == 0, said
            assert one.path.read_text() == text(2, weight=5)
            assert one.weight == 5
            assert one.keeper.tip == commit
            assert "lvs.toml: valid, serial 1 -> 2" in said
            assert "ipvsadm -e -t 192.0.2.1:80 -r 10.0.0.3:80 -g -w 5" in said
            assert "of which lvsd" in said
            (told,) = [one for one in one.heard_of(events.ConfigCommitted) if one.way == "push"]  # type: ignore[attr-defined]
            assert "Alice" in told.text()

    asyncio.run(run())


def test_what_check_says_is_what_the_push_says(tmp_path: Path) -> None:
    async def run() -> None:
        async with director(tmp_path) as (one, copy):
            tip = one.keeper.tip
            await copy.commit(text(2, weight=-4))
            code, said = await copy.push()
            assert code == 1
            assert "lvs.toml:11: virtual[0].server[0].weight: 0 to 65535, got -4" in said
            assert "refused: nothing was changed" in said
            assert (one.keeper.tip, one.weight, one.path.read_text()) == (tip, 1, text(1))

    asyncio.run(run())


def test_the_number_to_write_is_named(tmp_path: Path) -> None:
    async def run() -> None:
        async with director(tmp_path) as (one, copy):
            await copy.commit(text(1, weight=5))
            code, said = await copy.push()
            assert code == 1
            assert "lvs.toml:1: serial_no: 1 is the last one; write serial_no = 2" in said
            assert one.weight == 1
            await copy.commit(text(1), "README", "only a word about it")  # the same configuration
            (copy.place / "lvs.toml").write_text(text(1))
            await copy.git("commit", "--quiet", "--amend", "--all", "-m", "words")
            code, said = await copy.push()
            assert "write serial_no" not in said

    asyncio.run(run())


def test_a_dry_run_shows_and_changes_nothing(tmp_path: Path) -> None:
    async def run() -> None:
        async with director(tmp_path) as (one, copy):
            tip = one.keeper.tip
            commit = await copy.commit(text(2, weight=5))
            code, said = await copy.push("dry-run")
            assert code == 1
            assert "-w 5" in said
            assert "dry run: nothing was changed, and the push is refused on purpose" in said
            assert (one.keeper.tip, one.weight) == (tip, 1)
            assert one.keeper.git.has((commit,)) == ()  # nor does anything of it stay
            code, said = await copy.push("dryrun")
            assert code == 1
            assert "-o dryrun: not known" in said

    asyncio.run(run())


def test_what_cannot_be_pushed(tmp_path: Path) -> None:
    async def run() -> None:
        async with director(tmp_path) as (one, copy):
            tip = one.keeper.tip
            await copy.commit(text(2, weight=5))
            tries = {
                "HEAD:other": "a director has one branch, main",
                "HEAD:refs/tags/v1": "tags stay with you",
                ":main": "main cannot be deleted",
            }
            for refspec, why in tries.items():
                code, said = await copy.tried("push", "origin", refspec)
                assert code == 1
                assert why in said
            (copy.place / "link").symlink_to("/etc/shadow")
            await copy.commit(text(3))
            assert "link: a symbolic link; only plain files can be pushed" in (await copy.push())[1]
            (copy.place / "link").unlink()
            await copy.git("update-index", "--add", "--cacheinfo", f"160000,{tip},sub")
            await copy.git("commit", "--quiet", "-m", "a submodule")
            assert "sub: a submodule; only plain files can be pushed" in (await copy.push())[1]
            await copy.git("rm", "--quiet", "--cached", "sub")
            await copy.commit(text(1), "lvs.cf")
            assert "both lvs.toml and lvs.cf" in (await copy.push())[1]
            (copy.place / "lvs.toml").unlink()
            await copy.commit("serial_no = 9\n", "lvs.cf")
            code, said = await copy.push()
            assert "lvs.cf: this director runs" in said
            (copy.place / "lvs.cf").unlink()
            await copy.commit("", "README")
            assert "there is neither lvs.toml nor lvs.cf" in (await copy.push())[1]
            assert (one.keeper.tip, one.weight, one.path.read_text()) == (tip, 1, text(1))

    asyncio.run(run())


def test_of_two_at_once_one_wins_and_the_other_is_told(tmp_path: Path) -> None:
    async def run() -> None:
        async with director(tmp_path) as (one, copy):
            other = Copy(tmp_path / "other", one.repository)
            await other.clone()
            await copy.commit(text(2, weight=5))
            await other.commit(text(2, weight=6))
            results = await asyncio.gather(copy.push(), other.push())
            assert sorted(code for code, _ in results) == [0, 1]
            loser = next(said for code, said in results if code)
            assert "git pull --rebase" in loser or "failed to update ref" in loser or "fetch first" in loser
            winner = 5 if results[0][0] == 0 else 6
            assert one.weight == winner
            assert one.path.read_text() == text(2, weight=winner)
            code, said = await (copy if winner == 6 else other).tried(
                "push", "--force", "origin", "HEAD:main"
            )
            assert code == 1
            assert "it does not contain what runs" in said

    asyncio.run(run())


def test_rollback_is_a_commit_with_a_higher_serial(tmp_path: Path) -> None:
    async def run() -> None:
        async with director(tmp_path) as (one, copy):
            await copy.commit(text(7, weight=5))
            await copy.push()
            reply = await one.changes.rollback(RollbackRequest(author="bob"), "root")
            assert reply.exit_code == 0, reply.err
            assert one.path.read_text() == text(8)
            (newest, *_) = one.keeper.git.log("main")
            assert newest.subject.startswith("rollback to ")
            assert newest.author.name == "bob"
            assert newest.id == one.keeper.tip
            reply = await one.changes.rollback(RollbackRequest("main~1"), "carol")
            assert reply.exit_code == 0, reply.err
            assert one.path.read_text() == text(9, weight=5)
            assert one.keeper.git.log("main")[0].author.name == "carol"
            reply = await one.changes.rollback(RollbackRequest("nothing"), "carol")
            assert reply.err == ("there is no commit nothing; `lvsd history` names them",)
            await copy.git("pull", "--quiet", "--rebase", "origin", "main")  # and a push follows it
            await copy.commit(text(10, weight=6))
            assert (await copy.push())[0] == 0

    asyncio.run(run())


def test_what_is_not_confirmed_is_taken_back(tmp_path: Path) -> None:
    async def run() -> None:
        async with director(tmp_path) as (one, copy):
            await copy.commit(text(2, weight=5))
            code, said = await copy.push("confirm=60")
            assert code == 0, said
            assert "on trial: rolled back in 60 s unless `lvsd confirm` is given" in said
            assert one.weight == 5
            await copy.commit(text(3, weight=6))
            code, said = await copy.push()
            assert code == 1
            assert "is on trial for" in said
            await one.stop()  # and it outlives the daemon
            file = one.place / probation.NAME
            kept = probation.load(file)
            assert kept is not None
            probation.save(file, msgspec.structs.replace(kept, until=time.time()))
            one.boot()
            one.start()
            await until(lambda: one.weight == 1)
            await until(lambda: one.changes.trials.trial is None and not one.keeper.lock.locked())
            assert one.path.read_text() == text(3)
            assert one.keeper.git.log("main")[0].subject.startswith("not confirmed, back to ")
            assert not (one.place / "trial.json").exists()

    asyncio.run(run())


def test_what_is_confirmed_stays(tmp_path: Path) -> None:
    async def run() -> None:
        async with director(tmp_path) as (one, copy):
            commit = await copy.commit(text(2, weight=5))
            await copy.push("confirm=60")
            reply = one.changes.trials.confirm("", "alice")
            assert reply.out == (f"commit {commit[:10]} stays",)
            assert one.changes.trials.trial is None
            assert not (one.place / "trial.json").exists()
            assert one.heard_of(events.TrialConfirmed)
            assert one.changes.trials.confirm("", "alice").exit_code == 1

    asyncio.run(run())


def test_hand_edits_become_commits(tmp_path: Path) -> None:
    async def run() -> None:
        async with director(tmp_path) as (one, copy):
            await copy.commit(text(2), "README", "a file beside it")
            await copy.commit(text(2))
            await copy.push()
            await one.save(text(3, weight=4))
            await until(lambda: one.keeper.git.log("main")[0].subject.endswith("(serial 3)"))
            newest = one.keeper.git.log("main")[0]
            assert newest.author.name.startswith("root@")
            assert {entry.path for entry in one.keeper.git.tree("main")} == {b"README", b"lvs.toml"}
            await one.save(text(4, weight=-1))  # what does not run is not recorded
            await one.stop()
            one.path.write_text(text(5, weight=3))  # while nobody looked
            one.boot()
            one.start()
            await until(lambda: one.keeper.usable and one.keeper.tip)
            await until(lambda: one.keeper.git.log("main")[0].subject.endswith("(serial 5)"))
            assert one.keeper.git.log("main")[1].id == newest.id

    asyncio.run(run())


def test_a_daemon_that_died_in_between_is_settled_by_what_the_file_holds(tmp_path: Path) -> None:
    async def run() -> None:
        async with director(tmp_path) as (one, copy):
            tip, git = one.keeper.tip, one.keeper.git
            commit = await copy.commit(text(2, weight=5))
            await copy.git(
                "push",
                "--quiet",
                "--receive-pack=git -c core.hooksPath=/dev/null receive-pack",
                "origin",
                "HEAD:refs/heads/aside",
            )
            await one.stop()
            git.move("test", ("refs/lvs/pending", commit, None), ("refs/heads/aside", "", None))
            one.boot()
            one.start()  # the file was not written
            await until(lambda: one.keeper.usable and one.keeper.tip)
            assert (one.keeper.tip, git.refs()) == (tip, {"refs/heads/main": tip})
            await one.stop()
            git.move("test", ("refs/lvs/pending", commit, None))
            one.path.write_text(text(2, weight=5))
            one.boot()
            one.start()  # it was
            await until(lambda: one.keeper.usable and one.keeper.tip)
            assert (one.keeper.tip, git.refs()) == (commit, {"refs/heads/main": commit})

    asyncio.run(run())


def test_a_disk_that_is_full_refuses_and_loses_nothing(tmp_path: Path) -> None:
    async def run() -> None:
        async with director(tmp_path) as (one, copy):
            tip = one.keeper.tip
            await copy.commit(text(2, weight=5))
            (one.place / ".lvs.toml.pushed").mkdir()  # as a disk that cannot be written
            code, said = await copy.push()
            assert code == 1
            assert "cannot write beside" in said
            assert "NOT TAKEN: the director runs what it ran before" in said
            assert (one.keeper.tip, one.weight, one.path.read_text()) == (tip, 1, text(1))
            assert one.keeper.git.refs() == {"refs/heads/main": tip}

    asyncio.run(run())


def test_without_a_daemon_nothing_is_taken(tmp_path: Path) -> None:
    async def run() -> None:
        async with director(tmp_path) as (one, copy):
            tip = one.keeper.tip
            await copy.commit(text(2, weight=5))
            await one.stop()
            code, said = await copy.push()
            assert code == 1
            assert "no lvsd answers" in said
            assert one.keeper.git.tip() == tip
            one.boot()
            one.start()

    asyncio.run(run())


class Crash(BaseException):
    """The power went."""


@pytest.mark.parametrize("confirm_s", [None, 3600.0])
def test_the_power_may_go_at_any_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, confirm_s: float | None
) -> None:
    """Before each thing that changes the disk: afterwards the old commit runs or the new one, whole."""
    steps = 0

    def cut(number: int, real: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any, **options: Any) -> Any:
            nonlocal steps
            steps += 1
            if steps == number:
                raise Crash
            return real(*arguments, **options)

        return step

    async def run() -> None:
        nonlocal steps
        async with director(tmp_path) as (one, _copy):
            kept: list[int] = []
            for number in range(1, 99):
                serial, weight = number + 1, number % 7 + 1
                before = one.keeper.tip, one.weight
                commit = one.made(text(serial, weight=weight))
                with monkeypatch.context() as patch:
                    steps = 0
                    patch.setattr(Git, "move", cut(number, Git.move))
                    for name in ("stage", "commit"):
                        patch.setattr(install, name, cut(number, getattr(install, name)))
                    patch.setattr(probation, "save", cut(number, probation.save))
                    patch.setattr(Git, "log", cut(number, Git.log))
                    try:
                        await one.changes.push(PushRequest(commit, before[0], "test", confirm_s=confirm_s))
                    except Crash:
                        pass
                    else:
                        assert steps < number
                        assert len(kept) == steps
                        assert {0, 1} == set(kept)  # some came too early, some late enough
                        return
                    await one.stop()
                one.boot()
                one.start()
                await until(lambda: one.keeper.usable and one.keeper.tip)
                new = one.keeper.tip == commit
                kept.append(new)
                assert one.keeper.git.refs() == {"refs/heads/main": commit if new else before[0]}
                assert one.weight == (weight if new else before[1])
                assert one.keeper.blob == blob_id(one.path.read_bytes()) == one.keeper.running_blob()
                assert (one.changes.trials.trial is not None) or not (confirm_s and new)
                if one.changes.trials.trial is not None:
                    one.changes.trials.confirm("", "test")
            raise AssertionError("it never came to an end")

    asyncio.run(run())


def test_a_repository_that_cannot_be_written_is_said_and_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lvs.keeper.LOOK_EVERY_S", 0.02)

    async def run() -> None:
        async with director(tmp_path) as (one, _copy):
            commit, real = one.made(text(2, weight=5)), Git.move

            def full(git: Git, reason: str, *changes: tuple[str, str, str | None]) -> None:
                if changes[0][0] == "refs/heads/main":
                    raise GitFault("no space left on device")
                real(git, reason, *changes)

            with monkeypatch.context() as patch:
                patch.setattr(Git, "move", full)
                reply = await one.changes.push(PushRequest(commit, one.keeper.tip, "test"))
                assert reply.exit_code == 1
                assert reply.err[0].startswith("THE DIRECTOR RUNS IT, but main could not be moved")
                assert one.weight == 5
            await until(lambda: one.keeper.tip == commit)
            assert one.keeper.git.refs() == {"refs/heads/main": commit}

    asyncio.run(run())


def test_either_language_where_there_is_no_file_yet(tmp_path: Path) -> None:
    async def run() -> None:
        home = tmp_path / "director"
        home.mkdir()
        one = PushedTo(home, "127.0.0.1")
        one.start()
        try:
            await until(lambda: one.keeper.usable)
            copy = Copy(tmp_path / "copy", one.repository)
            await copy.clone()
            await copy.commit(
                "serial_no = 9\nprimary = 10.0.0.1\nservice = lvs\nnetwork = direct\n", "lvs.cf"
            )
            code, said = await copy.push()
            assert code == 0, said
            assert (home / "lvs.cf").exists()
            assert not (home / "lvs.toml").exists()
            await copy.git("mv", "lvs.cf", "lvs.toml")
            await copy.commit(text(10))
            code, said = await copy.push()
            assert code == 1
            assert "lvs.toml: this director runs" in said
            assert "`lvsd convert --to cf lvs.toml` makes an lvs.cf of it" in said
        finally:
            await one.stop()

    asyncio.run(run())


def test_a_repository_that_is_too_large_is_refused_in_words(tmp_path: Path) -> None:
    async def run() -> None:
        async with director(tmp_path) as (one, copy):
            (one.repository / "config.local").write_text("[receive]\n\tmaxInputSize = 100k\n")
            tip = one.keeper.tip
            (copy.place / "large").write_bytes(os.urandom(300_000))
            commit = await copy.commit(text(2, weight=5))
            code, said = await copy.push()
            assert code == 1
            assert "pack exceeds maximum allowed size" in said
            assert (one.keeper.tip, one.weight) == (tip, 1)
            assert one.keeper.git.has((commit,)) == ()
            await copy.git("reset", "--quiet", "--hard", "HEAD~1")
            for number in range(1001):
                (copy.place / f"{number}").write_text("")
            await copy.commit(text(2, weight=5))
            assert "1002 files; a repository of a director holds 1000 at most" in (await copy.push())[1]
            assert one.weight == 1

    asyncio.run(run())


def test_rollback_goes_to_what_ran_not_to_what_was_pushed_along(tmp_path: Path) -> None:
    async def run() -> None:
        async with director(tmp_path) as (one, copy):
            await copy.commit(text(2, weight=-4))  # refused, and mended by another commit
            assert (await copy.push())[0] == 1
            await copy.commit(text(2, weight=5))
            assert (await copy.push())[0] == 0
            reply = await one.changes.rollback(RollbackRequest(), "root")
            assert reply.exit_code == 0, reply.err
            assert one.path.read_text() == text(3)

    asyncio.run(run())
