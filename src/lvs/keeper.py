"""Keeps the configuration's repository: its branch main is what runs, whoever changed it.

A change that comes as a commit (`lvs.changes`) is noted as pending, its file is written and applied as if it
had been saved by hand, on both directors of a pair or on neither, and only then main moves. So whatever ends
the daemon or the machine in between, the file tells what became of the commit: if it holds what the commit
holds main is moved at the next start, else the commit was never acknowledged and is dropped. What runs
and came in another way, by an editor, becomes a commit here.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Protocol

from lvs import events
from lvs.begin import ConfigFile
from lvs.config.load import format_of
from lvs.coupling import Coupling
from lvs.events import Event
from lvs.fate import Outcome
from lvs.inputs import Input
from lvs.io import sessions
from lvs.io.bare import USER
from lvs.io.git import PENDING, Git, blob_id
from lvs.io.git_program import GitFault
from lvs.repository.exchange import Probation
from lvs.repository.history import Person, Way, message, person
from lvs.repository.tree import NAMES, Chosen, Entry, judge
from lvs.repository.wishes import MAIN
from lvs.sync.version import Text, Version

LOOK_EVERY_S = 5.0  # for a repository that is missing, or cannot be used
AGAIN_S = 0.5  # while something is waited for
CATCH_UP_S, LOOK_S = 3.0, 0.01
PATIENCE_S = 10.0  # for the commit of what came from the other director
OVERTAKEN = "another change came first: git pull --rebase, look at it, and push again"


class Director(Protocol):
    """What the keeper needs of the daemon."""

    file: ConfigFile
    coupling: Coupling

    def report(self, event: Event) -> None: ...
    async def load(self, put: Callable[[], object] | None = None) -> tuple[Input, Outcome]: ...


class Refused(Exception):
    """A change is not taken; the lines say why."""

    def __init__(self, *lines: str) -> None:
        super().__init__("; ".join(lines))
        self.lines = lines


class Content(NamedTuple):
    """The configuration in a commit."""

    name: str
    content: bytes
    blob: str


class Keeper:
    """The repository, and what is done through it; one change at a time."""

    def __init__(self, director: Director, directory: Path) -> None:
        self.director = director
        self.git = Git(directory)
        self.lock = asyncio.Lock()
        self.tip, self.blob = "", ""  # main, and its configuration
        self.usable = False
        self._told = ""  # why it is not
        self.host = os.uname().nodename
        self.me = Person("lvsd", f"lvsd@{self.host}")
        self._moved = asyncio.Event()  # what runs may be another
        self._mine: tuple[Text | None, str] = (None, "")  # what runs, and git's name for it
        self.began_with_main = False  # at the start main held what runs
        self._since: tuple[Version | None, float] = (None, 0.0)  # what main lacks, and for how long
        # The other director's part, if there is one: lvs.commits
        self.advanced: Callable[[str], None] = _nothing  # main is elsewhere, and was at that commit
        self.expected: Callable[[], bool] = lambda: False  # its commit of what runs is on its way
        self.held: Callable[[str], Awaitable[str]] = _nobody  # waits until it has a commit: a sentence
        self.share: Callable[[Probation], None] = _nothing  # it is told of a trial
        # lvs.trials
        self.probation: Callable[[Probation], None] = _nothing  # the other director told of one
        self.connected: Callable[[], None] = _nowhere

    def moved(self) -> None:
        """What runs may be another."""
        self._moved.set()

    async def minding(self) -> None:
        """Have the repository follow what runs; a task of the daemon's."""
        while True:
            self._moved.clear()
            async with self.lock:
                await self.follow()
            idle = self.usable and self._since[0] is None
            with suppress(TimeoutError):
                async with asyncio.timeout(None if idle else LOOK_EVERY_S if not self.usable else AGAIN_S):
                    await self._moved.wait()

    async def follow(self) -> None:
        """Record what runs, if main is something else. The lock is held."""
        try:
            if not self.usable and await self._opened():
                self.usable = True
                self.advanced("")
            if self.usable:
                await self._recorded()
        except (GitFault, Refused, ValueError) as fault:
            self.usable = False
            self._tell(str(fault))
        else:
            if self.usable:
                self._told = ""

    def broken(self, reason: str) -> None:
        """The repository could not be written: it is looked at again, soon."""
        self.usable = False
        self._tell(reason)
        self._moved.set()

    def _tell(self, reason: str) -> None:
        if reason != self._told:
            self.director.report(events.RepositoryUnusable(reason))
        self._told = reason

    async def _opened(self) -> bool:
        """Look at the repository for the first time, and settle what was under way."""
        if await asyncio.to_thread(self.git.lacking):
            return False
        await asyncio.to_thread(self.git.unlock)
        await self.refresh()
        return True

    async def caught_up(self) -> None:
        """Before a change: give the other director's commit of what runs time to come. No lock is held."""
        end = time.monotonic() + CATCH_UP_S
        while self.usable and self.running_blob() != self.blob and self.expected():
            if time.monotonic() > end:
                return
            await asyncio.sleep(LOOK_S)

    async def up_to_date(self) -> None:
        """Before a change: where main is, and that it holds what runs. The lock is held.

        Errors: GitFault, Refused.
        """
        if lacking := await asyncio.to_thread(self.git.lacking):
            raise GitFault(lacking)
        await self.refresh()
        await self._recorded(at_once=True)
        self.usable = True

    async def refresh(self) -> None:
        """Where main is. What was under way when the daemon ended is settled by what runs."""
        refs = await asyncio.to_thread(self.git.refs)
        tip, pending = refs.get(MAIN, ""), refs.get(PENDING, "")
        if tip != self.tip:
            self.blob = (await asyncio.to_thread(self.chosen, tip)).blob if tip else ""
            self.tip = tip
        if not pending:
            return
        mine = self.director.coupling.state.mine
        if pending != self.tip and mine is not None:
            blob = (await asyncio.to_thread(self.chosen, pending)).blob
            if blob == self.running_blob():
                await self.advance(pending, blob, Way.PUSH, "", mine.version.serial, pending=True)
                return
        await asyncio.to_thread(self.git.move, "never applied", (PENDING, "", pending))

    def chosen(self, commit: str) -> Chosen:
        """Which file of a commit is the configuration. Errors: GitFault, Refused."""
        chosen = judge(self.git.tree(commit))
        if not isinstance(chosen, Chosen):
            raise Refused(*chosen)
        return chosen

    def content(self, commit: str, known: bytes = b"") -> Content:
        """The configuration in a commit, which may be `known` already. Errors: GitFault, Refused."""
        chosen = self.chosen(commit)
        content = known if blob_id(known) == chosen.blob else self.git.blob(chosen.blob)
        return Content(chosen.name, content, chosen.blob)

    async def advance(
        self, commit: str, blob: str, way: Way, by: str, serial: int, *, pending: bool = False
    ) -> None:
        """Main goes to a commit whose content, `blob`, runs; `pending`: it is noted as such."""
        changes: list[tuple[str, str, str | None]] = [(MAIN, commit, self.tip)]
        if pending:
            changes.append((PENDING, "", commit))
        await asyncio.to_thread(self.git.move, f"{way} by {by}" if by else way, *changes)
        before, self.tip, self.blob = self.tip, commit, blob
        self.advanced(before)
        log = await asyncio.to_thread(self.git.log, "--max-count=1", commit)
        author, subject = (str(log[0].author), log[0].subject) if log else ("", "")
        self.director.report(events.ConfigCommitted(commit, serial, author, by, way, subject))

    def running_blob(self) -> str:
        """Git's name for what runs; empty: nothing does."""
        mine = self.director.coupling.state.mine
        if mine is not self._mine[0]:
            self._mine = mine, "" if mine is None else blob_id(mine.content)
        return self._mine[1]

    def made(self, top: tuple[Entry, ...], name: str, content: bytes, author: Person, said: str) -> str:
        """A commit on top of main with this configuration, and all other files as in `top`."""
        rest = [one for one in top if one.path.decode(errors="replace") not in NAMES.values()]
        blob = self.git.write(content)
        tree = self.git.make_tree([*rest, Entry("100644", "blob", blob, 0, name.encode())])
        return self.git.commit(tree, (self.tip,), author, self.me, said)

    # What was changed by hand

    async def _recorded(self, *, at_once: bool = False) -> None:
        """Make a commit of what runs, if main holds something else. The lock is held."""
        coupling = self.director.coupling
        mine = coupling.state.mine
        if mine is None or self.running_blob() == self.blob:
            self._since = None, 0.0
            self.began_with_main = True
            return
        now = time.monotonic()
        if self._since[0] != mine.version:
            self._since = mine.version, now
        expected = self.expected() and now - self._since[1] < PATIENCE_S
        if at_once and expected:
            raise Refused(OVERTAKEN)
        under_way = coupling.state.leading is not None or coupling.state.following is not None
        if not at_once and (under_way or expected):
            return
        pulled = coupling.pulled == mine.version
        commit = await asyncio.to_thread(self._edited, mine, coupling.peer if pulled else "")
        way = Way.PEER if pulled else Way.EDIT if self.tip else Way.BEGIN
        await self.advance(commit, self.running_blob(), way, "", mine.version.serial)
        self._since = None, 0.0

    def _edited(self, mine: Text, peer: str) -> str:
        path = self.director.file.path
        name = NAMES[format_of(str(path))]
        if not self.tip:
            said = message(f"{name}, as it was when the repository was made")
            return self._first(name, mine.content, said)
        if peer:  # which has no repository
            said = message(f"{path} came from {peer} (serial {mine.version.serial})")
            return self.made(self.git.top(self.tip), name, mine.content, person(peer, peer), said)
        who = sessions.users() - {USER}
        author = person(next(iter(who)), self.host) if len(who) == 1 else self._somebody()
        said = message(f"{path} was edited on {self.host} (serial {mine.version.serial})")
        return self.made(self.git.top(self.tip), name, mine.content, author, said)

    def _somebody(self) -> Person:
        return Person(f"root@{self.host} (hand edit)", f"root@{self.host}")

    def _first(self, name: str, content: bytes, said: str) -> str:
        """The first commit: both directors of a pair make the same one of the same file."""
        nobody = Person("lvsd", "lvsd@localhost")
        tree = self.git.make_tree([Entry("100644", "blob", self.git.write(content), 0, name.encode())])
        return self.git.commit(tree, (), nobody, nobody, said, at=0)


def _nothing(_what: object) -> None:
    pass


def _nowhere() -> None:
    pass


async def _nobody(_commit: str) -> str:
    return ""
