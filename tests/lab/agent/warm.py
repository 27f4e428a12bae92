"""lvsd without what its imports cost: a process that has made them forks for each start.

Nothing is executed, so the kernel shows that process's command line for all of them. Not for what
measures or tests a start itself.
"""

# pathlib costs 100 ms under emulation
# ruff: noqa: PTH119

from __future__ import annotations

import _socket  # socket costs 50 ms under emulation
import atexit
import gc
import importlib
import json
import os
import sys

from .machines import libc
from .programs import child, settle

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing itself costs 60 ms under emulation
    from collections.abc import Callable
    from typing import Any, NoReturn

START = "import sys; sys.path.append({lab!r}); from agent.warm import serve; serve()"
LATER = ("asyncio", "pyroute2", "ssl", "systemd.journal", "toml", "watchdog.observers.inotify")
MAX_REQUEST = 1 << 16
MAX_FDS = 16
PR_SET_NAME = 15


class Warm:
    """The agent's end of it."""

    def __init__(self, program: str, python: str, lab: str, env: dict[str, str]) -> None:
        self.program = program
        self.line, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
        command = [python, "-c", START.format(lab=lab)]
        if os.fork() == 0:
            child({"do": "spawn", "argv": command, "env": env}, None, (theirs.fileno(), 2, 2))
        theirs.close()

    def serves(self, request: dict[str, Any]) -> bool:
        """Whether a request is for the program that is warm."""
        return request["do"] != "terminal" and self.program in request.get("argv", ())[:1]

    def fork(self, request: dict[str, Any], fds: tuple[int, ...]) -> int:
        """Its pid; it will be a child of process 1, which is the caller.

        Shape: standard input and outputs, then the namespaces of its machine.
        """
        wanted = {key: request[key] for key in ("argv", "env", "cwd")}
        packed = b"".join(fd.to_bytes(4, sys.byteorder) for fd in fds)
        rights = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, packed)]
        self.line.sendmsg([json.dumps(wanted).encode()], rights)
        return int(self.line.recv(32))


def serve() -> None:
    """Import lvsd, then fork for each request, until the agent is gone."""
    line = _socket.socket(fileno=os.dup(0))
    from lvs import inventory
    from lvs.cli import main

    inventory.modules()
    for name in LATER:  # what lvsd imports once it needs it
        importlib.import_module(name)
    gc.freeze()  # not looked at by any of them, so not copied for each
    while True:
        data, rights, _, _ = line.recvmsg(MAX_REQUEST, _socket.CMSG_SPACE(4 * MAX_FDS))
        if not data:
            return
        packed = rights[0][2]
        fds = [int.from_bytes(packed[at : at + 4], sys.byteorder) for at in range(0, len(packed), 4)]
        between = os.fork()
        if between == 0:
            pid = os.fork()
            if pid:
                line.send(str(pid).encode())
                os._exit(0)
            line.detach()
            become(json.loads(data), fds)
            end(main)
        os.waitpid(between, 0)
        for fd in fds:
            os.close(fd)


def become(request: dict[str, Any], fds: list[int]) -> None:
    """Be as a program that was executed for a request."""
    settle(fds[:3], fds[3:])
    os.closerange(3, 3 + 2 * MAX_FDS)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    sys.argv = request["argv"]
    libc.prctl(PR_SET_NAME, os.path.basename(sys.argv[0]).encode(), 0, 0, 0)


def end(main: Callable[[], int]) -> NoReturn:
    """Run a program to its end, but for the freeing of what the next one has, too."""
    try:
        code = main()
    except SystemExit as asked:
        code = asked.code if isinstance(asked.code, int) else int(asked.code is not None)
    except BaseException:  # noqa: BLE001  told as the interpreter does
        sys.excepthook(*sys.exc_info())
        code = 1
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)
