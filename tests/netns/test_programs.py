"""B17: check programs that misbehave, for real: as root, who alone can run them as another user."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Callable, Coroutine, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Self, TypeVar

import pytest

from lvs.checks import Answer, Pace, Program, Reason, Target
from lvs.io import processes as module
from lvs.io.processes import Processes
from lvs.io.programs import AT_ONCE, Programs
from lvs.io.runnable import CHECK_USER, User

pytestmark = [
    pytest.mark.native,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can run programs as another user"),
]

# A user of nobody else, so that its processes can be counted; it need not be in passwd(5).
USER = User(CHECK_USER, 61234, 61234)
SOON_S = 0.4  # what a program that hangs is given
PATIENCE_S = 10.0


def alive() -> list[int]:
    """The check user's processes, those that only wait to be reaped too."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and entry.stat().st_uid == USER.uid:
                found.append(int(entry.name))
        except OSError:
            continue
    return found


@pytest.fixture(autouse=True)
def _leaves_nothing() -> Iterator[None]:
    files = len(list(Path("/proc/self/fd").iterdir()))
    yield
    assert alive() == []
    assert len(list(Path("/proc/self/fd").iterdir())) == files
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


class Bench:
    def __init__(self, loop: asyncio.AbstractEventLoop, *, setpriv: bool = True) -> None:
        self.loop = loop
        self.processes = Processes()
        if not setpriv:
            self.processes._tools = (None, None)
        self.programs = Programs(self.processes)
        self.most = 0
        self.lag_s = 0.0

    async def __aenter__(self) -> Self:
        self.processes.open(self.loop)
        self.programs.open(self.loop)
        self.programs._user = USER
        self.watcher = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        until = time.monotonic() + PATIENCE_S
        while alive() and time.monotonic() < until:  # noqa: ASYNC110  nothing tells when another user's are gone
            await asyncio.sleep(0.01)
        left = alive()
        self.watcher.cancel()
        self.programs.close()
        self.processes.close()
        assert left == []

    async def _watch(self) -> None:
        """How many processes there were at most, and how long the loop stood still."""
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.01)
            self.lag_s = max(self.lag_s, time.monotonic() - before - 0.01)
            self.most = max(self.most, len(alive()))

    async def ask(
        self, *words: str, expect: str | None = None, limit_s: float = PATIENCE_S, port: int = 53
    ) -> Answer:
        target = Target(ip_address("192.0.2.7"), port, Program(words, expect), Pace(6.0, limit_s, limit_s))
        done: asyncio.Future[Answer] = self.loop.create_future()
        begun = self.loop.time()
        self.programs.ask(target, begun + limit_s, done.set_result)
        answer = await done
        assert self.loop.time() - begun < limit_s + 1
        return answer

    async def shell(self, script: str, expect: str | None = None, limit_s: float = PATIENCE_S) -> Answer:
        return await self.ask("sh", "-c", script, expect=expect, limit_s=limit_s)


T = TypeVar("T")


def with_bench(test: Callable[[Bench], Coroutine[None, None, T]], *, setpriv: bool = True) -> T:
    async def run() -> T:
        async with Bench(asyncio.get_running_loop(), setpriv=setpriv) as bench:
            return await test(bench)

    return asyncio.run(run())


def shell(script: str, expect: str | None = None, limit_s: float = SOON_S) -> Answer:
    return with_bench(lambda bench: bench.shell(script, expect, limit_s))


LATE = Answer(ok=False, reason=Reason.PROGRAM_TIMED_OUT, text=f"sh did not end within {SOON_S} s")


def test_b17_hangs() -> None:
    assert shell("sleep 60") == LATE


def test_b17_hangs_after_the_right_answer() -> None:
    assert shell("echo OK; sleep 60", "OK") == LATE


def test_b17_ignores_term() -> None:
    assert shell("trap '' TERM INT HUP; while :; do sleep 1; done") == LATE


def test_b17_stops_itself() -> None:
    assert shell("kill -STOP $$") == LATE


def test_b17_closes_its_output_and_goes_on() -> None:
    assert shell("exec >&-; sleep 60") == LATE
    assert shell("exec >&-; exit 0", limit_s=PATIENCE_S).ok


