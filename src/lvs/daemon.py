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
from collections.abc import Callable, Coroutine
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
    Cause,
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
from lvs.coupling import Coupling, Outcome
from lvs.desk import Desk
from lvs.director import step
from lvs.errors import Exit, KernelError, LvsError, SystemFault
from lvs.health import ward
from lvs.health.orders import Order
from lvs.inputs import (
    Announced,
    ChecksMeasured,
    ConfigLoaded,
    Converged,
    ConvergeFailed,
    Input,
    LinksChanged,
    LinksUnheard,
    ProbesAnswered,
    SessionsEnded,
    StopAsked,
    TimePassed,
)
from lvs.io import control, files, orders, sysctls, systemd
from lvs.io.announce import Announcer
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
from lvs.state import LOOK_EVERY_S, deadline, settled
from lvs.status import CheckVitals, ended

_MEASURE_S = 1.0
_COUNT_S = 1.0
SWITCH_S = 0.0002
_BURST_S = 0.05  # a file that was just loaded is not read again sooner


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
        self._notify = systemd.notifier()
        self.state = begun.state
        self._first, begun.first = begun.first, None  # until it is told; as long as the table, and held once
        self._ready_owed, self._status_told = True, ""  # what systemd was told
        self._started = not any(isinstance(command, Converge) for command in begun.commands)
        self._failed = False  # a stop did not remove all that it should
        self._links = Links()
        self._announcer = Announcer()
        self.partner = Partner(self, self._links)
        self.checking = Checking(self._answered, self.report)
        self._desk = Desk(self)
        self._pending: Converge | None = None
        self._waiting: list[asyncio.Future[Converged | ConvergeFailed]] = []
        # The event loop's; made before it runs, used only in it.
        self._wake = asyncio.Event()  # a Converge is pending
        self._moved = asyncio.Event()  # the deadline may be another
        self._poked = asyncio.Event()  # the file may have changed
        self._quit = asyncio.Event()
        self._faults: asyncio.Queue[Exception] = asyncio.Queue()  # of callbacks
        self.kernel = asyncio.Lock()  # one conversation with the kernel at a time
        self.loading = asyncio.Lock()  # one reading of the file at a time
        self._held_back: list[Input] | None = None  # inputs that wait for one that takes long
        self._reload_asked = False  # by SIGHUP
        self._reading = False  # a file is being read and decided
        self._announcements: asyncio.Queue[tuple[Vip, ...]] = asyncio.Queue()

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
                self._pending = command
                self._wake.set()
            case Announce(vips):
                self._announcements.put_nowait(vips)
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

    def applied(self) -> asyncio.Future[Converged | ConvergeFailed]:
        """What comes of the newest Converge."""
        future: asyncio.Future[Converged | ConvergeFailed] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        return future

    # The event loop

    async def serve(self) -> int:
        """Run until told to stop; the exit code. Errors: KernelError if the devices cannot be used."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._callback_failed)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop_asked, signal.Signals(number).name)
        loop.add_signal_handler(signal.SIGHUP, self._hung_up)
        self.converger.links = self._links
        self._journal.report(events.Started(__version__, str(self._options.file)))
        try:
            await self._links.open()
            self._announcer.open()
            self.checking.open(loop)
            self.partner.open(loop)
            if self.state.pairing.seat is Seat.UNKNOWN:
                await self.partner.see_machine()  # before the first Converge: it decides who holds the VIPs
            if self._pending is None:
                self._tell_systemd()
            return await self._work()
        finally:
            self._notify("STOPPING=1")
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
            self._converging(),
            self._timing(),
            self._announcing(),
            self._listening_to_links(),
            *self.partner.tasks(),
            self._watching_file(),
            self._answering(),
            self._measuring(),
            self._counting(),
            self._petting(),
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

    async def up_to_date(self) -> None:
        """Wait until no file is being read: what is known then is what counts."""
        async with self.loading:
            pass

    async def load(self, put: Callable[[], object] | None = None) -> tuple[Input, Outcome]:
        """Read the file and have it run, on the other director of a pair too; what became of it.

        What `put` writes into the file, in a thread, is what is read. Errors: its own.
        """
        async with self.loading:
            if put is not None:
                await asyncio.to_thread(put)
            loaded = await self._load(None)
            assert loaded is not None, "nothing is known, so it is read"
        what, held, outcome = loaded
        return what, outcome if held is None else await held

    async def _load_changed(self, *, anyway: bool = False) -> None:
        """As `load`, if the file is another than the one that was read last; nobody waits for the pair."""
        async with self.loading:
            await self._load(None if anyway else self.file.signature)

    async def _load(
        self, known: tuple[int, ...] | None
    ) -> tuple[Input, asyncio.Future[Outcome] | None, Outcome] | None:
        self._reading = True
        read = await asyncio.to_thread(self._read, known)
        if read is None:
            self._reading = False
            return None
        what, content = read
        self._ready_owed = True
        held = None
        if isinstance(what, ConfigLoaded):
            held = self.coupling.read(what, content)
        else:
            self.coupling.bad()
        if held is None:
            await self.feed_beside(what)
        self._reading = False
        if self._pending is None:
            self._tell_systemd()
        applied = self.applied() if held is None and self.state.applying is not None else None
        return what, held, Outcome(applied=applied)

    def _read(self, known: tuple[int, ...] | None) -> tuple[Input, bytes] | None:
        """The file as an input, unless it has the signature that is known; in a thread, and all in one.

        (What a file takes, twice its size, stays with the thread that read it.)
        """
        seen = self.file.look()
        if seen.signature == known:
            return None
        self._notify(*systemd.reloading())
        return self.file.read(seen), seen.content

    def _hung_up(self) -> None:
        self._reload_asked = True
        self._poked.set()

    def _tell_systemd(self) -> None:
        """READY after the start and after each reload; STATUS when it is another."""
        status = f"STATUS={summary(self.state)}"
        ready = (
            self._ready_owed and self._started and not self._reading
        )  # a kernel that could not be written is tried again
        lines = ["READY=1"] if ready else []
        if status != self._status_told:
            lines.append(status)
        self._ready_owed, self._status_told = self._ready_owed and not ready, status
        if lines:
            self._notify(*lines)

    async def _converging(self) -> None:
        """Carry out the newest Converge; heartbeats and the socket never wait for it."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            command, self._pending = self._pending, None
            if command is None:
                continue
            result = await self._converge(command)
            self.feed(result)
            self._started = self._started or isinstance(result, Converged)
            if self._pending is None:
                self._tell_systemd()
                waiting, self._waiting = self._waiting, []
                for future in waiting:
                    if not future.done():
                        future.set_result(result)

    async def _converge(self, command: Converge) -> Converged | ConvergeFailed:
        goal = self.converger.released() if command.cause is Cause.STOP else command.goal.state
        first, self._first = self._first, None
        try:
            async with self.kernel:
                role = command.cause is Cause.ROLE
                outcome = await self.converger.converge(goal, None if first else command.only, role=role)
        except KernelError as fault:
            return ConvergeFailed(command.cause, str(fault))
        not_saved = None
        if outcome.not_saved:
            not_saved = (str(self._options.run_directory / LEDGER_NAME), outcome.not_saved)
        done, took_s = outcome.done, outcome.took_s
        if first is not None:
            done, took_s = (*first.done, *done), first.took_s + took_s
        return Converged(command, done, outcome.refused, took_s, not_saved)

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

    async def _announcing(self) -> None:
        while True:
            vips = await self._announcements.get()
            try:
                devices = await self._links.devices()
                reasons = self._announcer.announce(vips, devices, _is_router())
            except KernelError as fault:
                reasons = [str(fault)]
            self.feed(Announced(tuple(reasons)))

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

    async def _watching_file(self) -> None:
        """Read the file when it was seen to change; where inotify is blind, every few seconds."""
        loop = asyncio.get_running_loop()
        watch = files.Watch(self.file.path, partial(loop.call_soon_threadsafe, self._poked.set))
        if watch.fault:
            self._journal.report(events.WatchUnavailable(str(self.file.path), watch.fault))
        try:
            while True:
                try:
                    async with asyncio.timeout(LOOK_EVERY_S):
                        await self._poked.wait()
                except TimeoutError:
                    watch.path = self.file.path
                    if watch.stale(self.file.signature):
                        await self._load_changed(anyway=True)
                    continue
                await asyncio.sleep(max(0.0, self.file.read_at + _BURST_S - time.monotonic()))
                self._poked.clear()
                watch.path = self.file.path
                watch.follow()
                asked, self._reload_asked = self._reload_asked, False
                await self._load_changed(anyway=asked)
        finally:
            watch.stop()

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
            if not ward.draining(self.state.health) or not settled(self.state):
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

    async def _petting(self) -> None:
        period_s = systemd.watchdog_period_s()
        while period_s is not None:
            self._notify("WATCHDOG=1")
            await asyncio.sleep(period_s)


def _is_router() -> bool:
    """Whether this machine forwards IPv6: the router flag of its advertisements, RFC 4861 section 4.4."""
    name = "net/ipv6/conf/all/forwarding"
    return sysctls.read((name,)).get(name) == "1"
