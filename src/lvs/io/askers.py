"""Asks files: what something else writes about a real server, read by a thread.

Reading may block for ever, on the mount of a server that has died; so the event loop does not
read. Threads that hang cannot be ended: there are at most `THREADS`, started when needed, one
path is read once at a time, and none of them holds up the end of the process.
"""

from __future__ import annotations

import asyncio
import errno
import os
import stat
import threading
from collections.abc import Callable
from queue import SimpleQueue

from lvs.checks import Answer, File, Reason, Target
from lvs.probes.talk import down, quoted, up

THREADS = 8
LONGEST = 4096  # bytes


class Files:
    """Asks targets whose check is a `File`. The engine keeps the deadlines."""

    grace_s = 0.0

    def __init__(self, read: Callable[[str], Answer] | None = None) -> None:
        self._read = read or read_answer
        self._loop: asyncio.AbstractEventLoop | None = None
        self._queue: SimpleQueue[str] = SimpleQueue()
        self._threads = 0
        self._begun: set[str] = set()
        self._reading: dict[str, dict[Target, Callable[[Answer], None]]] = {}  # who waits, by path

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def close(self) -> None:
        """Answer nobody any more."""
        self._loop = None
        self._reading.clear()

    def ask(self, target: Target, _deadline: float, done: Callable[[Answer], None]) -> None:
        """Have the file read. A path that is being read already has its answer for all who ask."""
        path = path_of(target)
        waiting = self._reading.get(path)
        if waiting is not None:
            waiting[target] = done
            return
        self._reading[path] = {target: done}
        self._queue.put(path)
        if self._threads < min(THREADS, len(self._reading)):
            try:
                threading.Thread(target=self._work, name="lvsd-file", daemon=True).start()
            except RuntimeError as fault:
                if not self._threads:
                    del self._reading[path]
                    self._queue.get()
                    done(down(Reason.LOCAL_FAULT, f"this director could not ask: {fault}"))
                return
            self._threads += 1

    def abandon(self, target: Target) -> Answer:
        path = path_of(target)
        self._reading.get(path, {}).pop(target, None)
        if path in self._begun:
            return down(Reason.TIMED_OUT, f"{path} could not be read within {target.pace.limit_s:g} s")
        # That other files hang is not this real server's fault.
        return down(
            Reason.LOCAL_FAULT, f"{path} was not read: {THREADS} other files cannot be read to an end"
        )

    def _work(self) -> None:
        """A thread: read one file after the other."""
        while True:
            path = self._queue.get()
            self._begun.add(path)
            answer = self._read(path)
            self._begun.discard(path)
            loop = self._loop
            if loop is None:
                continue
            try:
                loop.call_soon_threadsafe(self._tell, path, answer)
            except RuntimeError:  # the loop has been closed
                continue

    def _tell(self, path: str, answer: Answer) -> None:
        for done in self._reading.pop(path, {}).values():
            done(answer)


def path_of(target: Target) -> str:
    """The file of a target: %h is the real server, %p its port."""
    assert isinstance(target.check, File)
    return target.check.path.replace("%h", str(target.address)).replace("%p", str(target.port))


def read_answer(path: str) -> Answer:
    """Read a file and say what it means. Errors: none; each is an answer."""
    try:
        # Not to block is for a FIFO that nobody writes to; files on a disk do not heed it.
        number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if not stat.S_ISREG(os.fstat(number).st_mode):
                return down(Reason.WRONG_ANSWER, f"{path} is not a regular file")
            return verdict(path, os.read(number, LONGEST))
        finally:
            os.close(number)
    except (FileNotFoundError, NotADirectoryError):
        return down(Reason.WRONG_ANSWER, f"{path} is not there")
    except OSError as error:
        ours = {errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.ENOMEM}
        reason = Reason.LOCAL_FAULT if error.errno in ours else Reason.UNREACHABLE
        return down(reason, f"{path} cannot be read: {(error.strerror or 'unknown error').lower()}")
    except ValueError:  # a NUL byte
        return down(Reason.WRONG_ANSWER, "no file can have this name")


def verdict(path: str, content: bytes) -> Answer:
    """What a file says: its first word is `up`, or `down`, and the rest of that line is why."""
    line = content.split(b"\n", 1)[0].strip()
    word, _, why = line.partition(b" ")
    if word == b"up":
        return up(f"{path} says up")
    if word == b"down":
        return down(Reason.WRONG_ANSWER, f"{path} says down" + (f": {quoted(why)}" if why.strip() else ""))
    if not content:
        return down(Reason.WRONG_ANSWER, f"{path} is empty")
    return down(Reason.WRONG_ANSWER, f"{path} says {quoted(line)}, up or down expected")