def test_b17_forks_forever() -> None:
    async def bomb(bench: Bench) -> Answer:
        # Long enough for it to have begun, on a host with other things to do. The first one forks no more: it
        # would end as soon as it could not, and all of them with it.
        bombs = "ulimit -p 40; b() { b & b & sleep 60; }; b & exec sleep 60"
        answer = await bench.shell(bombs, limit_s=6 * SOON_S)
        assert 3 < bench.most <= 40, answer
        return answer

    assert not with_bench(bomb).ok


def test_b17_forks_forever_into_sessions_of_their_own() -> None:
    async def bomb(bench: Bench) -> Answer:
        again = """export B='setsid sh -c "$B" & setsid sh -c "$B" & sleep 60'"""
        bombs = f'ulimit -p 40; {again}; sh -c "$B" & exec sleep 60'
        answer = await bench.shell(bombs, limit_s=6 * SOON_S)
        assert 3 < bench.most <= 40, answer
        return answer

    assert not with_bench(bomb).ok


def test_b17_runs_away_from_session_to_session() -> None:
    assert shell("""export B='sleep 0.002; setsid sh -c "$B" &'; eval "$B"; sleep 60""") == LATE


def test_b17_daemonizes_while_it_runs() -> None:
    assert shell("(setsid sh -c 'setsid sleep 60 & sleep 60' &); sleep 60") == LATE


def test_b17_daemonizes_and_answers() -> None:
    """What it left behind holds the pipe open: nobody waits for that."""
    begun = time.monotonic()
    assert shell("setsid sleep 60 & sleep 60 & echo OK", "OK", PATIENCE_S).ok
    assert time.monotonic() - begun < PATIENCE_S / 2


def test_b17_leaves_thousands_behind_that_have_ended() -> None:
    """They are reaped while it still runs."""

    async def littering(bench: Bench) -> None:
        await bench.shell("ulimit -p 60; while :; do (setsid true &); done", limit_s=1.5)
        assert bench.most <= 60

    with_bench(littering)


def test_b17_prints_10_mb() -> None:
    begun = time.monotonic()
    assert shell("head -c 10000000 /dev/zero", limit_s=PATIENCE_S).ok
    assert not shell("head -c 10000000 /dev/zero", "OK", PATIENCE_S).ok
    assert time.monotonic() - begun < PATIENCE_S


def test_b17_prints_forever() -> None:
    async def flood(bench: Bench) -> Answer:
        used = time.process_time()
        answer = await bench.shell("yes", limit_s=1.0)
        assert time.process_time() - used < 0.5  # reading all that it can print takes a whole core
        return answer

    assert with_bench(flood).reason is Reason.PROGRAM_TIMED_OUT


def test_b17_fills_the_disk() -> None:
    target = Path("/tmp/lvs-check-fills")
    try:
        shell(f"head -c 100000000 /dev/zero >{target}; sleep 60")
        assert target.stat().st_size == 16 << 20
    finally:
        target.unlink(missing_ok=True)


def test_b17_so_many_at_once() -> None:
    async def crowd(bench: Bench) -> list[Answer]:
        asks = [bench.ask("sleep", "60", limit_s=1.0, port=port) for port in range(1000, 1000 + 2 * AT_ONCE)]
        answers = await asyncio.gather(*asks)
        assert bench.most == AT_ONCE
        return answers

    found = [answer.reason for answer in with_bench(crowd)]
    assert found == [Reason.PROGRAM_TIMED_OUT] * AT_ONCE + [Reason.LOCAL_FAULT] * AT_ONCE


def test_b17_abandoned() -> None:
    async def leave(bench: Bench) -> None:
        target = Target(ip_address("192.0.2.7"), 53, Program(("sleep", "60")), Pace(6.0, 60.0, 60.0))
        bench.programs.ask(target, bench.loop.time() + 60, lambda _: pytest.fail("nobody asked"))
        while not alive():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        bench.programs.abandon(target)

    with_bench(leave)


