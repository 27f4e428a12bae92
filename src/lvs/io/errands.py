"""Check programs that a unit of no rights runs for the daemon: `lvs-checks@USER.service`.

A check program is somebody else's code that reads what the network says. Where systemd listens at a
socket for its user, the daemon hands it the words, the environment and the time limit of each program,
and `lvs.io.workshop` runs them there, in a sandbox and with limits of their own, out of the daemon's
reach and it out of theirs. One connection is held while there is anything to run, and the unit ends with
it. Without such a socket the daemon becomes that user itself, if it has the rights (`lvs.io.processes`).

Time limits are the daemon's, as for what it runs itself; the other end has a longer one, for when the
daemon is gone or hangs. A program below a directory that its user cannot enter is opened here, and its
descriptor handed over.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from lvs.io.processes import Command, Job, Processes
from lvs.io.runnable import User, find, fit, reachable, rights, unit_socket
from lvs.probes.program import Ended, Late, Outcome, Unstarted

LONGEST = 1 << 17  # bytes of a message; net.core.wmem_default has room for it
NET_S = 5.0  # how much later the other end kills what the daemon should have ended


class Run(msgspec.Struct, frozen=True, tag="run"):
    """Run a program; a descriptor of it comes along if `opened`."""

    number: int
    words: tuple[bytes, ...]
    environment: dict[str, str]
    limit_s: float
    opened: bool


class Kill(msgspec.Struct, frozen=True, tag="kill"):
    number: int


class Begun(msgspec.Struct, frozen=True, tag="begun"):
    number: int


class Gone(msgspec.Struct, frozen=True, tag="gone"):
    """It ended, or could not be started; nothing of it is left."""

    number: int
    status: int = 0
    output: bytes = b""
    text: str = ""  # why it could not be started
    ours: bool = False


encode = msgspec.msgpack.encode
to_workshop = msgspec.msgpack.Decoder(Run | Kill)
_from_workshop = msgspec.msgpack.Decoder(Begun | Gone)


class Errand:
    """One program that is run elsewhere."""

    __slots__ = ("begun", "command", "done", "ended", "line", "number", "timer")

    def __init__(self, number: int, command: Command, done: Callable[[Outcome], None], line: _Line) -> None:
        self.number = number
        self.command = command
        self.done: Callable[[Outcome], None] | None = done
        self.line = line
        self.timer: asyncio.TimerHandle | None = None
        self.begun = False
        self.ended = False


class _Line:
    """The connection to one user's unit."""

    def __init__(self, user: str, connection: socket.socket) -> None:
        self.user = user
        self.connection = connection
        self.errands: dict[int, Errand] = {}


