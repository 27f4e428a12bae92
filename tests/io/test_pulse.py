"""The daemon's end of its pulse: a real process that is started, told, killed and started again."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable

from lvs.io.pulse import PulseProcess
from lvs.pulse.line import FromPulse, Privileges, Seen, ToPulse, Way, Wiring
from lvs.pulse.words import LeaveAsked, Left, TakeRole, Terms

PATIENCE_S = 30.0


def greeting() -> tuple[ToPulse, ...]:
    # Nobody is there, and for a while nothing is to be done about that.
    return (Wiring((Way("public", "127.0.0.1", "127.0.0.77"),), 47539, b"k" * 32, Terms(True, 1.0, 600.0)),)


class Daemon:
    """What the daemon makes of it."""

    def __init__(self) -> None:
        self.said: list[FromPulse] = []
        self.deaths: list[str] = []
        self.moved = asyncio.Event()
        self.pulse = PulseProcess(self._said, self._died)
        self.pulse.open(asyncio.get_running_loop())

    def _said(self, what: FromPulse) -> None:
        self.said.append(what)
        self.moved.set()

    def _died(self, why: str) -> None:
        self.deaths.append(why)
        self.moved.set()

    async def until(self, good: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not good():
                self.moved.clear()
                await self.moved.wait()

    def heard(self, kind: type[FromPulse]) -> list[FromPulse]:
        return [one for one in self.said if isinstance(one, kind)]


def pid_of(pulse: PulseProcess) -> int:
    assert pulse._process is not None
    return pulse._process.pid


def test_it_starts_once_and_says_what_it_sees() -> None:
    async def play() -> None:
        daemon = Daemon()
        assert daemon.pulse.start(greeting)
        assert not daemon.pulse.start(greeting)
        await daemon.until(lambda: daemon.heard(Privileges) and daemon.heard(Seen))
        assert daemon.heard(Seen)[0] == Seen(None)
        assert daemon.heard(TakeRole) == []
        daemon.pulse.tell(LeaveAsked())
        await daemon.until(lambda: daemon.heard(Left))
        pid = pid_of(daemon.pulse)
        daemon.pulse.close()
        assert not alive(pid)
        assert daemon.deaths == []

    asyncio.run(play())


def test_one_that_dies_is_started_again_and_told_everything() -> None:
    async def play() -> None:
        daemon = Daemon()
        daemon.pulse.start(greeting)
        await daemon.until(lambda: daemon.heard(Seen))
        os.kill(pid_of(daemon.pulse), signal.SIGKILL)
        await daemon.until(lambda: daemon.deaths)
        assert daemon.deaths == ["its process ended"]
        daemon.said.clear()
        await daemon.until(lambda: daemon.heard(Seen))
        daemon.pulse.close()

    asyncio.run(play())


def test_it_outlives_signals_that_mean_the_daemon() -> None:
    async def play() -> None:
        daemon = Daemon()
        daemon.pulse.start(greeting)
        await daemon.until(lambda: daemon.heard(Seen))
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            os.kill(pid_of(daemon.pulse), number)
        daemon.said.clear()
        await daemon.until(lambda: daemon.heard(Seen))
        assert daemon.deaths == []
        daemon.pulse.close()

    asyncio.run(play())


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
