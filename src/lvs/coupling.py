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
from hashlib import blake2b
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol, assert_never

import msgspec

from lvs import events, pairstatus
from lvs.begin import ConfigFile
from lvs.config.load import format_of, load
from lvs.config.located import Severity
from lvs.consent import Consent, Reader
from lvs.courier import Courier
from lvs.errors import SystemFault
from lvs.events import Event
from lvs.health import shared
from lvs.health.orders import Order
from lvs.health.roster import Roster
from lvs.health.shared import Book, Findings, Orders
from lvs.inputs import (
    ConfigLoaded,
    Converged,
    ConvergeFailed,
    FindingsShared,
    Input,
    OrdersShared,
)
from lvs.io import install, pairfile
from lvs.letters import Hello, Letter, Ping
from lvs.model import Role, VirtualKey
from lvs.pair import PAIRED, Pairing, Seat
from lvs.repository.exchange import Lacks, Pack, Probation, Tip
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

if TYPE_CHECKING:  # with them comes ssl, for which a director on its own has no use
    from lvs.io.keyfile import KeyFile
    from lvs.io.pairkey import PairKey
    from lvs.io.peer import Channel

LOOK_EVERY_S = 2.0  # for the key, and for our own address
TELL_EVERY_S = 1.0  # what checks found
RESOLVE_S = 12.0

Work = Run | Examine | Install | Discard | Review


class Outcome(NamedTuple):
    """What became of a file that was read."""

    refused: tuple[str, ...] = ()  # why it does not run
    applied: asyncio.Future[Converged | ConvergeFailed] | None = None  # None: nothing to change


class Director(Protocol):
    """What the coupling needs of the daemon."""

    state: DirectorState
    file: ConfigFile
    loading: asyncio.Lock

    def feed(self, what: Input) -> None: ...
    def report(self, event: Event) -> None: ...
    def rekeyed(self, heartbeat: bytes) -> None: ...
    async def feed_beside(self, what: Input) -> None: ...
    def applied(self) -> asyncio.Future[Converged | ConvergeFailed]: ...


class _Settings(NamedTuple):
    """What a channel is made of; another one, another channel."""

    ways: tuple[tuple[str, str], ...]  # own address, the other's
    port: int
    dials: bool
    key: PairKey


