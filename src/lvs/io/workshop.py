"""`lvsd check-programs`: runs check programs for the daemon, in a unit of no rights. See `lvs.io.errands`.

Started by systemd when the daemon connects, it serves that one connection and ends with it; systemd then
kills whatever is left of the programs. Nothing but the user it runs as, the unit's sandbox and the limits
of `lvs.io.processes` stands between these programs and the machine.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections import deque
from contextlib import suppress
from functools import partial

import msgspec

from lvs.io.errands import LONGEST, Begun, Gone, Kill, Run, encode, to_workshop
from lvs.io.processes import Command, Job, Processes
from lvs.probes.program import Ended, Late, Outcome, Unstarted

LISTENING = 3  # SD_LISTEN_FDS_START, sd_listen_fds(3)
WAIT_S = 10.0  # for the daemon that systemd has seen coming


class Workshop:
    """Runs what one connection asks for."""

    def __init__(self, connection: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
        self._connection = connection
        self._loop = loop
        self._processes = Processes()
        self._jobs: dict[int, Job] = {}
        self._owed: deque[bytes] = deque()
        self._over: asyncio.Future[None] = loop.create_future()

    async def serve(self) -> None:
        """Until the connection ends."""
        self._connection.setblocking(False)
        self._processes.open(self._loop)
        self._loop.add_reader(self._connection.fileno(), self._readable)
        try:
            await self._over
        finally:
            self._loop.remove_reader(self._connection.fileno())
            self._loop.remove_writer(self._connection.fileno())
            self._processes.close()
            self._connection.close()

    def _end(self) -> None:
        if not self._over.done():
            self._over.set_result(None)

    def _readable(self) -> None:
        while not self._over.done():
            try:
                data, descriptors, _, _ = socket.recv_fds(self._connection, LONGEST, 1)
            except BlockingIOError:
                return
            except OSError:
                data, descriptors = b"", []
            try:
                what = to_workshop.decode(data) if data else None
                match what:
                    case Run():
                        self._run(what, descriptors)
                    case Kill(number):
                        self._kill(number)
                    case None:
                        self._end()
            except (
                msgspec.MsgspecError
            ):  # another version, replaced under us: the next connection starts anew
                self._end()
            finally:
                for descriptor in descriptors:
                    os.close(descriptor)

    def _run(self, order: Run, descriptors: list[int]) -> None:
        opened = descriptors[0] if order.opened and descriptors else -1
        words = tuple(map(os.fsdecode, order.words))
        command = Command(words, order.environment, limited=True, opened=opened)
        deadline = self._loop.time() + order.limit_s
        job = self._processes.run(command, deadline, partial(self._done, order.number))
        if isinstance(job, Unstarted):
            self._say(Gone(order.number, text=job.text, ours=job.ours))
            return
        self._jobs[order.number] = job
        self._say(Begun(order.number))

    def _kill(self, number: int) -> None:
        job = self._jobs.get(number)
        if job is not None:
            self._processes.kill(job)
            job.done = partial(self._done, number)  # that it is gone is told all the same

    def _done(self, number: int, outcome: Outcome) -> None:
        if isinstance(outcome, Late):
            self._kill(number)
            return
        del self._jobs[number]
        match outcome:
            case Ended(status, output):
                self._say(Gone(number, status, output))
            case Unstarted(text, ours):
                self._say(Gone(number, text=text, ours=ours))

    def _say(self, what: Begun | Gone) -> None:
        self._owed.append(encode(what))
        self._writable()

    def _writable(self) -> None:
        """Say what is owed; a daemon that does not listen for a while gets it later."""
        while self._owed:
            try:
                self._connection.send(self._owed[0])
            except BlockingIOError:
                self._loop.add_writer(self._connection.fileno(), self._writable)
                return
            except OSError:
                self._end()
                return
            self._owed.popleft()
        self._loop.remove_writer(self._connection.fileno())


def main() -> int:
    """Serve the connection that waits at the socket systemd has handed over."""
    if os.environ.get("LISTEN_FDS", "") != "1":
        print("lvsd check-programs is started by lvs-checks@.socket, and not by hand")
        return 1
    with socket.socket(fileno=LISTENING) as listening:
        os.set_inheritable(LISTENING, False)
        listening.settimeout(WAIT_S)
        with suppress(TimeoutError):
            connection, _ = listening.accept()
            if _may_ask(connection):
                asyncio.run(_serve(connection))
    return 0


async def _serve(connection: socket.socket) -> None:
    await Workshop(connection, asyncio.get_running_loop()).serve()


def _may_ask(connection: socket.socket) -> bool:
    """Only root may have programs run, whatever the mode of the socket is; or who runs them anyway."""
    size = struct.calcsize("3i")
    _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return uid in (0, os.getuid())
