"""This director's half of the pair's common configuration: what `lvs.sync.machine` decides, done.

The daemon hands over every file that it reads and learns what becomes of it; the desk asks for the
status. Whatever writes or reads the file, or makes something the running configuration, happens in
one worker, in order, under the lock under which the daemon reads its file.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Protocol, assert_never

import msgspec

from lvs import events, outcomes, pairstatus
from lvs.begin import ConfigFile
from lvs.consent import Consent, Reader
from lvs.courier import Courier
from lvs.errors import SystemFault
from lvs.events import Event
from lvs.fate import Applied, Fates, Outcome
from lvs.health.orders import Order
from lvs.health.shared import Findings, Orders
from lvs.inputs import ConfigLoaded, FindingsShared, Input
from lvs.io import install, pairfile
from lvs.letters import Hello, Letter, Ping
from lvs.liaison import Liaison
from lvs.model import Role
from lvs.offered import examine, objections, put, text_of, understood
from lvs.pair import PAIRED, Pairing, Seat
from lvs.repository.exchange import Lacks, Pack, Probation, Tip
from lvs.sharing import Sharing
from lvs.state import State as DirectorState
from lvs.sync.machine import step
from lvs.sync.messages import (
    Abort,
    Answer,
    Commit,
    Connected,
    Discard,
    Done,
    Examine,
    Examined,
    FileBad,
    FileRead,
    HangUp,
    Install,
    Installed,
    Keep,
    KernelRefused,
    Lost,
    Offer,
    Ran,
    Received,
    Refuse,
    ResolveAsked,
    Review,
    Reviewed,
    RoleIs,
    Run,
    Send,
    Standing,
    Take,
    Tell,
    TimePassed,
    Use,
)
from lvs.sync.messages import Input as SyncInput
from lvs.sync.state import RUN_S, State, deadline
from lvs.sync.version import Agreed, Text, Version

RESOLVE_S = 12.0

Work = Run | Examine | Install | Discard | Review


class Director(Protocol):
    """What the coupling needs of the daemon."""

    state: DirectorState
    file: ConfigFile
    loading: asyncio.Lock

    def feed(self, what: Input) -> None: ...
    def report(self, event: Event) -> None: ...
    def rekeyed(self, heartbeat: bytes) -> None: ...
    async def feed_beside(self, what: Input) -> None: ...
    def applied(self) -> Applied: ...


class Coupling:
    """Also what the channel tells."""

    def __init__(self, director: Director, state_directory: Path) -> None:
        self._director = director
        self._memory_file = state_directory / pairfile.NAME
        self.state = State()
        self.liaison = Liaison(director, self)
        self._pairing: Pairing | None = None  # as it was last looked at
        self._kernel: object = ()  # the same
        self._fates = Fates()
        self._work: asyncio.Queue[Work] = asyncio.Queue()
        self._moved = asyncio.Event()  # the deadline may be another
        self._memory = pairfile.Memory()
        self.courier = Courier(director, self.liaison.post, lambda: self.status().state in pairstatus.ALIKE)
        self.consent = Consent(self, partial(objections, director.file))
        self.pulled: Version | None = None  # the last that came from the other director
        self.reader: Reader | None = None
        self._recall()
        self._sharing = Sharing(director, self.liaison, self._memory, self._remember)
        begun, content = director.file.first
        self.state = State(bad=True) if begun is None else State(mine=text_of(begun, content))

    def _recall(self) -> None:
        try:
            self._memory = pairfile.load(self._memory_file)
        except SystemFault as fault:
            self.tell(events.PairStateLost(str(fault)))

    # The daemon asks

    @property
    def paired(self) -> bool:
        return self._director.state.pairing.seat in PAIRED

    def tasks(self) -> tuple[Coroutine[None, None, None], ...]:
        """What the daemon's task group is to run."""
        return (
            self._looking(),
            self._timing(),
            self._working(),
            self._sharing.telling(lambda: self.state.active),
            *self.courier.tasks(),
        )

    def read(self, what: ConfigLoaded, content: bytes) -> asyncio.Future[Outcome] | None:
        """What becomes of a valid file when the other director has answered; None: it is to run now."""
        text = text_of(what, content)
        if self._feed(FileRead(text), at_once=text):
            return None
        return self._fates.awaited(text.version, open_=self.state.file is text and not self.state.judged)

    def bad(self) -> None:
        """The file cannot be read, or has problems."""
        self._feed(FileBad())

    def moved(self) -> None:
        """The director's state is another; the role or the pair may be."""
        now, before = self._director.state, self._pairing
        pairing = now.pairing
        if (kernel := (now.refused, now.unavailable)) != self._kernel:
            self._kernel = kernel
            self._feed(KernelRefused(outcomes.refusals(now)))
        if pairing is before:
            return
        self._pairing = pairing
        self._feed(RoleIs(pairing.role is Role.ACTIVE))
        if before is None or before.wire != pairing.wire:
            self.liaison.look()

    def orders_kept(self, orders: tuple[Order, ...]) -> None:
        """The operators' orders are these now."""
        self._sharing.orders_kept(orders)

    def status(self) -> pairstatus.PairStatus:
        heartbeat = self._director.state.pairing.strangers
        return pairstatus.status(self.state, self.liaison.status(), heartbeat, paired=self.paired)

    async def resolve(self, use: Use) -> str:
        """Settle a conflict; why not, if not."""
        if reason := pairstatus.resolvable(self.state):
            return reason
        before = self.state
        self._fates.refused.clear()
        self._feed(ResolveAsked(use))
        end = time.monotonic() + RESOLVE_S
        while time.monotonic() < end:
            state = self.state
            if state.theirs is None:
                return "the connection with the other director was lost meanwhile; look at `lvsd pair status`"
            idle = state.leading is None and state.following is None
            left = state.file or state.theirs.file
            if idle and left is None and state.version == state.theirs.mine:
                return ""
            if idle and state is not before and (refused := self._fates.refused or state.refused):
                reasons = (refused,) if isinstance(refused, str) else next(iter(refused.values())).refused
                return f"it is refused: {'; '.join(reasons)}"
            await asyncio.sleep(0.05)
        return "it was not done in time; look at `lvsd pair status` and the journal of both"

    # The repository asks

    @property
    def peer(self) -> str:
        """The other director, for sentences."""
        return self.liaison.peer

    @property
    def seat(self) -> Seat:
        return self._director.state.pairing.seat

    @property
    def waits(self) -> bool:
        """Whether it is the other director that acts."""
        return self.paired and self.state.connected and not self.state.active

    def send(self, letter: Letter) -> None:
        """To the other director, if it is there."""
        self.liaison.send(letter)

    def refused(self, version: Version) -> tuple[str, ...]:
        """Why a file that was read does not run; empty if that is not so, or long ago."""
        return self._fates.known(version).refused

    # The channel tells

    def connected(self, hello: Hello, address: str) -> None:
        self.liaison.met(hello, address)
        self._feed(Connected())
        self._sharing.connected()
        if self.reader is not None:
            self.reader.connected()

    def keyed(self, fingerprint: str) -> None:
        """The channel is about to speak by this key: another key, another pair."""
        if self._memory.fingerprint != fingerprint:
            agreed = Agreed() if self._memory.fingerprint else self._memory.agreed
            self._memory = msgspec.structs.replace(self._memory, fingerprint=fingerprint, agreed=agreed)
        self.state = msgspec.structs.replace(self.state, agreed=self._memory.agreed)

    def lost(self, reason: str) -> None:  # noqa: ARG002  the journal has it
        self._feed(Lost())
        self.courier.lost()

    def tell(self, event: Event) -> None:
        self._director.report(event)

    def heard(self, letter: Letter) -> None:
        match letter:
            case Orders(entries):
                self._sharing.orders_heard(entries)
            case Findings():
                self._director.feed(FindingsShared(letter))
            case Hello():
                pass
            case Review():
                self._work.put_nowait(letter)
            case Reviewed():
                self.consent.heard(letter)
            case Tip() | Lacks() | Pack() | Probation():
                if self.reader is not None:
                    self.reader.heard(letter)
            case Standing() | Offer() | Answer() | Commit() | Done() | Abort() | Take():
                self._feed(Received(letter))
            case Ping():
                pass
            case _:
                self.courier.heard(letter)

    # What the machine decides

    def _feed(self, what: SyncInput, at_once: Text | None = None) -> bool:
        """One input through `step`; no await between taking it and handing out its commands.

        That `at_once` is to run is for the caller to carry out, who has the file's lock: then it is true.
        """
        now = False
        self.state, commands = step(self.state, what, time.monotonic())
        for command in commands:
            match command:
                case Send(message):
                    self.liaison.send(message)
                case Tell(event):
                    if self.paired:
                        self.tell(event)
                case Keep(agreed):
                    self._memory = msgspec.structs.replace(self._memory, agreed=agreed)
                    self._remember()
                case HangUp(reason):
                    self.liaison.hang_up(reason)
                case Refuse(version, reasons):
                    self._fates.refuse(version, reasons)
                case Run(text) if text is at_once:
                    now = True
                    self._fates.runs(text.version, None, self._moving)
                case Run() | Examine() | Install() | Discard():
                    self._work.put_nowait(command)
                case _:
                    assert_never(command)
        self._fates.moves(self._moving)
        self._moved.set()
        if self.reader is not None:
            self.reader.moved()
        return now

    @property
    def _moving(self) -> Version | None:
        """What this director wants to have on both, and is not on both yet."""
        return None if self.state.leading is None else self.state.leading.text.version

    def _remember(self) -> None:
        wall = time.time()
        memory = msgspec.structs.replace(self._memory, taken_back=self._sharing.taken_back(wall), at=wall)
        self._memory = memory
        if not memory.taken_back and memory.agreed == Agreed() and not self.paired:
            return
        try:
            pairfile.save(self._memory_file, memory)
        except SystemFault as fault:
            self.tell(events.PairStateNotSaved(str(self._memory_file), str(fault)))

    async def _timing(self) -> None:
        while True:
            self._moved.clear()
            due = deadline(self.state)
            try:
                async with asyncio.timeout(None if due is None else max(0.0, due - time.monotonic())):
                    await self._moved.wait()
            except TimeoutError:
                self._feed(TimePassed())

    # The worker

    async def _working(self) -> None:
        while True:
            command = await self._work.get()
            match command:
                case Run(text):
                    await self._run(text)
                case Examine(text):
                    problems = await asyncio.to_thread(examine, self._director.file, text)
                    self._feed(Examined(text.version, problems))
                case Install():
                    await self._install(command)
                case Discard():
                    await asyncio.to_thread(install.discard, self._director.file.path)
                case Review():
                    await self.consent.opinion(command)
                case _:
                    assert_never(command)

    async def _run(self, text: Text) -> None:
        director = self._director
        async with director.loading:
            if self.state.mine != text:  # another one took its place meanwhile
                return
            loaded = await asyncio.to_thread(understood, director.file, text)
            await director.feed_beside(loaded)
            applied = None if director.state.applying is None else director.applied()
        self._fates.runs(text.version, applied, self._moving)
        self._feed(Ran(text.version, await _missing(applied)))

    async def _install(self, command: Install) -> None:
        director, text = self._director, command.text
        applied = None
        async with director.loading:
            read = await asyncio.to_thread(put, director.file, command)
            if not isinstance(read, str):
                await director.feed_beside(read)
                applied = None if director.state.applying is None else director.applied()
        if isinstance(read, str):
            self._feed(Installed(text.version, read))
            return
        self.pulled = text.version
        self._fates.runs(text.version, applied, self._moving)
        following = self.state.following
        back = following is not None and following.back  # the other director has waited already
        self._feed(Installed(text.version, missing="" if back else await _missing(applied)))

    async def _looking(self) -> None:
        try:
            await self.liaison.looking()
        finally:
            await asyncio.to_thread(install.discard, self._director.file.path)


async def _missing(applied: Applied | None) -> str:
    """What is new and not in the kernel, when all else is; nothing, if the other has waited long enough."""
    if applied is not None:
        with suppress(TimeoutError):
            async with asyncio.timeout(RUN_S):
                return outcomes.missing(await asyncio.shield(applied))
    return ""
