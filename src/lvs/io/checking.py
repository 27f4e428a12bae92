"""All that asks real servers, put together: the engine, its protocols, programs, sockets, hooks.

The daemon says whom to ask and hears answers; how that is done is nobody else's business.
"""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import Callable

from lvs import events
from lvs.checks import Answer, File, Icmp, Load, Neighbour, Program, Target
from lvs.commands import Ask
from lvs.health.ward import Hook
from lvs.io import hooks, secrets
from lvs.io.askers import Files
from lvs.io.echo import Echo
from lvs.io.engine import Engine
from lvs.io.findings import Asker, Finished, Last
from lvs.io.neighbour import Neighbours
from lvs.io.processes import Processes
from lvs.io.programs import Programs
from lvs.io.stalls import Worst
from lvs.probes.talk import Talk
from lvs.probes.talks import credentials, talk_for
from lvs.status import CheckVitals

AT_ONCE = 20_000  # probes in flight: when a network is cut, all are, for as long as their limit is
OTHERS = 1000  # descriptors that are for anything else, and for connections that are being closed


def room() -> int:
    """How many probes can be in flight at once; this process is allowed the descriptors for them.

    With fewer than there are real servers, a network that drops everything would be noticed later than
    interval and limit promise: the next probes wait for the limit of those before. systemd allows 1,024
    unless asked, and half a million to who asks (systemd.exec(5), LimitNOFILE).
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = AT_ONCE + OTHERS
    allowed = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return max(allowed - OTHERS, allowed // 2)


class Checking:
    """Asks the targets that it is told to, until it is closed."""

    def __init__(
        self,
        answered: Callable[[tuple[tuple[Target, Answer], ...]], None],
        told: Callable[[events.Event], None],
    ) -> None:
        self._answered = answered
        self._told = told
        self._processes = Processes()
        self._programs = Programs(self._processes)
        self._hooks = hooks.Hooks(self._processes, self._hook_failed)
        self._others = (Echo(), Neighbours(), Files())
        echo, neighbours, files = self._others
        askers: dict[type, Asker] = {
            Program: self._programs,
            Load: self._programs,
            Icmp: echo,
            Neighbour: neighbours,
            File: files,
        }
        self._engine = Engine(self._finished, self._talk, askers, at_once=room())
        self._late, self._stalled = Worst(), Worst()
        self._open = False
        self._owed: list[Ask] = []

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        self._processes.open(loop)
        self._programs.open(loop)
        self._hooks.open(loop)
        for asker in self._others:
            asker.open(loop)
        self._engine.open(loop)
        self._open = True
        owed, self._owed = self._owed, []
        for command in owed:
            self.ask(command)

    def close(self) -> None:
        """Ask nobody any more; programs that run are ended."""
        if self._open:
            self._open = False
            self._engine.close()
            for asker in self._others:
                asker.close()
            self._hooks.close()
            self._programs.close()
            self._processes.close()

    def ask(self, command: Ask) -> None:
        """Ask others from now on."""
        if not self._open:
            self._owed.append(command)
            return
        self._engine.follow(command.follow, command.rows)
        self._engine.forget(command.forget)
        self._engine.loudly(command.again, command.rows)
        self._engine.now(command.again)

    def run_as(self, user: str | None) -> None:
        """The user of check programs from now on; None: lvs-check, or nobody."""
        self._programs.run_as(user)

    def last(self, target: Target) -> Last:
        return self._engine.last(target)

    def run(self, hook: Hook) -> None:
        """Run a program because something happened, after those before it."""
        self._hooks.put(hooks.Hook(tuple(hook.command.split()), hook.environment, _subject(hook)))

    def overdue(self, now: float) -> tuple[int, str]:
        """How many checks have had no answer for far too long, and what is known of why."""
        vitals = self.vitals(now)
        return (
            vitals.overdue,
            f"{vitals.in_flight} in flight, started up to {vitals.late_s:.1f} s late in the last 30 s",
        )

    def vitals(self, now: float) -> CheckVitals:
        """How the engine is doing; the loop's stall as its timer saw it."""
        vitals = self._engine.health(now)
        self._late.note(vitals.lateness_s, now)
        self._stalled.note(vitals.stall_s, now)
        return CheckVitals(
            followed=vitals.followed,
            in_flight=vitals.in_flight,
            waiting=vitals.waiting,
            started=vitals.started,
            overdue=vitals.overdue,
            late_s=self._late.now(now),
            stall_s=self._stalled.now(now),
        )

    def _finished(self, finished: list[Finished]) -> None:
        self._answered(tuple([(one.target, one.answer) for one in finished]))

    def _talk(self, target: Target) -> Talk | None:
        """The protocol of a target with its credentials, which were there when the file was read.

        Errors: LvsError, LookupError, OSError, ValueError if it can no longer be had.
        """
        found = {name: secrets.read(name) for name in credentials(target.check)}
        return talk_for(target, found, time.time)

    def _hook_failed(self, sentence: str) -> None:
        what, _, why = sentence.partition(": ")
        self._told(events.HookFailed(what, why))


def _subject(hook: Hook) -> str:
    """What a hook program is run for: `mail for web, real server real1 (10.0.0.1, port 80)`."""
    program, get = hook.command.split()[0], hook.environment.get
    if virtual_server := get("LVS_VIRTUAL_SERVER"):
        program += f" for {virtual_server}"
    if real_server := get("LVS_REAL_SERVER"):
        program += f", real server {real_server} ({get('LVS_ADDRESS')}, port {get('LVS_PORT')})"
    return program
