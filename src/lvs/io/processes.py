"""Child processes that cannot hang us, outlive us or fill the machine.

Each is started without a shell in a session of its own, and watched through a descriptor of the
process (pidfd_open(2)): no thread, no signal handler, nothing that waits. At its deadline, and
when it ends, its whole process group is killed. What left the group (setsid, double fork) becomes
our child because this process is a subreaper (PR_SET_CHILD_SUBREAPER in prctl(2)): a sweep kills
and reaps every child of a session that is neither ours nor that of a program still running. So
other parts of the daemon may have children, but not in sessions of their own.

To become another user, a program is started through prlimit(1) and setpriv(1): `Popen(user=...)`
forks instead of vforking, which stops a daemon of 60 MB for 3.3 ms a start; so it is 0.2 ms, with
limits from the first instruction and no new privileges. Where these two tools are missing,
`Popen(user=...)` it is, without either.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import os
import resource
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec

from lvs.io.child import find_program
from lvs.io.runnable import CHECK_USER, User, find, fit, reachable, unable
from lvs.probes.program import KEPT, Ended, Late, Outcome, Unstarted

# Bounds of each check program, far above what one needs; getrlimit(2). The deadline is what ends
# a program; these hold what escaped until the sweep, and keep the disk free.
LIMITS = {
    "core": (resource.RLIMIT_CORE, 0),
    "cpu": (resource.RLIMIT_CPU, 60),  # seconds
    "as": (resource.RLIMIT_AS, 4 << 30),  # run-times with garbage collection reserve a lot
    "nofile": (resource.RLIMIT_NOFILE, 1024),
    "fsize": (resource.RLIMIT_FSIZE, 16 << 20),
    "rtprio": (resource.RLIMIT_RTPRIO, 0),  # these two the unit grants for the heartbeat's process
    "memlock": (resource.RLIMIT_MEMLOCK, 8 << 20),
}
MOST_OF_USER = 512  # processes of CHECK_USER, RLIMIT_NPROC; 32 programs are at work at once

SWEEP_S = 0.25  # while programs run; ended orphans are reaped by it
RESWEEP_S = 0.01  # when something was found; twice as long each time that something is still there
PASSES = 10  # of one sweep: killing a process makes us the parent of its children
DRAIN_S = 0.005  # between reads of what is only thrown away: 64 KiB each, 13 MB/s
PIPE = 1 << 16  # bytes a pipe holds
FAREWELL_S = 0.5  # how long `close` waits for what it killed

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h

# Errors of execve(2) that speak of the program; all others speak of this machine.
_OF_PROGRAM = frozenset(
    {errno.ENOENT, errno.EACCES, errno.ENOEXEC, errno.ENOTDIR, errno.ELOOP, errno.ETXTBSY, errno.EISDIR}
    | {errno.EINVAL, errno.ENAMETOOLONG, errno.E2BIG, errno.ELIBBAD}
)


class Command(msgspec.Struct, frozen=True):
    """What to run, and as whom."""

    words: tuple[str, ...]
    environment: dict[str, str]
    user: User | None = None  # None: as ourselves, without limits
    errors: bool = False  # standard error goes where the output goes, else nowhere
    limited: bool = False  # with limits, though as ourselves
    opened: int = (
        -1
    )  # a descriptor of the program, where its path leads nowhere for us; ours only during the start


class Job:
    """One program at work."""

    __slots__ = ("command", "done", "drain", "ended", "output", "pidfd", "pipe", "process", "timer")

    def __init__(self, command: Command, process: subprocess.Popen[bytes], pipe: int, pidfd: int) -> None:
        self.command = command
        self.process = process
        self.pipe = pipe  # -1: closed
        self.pidfd = pidfd
        self.output = bytearray()
        self.done: Callable[[Outcome], None] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.drain: asyncio.TimerHandle | None = None
        self.ended = False  # and reaped; one that was killed may live on, held by a dead file system


class Processes:
    """All programs that the daemon runs for others: there is one of these in a process."""

    def __init__(self) -> None:
        self._jobs: dict[int, Job] = {}  # by process, which is its group and session too
        self._sweeper: asyncio.TimerHandle | None = None
        self._resweep_s = RESWEEP_S
        self._tools = find_program("prlimit"), find_program("setpriv")
        self._session = os.getsid(0)
        self._elders: frozenset[int] = frozenset()  # children that were there before: somebody else's

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._elders = frozenset(_children())
        _subreaper(on=True)

    def close(self) -> None:
        """Kill and reap all; none of their callbacks is called."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        jobs = tuple(self._jobs.values())
        for job in jobs:
            self.kill(job)
        until = time.monotonic() + FAREWELL_S
        for job in jobs:
            waiting = select.poll()
            waiting.register(job.pidfd, select.POLLIN)
            waiting.poll(max(0.0, until - time.monotonic()) * 1000)
            job.process.poll()
            self._closed(job)
        self._pass()
        _subreaper(on=False)

    def run(self, command: Command, deadline: float, done: Callable[[Outcome], None]) -> Job | Unstarted:
        """Start a program; `done` is called later, at the deadline (the loop's clock) at the latest."""
        lacking = unable(command.user)
        if lacking:
            return Unstarted(lacking, ours=True)
        try:
            job = self._started(command)
        except OSError as fault:
            return _unstarted(command, fault)
        job.done = done
        self._jobs[job.process.pid] = job
        job.timer = self._loop.call_at(deadline, self._late, job)
        self._loop.add_reader(job.pidfd, self._exited, job)
        self._loop.add_reader(job.pipe, self._readable, job)
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(SWEEP_S, self._sweep)
        return job

    def kill(self, job: Job) -> None:
        """Kill a program and all of its group; nobody is told how it ended."""
        job.done = None
        if job.timer is not None:
            job.timer.cancel()
        if not job.ended:
            _kill_group(job.process.pid)

    def _started(self, command: Command) -> Job:
        reading, writing = os.pipe()
        try:
            os.set_blocking(reading, False)
            process = self._popen(command, writing)
            try:
                pidfd = os.pidfd_open(process.pid)
            except OSError:  # too many open files
                _kill_group(process.pid)
                process.wait()  # killed a moment after its start: nothing can hold it yet
                raise
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        return Job(command, process, reading, pidfd)

    def _popen(self, command: Command, output: int) -> subprocess.Popen[bytes]:
        user, path = command.user, _found(command.words[0])
        words = (str(path), *command.words[1:])
        if user is None:
            executable = words[0] if command.opened < 0 else f"/proc/self/fd/{command.opened}"
            prlimit = self._tools[0] if command.limited else None
            if prlimit is not None:
                words = (*_limited(prlimit, CHECK_USER), executable, *words[1:])
                return _start(command, words, output, inherited=command.opened)
            return _start(command, words, output, executable=executable, inherited=command.opened)
        # Opened here, a program below a closed directory can be executed through the descriptor.
        opened = -1 if reachable(path, user) else os.open(path, os.O_PATH)
        executable = words[0] if opened < 0 else f"/proc/self/fd/{opened}"
        try:
            prlimit, setpriv = self._tools
            if prlimit is None or setpriv is None:
                switch = {"user": user.uid, "group": user.gid, "extra_groups": ()}
                return _start(command, words, output, executable=executable, inherited=opened, switch=switch)
            words = (*_limited(prlimit, user.name), *_switched(setpriv, user), executable, *words[1:])
            return _start(command, words, output, inherited=opened)
        finally:
            if opened >= 0:
                os.close(opened)

    def _readable(self, job: Job) -> None:
        """Take what a program prints; past KEPT bytes only so that it is not held up."""
        try:
            data = os.read(job.pipe, PIPE)
        except BlockingIOError:
            data = None
        except OSError:
            data = b""
        if data == b"":
            self._unpiped(job)
            return
        if data:
            job.output += data[: KEPT - len(job.output)]
        if len(job.output) >= KEPT:
            self._loop.remove_reader(job.pipe)
            job.drain = self._loop.call_later(DRAIN_S, self._readable, job)

    def _late(self, job: Job) -> None:
        done = job.done
        self.kill(job)
        if done is not None:
            done(Late())

    def _exited(self, job: Job) -> None:
        _kill_group(job.process.pid)  # before it is reaped: until then nobody else has this number
        status = job.process.poll()
        if status is None:
            return
        if job.pipe >= 0 and len(job.output) < KEPT:
            self._readable(job)
        done = job.done
        self._closed(job)
        self._sweep()
        if done is not None:
            outcome: Outcome = Ended(status, bytes(job.output))
            # setpriv, and an interpreter that may not read its script, can only say so by a status.
            if status > 0 and not job.output and (why := fit(job.command.words, job.command.user)):
                outcome = Unstarted(why)
            done(outcome)

    def _unpiped(self, job: Job) -> None:
        if job.drain is not None:
            job.drain.cancel()
        if job.pipe >= 0:
            self._loop.remove_reader(job.pipe)
            os.close(job.pipe)
            job.pipe = -1

    def _closed(self, job: Job) -> None:
        job.ended = True
        job.done = None
        if job.timer is not None:
            job.timer.cancel()
        self._unpiped(job)
        self._loop.remove_reader(job.pidfd)
        os.close(job.pidfd)
        del self._jobs[job.process.pid]

    # What escaped

    def _sweep(self) -> None:
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        found = self._pass()
        self._resweep_s = min(self._resweep_s * 2, 1.0) if found else RESWEEP_S
        if found or self._jobs:
            self._sweeper = self._loop.call_later(self._resweep_s if found else SWEEP_S, self._sweep)

    def _pass(self) -> bool:
        """Kill and reap what escaped; whether something is still to be seen to."""
        for _ in range(PASSES):
            strays = [
                pid
                for pid in _children()
                if pid not in self._jobs and pid not in self._elders and self._seen_to(pid)
            ]
            if not strays:
                return False
        return True

    def _seen_to(self, pid: int) -> bool:
        """Reap an adopted child that ended, kill one whose program is gone; whether that was done."""
        try:
            session = os.getsid(pid)
            if session == self._session:
                return False
            stray = session not in self._jobs
            if stray:
                _kill_group(os.getpgid(pid))
                os.kill(pid, signal.SIGKILL)
            return os.waitpid(pid, os.WNOHANG)[0] == pid or stray
        except OSError:
            return False


