"""Machines of the lab, and the programs that run in them."""

from __future__ import annotations

import base64
import os
import shlex
import signal
import time
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Literal

from .channel import Channel, LabError

Root = Literal["tree"] | None

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ENVIRONMENT = {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8", "TERM": "dumb"}
CHUNK = 4 << 20  # of a file, per request
NO_OUTPUT = 1 << 40  # an offset past everything


@dataclass(frozen=True)
class Result:
    """How a program ended and what it wrote, the first 8 MiB of each output."""

    rc: int
    out: str
    err: str


class ProgramFailed(LabError):
    """A program that had to succeed did not; the text holds its output."""

    def __init__(self, argv: tuple[str, ...], result: Result) -> None:
        self.result = result
        text = f"{shlex.join(argv)}: exit {result.rc}\n{result.out}{result.err}"
        super().__init__(text.rstrip())


class ProgramTimedOut(ProgramFailed):
    """A program was killed for running too long."""


class Process:
    """A program in the background. Its output is kept, also after its end."""

    def __init__(self, channel: Channel, pid: int, argv: tuple[str, ...]) -> None:
        self._channel, self.pid, self.argv = channel, pid, argv

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return bool(self._channel.ask("output", pid=self.pid, offset=NO_OUTPUT)["alive"])

    def signal(self, number: int = signal.SIGTERM, *, group: bool = False) -> None:
        """Signal it, or its whole process group; nothing happens if it has ended."""
        self._channel.ask("signal", pid=self.pid, signal=int(number), group=group)

    def wait(self, timeout: float = 60) -> int:
        """Its exit status, when it has ended; minus the signal that killed it."""
        try:
            return int(self._channel.ask("wait", pid=self.pid, timeout=timeout)["rc"])
        except TimeoutError:
            text = f"{shlex.join(self.argv)}: still running after {timeout} s\n{self.output()}"
            raise LabError(text) from None

    def stop(self, timeout: float = 60) -> int:
        """Ask it to end, and wait until it has."""
        self.signal(signal.SIGTERM)
        return self.wait(timeout)

    def result(self) -> Result:
        """What it has written so far; rc is -1000 while it runs."""
        reply = self._channel.ask("output", pid=self.pid)
        status = -1000 if reply["rc"] is None else int(reply["rc"])
        return Result(status, _text(reply["out"]), _text(reply["err"]))

    def output(self) -> str:
        """What it has written so far, standard output first."""
        result = self.result()
        return result.out + result.err

    def expect(self, text: str, timeout: float = 30) -> str:
        """Wait until it has written ``text``; what it has written by then."""
        deadline = time.monotonic() + timeout
        while text not in (written := self.output()):
            if time.monotonic() > deadline or not self.alive:
                raise LabError(f"{shlex.join(self.argv)}: never said {text!r}\n{written}")
            time.sleep(0.05)
        return written


class Terminal(Process):
    """A program on a terminal of its own. Nothing it shows is kept."""

    def hear(self) -> bytes:
        """Wait for what it shows next; nothing once it has ended."""
        _, promise = self._channel.send("hear", pid=self.pid)
        return base64.b64decode(promise.result()["data"])

    def type(self, data: bytes) -> None:
        """Type, as fast as it is taken."""
        while data:
            taken = self._channel.ask("type", pid=self.pid, data=_encoded(data))["taken"]
            data = data[taken:]
            if data:
                time.sleep(0.05)

    def resize(self, size: os.terminal_size) -> None:
        """Give it another size."""
        self._channel.ask("resize", pid=self.pid, size=(size.lines, size.columns))


class Pending:
    """A program under way whose result will be wanted."""

    def __init__(
        self, channel: Channel, number: int, promise: Future[dict[str, Any]], argv: tuple[str, ...]
    ) -> None:
        self._channel, self._number, self._promise, self.argv = channel, number, promise, argv

    def result(self, timeout: float = 60, *, check: bool = True) -> Result:
        """Wait for its end.

        Units: timeout in seconds of the host's clock; the program and its group are killed after it.
        Errors: ProgramFailed if it exits other than 0 and ``check`` is set, ProgramTimedOut always.
        """
        late = False
        try:
            reply = self._promise.result(timeout)
        except TimeoutError:
            late = True
            self._channel.ask("signal", of=self._number, signal=int(signal.SIGKILL), group=True)
            reply = self._promise.result(30)
        result = Result(reply["rc"], _text(reply["out"]), _text(reply["err"]))
        if late:
            raise ProgramTimedOut(self.argv, result)
        if check and result.rc != 0:
            raise ProgramFailed(self.argv, result)
        return result


class Machine:
    """A network namespace with its own /run, /tmp, /etc/lvs, /var/lib/lvs and host name.

    The rest of the file system is the host's; with ``root="tree"`` a program sees the peers' Debian
    tree instead, of which each machine has its own writable view.
    """

    def __init__(
        self, channel: Channel, name: str, *, bare: bool = False, overlaid: tuple[str, ...] = ()
    ) -> None:
        self._channel, self.name = channel, name
        self.interfaces = 0  # how many segments it has joined
        made = channel.ask("machine", name=name, bare=bare, overlaid=overlaid)
        self.bare = bare
        self.namespaces: list[int] = made["namespaces"]  # process 1 has them open: network, name, mounts

    def __repr__(self) -> str:
        return f"Machine({self.name!r})"

    def begin(
        self,
        *argv: str,
        root: Root = None,
        stdin: str | bytes | None = None,
        env: dict[str, str] | None = None,
        cwd: str = "/",
    ) -> Pending:
        """Start a program whose result is asked for later, so that several can run at once."""
        number, promise = self._channel.send("run", **self._program(argv, root, stdin, env, cwd))
        return Pending(self._channel, number, promise, argv)

    def run(
        self,
        *argv: str,
        root: Root = None,
        check: bool = True,
        stdin: str | bytes | None = None,
        timeout: float = 60,
        env: dict[str, str] | None = None,
        cwd: str = "/",
    ) -> Result:
        """Run a program to its end: begin, and Pending.result."""
        return self.begin(*argv, root=root, stdin=stdin, env=env, cwd=cwd).result(timeout, check=check)

    def spawn(
        self,
        *argv: str,
        root: Root = None,
        stdin: str | bytes | None = None,
        env: dict[str, str] | None = None,
        cwd: str = "/",
    ) -> Process:
        """Start a program in the background, in a process group of its own."""
        reply = self._channel.ask("spawn", **self._program(argv, root, stdin, env, cwd))
        return Process(self._channel, reply["pid"], argv)

    def terminal(
        self,
        *argv: str,
        size: os.terminal_size,
        root: Root = None,
        env: dict[str, str] | None = None,
        cwd: str = "/",
    ) -> Terminal:
        """Start a program on a terminal, as the leader of a session."""
        fields = self._program(argv, root, None, env, cwd) | {"size": (size.lines, size.columns)}
        return Terminal(self._channel, self._channel.ask("terminal", **fields)["pid"], argv)

    def write(self, path: str, content: str | bytes, mode: int = 0o644, root: Root = None) -> None:
        """Write a file, with its folders."""
        data = content.encode() if isinstance(content, str) else content
        for start in range(0, max(len(data), 1), CHUNK):
            fields = {"path": path, "mode": mode, "append": start > 0, "root": root}
            fields["stdin"] = _encoded(data[start : start + CHUNK])
            self._file("write", fields)

    def read_bytes(self, path: str, root: Root = None) -> bytes:
        """A file's content, up to 8 MiB; a longer one is an error."""
        reply = self._file("read", {"path": path, "root": root})
        if reply["cut"]:
            raise LabError(f"{self.name}: {path}: too long to be read in one reply")
        return base64.b64decode(reply["out"])

    def read(self, path: str, root: Root = None) -> str:
        """A text file's content."""
        return self.read_bytes(path, root).decode(errors="replace")

    def ask(self, path: str, line: str, timeout: float = 60) -> str:
        """What a program that listens at a Unix socket answers to a line, until it hangs up."""
        fields = {"path": path, "stdin": _encoded(line), "timeout": timeout}
        return _text(self._file("ask", fields)["out"])

    def clock(self) -> float:
        """Seconds on the monotonic clock of all machines, to a hundredth."""
        return float(self.read("/proc/uptime").split()[0])

    def sysctl(self, key: str, value: int | str | None = None) -> str:
        """Set a kernel setting if a value is given; its value now. Dots or slashes in the key."""
        path = "/proc/sys/" + (key if "/" in key else key.replace(".", "/"))
        if value is not None:
            self.write(path, f"{value}\n")
        return self.read(path).strip()

    def pause(self) -> None:
        """Stop everything that runs here, as a hypervisor's snapshot does."""
        self._channel.ask("signal_all", name=self.name, signal=int(signal.SIGSTOP))

    def resume(self) -> None:
        """Let everything run again."""
        self._channel.ask("signal_all", name=self.name, signal=int(signal.SIGCONT))

    def kill(self) -> None:
        """Kill everything that runs here. With Segment.cut before it: the power is gone."""
        self._channel.ask("signal_all", name=self.name, signal=int(signal.SIGKILL))

    def _file(self, do: str, fields: dict[str, Any]) -> dict[str, Any]:
        reply = self._channel.ask(do, machine=self.name, **fields)
        if reply["rc"] != 0:
            raise LabError(f"{self.name}: {do} {fields['path']}: {_text(reply['err']).strip()}")
        return reply

    def _program(
        self,
        argv: tuple[str, ...],
        root: Root,
        stdin: str | bytes | None,
        env: dict[str, str] | None,
        cwd: str,
    ) -> dict[str, Any]:
        request: dict[str, Any] = {"machine": self.name, "argv": argv, "root": root, "cwd": cwd}
        request["env"] = ENVIRONMENT | (env or {})
        if stdin is not None:
            request["stdin"] = _encoded(stdin)
        return request


def _text(encoded: str) -> str:
    return base64.b64decode(encoded).decode(errors="replace")


def _encoded(data: str | bytes) -> str:
    return base64.b64encode(data.encode() if isinstance(data, str) else data).decode()
