"""The forked process, from the fork to the program it becomes."""
# pathlib costs 100 ms under emulation
# ruff: noqa: PTH103, PTH120

from __future__ import annotations

import _socket  # socket costs 50 ms under emulation
import errno
import fcntl
import os
import signal

from .machines import TREE_MOUNT, Machine, enter
from .terminals import TIOCSCTTY

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing itself costs 60 ms under emulation
    from collections.abc import Sequence
    from typing import Any, NoReturn


def child(request: dict[str, Any], machine: Machine | None, fds: tuple[int, int, int]) -> NoReturn:
    """In the forked process: enter the machine, become the program. Never returns."""
    try:
        settle(fds, machine.fds if machine else ())
        if request["do"] == "terminal":
            fcntl.ioctl(0, TIOCSCTTY, 0)
        if request.get("root") == "tree":
            os.chroot(TREE_MOUNT)
        os.chdir(request.get("cwd") or "/")
        for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        if "path" in request:
            file_action(request)
            os._exit(0)
        execute(request["argv"], request["env"])
    except BaseException as problem:  # noqa: BLE001  whatever it was, this process ends here
        os.write(2, f"{problem}\n".encode())
        os._exit(127 if isinstance(problem, FileNotFoundError) else 126)


def settle(fds: Sequence[int], namespaces: Sequence[int]) -> None:
    """Give the calling process its input and outputs, a session and a machine's namespaces."""
    for number, fd in enumerate(fds):
        os.dup2(fd, number)
    os.setsid()
    enter(namespaces)


def execute(argv: list[str], env: dict[str, str]) -> NoReturn:
    """Become a program, found as the shell would; os.execvpe imports modules a chroot lacks."""
    for folder in env["PATH"].split(":") if "/" not in argv[0] else ("",):
        try:
            os.execve(f"{folder}/{argv[0]}" if folder else argv[0], argv, env)
        except (FileNotFoundError, NotADirectoryError):
            continue
    raise FileNotFoundError(errno.ENOENT, "no such program", argv[0])


def file_action(request: dict[str, Any]) -> None:
    """Write standard input to a file, or a file to standard output, as the machine sees it.

    Done in a forked process inside the machine, so links and mounts mean what they mean there. The file
    may be a socket that is asked: what it is told is standard input, its answer goes to standard output.
    """
    path = request["path"]
    if request["do"] == "ask":
        line = _socket.socket(_socket.AF_UNIX)
        line.connect(path)
        copy(0, line.fileno())
        return copy(line.fileno(), 1)
    if request["do"] == "read":
        return copy(os.open(path, os.O_RDONLY), 1)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    how = os.O_APPEND if request.get("append") else os.O_TRUNC
    target = os.open(path, os.O_WRONLY | os.O_CREAT | how, request["mode"])
    if not path.startswith(("/proc/", "/sys/")):
        os.fchmod(target, request["mode"])
    return copy(0, target)


def copy(source: int, target: int) -> None:
    """All that is left to read."""
    while data := os.read(source, 1 << 20):
        while data:
            data = data[os.write(target, data) :]