def _found(name: str) -> Path:
    path = find(name)
    if path is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    return path


def _start(
    command: Command,
    words: tuple[str, ...],
    output: int,
    *,
    executable: str | None = None,
    inherited: int = -1,
    switch: Mapping[str, Any] = MappingProxyType({}),
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            words,
            executable=executable,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT if command.errors else subprocess.DEVNULL,
            cwd="/",
            env=command.environment,
            umask=0o077,
            start_new_session=True,
            pass_fds=() if inherited < 0 else (inherited,),
            **switch,
        )
    except OSError as fault:
        if fault.errno != errno.ENOEXEC:
            raise
        # No first line that names an interpreter: execvp(3), which nanny and setpriv use, takes sh.
        shell = ("/bin/sh", executable or words[0], *words[1:])
        return _start(command, shell, output, inherited=inherited, switch=switch)


def _switched(setpriv: str, user: User) -> tuple[str, ...]:
    return (setpriv, f"--reuid={user.uid}", f"--regid={user.gid}", "--clear-groups", "--no-new-privs", "--")


def _limited(prlimit: str, user: str) -> tuple[str, ...]:
    """prlimit(1) for a user. Set from here after the start they would come too late for many programs."""
    limits = dict(LIMITS)
    if user == CHECK_USER:  # others may share theirs
        limits["nproc"] = (resource.RLIMIT_NPROC, MOST_OF_USER)
    return (prlimit, *(f"--{name}={_at_most(*limit)}" for name, limit in limits.items()), "--")


