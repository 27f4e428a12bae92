"""A person in the lab: a terminal in a machine, from which all others are reached by their names."""

from __future__ import annotations

import io
import os
import select
import signal
import sys
import tarfile
import termios
import threading
import tty
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

from .agent.machines import TREE_MOUNT
from .channel import LabError
from .lab import Lab
from .machine import PATH, Machine, ProgramTimedOut, Terminal
from .paths import TREE

LOOK_S = 0.25  # how often the size is looked at
PASTE = 1024  # how much is typed at once

# In every machine: other machines by name, and at the end of the path what the host lacks and the
# peers' tree has, run in that tree.
FOLDER = "/run/lab"
MACHINES, PEERS, HOME = "machines", "peers", "home"
IN_TREE = f'#!/bin/sh\nexec chroot {TREE_MOUNT} "${{0##*/}}" "$@"\n'
IN_MACHINE = """#!/bin/sh
[ $# -gt 0 ] || set -- bash
exec nsenter --net=/proc/1/fd/{} --uts=/proc/1/fd/{} --mount=/proc/1/fd/{} -- "$@"
"""
OUTSIDE_TREE = ("vi", "watch", "less")  # their files and commands are the machine's: busybox, static


def console(lab: Lab, machine: Machine) -> None:
    """Let a person in, until the shell ends; or run the lines of what is no terminal."""
    furnish([it for it in lab.machines.values() if not it.bare])
    if os.isatty(0):
        attach(machine.terminal("bash", size=os.get_terminal_size(0), env=environment()), 0, 1)
    else:
        run_lines(machine, sys.stdin)


def run_lines(machine: Machine, lines: Iterable[str]) -> None:
    """Run each line by itself and print it with what it says."""
    for line in lines:
        print(f"{machine.name}# {line.rstrip()}")
        try:
            result = machine.run("bash", "-c", line, env=environment(), check=False)
        except ProgramTimedOut as late:
            result = late.result
        print(result.out + result.err, end="", flush=True)


def environment() -> dict[str, str]:
    """What a shell is told: programs of the virtual environment, the host, the tree."""
    own = f"{FOLDER}/{MACHINES}:{Path(sys.executable).parent}"
    path = f"{own}:{PATH}:{FOLDER}/{PEERS}"
    return {"PATH": path, "HOME": f"{FOLDER}/{HOME}", "TERM": os.environ.get("TERM", "dumb")}


def furnish(machines: list[Machine]) -> None:
    """Give the machines what the path promises."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for machine in machines:
            _pack(archive, f"{MACHINES}/{machine.name}", IN_MACHINE.format(*machine.namespaces))
        _pack(archive, f"{PEERS}/.in-tree", IN_TREE)
        found = {path.name for folder in ("usr/sbin", "usr/bin") for path in (TREE / folder).iterdir()}
        for name in found.difference(OUTSIDE_TREE):
            _pack(archive, f"{PEERS}/{name}", link=".in-tree")
        for name in OUTSIDE_TREE:
            _pack(archive, f"{PEERS}/{name}", link=f"{TREE_MOUNT}/usr/bin/busybox")
    unpack = f"mkdir -p {FOLDER}/{HOME} && tar -xzC {FOLDER}"
    for pending in [it.begin("sh", "-c", unpack, stdin=packed.getvalue()) for it in machines]:
        pending.result()


def _pack(archive: tarfile.TarFile, name: str, text: str = "", link: str = "") -> None:
    """Add a script, or a link."""
    member = tarfile.TarInfo(name)
    member.mode, member.size = 0o755, len(text.encode())
    if link:
        member.type, member.linkname = tarfile.SYMTYPE, link
    archive.addfile(member, io.BytesIO(text.encode()))


def attach(terminal: Terminal, keyboard: int, screen: int) -> int:
    """Join the terminal here to one in a machine; the exit status of what runs there.

    Shape: only bytes pass, and sizes. What runs there is hung up when the person is gone.
    """
    ended, end = os.pipe()
    threading.Thread(target=_show, args=(terminal, screen, end), daemon=True).start()
    try:
        with raw(keyboard):
            _pass_keys(terminal, keyboard, ended)
    except OSError:
        terminal.signal(signal.SIGHUP)
    finally:
        os.close(ended)
    return terminal.wait()


def _pass_keys(terminal: Terminal, keyboard: int, ended: int) -> None:
    """Type there what is typed here, until the end. Errors: OSError when nobody can type any more."""
    size = None
    while True:
        ready, _, _ = select.select([keyboard, ended], [], [], LOOK_S)
        if ended in ready:
            return
        if size != (size := os.get_terminal_size(keyboard)):
            terminal.resize(size)
        if keyboard in ready:
            typed = os.read(keyboard, PASTE)
            if not typed:
                raise ConnectionResetError
            terminal.type(typed)


def _show(terminal: Terminal, screen: int, end: int) -> None:
    """Write what a terminal shows, until its end or that of its lab; then close ``end``."""
    try:
        with suppress(LabError, OSError):
            while data := terminal.hear():
                while data:
                    data = data[os.write(screen, data) :]
    finally:
        os.close(end)


@contextmanager
def raw(terminal: int) -> Iterator[None]:
    """Every key for the machine; the terminal as it was before, however it ends."""
    before = termios.tcgetattr(terminal)
    handlers = {number: signal.signal(number, _leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        tty.setraw(terminal)
        yield
    finally:
        with suppress(termios.error):  # hung up
            termios.tcsetattr(terminal, termios.TCSADRAIN, before)
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _leave(number: int, _: FrameType | None) -> NoReturn:
    sys.exit(128 + number)
