"""Both directors hold the same commits: this one's half of it (`lvs.repository.exchange`).

Each tells where its main is; who lacks that commit asks for what leads to it and gets it as a pack, over the
channel that the configuration takes. What is known to be lacking is sent without being asked for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine

from lvs import events
from lvs.errors import LvsError
from lvs.io.git_program import GitFault
from lvs.keeper import Keeper, Refused
from lvs.pair import Seat
from lvs.repository.exchange import MOST_KNOWN, Course, Kinship, Lacks, Pack, Probation, Tip, course
from lvs.repository.history import Way, message, short
from lvs.repository.tree import printable
from lvs.repository.wishes import is_commit

HELD_S = 10.0  # for the other director to have a commit
LOOK_S = 0.01
RETRY_S = 30.0
_RECENT = 256


class Commits:
    """Reads the letters of the repository, and writes ours."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._coupling = keeper.director.coupling
        self._theirs: Tip | None = None  # as they said on this connection
        self._has_repository = False  # they had one, the last time they were here
        self._letters: asyncio.Queue[Lacks | Pack] = asyncio.Queue()
        self._moved = asyncio.Event()
        self._considered: tuple[object, ...] = ()
        self._asked: tuple[str, tuple[str, ...]] = ("", ())
        self._unasked: Lacks | None = None  # what we ask of ourselves for them
        self._came = ""  # the last commit that came, whole
        self._told = ""
        self._coupling.reader = self
        keeper.advanced, keeper.expected, keeper.held = self._advanced, self._expected, self._held
        keeper.share = self._coupling.send

    def tasks(self) -> tuple[Coroutine[None, None, None], ...]:
        """What the daemon's task group is to run."""
        return (self._exchanging(),)

    # The coupling tells

    def connected(self) -> None:
        self._theirs = None
        self._considered, self._asked = (), ("", ())
        self._tell_tip()
        self._keeper.connected()

    def moved(self) -> None:
        self._keeper.moved()
        self._moved.set()

    def heard(self, letter: Tip | Lacks | Pack | Probation) -> None:
        match letter:
            case Tip():
                self._theirs = letter
                self._has_repository = True
            case Probation():
                self._keeper.probation(letter)
            case Lacks() | Pack():
                self._letters.put_nowait(letter)
        self._moved.set()

    # The keeper tells, and asks

    def _tell_tip(self) -> None:
        if self._keeper.usable and self._coupling.state.connected:
            self._coupling.send(Tip(self._keeper.tip, self._keeper.blob))

    def _advanced(self, before: str) -> None:
        theirs = self._theirs
        if theirs is not None and theirs.commit == before and before:
            self._unasked = Lacks(self._keeper.tip, (before,))
            self._letters.put_nowait(self._unasked)  # as if they had asked; then they are told
        else:
            self._tell_tip()
        self._moved.set()

    def _expected(self) -> bool:
        """Whether the commit of what runs here may still come from the other director."""
        coupling = self._coupling
        mine = coupling.state.mine
        if mine is None or not coupling.paired:
            return False
        if coupling.pulled == mine.version:
            return self._has_repository
        if coupling.pulled is None and not self._keeper.began_with_main and self._theirs is None:
            return True  # it is the start: they may know better than we
        return self._theirs is not None and self._theirs.blob == self._keeper.running_blob()

    async def _held(self, commit: str) -> str:
        """Wait until the other director has a commit."""
        if self._theirs is None or not self._coupling.state.connected:
            return ""
        end = time.monotonic() + HELD_S
        while time.monotonic() < end:
            if self._theirs is None:
                break
            if self._theirs.commit in (commit, self._keeper.tip):
                return f"{self._coupling.peer} has the commit"
            await asyncio.sleep(LOOK_S)
        return f"{self._coupling.peer} does not have the commit yet; it gets it"

    # What is done about it

    async def _exchanging(self) -> None:
        while True:
            try:
                async with asyncio.timeout(RETRY_S):
                    await self._moved.wait()
            except TimeoutError:  # what failed, as on a full disk, is tried again
                self._considered, self._asked = (), ("", ())
            self._moved.clear()
            while not self._letters.empty():
                letter = self._letters.get_nowait()
                if isinstance(letter, Lacks):  # which changes nothing here: whoever has the lock waits for it
                    await self._tried(self._answer(letter))
                    continue
                async with self._keeper.lock:
                    await self._tried(self._take(letter))
            if self._theirs is not None and self._keeper.usable:
                async with self._keeper.lock:
                    await self._tried(self._consider(self._theirs))

    async def _tried(self, what: Coroutine[None, None, None]) -> None:
        try:
            await what
        except (Refused, LvsError, ValueError) as fault:
            self._complain(str(fault))

    def _complain(self, reason: str) -> None:
        if reason != self._told:
            self._keeper.director.report(events.CommitsNotShared(printable(reason)))
        self._told = reason

    async def _answer(self, asked: Lacks) -> None:
        """Send what leads to main, if that is still what they ask for."""
        git, tip = self._keeper.git, self._keeper.tip
        if asked.tip != tip or not self._coupling.state.connected:
            return
        known = [one for one in asked.known[:MOST_KNOWN] if is_commit(one)]
        try:
            here = known if asked is self._unasked else await asyncio.to_thread(git.has, known)
            self._coupling.send(Pack(tip, await asyncio.to_thread(git.pack, tip, here)))
        except GitFault as fault:
            self._coupling.send(Pack(tip, reason=str(fault)))
        if asked is self._unasked:
            self._tell_tip()

    async def _take(self, pack: Pack) -> None:
        """Keep what came, until it is known what becomes of it."""
        if pack.reason:
            self._complain(pack.reason)
            return
        if not is_commit(pack.tip):
            raise Refused("what came is no commit")
        await asyncio.to_thread(self._keeper.git.unpack, pack.data, pack.tip)
        self._came = pack.tip

    async def _consider(self, theirs: Tip) -> None:
        """What becomes of main, now that theirs is there."""
        keeper, state = self._keeper, self._coupling.state
        same = (
            state.theirs is not None
            and state.theirs.mine == state.version
            and state.leading is None
            and state.following is None
        )
        about = (keeper.tip, theirs, keeper.running_blob(), same, self._joins)
        if about == self._considered or theirs.commit == keeper.tip or not is_commit(theirs.commit):
            return
        self._considered = about
        if theirs.commit != self._came and not await asyncio.to_thread(keeper.git.whole, theirs.commit):
            known = await asyncio.to_thread(keeper.git.recent, keeper.tip, _RECENT) if keeper.tip else ()
            self._considered = ()
            if (theirs.commit, known) != self._asked:
                self._asked = theirs.commit, known
                self._coupling.send(Lacks(theirs.commit, known))
            return
        if same:
            await self._settle(theirs)

    async def _settle(self, theirs: Tip) -> None:
        keeper = self._keeper
        found = await asyncio.to_thread(keeper.chosen, theirs.commit)
        kinship, alone = await asyncio.to_thread(self._kinship, theirs.commit)
        runs = keeper.running_blob()
        what = course(kinship, runs=runs, ours=keeper.blob, theirs=found.blob, joins=self._joins, alone=alone)
        serial = 0 if (version := self._coupling.state.version) is None else version.serial
        match what:
            case Course.STAY:
                return
            case Course.FOLLOW:
                await keeper.advance(theirs.commit, found.blob, Way.PEER, self._coupling.peer, serial)
            case Course.JOIN:
                await self._join(keeper.tip, theirs.commit, serial)
            case Course.JOIN_THEIRS:
                await self._join(theirs.commit, keeper.tip, serial)
        self._told = ""

    def _kinship(self, theirs: str) -> tuple[Kinship, bool]:
        """How theirs stands to main; and whether main is a first commit, which nothing is lost with."""
        git, ours = self._keeper.git, self._keeper.tip
        if not ours or git.precedes(ours, theirs):
            return Kinship.NEWER, False
        if git.precedes(theirs, ours):
            return Kinship.OLDER, False
        return Kinship.APART, len(git.recent(ours, 2)) == 1 and len(git.recent(theirs, 2)) > 1

    async def _join(self, kept: str, joined: str, serial: int) -> None:
        """One history that holds both, with the content of `kept`."""
        keeper = self._keeper
        said = message(
            f"join {short(joined)} to {short(kept)}",
            "Both directors had commits that the other had not. "
            f"The content is that of {short(kept)}, which runs on both.",
        )

        def make() -> str:
            tree = keeper.git.make_tree(keeper.git.top(kept))
            return keeper.git.commit(tree, (kept, joined), keeper.me, keeper.me, said)

        commit = await asyncio.to_thread(make)
        await keeper.advance(commit, keeper.running_blob(), Way.JOIN, "", serial)
        keeper.director.report(events.HistoriesJoined(commit, kept, joined))

    @property
    def _joins(self) -> bool:
        """On one director only: the primary."""
        return self._coupling.seat is Seat.PRIMARY