def _at_most(kind: int, most: int) -> int:
    """A limit, or ours if that is lower: raising it would take a capability."""
    hard = resource.getrlimit(kind)[1]
    return most if hard == resource.RLIM_INFINITY else min(most, hard)


def _unstarted(command: Command, fault: OSError) -> Unstarted:
    name = command.words[0]
    if fault.errno in _OF_PROGRAM:
        why = fit(command.words, command.user)
        if why:
            return Unstarted(why)
    reason = os.strerror(fault.errno or 0).lower()
    return Unstarted(f"{name} could not be started: {reason}", ours=fault.errno not in _OF_PROGRAM)


def _kill_group(group: int) -> None:
    with contextlib.suppress(OSError):
        os.killpg(group, signal.SIGKILL)


def _children() -> Iterator[int]:
    """Our children; proc_pid_children(5). Empty if the kernel has no such file (CONFIG_PROC_CHILDREN)."""
    for task in os.listdir("/proc/self/task"):  # noqa: PTH208
        with contextlib.suppress(OSError), open(f"/proc/self/task/{task}/children", "rb") as file:  # noqa: PTH123
            yield from map(int, file.read().split())


def _subreaper(*, on: bool) -> None:
    """Become, or cease to be, the parent of orphans below us; prctl(2). Errors: none."""
    prctl = ctypes.CDLL(None).prctl
    prctl.argtypes = (ctypes.c_int, *(ctypes.c_ulong,) * 4)
    prctl(_PR_SET_CHILD_SUBREAPER, int(on), 0, 0, 0)
