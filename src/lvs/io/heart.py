"""The pulse's own process: beats out and in, and `lvs.pulse.machine` between them.

It is apart from the daemon so that no file that is read, no check and no write to the kernel can delay a
beat: its own interpreter, nothing imported that it does not need, real-time priority and locked memory where
it may. It ends when the daemon does.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import secrets
import select
import signal
import socket
import time
from typing import assert_never

from lvs.io.heartbeat import Sockets
from lvs.pulse.line import (
    LONGEST,
    FromPulse,
    Privileges,
    Seen,
    Wiring,
    encode,
    to_pulse,
)
from lvs.pulse.machine import step
from lvs.pulse.state import Pulse, alive, begin, deadline
from lvs.pulse.words import (
    BeatReceived,
    Command,
    Count,
    Input,
    Left,
    Reannounce,
    SendBeat,
    SwitchoverEnded,
    TakeRole,
    Tell,
    TermsChanged,
    TimePassed,
)

PRIORITY = 20  # sched(7), SCHED_FIFO: above what is not real-time, below what the kernel needs
RETRY_S = 1.0  # ways that cannot be used
REST_S, LONGEST_REST_S = 0.001, 0.05  # after each turn
SEEN_S = 1.0
STRANGERS_S = 10.0
_MCL_CURRENT, _MCL_FUTURE = 1, 2  # asm-generic/mman-common.h, mlockall(2)
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Heart:
    """Runs until the line to the daemon ends."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._sockets = Sockets()
        self._epoll = select.epoll()
        self._epoll.register(line, select.EPOLLIN)
        self._listened_to = 0  # version of the sockets
        self._pulse: Pulse | None = None
        self._seen_at = self._strangers_at = self._retry_at = 0.0
        self._waited_for = float("inf")
        self._late_s = 0.0  # at most, since it was last told
        self._silent = False  # the first word was not said yet
        self._owed: TakeRole | None = None  # the newest, while the daemon did not listen
        self._gone = False

    def run(self) -> None:
        while not self._gone:
            ready = self._epoll.poll(self._patience_s(time.monotonic()), 16)
            began = time.monotonic()
            self._turn(ready)
            # Whatever arrives, two thirds of a processor are left to others, and true beats wait in the
            # sockets' buffers; what it costs them is nothing beside keepalive.
            time.sleep(min(max(REST_S, 2 * (time.monotonic() - began)), LONGEST_REST_S))
        self._sockets.close()

    def _patience_s(self, now: float) -> float:
        if self._pulse is None:
            return 60.0
        self._waited_for = deadline(self._pulse)
        times = [self._waited_for, self._seen_at + SEEN_S]
        if not self._sockets.whole:
            times.append(self._retry_at)
        return max(0.0, min(times) - now)

    def _turn(self, ready: list[tuple[int, int]]) -> None:
        """What arrived comes before the time: a beat that waits for us was not late."""
        if self._pulse is not None:
            for heard in self._sockets.receive():
                self._feed(BeatReceived(heard.beat, heard.way, heard.skew_s))
        if any(descriptor == self._line.fileno() for descriptor, _ in ready):
            self._ordered()
        if self._pulse is None:
            return
        now = time.monotonic()
        if now >= self._waited_for:
            self._late_s = max(self._late_s, now - self._waited_for)
        if self._silent or now >= deadline(self._pulse):
            self._silent = False
            self._feed(TimePassed())
        if not self._sockets.whole and now >= self._retry_at:
            self._retry_at = now + RETRY_S
            self._sockets.retry()
        self._listen()
        self._report(now)

    def _listen(self) -> None:
        """Wait for the sockets that there are now; epoll forgets by itself those that were closed."""
        if self._sockets.version == self._listened_to:
            return
        self._listened_to = self._sockets.version
        for descriptor in self._sockets.descriptors():
            with contextlib.suppress(FileExistsError):
                self._epoll.register(descriptor, select.EPOLLIN)

    def _ordered(self) -> None:
        """Take what the daemon says."""
        while True:
            try:
                data = self._line.recv(LONGEST)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._gone = True
                return
            what = to_pulse.decode(data)
            if isinstance(what, Wiring):
                self._wire(what)
            else:
                self._feed(what)

    def _wire(self, wiring: Wiring) -> None:
        self._sockets.wire(wiring)
        if self._pulse is not None:
            self._feed(TermsChanged(wiring.terms))
            return
        boot = secrets.randbits(63) | 1
        begun = begin(wiring.terms, boot, time.monotonic(), adopted=wiring.active)
        begun.holding, begun.faults, begun.vitals = wiring.holding, wiring.faults, wiring.vitals
        self._pulse, self._silent = begun, True

    def _feed(self, what: Input) -> None:
        assert self._pulse is not None, "fed before it was wired"
        before = self._pulse
        self._pulse, commands = step(before, what, time.monotonic())
        # Its role first: VIPs wait for it, and for the rest nobody does.
        for command in sorted(commands, key=lambda one: not isinstance(one, TakeRole)):
            self._carry_out(command)
        known = None if before.peer is None else before.peer.beat
        if _shown(known) != _shown(None if self._pulse.peer is None else self._pulse.peer.beat):
            self._seen_at = 0.0

    def _carry_out(self, command: Command) -> None:
        match command:
            case SendBeat(beat):
                self._sockets.send(beat)
            case TakeRole() | Reannounce() | SwitchoverEnded() | Left() | Tell():
                self._say(command)
            case Count(what, path):
                self._sockets.count(what, path)
            case _:
                assert_never(command)

    def _report(self, now: float) -> None:
        """What the daemon shows, and tells."""
        assert self._pulse is not None
        if self._owed is not None:
            self._say(self._owed)
        for news in self._sockets.news(now):
            self._say(news)
        if now >= self._seen_at + SEEN_S:
            self._seen_at = now
            late_s, self._late_s = max(0.0, self._late_s), 0.0
            peer = self._pulse.peer
            seen = Seen(None, late_s=late_s)
            if peer is not None:
                silent = tuple(sorted(self._pulse.silent_paths))
                living = alive(self._pulse, now) is not None
                told = peer.beat.told == self._pulse.boot
                seen = Seen(peer.beat, now - peer.heard_at, silent, living, told, late_s)
            self._say(seen)
        if now >= self._strangers_at + STRANGERS_S and (strangers := self._sockets.strangers()):
            self._strangers_at = now
            self._say(strangers)

    def _say(self, what: FromPulse) -> None:
        """Tell the daemon; one that has not listened for long must not hold up the beats.

        What it misses is shown again or is over, but for its role, which is said until it is heard.
        """
        missed = False
        try:
            self._line.send(encode(what))
        except BlockingIOError:
            missed = True
        except (BrokenPipeError, ConnectionResetError):
            pass
        if isinstance(what, TakeRole):
            self._owed = what if missed else None


def _shown(beat: object) -> object:
    """What of a beat is worth showing at once."""
    return (
        None if beat is None else [getattr(beat, name) for name in ("role", "term", "digest", "able", "boot")]
    )


def privileged() -> tuple[str, ...]:
    """Take real-time priority and lock the memory; what was refused, as sentences."""
    refused = []
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    except OSError as fault:
        refused.append(f"real-time priority: {(fault.strerror or '').lower()} (CAP_SYS_NICE or LimitRTPRIO=)")
    if ctypes.CDLL(None, use_errno=True).mlockall(_MCL_CURRENT | _MCL_FUTURE):
        reason = os.strerror(ctypes.get_errno()).lower()
        refused.append(f"locked memory: {reason} (CAP_IPC_LOCK or LimitMEMLOCK=)")
    return tuple(refused)


def main(descriptor: int) -> int:
    """Be the pulse of the daemon at the other end of a descriptor."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # meant for the daemon, which says goodbye first
    line = socket.socket(fileno=descriptor)
    line.setblocking(False)
    heart = Heart(line)
    gc.freeze()
    refused = privileged()
    line.send(encode(Privileges(refused)))
    heart.run()
    return 0
