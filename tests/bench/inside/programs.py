"""Starting what is measured, and what it cost."""

from __future__ import annotations

import mmap
import os
import struct
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}


class Cost(NamedTuple):
    """What a program took from its exec to its end."""

    cpu_s: float  # user and system, its children's too
    wall_s: float


class Started:
    """A program under way, in a session of its own, its output in a file."""

    def __init__(self, argv: Sequence[str], root: str = "", stdin: str = "/dev/null", **env: str) -> None:
        self._exec_at = mmap.mmap(-1, 8)
        self.output = Path(f"/tmp/bench-output-{time.monotonic_ns()}")
        self.pid = os.fork()
        if self.pid == 0:
            self._become(argv, root, stdin, env)

    def _become(self, argv: Sequence[str], root: str, stdin: str, env: dict[str, str]) -> NoReturn:
        try:
            os.setsid()
            os.dup2(os.open(stdin, os.O_RDONLY), 0)
            for number in (1, 2):
                os.dup2(os.open(self.output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), number)
            if root:
                os.chroot(root)
                os.chdir("/")
            self._exec_at[:] = struct.pack("q", time.monotonic_ns())
            os.execve(argv[0], list(argv), ENVIRONMENT | env)
        except BaseException as fault:  # noqa: BLE001  whatever it was, this process ends here
            os.write(2, f"{argv[0]}: {fault}\n".encode())
        finally:
            os._exit(127)

    @property
    def exec_ns(self) -> int:
        """When it was executed, by the monotonic clock."""
        (when,) = struct.unpack("q", self._exec_at[:])
        return int(when)

    def wait(self) -> Cost:
        """Wait for its end. Errors: RuntimeError with its output if it failed."""
        _, status, used = os.wait4(self.pid, 0)
        ended = time.monotonic_ns()
        if status:
            raise RuntimeError(f"status {status}: {self.said()}")
        return Cost(used.ru_utime + used.ru_stime, (ended - self.exec_ns) / 1e9)

    def said(self) -> str:
        return self.output.read_text(errors="replace")

    def processes(self) -> list[int]:
        """It and its children, by session."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    if os.getsid(int(entry.name)) == self.pid:
                        found.append(int(entry.name))
                except ProcessLookupError:
                    continue
        return found

    def cpu_ns(self) -> int:
        """What all its threads have spent so far; a thread that ended is no longer in it."""
        total = 0
        for pid in self.processes():
            for task in Path(f"/proc/{pid}/task").iterdir():
                total += int((task / "schedstat").read_text().split()[0])
        return total

    def rss_kib(self) -> int:
        """Resident memory of the process itself."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0])

    def kill(self) -> None:
        """End it and its children at once."""
        for pid in self.processes():
            os.kill(pid, 9)
        os.waitpid(self.pid, 0)