class Coupling:
    """Also what the channel tells."""

    def __init__(self, director: Director, state_directory: Path) -> None:
        self._director = director
        self._memory_file = state_directory / pairfile.NAME
        self.state = State()
        self._channel: Channel | None = None
        self._settings: _Settings | None = None
        self._hello = Hello(0, 0, "")
        self._address = ""
        self._fault = ""  # why there is no channel
        self._pairing: Pairing | None = None  # as it was last looked at
        self._key_file: KeyFile | None = None
        self._refused: dict[Version, Outcome] = {}  # the last
        self._waiting: dict[Version, list[asyncio.Future[Outcome]]] = {}
        self._book: Book = {}
        self._findings_told: dict[VirtualKey, Roster] = {}
        self._work: asyncio.Queue[Work] = asyncio.Queue()
        self._moved = asyncio.Event()  # the deadline may be another
        self._look = asyncio.Event()  # the pair may be another
        self._memory = pairfile.Memory()
        self.courier = Courier(director, self._post, lambda: self.status().state == "same")
        self.consent = Consent(self, self._objections)
        self.pulled: Version | None = None  # the last that came from the other director
        self.reader: Reader | None = None
        self._begin()

    def _begin(self) -> None:
        """Where the daemon's start left off."""
        try:
            self._memory = pairfile.load(self._memory_file)
        except SystemFault as fault:
            self.tell(events.PairStateLost(str(fault)))
        wall, now = time.time(), time.monotonic()
        late_s = max(0.0, wall - self._memory.at)
        taken_back = [
            msgspec.structs.replace(entry, age_s=entry.age_s + late_s) for entry in self._memory.taken_back
        ]
        with suppress(ValueError):
            self._book = shared.merged({}, taken_back, wall, now)
        state = self._director.state
        self._book = shared.written(self._book, state.health.orders, wall)
        begun, content = self._director.file.first
        self.state = State(bad=True) if begun is None else State(mine=self._text(begun, content))

    # The daemon asks

    @property
    def paired(self) -> bool:
        return self._director.state.pairing.seat in PAIRED

    def tasks(self) -> tuple[Coroutine[None, None, None], ...]:
        """What the daemon's task group is to run."""
        return self._looking(), self._timing(), self._working(), self._finding(), *self.courier.tasks()

    def read(self, what: ConfigLoaded, content: bytes) -> asyncio.Future[Outcome] | None:
        """What becomes of a valid file when the other director has answered; None: it is to run now."""
        text = self._text(what, content)
        if self._feed(FileRead(text), at_once=text):
            return None
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        if self.state.file is text and not self.state.judged:
            self._waiting.setdefault(text.version, []).append(future)
        else:
            future.set_result(self._refused.get(text.version, Outcome()))
        return future

    def bad(self) -> None:
        """The file cannot be read, or has problems."""
        self._feed(FileBad())

    def moved(self) -> None:
        """The director's state is another; the role or the pair may be."""
        pairing, before = self._director.state.pairing, self._pairing
        if pairing is before:
            return
        self._pairing = pairing
        self._feed(RoleIs(pairing.role is Role.ACTIVE))
        if before is None or before.wire != pairing.wire:
            self._look.set()

    def orders_kept(self, orders: tuple[Order, ...]) -> None:
        """The operators' orders are these now."""
        book = shared.written(self._book, orders, time.time())
        fresh = shared.news(self._book, book)
        self._book = book
        if fresh:
            self._send_orders(fresh)
            self._remember()

    def status(self) -> pairstatus.PairStatus:
        channel, settings = self._channel, self._settings
        told = pairstatus.Channel(fault=self._fault)
        if channel is not None and settings is not None:
            told = pairstatus.Channel(
                "backup" if settings.dials else "primary",
                settings.key.fingerprint,
                self._fault,
                self._address,
                self._hello.name,
                self._hello.version,
                dict(channel.strangers.counts),
                channel.unknown,
            )
        return pairstatus.status(self.state, told, paired=self.paired)

    async def resolve(self, use: Use) -> str:
        """Settle a conflict; why not, if not."""
        if reason := pairstatus.resolvable(self.state):
            return reason
        before, self._refused = self.state, {}
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
            if idle and state is not before and (refused := self._refused or state.refused):
                reasons = (refused,) if isinstance(refused, str) else next(iter(refused.values())).refused
                return f"it is refused: {'; '.join(reasons)}"
            await asyncio.sleep(0.05)
        return "it was not done in time; look at `lvsd pair status` and the journal of both"

    # The repository asks

    @property
    def peer(self) -> str:
        """The other director, for sentences."""
        return self._hello.name or "the other director"

    @property
    def seat(self) -> Seat:
        return self._director.state.pairing.seat

    @property
    def waits(self) -> bool:
        """Whether it is the other director that acts."""
        return self.paired and self.state.connected and not self.state.active

    def send(self, letter: Letter) -> None:
        """To the other director, if it is there."""
        if self._channel is not None:
            self._channel.send(letter)

    def refused(self, version: Version) -> tuple[str, ...]:
        """Why a file that was read does not run; empty if that is not so, or long ago."""
        return self._refused.get(version, Outcome()).refused

    # The channel tells

    def connected(self, hello: Hello, address: str) -> None:
        self._hello, self._address = hello, address
        self._findings_told = {}
        self._feed(Connected())
        self._send_orders(self._book)
        if self.reader is not None:
            self.reader.connected()

    def lost(self, reason: str) -> None:  # noqa: ARG002  the journal has it
        self._feed(Lost())
        self.courier.lost()

    def tell(self, event: Event) -> None:
        self._director.report(event)

    def heard(self, letter: Letter) -> None:
        match letter:
            case Orders(entries):
                with suppress(ValueError):  # an address that is none: of a later lvsd
                    self._merge(entries)
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

    def _post(self, letter: Letter) -> bool:
        """Send a letter, if it can go."""
        if self._channel is None or not self._channel.connected:
            return False
        self._channel.send(letter)
        return True

    def _merge(self, entries: tuple[shared.Entry, ...]) -> None:
        book = shared.merged(self._book, entries, time.time(), time.monotonic())
        if book is not self._book:
            self._book = book
            self._remember()
            self._director.feed(OrdersShared(shared.orders_of(book)))

    def _send_orders(self, book: Book) -> None:
        if self._channel is not None and book:
            self._channel.send(Orders(shared.entries_of(book, time.time(), time.monotonic())))

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
                    if self._channel is not None:
                        self._channel.send(message)
                case Tell(event):
                    if self.paired:
                        self.tell(event)
                case Keep(agreed):
                    self._memory = msgspec.structs.replace(self._memory, agreed=agreed)
                    self._remember()
                case HangUp(reason):
                    if self._channel is not None:
                        self._channel.hang_up(reason)
                case Refuse(version, reasons):
                    self._refused = {version: Outcome(reasons)}
                    self._settle(version, Outcome(reasons))
                case Run(text) if text is at_once:
                    now = True
                    self._settle(text.version, Outcome())
                case Run() | Examine() | Install() | Discard():
                    self._work.put_nowait(command)
                case _:
                    assert_never(command)
        self._moved.set()
        if self.reader is not None:
            self.reader.moved()
        return now

    def _settle(self, version: Version, outcome: Outcome) -> None:
        for future in self._waiting.pop(version, ()):
            if not future.done():
                future.set_result(outcome)

    def _remember(self) -> None:
        wall, now = time.time(), time.monotonic()
        taken_back = {key: word for key, word in self._book.items() if word.order is None}
        memory = msgspec.structs.replace(
            self._memory, taken_back=shared.entries_of(taken_back, wall, now), at=wall
        )
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
                    problems = await asyncio.to_thread(self._examine, text)
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
            loaded = await asyncio.to_thread(self._understood, text)
            await director.feed_beside(loaded)
            applied = None if director.state.applying is None else director.applied()
        self._settle(text.version, Outcome(applied=applied))
        await _patiently(applied)
        self._feed(Ran(text.version))

    def _understood(self, text: Text) -> ConfigLoaded:
        """A configuration that was found valid before; what has not changed since is not read again."""
        file = self._director.file
        loaded = load(text.content, str(file.path), previous=file.loaded)
        assert loaded.config is not None
        return ConfigLoaded(str(file.path), text.version.digest, loaded.config, loaded.problems)

    def _examine(self, text: Text) -> tuple[str, ...]:
        """What speaks against running this here; if nothing does, it is laid beside the file."""
        if problems := self._objections(text):
            return problems
        try:
            install.stage(self._director.file.path, text.content)
        except SystemFault as fault:
            return (str(fault),)
        return ()

    def _objections(self, text: Text) -> tuple[str, ...]:
        """What speaks against running this here."""
        file = self._director.file
        name = str(file.path)
        if text.language != format_of(name):
            return (f"its file is {name}, and this is an lvs.{text.language}: both need the same language",)
        if blake2b(text.content, digest_size=8).hexdigest() != text.version.digest:
            return ("what arrived is not what was sent",)
        loaded = load(text.content, name, previous=file.loaded, lacks=file.lacks)
        if loaded.config is None:
            errors = [one for one in loaded.problems if one.severity is Severity.ERROR]
            return tuple(map(str, errors))
        if loaded.config.serial_no != text.version.serial:
            return (f"it has serial_no {loaded.config.serial_no}, and was sent as {text.version.serial}",)
        return ()

    async def _install(self, command: Install) -> None:
        director, text = self._director, command.text
        applied = None
        async with director.loading:
            read = await asyncio.to_thread(self._put, command)
            if not isinstance(read, str):
                await director.feed_beside(read)
                applied = None if director.state.applying is None else director.applied()
        if isinstance(read, str):
            self._feed(Installed(text.version, read))
            return
        self.pulled = text.version
        self._settle(text.version, Outcome(applied=applied))
        await _patiently(applied)
        self._feed(Installed(text.version))

    def _put(self, command: Install) -> ConfigLoaded | str:
        """What the file is, once it holds this; why it does not, if it does not."""
        file, text = self._director.file, command.text
        digests = {text.version.digest}
        if command.expected is not None and not command.forced:  # what a person chose against is kept
            digests.add(command.expected.digest)

        def fits(content: bytes) -> bool:
            return blake2b(content, digest_size=8).hexdigest() in digests

        try:
            install.commit(file.path, text.content, fits, keep=command.forced)
        except SystemFault as fault:
            return str(fault)
        read = file.read(file.look())
        if isinstance(read, ConfigLoaded) and read.digest == text.version.digest:
            return read
        file.signature = ()  # it is to be read again
        return "its file was edited at the same time"

    def _text(self, what: ConfigLoaded, content: bytes) -> Text:
        version = Version(what.config.serial_no, what.digest)
        return Text(version, content, str(format_of(what.file)))

    async def _finding(self) -> None:
        """Tell the standby what checks find."""
        while True:
            await asyncio.sleep(TELL_EVERY_S)
            channel = self._channel
            if channel is None or not channel.connected or not self.state.active:
                continue
            rosters = self._director.state.health.rosters
            findings = shared.findings(rosters, self._findings_told, time.monotonic())
            self._findings_told = dict(rosters)
            if findings.rows:
                channel.send(findings)

    # The channel's life

    async def _looking(self) -> None:
        """Have the channel that the configuration, the key and the addresses ask for."""
        task: asyncio.Task[None] | None = None
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    self._look.clear()
                    wanted = await asyncio.to_thread(self._wanted)
                    if wanted != self._settings:
                        if task is not None:
                            task.cancel()
                            await asyncio.gather(task, return_exceptions=True)
                            task = None
                        self._settings, self._channel = wanted, None
                        if wanted is not None:
                            self._director.rekeyed(wanted.key.heartbeat)
                            self._channel = self._made(wanted)
                            task = group.create_task(self._channel.serve())
                    with suppress(TimeoutError):
                        async with asyncio.timeout(LOOK_EVERY_S):
                            await self._look.wait()
        finally:
            await asyncio.to_thread(install.discard, self._director.file.path)

    def _made(self, wanted: _Settings) -> Channel:
        from lvs.io.peer import Channel, Path

        fingerprint = wanted.key.fingerprint
        if self._memory.fingerprint != fingerprint:  # another key, another pair
            agreed = Agreed() if self._memory.fingerprint else self._memory.agreed
            self._memory = msgspec.structs.replace(self._memory, fingerprint=fingerprint, agreed=agreed)
        self.state = msgspec.structs.replace(self.state, agreed=self._memory.agreed)
        paths = tuple(Path(ip_address(own), ip_address(other)) for own, other in wanted.ways)
        return Channel(paths, wanted.port, wanted.key, self, dials=wanted.dials)

    def _wanted(self) -> _Settings | None:
        pairing = self._director.state.pairing
        wire = pairing.wire
        if wire is None or pairing.seat not in PAIRED:
            self._fault = ""
            return None
        if self._key_file is None:
            from lvs.io.keyfile import KeyFile

            self._key_file = KeyFile()
        try:
            key = self._key_file.read(Path(wire.key_file))
        except SystemFault as fault:
            if str(fault) != self._fault:
                self._fault = str(fault)
                self.tell(events.PairKeyUnusable(str(fault)))
            return None
        self._fault = ""
        ways = tuple((way.ours, way.theirs) for way in wire.ways)
        return _Settings(ways, wire.port, pairing.seat is Seat.BACKUP, key)


async def _patiently(applied: asyncio.Future[Converged | ConvergeFailed] | None) -> None:
    """Until the kernel has it, or for as long as the other director should wait for that."""
    if applied is not None:
        with suppress(TimeoutError):
            async with asyncio.timeout(RUN_S):
                await asyncio.shield(applied)
