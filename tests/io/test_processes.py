"""Quick programs as whoever runs the tests; what misbehaves is in tests/netns/test_programs.py."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lvs.io.processes import Command, Job, Processes
from lvs.probes.program import KEPT, Ended, Late, Outcome, Unstarted

ENVIRONMENT = {"PATH": "/usr/bin:/bin"}


def end(*words: str, limit_s: float = 10.0, errors: bool = False) -> Outcome:
    async def run() -> Outcome:
        loop = asyncio.get_running_loop()
        one = Processes()
        one.open(loop)
        done: asyncio.Future[Outcome] = loop.create_future()
        command = Command(words, ENVIRONMENT, errors=errors)
        try:
            job = one.run(command, loop.time() + limit_s, done.set_result)
            return job if isinstance(job, Unstarted) else await done
        finally:
            one.close()

    before = open_files()
    outcome = asyncio.run(run())
    assert open_files() == before
    return outcome


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_status_and_output() -> None:
    assert end("/bin/sh", "-c", "echo OK") == Ended(0, b"OK\n")
    assert end("sh", "-c", "exit 3") == Ended(3)
    assert end("sh", "-c", "kill -TERM $$") == Ended(-15)


def test_no_shell_and_no_input() -> None:
    assert end("echo", "$HOME", ";", "*") == Ended(0, b"$HOME ; *\n")
    assert end("cat") == Ended(0)


def test_its_surroundings() -> None:
    script = "pwd; umask; echo $PPID; cut -d' ' -f6 /proc/self/stat; echo $$; env | sort; ls /proc/self/fd"
    outcome = end("sh", "-c", script)
    assert isinstance(outcome, Ended)
    said = outcome.output.decode().split("\n")
    assert said[:3] == ["/", "0077", str(os.getpid())]
    assert said[3] == said[4]  # a session of its own
    assert {line for line in said[5:] if "=" in line} <= {
        "PATH=/usr/bin:/bin",
        "PWD=/",
        "OLDPWD=/",
        "_=/usr/bin/env",
    }
    assert said[-5:] == ["0", "1", "2", "3", ""]  # 3 is the directory that ls reads


def test_errors_only_where_wanted() -> None:
    assert end("sh", "-c", "echo x >&2") == Ended(0)
    assert end("sh", "-c", "echo x >&2", errors=True) == Ended(0, b"x\n")


def test_only_the_beginning_of_what_it_prints() -> None:
    outcome = end("sh", "-c", "printf '%5000d' 1; exit 1")
    assert isinstance(outcome, Ended)
    assert (outcome.status, len(outcome.output)) == (1, KEPT)


def test_late() -> None:
    assert end("cat", "/dev/zero", limit_s=0) == Late()


def test_a_script_without_a_first_line_is_for_sh(tmp_path: Path) -> None:
    script = tmp_path / "check"
    script.write_text("echo $1\n")
    script.chmod(0o755)
    assert end(str(script), "x") == Ended(0, b"x\n")


def test_what_cannot_be_started_says_why(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("")
    assert end("/nowhere/check") == Unstarted("there is no program /nowhere/check")
    outcome = end(str(plain))
    assert isinstance(outcome, Unstarted)
    assert outcome.text == f"{plain} is not executable; chmod +x {plain}"


def test_faults_of_this_machine_are_not_the_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(pid: int) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "pidfd_open", refused)
    assert end("true") == Unstarted("true could not be started: too many open files", ours=True)


def test_killed_jobs_are_silent() -> None:
    async def run() -> list[Outcome]:
        loop = asyncio.get_running_loop()
        one = Processes()
        one.open(loop)
        heard: list[Outcome] = []
        first = one.run(Command(("cat", "/dev/zero"), ENVIRONMENT), loop.time() + 10, heard.append)
        assert isinstance(first, Job)
        one.kill(first)
        done: asyncio.Future[Outcome] = loop.create_future()
        one.run(Command(("true",), ENVIRONMENT), loop.time() + 10, done.set_result)
        await done
        one.close()
        assert first.ended
        return heard

    assert asyncio.run(run()) == []


@pytest.fixture
def own_child() -> Iterator[int]:
    pid = os.posix_spawn("/bin/true", ["true"], {})
    yield pid
    os.waitpid(pid, 0)


def test_children_of_other_parts_are_left_alone(own_child: int) -> None:
    """Reaping it would take its status away from whoever waits for it; the fixture does."""
    assert end("true") == Ended(0)


def test_close_ends_all() -> None:
    async def run(kept: Callable[[Job], None]) -> None:
        loop = asyncio.get_running_loop()
        one = Processes()
        one.open(loop)
        job = one.run(Command(("cat", "/dev/zero"), ENVIRONMENT), loop.time() + 10, lambda _: None)
        assert isinstance(job, Job)
        kept(job)
        one.close()

    jobs: list[Job] = []
    asyncio.run(run(jobs.append))
    with pytest.raises(ProcessLookupError):
        os.kill(jobs[0].process.pid, 0)


def test_children_of_others_are_left_alone() -> None:
    """Whoever started something before it was opened goes on with it."""
    with subprocess.Popen(("sleep", "60"), start_new_session=True) as other:

        async def scene() -> None:
            processes = Processes()
            processes.open(asyncio.get_running_loop())
            processes._pass()
            processes.close()

        asyncio.run(scene())
        assert other.poll() is None
        other.kill()
