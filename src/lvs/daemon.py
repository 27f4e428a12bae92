"""The daemon: sources feed inputs to `director.step`, its commands are carried out here.

When it is imported the table stands already (`lvs.begin`). One task group owns every task;
one that crashes ends the daemon, the kernel goes on forwarding, and systemd starts it again.
"""

from __future__ import annotations

import asyncio
import signal
import time
import traceback
from collections.abc import Coroutine
from functools import partial
from typing import assert_never

from lvs import __version__, events, operators
from lvs.begin import LEDGER_NAME, Begun
from lvs.config.load import load
from lvs.director import (
    LOOK_EVERY_S,
    Announce,
    Cause,
    Command,
    ConfigLoaded,
    ConfigRejected,
    ConfigUnreadable,
    Converge,
    Converged,
    ConvergeFailed,
    Input,
    LinksChanged,
    Quit,
    Report,
    StopAsked,
    TimePassed,
    deadline,
    step,
)
from lvs.errors import Exit, KernelError, LvsError
from lvs.io import control, files, sysctls, systemd
from lvs.io.announce import Announcer
from lvs.io.journal import Journal
from lvs.io.links import DeviceChanged, Links
from lvs.kernel.desired import desired
from lvs.kernel.diff import diff
from lvs.kernel.state import Vip
from lvs.operators import summary
from lvs.protocol import SOCKET_NAME, PlanRequest, ReloadRequest, Reply, Request, StatusRequest
from lvs.status import table

_BURST_S = 0.05  # a file that was just loaded is not read again sooner


def run(begun: Begun) -> int:
    """Serve until told to stop; the exit code."""
    return asyncio.run(Daemon(begun).serve())


