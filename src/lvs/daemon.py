"""The daemon: sources feed inputs to `director.step`, its commands are carried out here.

When it is imported the table stands already (`lvs.begin`). One task group owns every task;
one that crashes ends the daemon, the kernel goes on forwarding, and systemd starts it again.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
import traceback
from collections.abc import Coroutine
from functools import partial
from typing import Any, assert_never

import msgspec

from lvs import __version__, events
from lvs.begin import LEDGER_NAME, Begun
from lvs.changes import Changes
from lvs.checks import Answer, Target
from lvs.commands import (
    Announce,
    Ask,
    Command,
    Converge,
    KeepOrders,
    Quit,
    Report,
    RunAs,
    RunHook,
    ShareConnections,
    TellPulse,
    Unwire,
    Wire,
)
from lvs.commits import Commits
from lvs.converging import Converging
from lvs.coupling import Coupling
from lvs.desk import Desk
from lvs.director import step
from lvs.errors import Exit, KernelError, LvsError, SystemFault
from lvs.health import maintenance
from lvs.health.orders import Order
from lvs.inputs import (
    Announced,
    ChecksMeasured,
    Input,
    LinksChanged,
    LinksUnheard,
    ProbesAnswered,
    SessionsEnded,
    StopAsked,
    TimePassed,
)
from lvs.io import control, devices, orders
from lvs.io.announce import Announcer, routing
from lvs.io.checking import Checking
from lvs.io.journal import Journal
from lvs.io.links import DeviceChanged, Links
from lvs.io.stalls import TimedSelector
from lvs.keeper import Keeper
from lvs.kernel.state import Vip
from lvs.operators import summary
from lvs.pair import Seat
from lvs.partner import Partner
from lvs.planning import plan
from lvs.protocol import SOCKET_NAME
from lvs.readiness import Readiness
from lvs.rereading import Rereading
from lvs.state import LOOK_EVERY_S, deadline, settled
from lvs.status import CheckVitals, ended

_MEASURE_S = 1.0
_COUNT_S = 1.0
SWITCH_S = 0.0002


def run(begun: Begun) -> int:
    """Serve until told to stop; the exit code."""
    # A thread that reads a file holds the interpreter for so long at a time. By default that is 5 ms, and the
    # loop has to have it back after every system call: ten thousand checks would be late by seconds.
    sys.setswitchinterval(SWITCH_S)
    selector = TimedSelector()
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        return runner.run(Daemon(begun, selector).serve())


class Daemon:
    """Holds the state, and carries out commands."""

    def __init__(self, begun: Begun, selector: TimedSelector) -> None:
        self._selector = selector
        options = self._options = begun.options
        self.converger = begun.converger
        self.file = begun.file
        self._journal = Journal(to_journal=options.to_journal)
        self.state = begun.state
        self._readiness = Readiness(
            started=not any(isinstance(command, Converge) for command in begun.commands)
        )
        first, begun.first = begun.first, None
        ledger = options.run_directory / LEDGER_NAME
        self._converging = Converging(self, self.converger, self._readiness, first=first, ledger=ledger)
        self.kernel, self.applied = self._converging.kernel, self._converging.applied
        self._failed = False  # a stop did not remove all that it should
        self._links = Links()
        self._announcer = Announcer()
        self.partner = Partner(self, self._links)
        self.checking = Checking(self._answered, self.report)
        self._rereading = Rereading(self, self._readiness)
        self.loading, self.load = self._rereading.lock, self._rereading.load
        self.up_to_date = self._rereading.up_to_date
        self._desk = Desk(self)
        # The event loop's; made before it runs, used only in it.
        self._moved = asyncio.Event()  # the deadline may be another
        self._quit = asyncio.Event()
        self._faults: asyncio.Queue[Exception] = asyncio.Queue()  # of callbacks
        self._held_back: list[Input] | None = None  # inputs that wait for one that takes long

        self.coupling = Coupling(self, options.state_directory)
        keeper = Keeper(self, options.repository)
        self.changes = Changes(keeper, partial(plan, self), options.state_directory)
        self._commits = Commits(keeper)
        if begun.orders_fault:
            self._journal.report(events.OrdersLost(begun.orders_fault))
        for command in begun.commands:
            self._carry_out(command)

    # Inputs

    def feed(self, what: Input) -> None:
        """One input through `step`; no await between taking it and handing out its commands."""
        if self._held_back is not None:
            self._held_back.append(what)
            return
        self.state, commands = step(self.state, what, time.monotonic())
        self._hand_out(commands)

    async def feed_beside(self, what: Input) -> None:
        """An input that takes long: decided in a thread, while the loop goes on and other inputs wait."""
        self._held_back = []
        try:
            self.state, commands = await asyncio.to_thread(step, self.state, what, time.monotonic())
        finally:
            held_back, self._held_back = self._held_back, None
        self._hand_out(commands)
        for other in held_back:
            self.feed(other)

    def _hand_out(self, commands: tuple[Command, ...]) -> None:
        for command in commands:
            self._carry_out(command)
        if self.state.pairing.seat is Seat.UNKNOWN:
            self.partner.machine_moved()
        self.coupling.moved()
        self._moved.set()

    def _carry_out(self, command: Command) -> None:
        match command:
            case Converge():
                # VIPs that are taken at once are told of before the commands left: neighbours wait for them.
                self._converging.want(command)
            case Announce(vips):
                self._announce(vips)
            case Ask():
                self.checking.ask(command)
            case RunAs(user):
                self.checking.run_as(user)
            case RunHook(hook):
                self.checking.run(hook)
            case KeepOrders(kept):
                self._keep(kept)
                self.coupling.orders_kept(kept)
            case Wire() | Unwire() | TellPulse() | ShareConnections():
                self.partner.carry_out(command)
            case Report(event):
                self._journal.report(event)
            case Quit(failed):
                self._failed = failed
                self._quit.set()
            case _:
                assert_never(command)

    def rekeyed(self, heartbeat: bytes) -> None:
        self.partner.rekeyed(heartbeat)

    # Checks

    def _answered(self, answers: tuple[tuple[Target, Answer], ...]) -> None:
        self.feed(ProbesAnswered(answers))

    def report(self, event: events.Event) -> None:
        self._journal.report(event)

    def _keep(self, kept: tuple[Order, ...]) -> None:
        file = self._options.state_directory / orders.NAME
        try:
            orders.save(file, kept)
        except SystemFault as fault:
            self._journal.report(events.OrdersNotSaved(str(file), str(fault)))

    # The event loop

    async def serve(self) -> int:
        """Run until told to stop; the exit code. Errors: KernelError if the devices cannot be used."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._callback_failed)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop_asked, signal.Signals(number).name)
        loop.add_signal_handler(signal.SIGHUP, self._rereading.hung_up)
        self.converger.links = self._links
        self._journal.report(events.Started(__version__, str(self._options.file)))
        try:
            await self._links.open()
            self._announcer.open()
            self.checking.open(loop)
            self.partner.open(loop)
            if self.state.pairing.seat is Seat.UNKNOWN:
                await self.partner.see_machine()  # before the first Converge: it decides who holds the VIPs
            self.tell_systemd()
            return await self._work()
        finally:
            self._readiness.stopping()
            self.partner.close()
            self.checking.close()
            self._links.close()
            self._announcer.close()
            self._journal.close()

    async def _work(self) -> Exit:
        """Let the sources work until there is nothing left to do, or one of them crashes."""
        crashed = False
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(source) for source in self._sources()]
                await self._quit.wait()
                for task in tasks:
                    task.cancel()
        except* Exception as faults:  # noqa: BLE001  a mistake of ours, told with all that helps to find it
            for fault in faults.exceptions:
                if isinstance(fault, LvsError):  # the machine's fault, not ours: a sentence will do
                    raise fault from None
            crashed = True
            self._journal.report(events.Fault("; ".join(map(repr, faults.exceptions))))
            traceback.print_exception(faults)
        return Exit.FAILED if crashed or self._failed else Exit.OK

    def _sources(self) -> tuple[Coroutine[None, None, None], ...]:
        return (
            self._converging.working(),
            self._timing(),
            self._listening_to_links(),
            *self.partner.tasks(),
            self._rereading.watching(),
            self._answering(),
            self._measuring(),
            self._counting(),
            self._readiness.petting(),
            self._crashing(),
            *self.coupling.tasks(),
            *self.changes.tasks(),
            *self._commits.tasks(),
        )

    def _callback_failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A callback that fails, as the engine's tick, is as bad as a task that does: nobody would go on."""
        fault = context.get("exception")
        if "handle" in context and isinstance(fault, Exception):
            self._faults.put_nowait(fault)
        else:
            loop.default_exception_handler(context)

    def _stop_asked(self, name: str) -> None:
        self.feed(StopAsked(name))

    def vitals(self) -> CheckVitals:
        """How the checks are doing, and the event loop with them."""
        now = time.monotonic()
        vitals = self.checking.vitals(now)
        stall_s = max(vitals.stall_s, self._selector.turns.now(now))
        return msgspec.structs.replace(vitals, stall_s=stall_s)

    def tell_systemd(self) -> None:
        """How the daemon stands, if nothing is on its way into the kernel."""
        if self._converging.idle:
            self._readiness.tell(summary(self.state))

    async def _timing(self) -> None:
        """Feed TimePassed at the state's deadline, whichever it is by then."""
        while True:
            self._moved.clear()
            due = deadline(self.state)
            if self._held_back is not None:  # time passes when there is somebody to tell
                await self._moved.wait()
                continue
            try:
                async with asyncio.timeout(None if due is None else max(0.0, due - time.monotonic())):
                    await self._moved.wait()
            except TimeoutError:
                self.feed(TimePassed())

    def _announce(self, vips: tuple[Vip, ...]) -> None:
        """Now, and not when the event loop gets to it: what follows can wait, the neighbours cannot."""
        try:
            found = devices.devices(vip.device for vip in vips)
            reasons = self._announcer.announce(vips, found, routing(vips))
        except KernelError as fault:
            reasons = [str(fault)]
        asyncio.get_running_loop().call_soon(self.feed, Announced(tuple(reasons)))

    async def _listening_to_links(self) -> None:
        while True:
            try:
                async for change in self._links.changes():
                    self.partner.machine_moved()
                    match change:
                        case DeviceChanged(name, up=True, carrier=True):
                            self.feed(LinksChanged(back=name))
                        case _:
                            self.feed(LinksChanged())
            except KernelError as fault:
                self.feed(LinksUnheard(str(fault)))
                await asyncio.sleep(LOOK_EVERY_S)

    async def _answering(self) -> None:
        server = await control.serve(self._options.run_directory / SOCKET_NAME, self._desk.answer)
        try:
            await asyncio.Event().wait()
        finally:
            server.close()  # and no wait for those who are connected: a stop must not depend on them

    async def _measuring(self) -> None:
        """Whether the checks are in time: a checker that is wedged is noticed."""
        while True:
            await asyncio.sleep(_MEASURE_S)
            overdue, reason = self.checking.overdue(time.monotonic())
            self.feed(ChecksMeasured(overdue, reason))

    async def _counting(self) -> None:
        """Whether a drained real server has a session left."""
        while True:
            await asyncio.sleep(_COUNT_S)
            if not maintenance.draining(self.state.health) or not settled(self.state):
                continue
            try:
                async with self.kernel:
                    held = await asyncio.to_thread(self.converger.held)
            except KernelError:
                continue  # the next look tells it
            done = ended(self.state.health, held)
            if done and settled(self.state):
                self.feed(SessionsEnded(done))

    async def _crashing(self) -> None:
        """Fail as a callback did."""
        raise await self._faults.get()
