"""The daemon's local socket: operators ask, the daemon answers.

A Unix socket, mode 0660; whoever may write to it may manage the director. Its group is
`lvs` where that group exists. What comes in is held to a size and a time.
"""

from __future__ import annotations

import contextlib
import fcntl
import grp
import os
import pwd
import socket
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from lvs.errors import Exit, NoDaemon, SystemFault
from lvs.protocol import LONGEST, Reply, Request

if TYPE_CHECKING:
    import asyncio

GROUP = "lvs"
_REQUEST_S = 10.0
_AT_ONCE = 16


def lock(directory: Path) -> int:
    """Take the one daemon's place in a run directory; the descriptor holds it.

    Errors: SystemFault if another daemon has it, or the directory cannot be made.
    """
    file = directory / "lvsd.lock"
    try:
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.fchmod(descriptor, 0o600)  # whoever may open it may hold the lock
    except OSError as fault:
        code = Exit.RIGHTS if isinstance(fault, PermissionError) else Exit.FAILED
        raise SystemFault(
            f"cannot use {directory}: {fault.strerror}; run as root, or name another with --run-dir", code
        ) from fault
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.pread(descriptor, 16, 0).decode(errors="replace").strip() or "unknown"
        os.close(descriptor)
        raise SystemFault(
            f"another lvsd already runs here (process {pid}); ask it with `lvsd status`", Exit.ALREADY_RUNNING
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


async def serve(path: Path, answer: Callable[[Request, str], Awaitable[Reply]]) -> asyncio.Server:
    """Listen on a socket and answer each request, with the name of the user who asks, with one reply."""
    import asyncio  # a fifth of a second of a slow start: not for the lock, nor for those who ask

    free = asyncio.Semaphore(_AT_ONCE)

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with free:
                reply = await _reply(reader, answer, _user(writer.get_extra_info("socket")))
                async with asyncio.timeout(_REQUEST_S):
                    writer.write(msgspec.json.encode(reply) + b"\n")
                    await writer.drain()
        except (OSError, TimeoutError, asyncio.LimitOverrunError, asyncio.IncompleteReadError):
            pass  # whoever asked has gone, or does not speak our language
        except asyncio.CancelledError:
            pass  # the daemon stops; streams would print a traceback for a cancelled conversation
        finally:
            writer.close()

    before = os.umask(0o117)
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)  # noqa: PTH108
        server = await asyncio.start_unix_server(one, path, limit=LONGEST)
    except OSError as fault:
        raise SystemFault(f"cannot listen on {path}: {fault.strerror}") from fault
    finally:
        os.umask(before)
    with contextlib.suppress(KeyError, PermissionError):
        os.chown(path, -1, grp.getgrnam(GROUP).gr_gid)
    return server


def _user(connection: socket.socket) -> str:
    """Name of the user at the other end, as the kernel knows it: unix(7), SO_PEERCRED."""
    size = struct.calcsize("3i")
    _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


async def _reply(
    reader: asyncio.StreamReader, answer: Callable[[Request, str], Awaitable[Reply]], by: str
) -> Reply:
    import asyncio

    async with asyncio.timeout(_REQUEST_S):
        line = await reader.readuntil(b"\n")
    try:
        request = msgspec.json.decode(line, type=Request)
    except msgspec.MsgspecError as fault:
        return Reply(Exit.FAILED, err=(f"not understood: {fault}; are lvsd and its daemon of one version?",))
    return await answer(request, by)


def ask(path: Path, request: Request, timeout_s: float = 60.0) -> Reply:
    """Ask the daemon, from a command.

    Errors: NoDaemon if nobody answers, SystemFault if the socket may not be used.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout_s)
        try:
            connection.connect(str(path))
            connection.sendall(msgspec.json.encode(request) + b"\n")
            answer = b"".join(iter(lambda: connection.recv(1 << 20), b""))
            return msgspec.json.decode(answer, type=Reply)
        except PermissionError as fault:
            raise SystemFault(
                f"not permitted to use {path}: be root or a member of the group {GROUP}", Exit.RIGHTS
            ) from fault
        except (FileNotFoundError, ConnectionRefusedError) as fault:
            raise NoDaemon(
                f"no lvsd answers on {path}; start it: systemctl start lvs, or lvsd run"
            ) from fault
        except TimeoutError as fault:
            raise NoDaemon(f"lvsd did not answer within {timeout_s:.0f} s on {path}") from fault
        except (OSError, msgspec.MsgspecError) as fault:
            raise NoDaemon(f"lvsd ended the conversation on {path}: {fault}") from fault