class Daemon:
    """Holds the state, and carries out commands."""

    def __init__(self, begun: Begun) -> None:
        options = self._options = begun.options
        self._converger = begun.converger
        self._file = begun.file
        self._journal = Journal(to_journal=options.to_journal)
        self._notify = systemd.notifier()
        self._state = begun.state
        self._first = begun.first  # until it is told
        self._ready_owed, self._status_told = True, ""  # what systemd was told
        self._links = Links()
        self._announcer = Announcer()
        self._pending: Converge | None = None
        self._waiting: list[asyncio.Future[Converged | ConvergeFailed]] = []
        # The event loop's; made before it runs, used only in it.
        self._wake = asyncio.Event()  # a Converge is pending
        self._moved = asyncio.Event()  # the deadline may be another
        self._poked = asyncio.Event()  # the file may have changed
        self._quit = asyncio.Event()
        self._kernel = asyncio.Lock()  # one conversation with the kernel at a time
        self._announcements: asyncio.Queue[tuple[Vip, ...]] = asyncio.Queue()

        for command in begun.commands:
            self._carry_out(command)

    # Inputs

    def _feed(self, what: Input) -> None:
        """One input through `step`; no await between taking it and handing out its commands."""
        self._state, commands = step(self._state, what, time.monotonic())
        for command in commands:
            self._carry_out(command)
        self._moved.set()

    def _carry_out(self, command: Command) -> None:
        match command:
            case Converge():
                self._pending = command
                self._wake.set()
            case Announce(vips):
                self._announcements.put_nowait(vips)
            case Report(event):
                self._journal.report(event)
            case Quit():
                self._quit.set()
            case _:
                assert_never(command)

    # The event loop

    async def serve(self) -> int:
        """Run until told to stop; the exit code. Errors: KernelError if the devices cannot be used."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop_asked, signal.Signals(number).name)
        loop.add_signal_handler(signal.SIGHUP, self._feed_file)
        self._converger.links = self._links
        self._journal.report(events.Started(__version__, str(self._options.file)))
        try:
            await self._links.open()
            self._announcer.open()
            if self._pending is None:
                self._tell_systemd()
            return await self._work()
        finally:
            self._notify("STOPPING=1")
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
        return Exit.FAILED if crashed else Exit.OK

    def _sources(self) -> tuple[Coroutine[None, None, None], ...]:
        return (
            self._converging(),
            self._timing(),
            self._announcing(),
            self._listening_to_links(),
            self._watching_file(),
            self._answering(),
            self._petting(),
        )

    def _stop_asked(self, name: str) -> None:
        self._feed(StopAsked(name))

    def _feed_file(self) -> Input:
        """Read the file and feed it; the input that it became."""
        self._notify(*systemd.reloading())
        self._ready_owed = True
        what = self._file.read()
        self._feed(what)
        if self._pending is None:
            self._tell_systemd()
        return what

    def _tell_systemd(self) -> None:
        """READY after the start and after each reload; STATUS when it is another."""
        status = f"STATUS={summary(self._state)}"
        lines = ["READY=1"] if self._ready_owed else []
        if status != self._status_told:
            lines.append(status)
        self._ready_owed, self._status_told = False, status
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
            self._feed(result)
            if self._pending is None:
                self._tell_systemd()
                waiting, self._waiting = self._waiting, []
                for future in waiting:
                    if not future.done():
                        future.set_result(result)

    async def _converge(self, command: Converge) -> Converged | ConvergeFailed:
        goal = self._converger.released() if command.cause is Cause.STOP else command.goal.state
        first, self._first = self._first, None
        try:
            async with self._kernel:
                outcome = await self._converger.converge(goal, None if first else command.only)
        except KernelError as fault:
            return ConvergeFailed(command.cause, str(fault))
        if outcome.not_saved:
            file = str(self._options.run_directory / LEDGER_NAME)
            self._journal.report(events.StateNotSaved(file, outcome.not_saved))
        done, took_s = outcome.done, outcome.took_s
        if first is not None:
            done, took_s = (*first.done, *done), first.took_s + took_s
        return Converged(command, done, outcome.refused, took_s)

    async def _timing(self) -> None:
        """Feed TimePassed at the state's deadline, whichever it is by then."""
        while True:
            self._moved.clear()
            due = deadline(self._state)
            try:
                async with asyncio.timeout(None if due is None else max(0.0, due - time.monotonic())):
                    await self._moved.wait()
            except TimeoutError:
                self._feed(TimePassed())

    async def _announcing(self) -> None:
        while True:
            vips = await self._announcements.get()
            try:
                devices = await self._links.devices()
                reasons = self._announcer.announce(vips, devices, _is_router())
            except KernelError as fault:
                reasons = [str(fault)]
            for reason in reasons:
                self._journal.report(events.AnnouncementFailed(reason))

    async def _listening_to_links(self) -> None:
        while True:
            try:
                async for change in self._links.changes():
                    match change:
                        case DeviceChanged(name, up=True, carrier=True):
                            self._feed(LinksChanged(back=name))
                        case _:
                            self._feed(LinksChanged())
            except KernelError as fault:
                self._journal.report(events.KernelUnavailable(str(fault)))
                await asyncio.sleep(LOOK_EVERY_S)

    async def _watching_file(self) -> None:
        """Read the file when it was seen to change; where inotify is blind, every few seconds."""
        loop = asyncio.get_running_loop()
        watch = files.Watch(self._options.file, partial(loop.call_soon_threadsafe, self._poked.set))
        if watch.fault:
            self._journal.report(events.WatchUnavailable(str(self._options.file), watch.fault))
        try:
            while True:
                try:
                    async with asyncio.timeout(LOOK_EVERY_S):
                        await self._poked.wait()
                except TimeoutError:
                    if watch.stale(self._file.signature):
                        self._feed_file()
                    continue
                await asyncio.sleep(max(0.0, self._file.read_at + _BURST_S - time.monotonic()))
                self._poked.clear()
                watch.follow()
                if files.signature(self._options.file) != self._file.signature:
                    self._feed_file()
        finally:
            watch.stop()

    async def _answering(self) -> None:
        server = await control.serve(self._options.run_directory / SOCKET_NAME, self._answer)
        try:
            await asyncio.Event().wait()
        finally:
            server.close()  # and no wait for those who are connected: a stop must not depend on them

    async def _petting(self) -> None:
        period_s = systemd.watchdog_period_s()
        while period_s is not None:
            self._notify("WATCHDOG=1")
            await asyncio.sleep(period_s)

    # Operators

    async def _answer(self, request: Request) -> Reply:
        match request:
            case StatusRequest():
                return await self._status()
            case PlanRequest(file, content):
                return await self._plan(file, content)
            case ReloadRequest():
                return await self._reload()
            case _:
                assert_never(request)

    async def _status(self) -> Reply:
        try:
            async with self._kernel:
                held = await asyncio.to_thread(self._converger.held)
        except KernelError as fault:
            return Reply(fault.exit_code, err=(str(fault),))
        shown = operators.status(self._state, str(self._options.file), held)
        return Reply(out=tuple(table(shown)), status=shown)

    async def _plan(self, file: str, content: bytes | None) -> Reply:
        try:
            if content is None:
                file = str(self._options.file)
                content = files.read(self._options.file).content
            loaded = load(content, file, previous=self._file.loaded)
            if loaded.config is None:
                return Reply(Exit.PROBLEMS, err=tuple(map(str, loaded.problems)))
            goal = desired(loaded.config, self._state.goal)
            async with self._kernel:
                actual = await self._converger.actual(goal.state)
                held = await asyncio.to_thread(self._converger.held)
        except LvsError as fault:
            return Reply(fault.exit_code, err=(f"{file}: {fault}",))
        lines = operators.plan(diff(actual, goal.state), held, self._state.goal, goal)
        return Reply(out=lines, err=tuple(map(str, loaded.problems)))

    async def _reload(self) -> Reply:
        what = self._feed_file()
        match what:
            case ConfigRejected(_, problems):
                return Reply(Exit.PROBLEMS, err=tuple(map(str, problems)))
            case ConfigUnreadable(file, reason):
                return Reply(Exit.FAILED, err=(f"cannot read {file}: {reason}",))
            case ConfigLoaded(file, warnings=warnings):
                shown = tuple(map(str, warnings))
                if self._state.applying is None:
                    return Reply(out=(f"{file}: nothing to change",), err=shown)
                future: asyncio.Future[Converged | ConvergeFailed]
                future = asyncio.get_running_loop().create_future()
                self._waiting.append(future)
                return operators.reloaded(file, await future, shown)
            case _:
                raise AssertionError(f"reading a file gave {what}")


def _is_router() -> bool:
    """Whether this machine forwards IPv6: the router flag of its advertisements, RFC 4861 section 4.4."""
    name = "net/ipv6/conf/all/forwarding"
    return sysctls.read((name,)).get(name) == "1"
