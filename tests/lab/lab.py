"""The lab: one kernel with IPVS, and the machines on it.

On a host whose own kernel has IPVS the machines are namespaces of the host ("local"); elsewhere
they are namespaces of a guest with the same files and another kernel ("guest"). Tests do not see
the difference. Nothing outlives the test process: a guest and its file server are killed with the
thread that started them, and local machines live in a process namespace that dies with its first
process.
"""

from __future__ import annotations

import atexit
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from . import guest, setup
from .channel import Channel, LabError
from .machine import ENVIRONMENT, Machine, Root
from .paths import LAB, LVSD, TREE, agent_command
from .segment import Segment

Mode = Literal["local", "guest"]

BOOT_LIMIT_S = 60.0
# QEMU's emulation may run an instruction that the kernel has just patched as it was before ("Oops: int3"
# within the first seconds, about one boot of a hundred, seen with two processors).
BOOT_TRIES = 3

_running: dict[str, Lab] = {}


class Lab:
    """A running lab. Use it as a context manager, or close it."""

    def __init__(self, mode: Mode, channel: Channel, processes: list[subprocess.Popen[bytes]]) -> None:
        self.mode = mode
        self.channel = channel
        self.machines: dict[str, Machine] = {}
        self._processes = processes
        self._guest: guest.Guest | None = None

    @classmethod
    def start(cls, mode: Mode | None = None, *, icount: bool = False, memory_mb: int = 3072) -> Self:
        """Set up what is missing, start a kernel if there is none to use, wait for the agent.

        Shape: ``icount`` makes one guest instruction one nanosecond, for measuring; only a guest
        can, with one processor, and its clock races ahead while it waits for the host.
        """
        setup.ensure()
        if icount and mode == "local":
            raise LabError("only a guest can count instructions")
        if not icount and (mode == "local" or (mode is None and kernel_has_ipvs())):
            return cls._start_local()
        return cls._start_guest(icount, memory_mb)

    @classmethod
    def shared(cls) -> Self:
        """One lab for the whole process, started at its first mention and closed at exit.

        For tests: reset it after each. A boot costs more than most tests. lvsd is forked there from
        a process that has made its imports: they cost more than most of what is tested.
        """
        if "shared" not in _running:
            _running["shared"] = started = cls.start()
            atexit.register(started.close)
            started.channel.ask("warm", program=LVSD, python=sys.executable, lab=str(LAB), env=ENVIRONMENT)
        lab = _running["shared"]
        assert isinstance(lab, cls)
        return lab

    @classmethod
    def _start_local(cls) -> Self:
        port, port_end = socket.socketpair()
        command = [*guest.LEASH, "unshare", "--mount", "--pid", "--fork", "--kill-child=KILL"]
        command += ["--mount-proc", "--uts", *agent_command(str(port_end.fileno()), str(TREE))]
        process = subprocess.Popen(
            command,
            pass_fds=(port_end.fileno(),),
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        port_end.close()
        lab = cls("local", Channel(port), [process])
        lab._await_agent()
        return lab

    @classmethod
    def _start_guest(cls, icount: bool, memory_mb: int) -> Self:
        for left in reversed(range(BOOT_TRIES)):
            booted = guest.boot(icount=icount, memory_mb=memory_mb)
            lab = cls("guest", Channel(booted.port), booted.processes)
            lab._guest = booted
            try:
                lab._await_agent()
            except LabError as fault:
                if not left or not guest.crashed(str(fault)):
                    raise
                print("lab: the emulated kernel crashed while it started; once more", file=sys.stderr)
            else:
                return lab
        raise AssertionError("the last try returns or raises")

    def _await_agent(self) -> None:
        try:
            self.channel.ready.result(BOOT_LIMIT_S)
        except (TimeoutError, LabError):
            console = self.console()
            self.close()
            raise LabError(f"the agent did not come up ({self.mode})\n{console}") from None

    def machine(self, name: str, *, bare: bool = False, overlaid: tuple[str, ...] = ()) -> Machine:
        """The machine of that name, made at its first mention.

        Shape: a bare one has a network of its own and shares all files with the agent; segments
        are made in one. ``overlaid`` are further folders of which it gets its own writable view.
        """
        if name not in self.machines:
            self.machines[name] = Machine(self.channel, name, bare=bare, overlaid=overlaid)
        return self.machines[name]

    def segment(
        self, name: str, addresses: Mapping[str, str | Sequence[str]], *, gateway: str | None = None
    ) -> Segment:
        """A segment that joins machines, each with its address or addresses in it."""
        return Segment(self, name, addresses, gateway=gateway)

    def reset(self) -> None:
        """Remove all machines and segments: a fresh lab without a boot."""
        removals = [self.channel.send("remove", name=name)[1] for name in self.machines]
        self.machines.clear()
        for removal in removals:
            removal.result(60)

    def remove(self, name: str) -> None:
        """Remove one machine: its power is gone, and all that it had in memory."""
        del self.machines[name]
        self.channel.ask("remove", name=name)

    def preload(self, machine: Machine, *paths: Path | str, root: Root = None) -> None:
        """Copy files and folders into the guest's memory, under their own paths.

        With ``icount`` a file read from the host costs virtual time that is not the program's; what
        is to be measured is loaded first. Setting a mode to what it is makes an overlay copy the
        file into its writable layer. Nothing to do in local mode; a checkout below /tmp cannot be
        loaded, since machines have a /tmp of their own and see it read-only.
        """
        if self.mode == "guest":
            machine.run("chmod", "-R", "u+r", *map(str, paths), root=root, timeout=300)

    def console(self) -> str:
        """What the guest's kernel has printed; nothing in local mode."""
        return self._guest.console() if self._guest else ""

    def close(self) -> None:
        """End every program and machine, at once."""
        self.channel.close()
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()
        if self._guest:
            self._guest.close()
            self._guest = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def kernel_has_ipvs() -> bool:
    """Whether this host's own kernel can be used: IPVS there or loadable, and root."""
    if os.geteuid() != 0:
        return False
    if Path("/proc/net/ip_vs").exists():
        return True
    modprobe = shutil.which("modprobe", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if modprobe is None:
        return False
    loaded = subprocess.run([modprobe, "ip_vs"], capture_output=True, check=False)
    return loaded.returncode == 0 and Path("/proc/net/ip_vs").exists()
