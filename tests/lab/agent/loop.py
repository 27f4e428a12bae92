"""The agent's loop: requests in, programs started and reaped, replies out."""
# pathlib costs 100 ms under emulation
# ruff: noqa: PTH103

from __future__ import annotations

import binascii
import fcntl
import json
import os
import select
import signal
import sys

from .machines import Machine, make_machine, mount, power_off, signal_all, unmake_machine
from .programs import child
from .terminals import Terminal
from .warm import Warm

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing itself costs 60 ms under emulation
    from typing import Any

MAX_LINE = 16 << 20  # a request: 8 MiB of file content in base64, and some
MAX_OUTPUT = 8 << 20  # of a program's output, what a reply carries
RUNAWAY = 64 << 20  # a program whose output grows past this is killed
TICK_S = 0.5  # at 1 GB/s a runaway gets to half a gigabyte more


class Job:
    """A program under way: where its output goes, and who waits for its end."""

    def __init__(self, pid: int, machine: str | None, out: int, err: int) -> None:
        self.pid, self.machine, self.out, self.err = pid, machine, out, err
        self.status: int | None = None
        self.waiters: list[int] = []
        self.kept = False  # spawned: its output is asked for after its end
        self.terminal: Terminal | None = None


class Agent:
    """The loop: requests in, programs started and reaped, replies out."""

    def __init__(self, fd: int, tree: str, keep: list[str]) -> None:
        self.fd, self.tree, self.keep = fd, tree, keep
        self.machines: dict[str, Machine] = {}
        self.jobs: dict[int, Job] = {}
        self.inbox = bytearray()
        self.skipping = False
        self.outbox = bytearray()
        self.noise = 0
        self.open = True
        self.warm: Warm | None = None
        self.epoll = select.epoll()
        self.epoll.register(fd, select.EPOLLIN)

    def serve(self) -> None:
        """Until told to stop, or until the other end is gone."""
        waker, wake = os.pipe()
        for end in (waker, wake):
            os.set_blocking(end, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        self.epoll.register(waker, select.EPOLLIN)
        self.reply({"id": 0, "ready": True})
        while self.open:
            for fd, _ in self.epoll.poll(TICK_S if self.jobs else -1):
                if fd == waker:
                    os.read(waker, 4096)
                elif fd == self.fd:
                    self.receive()
                else:
                    self.pass_on(fd)
            self.reap()
            self.stop_runaways()
            self.flush()

    def receive(self) -> None:
        """Read what is there and handle each whole line; an endless line is dropped as it comes."""
        try:
            data = os.read(self.fd, 1 << 20)
        except BlockingIOError:
            return
        if not data:
            self.open = False
        *lines, rest = data.split(b"\n")
        for line in lines:
            self.inbox += line
            whole = bytes(self.inbox)
            self.inbox.clear()
            if self.skipping:
                self.skipping = False
            else:
                self.handle(whole)
        self.inbox += rest
        if len(self.inbox) > MAX_LINE:
            self.inbox.clear()
            self.skipping = True

    def handle(self, line: bytes) -> None:
        """Carry out one request. Whatever it is, this process survives it."""
        try:
            request = json.loads(line)
            number = int(request["id"])
            action = getattr(self, "do_" + request["do"])
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            self.noise += 1
            return
        try:
            action(number, request)
        except Exception as problem:  # noqa: BLE001  told to the one who asked
            self.reply({"id": number, "error": f"{type(problem).__name__}: {problem}"})

    def do_ping(self, number: int, _: dict[str, Any]) -> None:
        """Answer, with what there is to know about this side."""
        self.reply({"id": number, "noise": self.noise, "jobs": len(self.jobs)})

    def do_warm(self, number: int, request: dict[str, Any]) -> None:
        """Let a program of Python's be forked from now on, not executed."""
        self.warm = Warm(request["program"], request["python"], request["lab"], request["env"])
        self.reply({"id": number})

    def do_machine(self, number: int, request: dict[str, Any]) -> None:
        """Make a machine; ``bare`` ones have a network of their own and nothing else."""
        name, bare = request["name"], request.get("bare", False)
        if name not in self.machines:
            overlaid = request.get("overlaid", [])
            self.machines[name] = make_machine(name, bare, self.tree, self.keep, overlaid)
        self.reply({"id": number, "namespaces": self.machines[name].fds})

    def do_remove(self, number: int, request: dict[str, Any]) -> None:
        """End a machine and all that runs in it; what its programs wrote is forgotten."""
        name = request["name"]
        unmake_machine(name, self.machines.pop(name))
        for job in [job for job in self.jobs.values() if job.machine == name]:
            job.kept = False
            if job.status is not None:
                self.forget(job)
        self.reply({"id": number})

    def do_signal_all(self, number: int, request: dict[str, Any]) -> None:
        """Signal everything that runs in a machine: pausing it, losing its power."""
        count = signal_all(self.machines[request["name"]], request["signal"])
        self.reply({"id": number, "count": count})

    def do_run(self, number: int, request: dict[str, Any]) -> None:
        """Start a program; the reply comes when it has ended."""
        self.launch(request).waiters.append(number)

    do_read = do_write = do_ask = do_run

    def do_spawn(self, number: int, request: dict[str, Any]) -> None:
        """Start a program and answer at once with its pid."""
        job = self.launch(request)
        job.kept = True
        self.reply({"id": number, "pid": job.pid})

    def do_wait(self, number: int, request: dict[str, Any]) -> None:
        """Answer when a spawned program has ended, or at once if it has."""
        job = self.jobs[request["pid"]]
        if job.status is None:
            job.waiters.append(number)
        else:
            self.reply({"id": number, "rc": job.status})

    def do_output(self, number: int, request: dict[str, Any]) -> None:
        """What a spawned program has written so far, and whether it still runs."""
        job = self.jobs[request["pid"]]
        reply = {"id": number, "rc": job.status, "alive": job.status is None}
        self.reply(reply | self.output_of(job, request.get("offset", 0)))

    def do_signal(self, number: int, request: dict[str, Any]) -> None:
        """Signal a program, or its group: by pid, or as the one that request ``of`` waits for.

        One that has ended is left alone: its pid may be another's by now.
        """
        pid = request.get("pid") or self.pid_serving(request["of"])
        job = self.jobs.get(pid) if pid else None
        if job and job.status is None:
            (os.killpg if request.get("group") else os.kill)(job.pid, request["signal"])
        self.reply({"id": number})

    def do_terminal(self, number: int, request: dict[str, Any]) -> None:
        """Start a program on a terminal of its own and answer at once with its pid."""
        terminal = Terminal(self.epoll)
        terminal.resize(*request["size"])
        job = self.launch(request, terminal)
        job.kept, job.terminal = True, terminal
        self.reply({"id": number, "pid": job.pid})

    def do_hear(self, number: int, request: dict[str, Any]) -> None:
        """What a terminal shows next, when it does; nothing after its end."""
        terminal = self.terminal_of(request)
        if terminal.open:
            terminal.listen(number)
        else:
            self.reply({"id": number, "data": ""})

    def do_type(self, number: int, request: dict[str, Any]) -> None:
        """Type on a terminal; how many bytes it has taken."""
        taken = self.terminal_of(request).take(binascii.a2b_base64(request["data"]))
        self.reply({"id": number, "taken": taken})

    def do_resize(self, number: int, request: dict[str, Any]) -> None:
        """Give a terminal another size."""
        terminal = self.terminal_of(request)
        if terminal.open:
            terminal.resize(*request["size"])
        self.reply({"id": number})

    def do_stop(self, number: int, _: dict[str, Any]) -> None:
        """End the loop; the namespaces and everything in them go with this process."""
        self.reply({"id": number})
        self.open = False

    def pid_serving(self, number: int) -> int | None:
        """The program that request ``number`` waits for, if it still runs."""
        return next((job.pid for job in self.jobs.values() if number in job.waiters), None)

    def terminal_of(self, request: dict[str, Any]) -> Terminal:
        """The terminal that a request is about."""
        terminal = self.jobs[request["pid"]].terminal
        if terminal is None:
            raise ValueError("it has no terminal")
        return terminal

    def pass_on(self, fd: int) -> None:
        """Show what a terminal has for its listener."""
        for job in self.jobs.values():
            terminal = job.terminal
            if terminal and terminal.fd == fd and terminal.listener is not None and (said := terminal.hear()):
                self.reply(said)

    def launch(self, request: dict[str, Any], terminal: Terminal | None = None) -> Job:
        """Fork the program that a request describes."""
        name = request.get("machine")
        machine = self.machines[name] if name else None
        stdin = os.open("/dev/null", os.O_RDONLY)
        if "stdin" in request:
            os.close(stdin)
            stdin = os.memfd_create("stdin")
            os.write(stdin, binascii.a2b_base64(request["stdin"]))
            os.lseek(stdin, 0, os.SEEK_SET)
        out, err = os.memfd_create("out"), os.memfd_create("err")
        for fd in (out, err):  # appended to, so that a child's child does not overwrite
            fcntl.fcntl(fd, fcntl.F_SETFL, os.O_APPEND)
        fds = (terminal.inside,) * 3 if terminal else (stdin, out, err)
        if machine and self.warm and self.warm.serves(request):
            pid = self.warm.fork(request, (*fds, *machine.fds))
        else:
            pid = os.fork()
            if pid == 0:
                child(request, machine, fds)
        os.close(stdin)
        if terminal:
            os.close(terminal.inside)
        job = self.jobs[pid] = Job(pid, name, out, err)
        return job

    def reap(self) -> None:
        """Collect every ended process; this one is the parent of all orphans as well."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in self.jobs:
                self.finish(self.jobs[pid], os.waitstatus_to_exitcode(status))

    def finish(self, job: Job, status: int) -> None:
        """Tell those who wait; forget the job unless its output may still be asked for."""
        job.status = status
        for number in job.waiters:
            reply = {"id": number, "rc": status}
            self.reply(reply if job.kept else reply | self.output_of(job, 0))
        job.waiters.clear()
        if not job.kept:
            self.forget(job)

    def forget(self, job: Job) -> None:
        """Let go of a job's output."""
        if job.terminal and job.terminal.open and (last := job.terminal.close()):
            self.reply(last)
        os.close(job.out)
        os.close(job.err)
        del self.jobs[job.pid]

    def output_of(self, job: Job, offset: int) -> dict[str, Any]:
        """Both outputs, each from an offset on, and whether there is more than a reply carries."""
        return {
            "cut": os.fstat(job.out).st_size - offset > MAX_OUTPUT,
            "out": binascii.b2a_base64(os.pread(job.out, MAX_OUTPUT, offset)).decode(),
            "err": binascii.b2a_base64(os.pread(job.err, MAX_OUTPUT, offset)).decode(),
        }

    def stop_runaways(self) -> None:
        """Kill a program that would fill the memory with its output."""
        for job in self.jobs.values():
            size = max(os.fstat(job.out).st_size, os.fstat(job.err).st_size)
            if job.status is None and size > RUNAWAY:
                os.killpg(job.pid, signal.SIGKILL)

    def reply(self, message: dict[str, Any]) -> None:
        """Queue one reply."""
        self.outbox += json.dumps(message).encode() + b"\n"
        self.flush()

    def flush(self) -> None:
        """Send what the other end takes now; ask to be woken for the rest."""
        try:
            while self.outbox:
                del self.outbox[: os.write(self.fd, self.outbox[: 1 << 16])]
        except BlockingIOError:
            pass
        except OSError:
            self.open = False
        more = select.EPOLLOUT if self.outbox else 0
        self.epoll.modify(self.fd, select.EPOLLIN | more)


def main() -> None:
    """PORT|FD TREE KEEP...: serve, and in a guest power off at the end."""
    port, tree, *keep = sys.argv[1:]
    in_guest = port.startswith("/")
    fd = os.open(port, os.O_RDWR) if in_guest else int(port)
    os.set_blocking(fd, False)
    os.set_inheritable(fd, False)
    os.makedirs("/run/netns", exist_ok=True)
    mount("tmpfs", "/run/netns", "tmpfs")
    try:
        Agent(fd, tree, keep).serve()
    finally:
        if in_guest:
            power_off()