@pytest.mark.parametrize("setpriv", [True, False])
def test_as_whom_it_runs(*, setpriv: bool) -> None:
    async def identity(bench: Bench) -> None:
        script = "set -- $(grep -E '^(Uid|Gid|Groups|NoNewPrivs|CapEff)' /proc/self/status); echo $*"
        said = (await bench.shell(script, "")).text
        assert "Uid: 61234 61234 61234 61234 Gid: 61234 61234 61234" in said
        for line, wanted in (
            ("Groups", ""),
            ("CapEff", "0000000000000000"),
            *((("NoNewPrivs", "1"),) if setpriv else ()),
        ):
            script = f"sed -n 's/^{line}:[[:space:]]*//p' /proc/self/status"
            assert (await bench.shell(script, wanted)).ok, line
        limits = "ulimit -c; ulimit -t; ulimit -n; ulimit -f; ulimit -p"
        if setpriv:  # and with it prlimit
            assert (await bench.shell(limits, "0\n60\n1024\n32768\n512")).ok

    with_bench(identity, setpriv=setpriv)


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    """A directory that only root can enter, as /root."""
    directory = tmp_path / "root" / "scripts"
    directory.mkdir(parents=True)
    directory.parent.chmod(0o700)
    return directory


def script(directory: Path, first: str, text: str, mode: int = 0o755) -> str:
    path = directory / "check"
    path.write_text(f"{first}\n{text}\n")
    path.chmod(mode)
    return str(path)


@pytest.mark.parametrize("setpriv", [True, False])
@pytest.mark.parametrize(
    ("first", "text"),
    [
        ("#!/bin/sh", 'echo "$1 $2"'),
        ("#! /bin/bash -e", 'echo "$1 $2"'),
        ("#!/usr/bin/env bash", 'echo "$1 $2"'),
        ("#!/usr/bin/perl -w", 'print "@ARGV\\n";'),
        ("#!/usr/bin/env python3", "import sys; print(*sys.argv[1:])"),
        ("", 'echo "$1 $2"'),
    ],
)
def test_script_below_a_directory_of_root_alone(
    closed: Path, first: str, text: str, *, setpriv: bool
) -> None:
    path = script(closed, first, text)

    async def run(bench: Bench) -> Answer:
        return await bench.ask(path, "%h", "%p", expect="192.0.2.7 53")

    assert with_bench(run, setpriv=setpriv) == Answer(
        ok=True, reason=Reason.ANSWERED, text=f'{path} printed "192.0.2.7 53"'
    )


@pytest.mark.parametrize("setpriv", [True, False])
def test_binary_below_a_directory_of_root_alone(closed: Path, *, setpriv: bool) -> None:
    path = closed / "say"
    shutil.copy("/bin/echo", path)
    path.chmod(0o711)
    assert with_bench(lambda bench: bench.ask(str(path), "%h", expect="192.0.2.7"), setpriv=setpriv).ok


@pytest.mark.parametrize("setpriv", [True, False])
@pytest.mark.parametrize(
    ("first", "mode", "said"),
    [
        ("#!/bin/sh", 0o700, "user lvs-check may not read and execute PATH; chmod o+rx PATH"),
        ("#!/bin/sh", 0o711, "user lvs-check may not read and execute PATH; chmod o+rx PATH"),
        ("#!/nowhere/sh", 0o755, "PATH names an interpreter that does not exist in its first line"),
    ],
)
def test_b17_cannot_be_run(closed: Path, first: str, mode: int, said: str, *, setpriv: bool) -> None:
    path = script(closed, first, "echo OK", mode)
    answer = with_bench(lambda bench: bench.ask(path, expect="OK"), setpriv=setpriv)
    assert answer == Answer(ok=False, reason=Reason.PROGRAM_MISSING, text=said.replace("PATH", path))


@pytest.mark.parametrize("setpriv", [True, False])
def test_b17_missing(*, setpriv: bool) -> None:
    answer = with_bench(lambda bench: bench.ask("/nowhere/check", expect="OK"), setpriv=setpriv)
    assert answer == Answer(
        ok=False, reason=Reason.PROGRAM_MISSING, text="there is no program /nowhere/check"
    )


def test_starts_do_not_hold_up_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    async def many(bench: Bench) -> None:
        bench.watcher.cancel()  # counting processes would be what is measured
        longest = 0.0
        start = bench.processes._started

        def timed(command: module.Command) -> module.Job:
            nonlocal longest
            begun = time.perf_counter()
            try:
                return start(command)
            finally:
                longest = max(longest, time.perf_counter() - begun)

        monkeypatch.setattr(bench.processes, "_started", timed)
        answers = await asyncio.gather(*(bench.ask("true", port=port) for port in range(1000, 1100)))
        assert all(answer.ok for answer in answers)
        assert longest < 0.1

    with_bench(many)
