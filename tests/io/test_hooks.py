from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from lvs.io import hooks
from lvs.io.hooks import Hook, Hooks
from lvs.io.processes import Processes
from lvs.probes.program import Outcome


class Watched(Hooks):
    """Hooks that tell when the last one has run."""

    ended: asyncio.Future[None]

    def _done(self, outcome: Outcome) -> None:
        super()._done(outcome)
        if self.idle:
            self.ended.set_result(None)


def run(*put: Hook) -> list[str]:
    """Put hooks, wait until all have run, and return what was told."""

    async def running() -> list[str]:
        loop = asyncio.get_running_loop()
        told: list[str] = []
        processes = Processes()
        processes.open(loop)
        one = Watched(processes, told.append)
        one.ended = loop.create_future()
        one.open(loop)
        assert one.idle
        for hook in put:
            one.put(hook)
        await one.ended
        one.close()
        processes.close()
        return told

    return asyncio.run(running())


def shell(script: str, what: str = "notify_cmd of web", **environment: str) -> Hook:
    return Hook(("/bin/sh", "-c", script), environment, what)


def test_one_after_the_other(tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = 'echo "begin $N" >>"$LOG"; echo "end $N" >>"$LOG"'
    assert run(*(shell(script, N=str(n), LOG=str(log)) for n in range(4))) == []
    assert log.read_text().split("\n") == [f"{word} {n}" for n in range(4) for word in ("begin", "end")] + [
        ""
    ]


def test_failures_are_told_and_the_next_follows(tmp_path: Path) -> None:
    done = tmp_path / "done"
    told = run(
        shell("echo no route >&2; exit 2", "quorum_down_cmd of web"),
        Hook(("/nowhere/hook",), {}, "notify_cmd of dns"),
        shell('echo >"$DONE"', DONE=str(done)),
    )
    assert told == [
        'quorum_down_cmd of web: /bin/sh ended with status 2 and printed "no route"',
        "notify_cmd of dns: there is no program /nowhere/hook",
    ]
    assert done.exists()


def test_one_that_hangs_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hooks, "LIMIT_S", 0.05)
    told = run(Hook(("cat", "/dev/zero"), {}, "notify_cmd of web"), Hook(("false",), {}, "x"))
    assert told[0] == "notify_cmd of web: cat did not end within 0.05 s"
    assert told[1:] == ["x: false ended with status 1 and printed nothing"]


def test_the_oldest_of_the_same_subject_gives_way(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(hooks, "MOST", 3)
    log = tmp_path / "log"
    script = 'echo "$N" >>"$LOG"'
    subjects = ("a", "b", "c", "b", "d")
    told = run(*(shell(script, what, N=str(n), LOG=str(log)) for n, what in enumerate(subjects)))
    assert told == [
        "b: /bin/sh is not run, 3 hook programs wait already",
        "a: /bin/sh is not run, 3 hook programs wait already",
    ]
    assert log.read_text().split() == ["2", "3", "4"]


def test_close_ends_what_runs_and_forgets_what_waits() -> None:
    async def running() -> None:
        loop = asyncio.get_running_loop()
        processes = Processes()
        processes.open(loop)
        told: list[str] = []
        one = Hooks(processes, told.append)
        one.open(loop)
        for _ in range(3):
            one.put(Hook(("cat", "/dev/zero"), {}, "x"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not one.idle
        one.close()
        assert one.idle
        processes.close()
        assert told == []

    asyncio.run(running())