class Errands:
    """What `Processes` does for programs of other users, by way of their units where there are any."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self._lines: dict[str, _Line] = {}
        self._number = 0

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def close(self) -> None:
        """Forget all; the units end with their connections, and what they run with them."""
        for line in tuple(self._lines.values()):
            self._drop(line)
            for errand in line.errands.values():
                _settle(errand)

    def run(
        self, command: Command, deadline: float, done: Callable[[Outcome], None]
    ) -> Job | Errand | Unstarted:
        """As `Processes.run`."""
        user = command.user
        if user is None or not unit_socket(user).is_socket():
            return self._processes.run(command, deadline, done)
        try:
            line = self._lines.get(user.name) or self._connect(user)
        except OSError as fault:
            if not rights():  # better so than not at all
                return self._processes.run(command, deadline, done)
            remedy = f"systemctl restart lvs-checks@{user.name}.socket"
            return Unstarted(_unit(user.name, f"does not listen: {_reason(fault)}; {remedy}"), ours=True)
        self._number += 1
        errand = Errand(self._number, command, done, line)
        try:
            self._hand_over(errand, user, deadline - self._loop.time())
        except FileNotFoundError:
            return Unstarted(fit(command.words, user) or f"there is no program {command.words[0]}")
        except OSError as fault:
            return Unstarted(f"{command.words[0]} could not be started: {_reason(fault)}", ours=True)
        line.errands[errand.number] = errand
        errand.timer = self._loop.call_at(deadline, self._late, errand)
        return errand

    def kill(self, job: Job | Errand) -> None:
        """Kill a program and all of its group; nobody is told how it ended."""
        if isinstance(job, Job):
            self._processes.kill(job)
            return
        _settle(job)
        if not job.ended:
            # A line that takes nothing more is one that hangs, and ends what it runs by its own clock.
            with suppress(OSError):
                job.line.connection.send(encode(Kill(job.number)))

    def _connect(self, user: User) -> _Line:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            connection.setblocking(False)
            connection.connect(str(unit_socket(user)))
        except OSError:
            connection.close()
            raise
        line = self._lines[user.name] = _Line(user.name, connection)
        self._loop.add_reader(connection.fileno(), self._readable, line)
        return line

    def _hand_over(self, errand: Errand, user: User, limit_s: float) -> None:
        """Errors: OSError, FileNotFoundError if there is no such program."""
        path = find(errand.command.words[0])
        if path is None:
            raise FileNotFoundError
        opened = -1 if _reachable(path, user) else os.open(path, os.O_PATH)
        try:
            words = (os.fsencode(path), *map(os.fsencode, errand.command.words[1:]))
            order = Run(errand.number, words, errand.command.environment, limit_s + NET_S, opened >= 0)
            socket.send_fds(errand.line.connection, [encode(order)], [opened] if opened >= 0 else [])
        finally:
            if opened >= 0:
                os.close(opened)

    def _readable(self, line: _Line) -> None:
        while self._lines.get(line.user) is line:
            try:
                data = line.connection.recv(LONGEST)
                what = _from_workshop.decode(data) if data else None
            except BlockingIOError:
                return
            except (OSError, msgspec.MsgspecError):
                what = None
            if what is None:
                self._lost(line)
            elif (errand := line.errands.get(what.number)) is not None:
                if isinstance(what, Begun):
                    errand.begun = True
                else:
                    self._gone(errand, what)

    def _gone(self, errand: Errand, what: Gone) -> None:
        del errand.line.errands[errand.number]
        errand.ended = True
        outcome: Outcome = Unstarted(what.text, what.ours) if what.text else Ended(what.status, what.output)
        command = errand.command
        # An interpreter that may not read its script can only say so by a status; so Processes does it, too.
        if isinstance(outcome, Ended) and outcome.status > 0 and not outcome.output:
            why = fit(command.words, command.user)
            outcome = Unstarted(why) if why else outcome
        _settle(errand, outcome)

    def _late(self, errand: Errand) -> None:
        done = errand.done
        self.kill(errand)
        if done is not None:
            unit = _unit(errand.line.user, f"has not started {errand.command.words[0]} in time")
            done(Late() if errand.begun else Unstarted(unit, ours=True))

    def _lost(self, line: _Line) -> None:
        """The unit ended, and all that it ran with it; the next program starts it again."""
        self._drop(line)
        for errand in tuple(line.errands.values()):
            errand.ended = True
            _settle(errand, Unstarted(_unit(line.user, "ended"), ours=True))

    def _drop(self, line: _Line) -> None:
        del self._lines[line.user]
        self._loop.remove_reader(line.connection.fileno())
        line.connection.close()


def _settle(errand: Errand, outcome: Outcome | None = None) -> None:
    """Nothing more is told of an errand but this."""
    done, errand.done = errand.done, None
    if errand.timer is not None:
        errand.timer.cancel()
    if done is not None and outcome is not None:
        done(outcome)


def _reachable(path: Path, user: User) -> bool:
    """Whether the user can get there itself. Errors: OSError."""
    path.stat()
    return reachable(path, user)


def _unit(user: str, what: str) -> str:
    return f"lvs-checks@{user}.service {what}"


def _reason(fault: OSError) -> str:
    return os.strerror(fault.errno or 0).lower()
