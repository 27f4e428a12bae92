"""Programs run by another process, as the unit runs them: both ends, and a socket that systemd would have."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from lvs.io import errands as module
from lvs.io import runnable, workshop
from lvs.io.errands import Errand, Errands
from lvs.io.processes import Command, Processes
from lvs.io.runnable import User
from lvs.probes.program import KEPT, Ended, Late, Outcome, Unstarted

USER = User("checker", os.getuid(), os.getgid())
ENVIRONMENT = {"PATH": "/usr/bin:/bin"}
# As systemd does it: the socket is descriptor 3.
START = """\
import os, sys
from lvs.cli import main
os.dup2(int(sys.argv[1]), 3)
sys.exit(main(["check-programs"]))
"""


class Unit:
    """A socket, and the process behind it."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.bind(str(path))
        self.socket.listen()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        number = self.socket.fileno()
        words = (sys.executable, "-c", START, str(number))
        environment = {**os.environ, "LISTEN_FDS": "1"}
        self.process = subprocess.Popen(words, pass_fds=(number,), env=environment)

    def end(self) -> int:
        """Wait until it has ended by itself."""
        assert self.process is not None
        return self.process.wait(30)

    def close(self) -> None:
        self.socket.close()
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Unit]:
    monkeypatch.setattr(runnable, "rights", lambda: "lvsd lacks CAP_SETUID")
    monkeypatch.setattr(runnable, "UNIT_SOCKETS", tmp_path)
    unit = Unit(tmp_path / USER.name)
    yield unit
    unit.close()


def errand(test: Callable[[Errands], Awaitable[Outcome]]) -> Outcome:
    async def run() -> Outcome:
        loop = asyncio.get_running_loop()
        processes = Processes()
        processes.open(loop)
        one = Errands(processes)
        one.open(loop)
        try:
            return await test(one)
        finally:
            one.close()
            processes.close()

    before = len(list(Path("/proc/self/fd").iterdir()))
    outcome = asyncio.run(run())
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    return outcome


async def ask(one: Errands, *words: str, limit_s: float = 30.0) -> Outcome:
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Outcome] = loop.create_future()
    job = one.run(Command(words, ENVIRONMENT, USER), loop.time() + limit_s, done.set_result)
    return job if isinstance(job, Unstarted) else await done


def end(unit: Unit, *words: str) -> Outcome:
    unit.start()
    outcome = errand(lambda one: ask(one, *words))
    assert unit.end() == 0  # with its connection
    return outcome


def test_status_and_output(unit: Unit) -> None:
    async def all_of_it(one: Errands) -> Outcome:
        assert await ask(one, "/bin/sh", "-c", "echo $LVS; exit 3") == Ended(3, b"\n")
        assert await ask(one, "sh", "-c", "kill -TERM $$") == Ended(-15)
        assert await ask(one, "/nowhere/check") == Unstarted("there is no program /nowhere/check")
        assert await ask(one, "printf", "%5000d", "1") == Ended(0, b" " * KEPT)
        return await ask(one, "echo", "\udcff", "x y")

    unit.start()
    assert errand(all_of_it) == Ended(0, b"\xff x y\n")
    assert unit.end() == 0


def test_its_surroundings(unit: Unit) -> None:
    outcome = end(
        unit,
        "sh",
        "-c",
        "pwd; umask; ulimit -t; ulimit -c; ulimit -r; env | grep -c LISTEN; ls /proc/self/fd",
    )
    assert isinstance(outcome, Ended)
    assert outcome.output.split() == [b"/", b"0077", b"60", b"0", b"0", b"0", b"0", b"1", b"2", b"3"]


def test_a_program_behind_a_closed_door_is_handed_over(
    unit: Unit, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "reachable", lambda *_: False)
    script = tmp_path / "check"
    script.write_text("#!/bin/sh\necho $0 $1\n")
    script.chmod(0o755)
    outcome = end(unit, str(script), "x")
    assert isinstance(outcome, Ended)
    assert outcome.output.startswith(b"/proc/self/fd/")
    assert outcome.output.endswith(b" x\n")


def test_late_and_killed_with_all_it_started(unit: Unit, tmp_path: Path) -> None:
    async def hangs(one: Errands) -> Outcome:
        fifo = tmp_path / "fifo"
        os.mkfifo(fifo)
        script = f"trap '' TERM; (setsid cat {fifo} &) ; echo; cat {fifo}"
        outcome = await ask(one, "sh", "-c", script, limit_s=1.0)
        assert await ask(one, "true") == Ended(0)
        # No reader is left: what it started is gone, too.
        while True:
            try:
                os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
            except OSError:
                return outcome
            await ask(one, "true")

    unit.start()
    assert errand(hangs) == Late()


def test_who_is_killed_is_silent_and_known_to_be_gone(unit: Unit) -> None:
    async def killed(one: Errands) -> Outcome:
        loop = asyncio.get_running_loop()
        heard: list[Outcome] = []
        job = one.run(Command(("cat", "/dev/zero"), ENVIRONMENT, USER), loop.time() + 30, heard.append)
        assert isinstance(job, Errand)
        one.kill(job)
        while not job.ended:
            await ask(one, "true")
        assert heard == []
        return await ask(one, "true")

    unit.start()
    assert errand(killed) == Ended(0)


def test_a_unit_that_ends_is_no_fault_of_a_real_server(unit: Unit) -> None:
    async def lost(one: Errands) -> Outcome:
        running = asyncio.ensure_future(ask(one, "sh", "-c", "kill -9 $PPID; cat /dev/zero"))
        outcome = await running
        unit.end()
        unit.start()
        assert await ask(one, "true") == Ended(0)  # the next one finds a new unit
        return outcome

    unit.start()
    outcome = errand(lost)
    assert outcome == Unstarted("lvs-checks@checker.service ended", ours=True)


def test_a_unit_that_does_not_start_is_no_fault_of_a_real_server(unit: Unit) -> None:
    outcome = errand(lambda one: ask(one, "true", limit_s=0.1))
    assert outcome == Unstarted("lvs-checks@checker.service has not started true in time", ours=True)


def test_without_the_unit_it_says_what_to_do(unit: Unit, tmp_path: Path) -> None:
    (tmp_path / USER.name).unlink()
    outcome = errand(lambda one: ask(one, "true"))
    said = "lvsd lacks CAP_SETUID; systemctl enable --now lvs-checks@checker.socket"
    assert outcome == Unstarted(said, ours=True)


def test_a_unit_that_failed_is_done_without_if_there_are_rights(
    unit: Unit, monkeypatch: pytest.MonkeyPatch
) -> None:
    unit.socket.close()  # its name is still there
    monkeypatch.setattr(module, "rights", lambda: "lvsd lacks CAP_SETUID")
    outcome = errand(lambda one: ask(one, "true"))
    said = "does not listen: connection refused; systemctl restart lvs-checks@checker.socket"
    assert outcome == Unstarted(f"lvs-checks@checker.service {said}", ours=True)
    monkeypatch.setattr(module, "rights", lambda: "")
    monkeypatch.setattr(Processes, "run", lambda *_: Unstarted("by itself"))
    assert errand(lambda one: ask(one, "true")) == Unstarted("by itself")


def test_a_garbled_order_ends_it(unit: Unit, tmp_path: Path) -> None:
    unit.start()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as one:
        one.connect(str(tmp_path / USER.name))
        one.send(b"\xc1")
        assert unit.end() == 0
        assert one.recv(10) == b""


def test_by_hand_it_says_who_starts_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("LISTEN_FDS", raising=False)
    assert workshop.main() == 1
    assert "lvs-checks@.socket" in capsys.readouterr().out
