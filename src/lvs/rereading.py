"""The configuration file, read again: when it changes, on SIGHUP, and when it is asked for.

What is read goes to the other director of a pair first, or into the state at once; then it is on its way
into the kernel.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Protocol

from lvs import events
from lvs.begin import ConfigFile
from lvs.coupling import Coupling
from lvs.fate import Outcome
from lvs.inputs import ConfigLoaded, Converged, ConvergeFailed, Input
from lvs.io import files
from lvs.readiness import Readiness
from lvs.state import LOOK_EVERY_S, State

_BURST_S = 0.05  # a file that was just loaded is not read again sooner


class Director(Protocol):
    """What it needs of the daemon."""

    state: State
    file: ConfigFile
    coupling: Coupling

    def report(self, event: events.Event) -> None: ...
    def applied(self) -> asyncio.Future[Converged | ConvergeFailed]: ...
    def tell_systemd(self) -> None: ...
    async def feed_beside(self, what: Input) -> None: ...


class Rereading:
    """Reads it, one reading at a time."""

    def __init__(self, director: Director, readiness: Readiness) -> None:
        self._director, self._readiness = director, readiness
        self.lock = asyncio.Lock()  # one reading of the file at a time
        self._poked = asyncio.Event()  # the file may have changed
        self._reload_asked = False  # by SIGHUP

    async def up_to_date(self) -> None:
        """Wait until no file is being read: what is known then is what counts."""
        async with self.lock:
            pass

    async def load(self, put: Callable[[], object] | None = None) -> tuple[Input, Outcome]:
        """Read the file and have it run, on the other director of a pair too; what became of it.

        What `put` writes into the file, in a thread, is what is read. Errors: its own.
        """
        async with self.lock:
            if put is not None:
                await asyncio.to_thread(put)
            loaded = await self._load(None)
            assert loaded is not None, "nothing is known, so it is read"
        what, held, outcome = loaded
        return what, outcome if held is None else await held

    async def _load_changed(self, *, anyway: bool = False) -> None:
        """As `load`, if the file is another than the one that was read last; nobody waits for the pair."""
        async with self.lock:
            await self._load(None if anyway else self._director.file.signature)

    async def _load(
        self, known: tuple[int, ...] | None
    ) -> tuple[Input, asyncio.Future[Outcome] | None, Outcome] | None:
        self._readiness.reading()
        read = await asyncio.to_thread(self._read, known)
        if read is None:
            self._readiness.read(changed=False)
            return None
        what, content = read
        director, held = self._director, None
        if isinstance(what, ConfigLoaded):
            held = director.coupling.read(what, content)
        else:
            director.coupling.bad()
        if held is None:
            await director.feed_beside(what)
        self._readiness.read(changed=True)
        director.tell_systemd()
        applied = director.applied() if held is None and director.state.applying is not None else None
        return what, held, Outcome(applied=applied)

    def _read(self, known: tuple[int, ...] | None) -> tuple[Input, bytes] | None:
        """The file as an input, unless it has the signature that is known; in a thread, all in one.

        (What a file takes, twice its size, stays with the thread that read it.)
        """
        seen = self._director.file.look()
        if seen.signature == known:
            return None
        self._readiness.reloading()
        return self._director.file.read(seen), seen.content

    def hung_up(self) -> None:
        """SIGHUP: read it, changed or not."""
        self._reload_asked = True
        self._poked.set()

    async def watching(self) -> None:
        """Read the file when it was seen to change; where inotify is blind, every few seconds."""
        file, loop = self._director.file, asyncio.get_running_loop()
        watch = files.Watch(file.path, partial(loop.call_soon_threadsafe, self._poked.set))
        if watch.fault:
            self._director.report(events.WatchUnavailable(str(file.path), watch.fault))
        try:
            while True:
                try:
                    async with asyncio.timeout(LOOK_EVERY_S):
                        await self._poked.wait()
                except TimeoutError:
                    watch.path = file.path
                    if await asyncio.to_thread(watch.stale, file.signature):  # it may have to be read
                        await self._load_changed(anyway=True)
                    continue
                await asyncio.sleep(max(0.0, file.read_at + _BURST_S - time.monotonic()))
                self._poked.clear()
                watch.path = file.path
                watch.follow()
                asked, self._reload_asked = self._reload_asked, False
                await self._load_changed(anyway=asked)
        finally:
            watch.stop()
