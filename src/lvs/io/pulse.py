"""The daemon's end of its pulse: starts the process, starts it again if it dies, and talks to it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Callable

import msgspec

from lvs.io.child import child_environment
from lvs.pulse.line import LONGEST, FromPulse, ToPulse, encode, from_pulse

COMMAND = "pulse"  # of lvsd, for itself alone
AGAIN_S = (0.0, 0.1, 0.3, 1.0, 3.0)  # before each start after a death; the last one for all that follow
STEADY_S = 60.0  # after which a death is the first one again


class PulseProcess:
    """One pulse at most. What it says goes to `said`; that it died to `died`, before it is started again."""

    def __init__(self, said: Callable[[FromPulse], None], died: Callable[[str], None]) -> None:
        self._said, self._died = said, died
        self._process: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None
        self._deaths = 0
        self._started_at = 0.0
        self._restart: asyncio.TimerHandle | None = None
        self._wanted: Callable[[], tuple[ToPulse, ...]] | None = None

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def start(self, first: Callable[[], tuple[ToPulse, ...]]) -> bool:
        """Have a pulse; whether it was started now, and so told what `first` gives.

        Each later start, after a death, is told that, too.
        """
        self._wanted = first
        if self._process is not None or self._restart is not None:
            return False
        self._spawn()
        return True

    def tell(self, what: ToPulse) -> None:
        """Tell the pulse; without one nothing happens, the next is told all of it."""
        if self._line is not None:
            try:
                self._line.send(encode(what))
            except OSError as fault:  # it hangs, or has just died: a new one knows what it must
                self._end(f"it cannot be told anything: {(fault.strerror or '').lower()}")

    def close(self) -> None:
        """End it, without a word to the other director."""
        self._wanted = None
        if self._restart is not None:
            self._restart.cancel()
            self._restart = None
        self._drop()

    def _spawn(self) -> None:
        self._restart = None
        if self._wanted is None:
            return
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        try:
            self._process = subprocess.Popen(
                [*command(), str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                env=_environment(),
            )
        except OSError as fault:
            ours.close()
            self._again(f"it cannot be started: {(fault.strerror or '').lower()}")
            return
        finally:
            theirs.close()
        self._line = ours
        self._started_at = self._loop.time()
        self._loop.add_reader(ours.fileno(), self._readable)
        for what in self._wanted():
            self.tell(what)

    def _readable(self) -> None:
        while self._line is not None:
            try:
                data = self._line.recv(LONGEST)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._end("its process ended")
                return
            try:
                what = from_pulse.decode(data)
            except msgspec.MsgspecError as fault:  # another version, replaced under us
                self._end(f"it is not understood: {fault}")
                return
            self._said(what)

    def _end(self, why: str) -> None:
        self._drop()
        self._again(why)

    def _again(self, why: str) -> None:
        if self._loop.time() - self._started_at > STEADY_S:
            self._deaths = 0
        delay_s = AGAIN_S[min(self._deaths, len(AGAIN_S) - 1)]
        self._deaths += 1
        self._died(why)
        self._restart = self._loop.call_later(delay_s, self._spawn)

    def _drop(self) -> None:
        if self._line is not None:
            self._loop.remove_reader(self._line.fileno())
            self._line.close()
            self._line = None
        if self._process is not None:
            self._process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(1.0)
            self._process = None


def command() -> list[str]:
    """How this very program is started as a pulse."""
    if getattr(sys, "frozen", False):
        return [sys.executable, COMMAND]
    return [sys.executable, "-m", "lvs.pulsing"]


def _environment() -> dict[str, str]:
    """Frozen, it is a part of us that uses the files we have unpacked (PyInstaller's own variables stay)."""
    if not getattr(sys, "frozen", False):
        return child_environment()
    return {name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"}
