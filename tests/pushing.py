"""A director that is pushed to, without a kernel: real git and its hooks, the real socket, a working copy."""

from __future__ import annotations

import asyncio
import getpass
import os
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path

from lvs import operators
from lvs.changes import Changes
from lvs.commands import Cause, Converge
from lvs.commits import Commits
from lvs.config.load import load
from lvs.director import planned
from lvs.fate import Outcome
from lvs.inputs import ConfigLoaded, Converged, ConvergeFailed, Input
from lvs.io import bare, control
from lvs.keeper import Keeper
from lvs.kernel.diff import diff
from lvs.planning import Plan
from lvs.protocol import (
    SOCKET_NAME,
    ConfirmRequest,
    ExamineRequest,
    PushRequest,
    Reply,
    Request,
    RollbackRequest,
)
from lvs.repository.history import Person
from lvs.repository.tree import Entry
from stand import Stand

LVSD = Path(sys.executable).parent / "lvsd"
PERSON = {
    "GIT_AUTHOR_NAME": "Alice",
    "GIT_AUTHOR_EMAIL": "alice@example.com",
    "GIT_COMMITTER_NAME": "Alice",
    "GIT_COMMITTER_EMAIL": "alice@example.com",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
}


class PushedTo(Stand):
    """A stand with a repository, and the part of the desk that it needs."""

    unchecked = True

    def boot(self) -> None:
        super().boot()
        self.repository = self.place / "config.git"
        if not self.repository.exists():
            hooks = self.place / "hooks"
            hooks.mkdir()
            for name in ("pre-receive", "proc-receive"):
                hook = hooks / name
                hook.write_text(f"#!/bin/sh\nexec {LVSD} hook --run-dir {self.place} {name}\n")
                hook.chmod(0o755)
            bare.make(self.repository, hooks, getpass.getuser())
        self.keeper = Keeper(self, self.repository)  # type: ignore[arg-type]
        self.changes = Changes(self.keeper, self.plan, self.place)
        self.commits = Commits(self.keeper)

    async def plan(self, name: str, content: bytes) -> Plan:
        """As lvs.planning does, the kernel being as it should."""
        loaded = load(content, name)
        if loaded.config is None:
            return Plan(2, None, tuple(map(str, loaded.problems)))
        goal = planned(self.state, loaded.config, time.monotonic())
        before = self.state.goal
        lines = operators.plan(diff(before.state, goal.state), {}, before, goal)
        return Plan(0, loaded.config, tuple(map(str, loaded.problems)), lines)

    async def load(self, put: Callable[[], object] | None = None) -> tuple[Input, Outcome]:
        async with self.loading:
            if put is not None:
                put()
            seen = self.file.look()
            what = self.file.read(seen)
            assert self.coupling is not None
            if not isinstance(what, ConfigLoaded):
                self.coupling.bad()
                return what, Outcome()
            held = self.coupling.read(what, seen.content)
            if held is None:
                before = self.state.config
                await self.feed_beside(what)
                return what, Outcome(applied=None if before == self.state.config else self.applied())
        return what, await held

    def applied(self) -> asyncio.Future[Converged | ConvergeFailed]:
        future: asyncio.Future[Converged | ConvergeFailed] = asyncio.get_running_loop().create_future()
        goal = self.state.goal
        future.set_result(Converged(Converge(goal, Cause.CONFIG, goal), ()))
        return future

    def made(self, content: str) -> str:
        """A commit on top of main, as a push leaves it in the repository."""
        git, alice = self.keeper.git, Person("Alice", "alice@example.com")
        tree = git.make_tree([Entry("100644", "blob", git.write(content.encode()), 0, b"lvs.toml")])
        parents = (self.keeper.tip,) if self.keeper.tip else ()
        return git.commit(tree, parents, alice, alice, "another weight\n")

    async def take(self, content: str, confirm_s: float | None = None) -> tuple[str, Reply]:
        """As a push does behind git and its hooks; the commit, and the answer."""
        commit = self.made(content)
        request = PushRequest(commit, self.keeper.tip, "alice", confirm_s=confirm_s)
        return commit, await self.changes.push(request)

    async def answer(self, request: Request, by: str) -> Reply:
        match request:
            case ExamineRequest():
                return await self.changes.examine(request)
            case PushRequest():
                return await self.changes.push(request)
            case RollbackRequest():
                return await self.changes.rollback(request, by)
            case ConfirmRequest(author):
                return self.changes.trials.confirm(author, by)
            case _:
                raise AssertionError(request)

    async def _answering(self) -> None:
        server = await control.serve(self.place / SOCKET_NAME, self.answer)
        try:
            await asyncio.Event().wait()
        finally:
            server.close()

    def tasks(self) -> list[Coroutine[None, None, None]]:
        return [*super().tasks(), *self.changes.tasks(), *self.commits.tasks(), self._answering()]


class Copy:
    """A working copy of an operator."""

    def __init__(self, place: Path, origin: Path) -> None:
        self.place, self.origin = place, origin

    async def git(self, *words: str, check: bool = True) -> str:
        """What git says, both streams together."""
        code, said = await self.tried(*words)
        assert code == 0 or not check, said
        return said

    async def tried(self, *words: str) -> tuple[int, str]:
        def run() -> tuple[int, str]:
            done = subprocess.run(
                ("git", *words),
                cwd=self.place,
                env={"PATH": os.environ["PATH"], "HOME": str(self.place), "LC_ALL": "C", **PERSON},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            return done.returncode, done.stdout

        return await asyncio.to_thread(run)

    async def clone(self) -> None:
        self.place.mkdir()
        await self.git("clone", "--quiet", str(self.origin), ".")

    async def commit(self, text: str, name: str = "lvs.toml", subject: str = "another weight") -> str:
        (self.place / name).write_text(text)
        await self.git("add", "--all")
        await self.git("commit", "--quiet", "--allow-empty", "-m", subject)
        return (await self.git("rev-parse", "HEAD")).strip()

    async def push(self, *options: str) -> tuple[int, str]:
        """Exit code of `git push`, and what it said."""
        return await self.tried(
            "push", *[word for one in options for word in ("-o", one)], "origin", "HEAD:main"
        )
