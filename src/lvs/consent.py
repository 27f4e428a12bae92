"""What the other director says of a configuration: before it is taken, and when it runs here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

from lvs import pairstatus
from lvs.letters import Letter
from lvs.repository.exchange import Lacks, Pack, Probation, Tip
from lvs.sync.messages import Review, Reviewed
from lvs.sync.state import State
from lvs.sync.version import Text, Version

REVIEW_S = 4.0
SHARED_S = 15.0  # longer than an exchange takes
LOOK_S = 0.01


class Shared(NamedTuple):
    """How the other director stands to a configuration that was read here."""

    text: str  # a sentence; empty: there is no other director
    refused: tuple[str, ...] = ()  # why it runs on neither


class Reader(Protocol):
    """Who reads the letters of the repository."""

    def connected(self) -> None: ...
    def heard(self, letter: Tip | Lacks | Pack | Probation) -> None: ...
    def moved(self) -> None: ...


class Pair(Protocol):
    """What is needed of the coupling."""

    state: State

    @property
    def paired(self) -> bool: ...
    @property
    def peer(self) -> str: ...
    def send(self, letter: Letter) -> None: ...
    def refused(self, version: Version) -> tuple[str, ...]: ...


class Consent:
    """Asks the other director, and is asked."""

    def __init__(self, pair: Pair, objections: Callable[[Text], tuple[str, ...]]) -> None:
        self._pair, self._objections = pair, objections
        self._asked: dict[int, asyncio.Future[tuple[str, ...]]] = {}
        self._number = 0

    async def reviewed(self, text: Text) -> tuple[str, ...] | None:
        """What speaks against a configuration on the other director; None: it cannot be asked."""
        if self._pair.state.theirs is None:
            return None
        self._number += 1
        number = self._number
        self._asked[number] = asyncio.get_running_loop().create_future()
        self._pair.send(Review(number, text))
        try:
            async with asyncio.timeout(REVIEW_S):
                return await self._asked[number]
        except TimeoutError:  # it is an older lvsd, or has just gone
            return None
        finally:
            del self._asked[number]

    def heard(self, reviewed: Reviewed) -> None:
        waiting = self._asked.get(reviewed.id)
        if waiting is not None and not waiting.done():
            waiting.set_result(reviewed.problems)

    async def opinion(self, review: Review) -> None:
        """Tell the other director what speaks against a configuration here."""
        state = self._pair.state
        problems: tuple[str, ...] = ()
        if state.version != review.text.version:
            if state.bad or state.file is not None:
                problems = ("its file was edited, and what it holds does not run",)
            else:
                problems = await asyncio.to_thread(self._objections, review.text)
        self._pair.send(Reviewed(review.id, problems))

    async def shared(self, version: Version) -> Shared:
        """Wait until it is known whether the other director runs what was read here."""
        pair = self._pair
        if not pair.paired:
            return Shared("")
        end = time.monotonic() + SHARED_S
        while time.monotonic() < end:
            state = pair.state
            if state.leading is None and state.following is None:
                if state.version != version:
                    return Shared("", pair.refused(version) or ("another configuration took its place",))
                if state.theirs is None:
                    return Shared("pending: the other director is away, and gets it when it is back")
                if state.theirs.mine == version:
                    lacking = pairstatus.lacks(state)
                    return Shared(f"{pair.peer} runs it, {f'but {lacking}' if lacking else 'too'}")
                if state.retry_at is not None or state.conflict:
                    return Shared(f"{pair.peer} does not run it: {state.refused or state.conflict}")
            await asyncio.sleep(LOOK_S)
        return Shared(f"{pair.peer} did not say in time whether it runs it; look at `lvsd pair status`")


def highest_serial(state: State) -> int:
    """The highest serial_no that either director is known to have."""
    known = [state.version, state.agreed.version, None if state.file is None else state.file.version]
    if state.theirs is not None:
        known += [state.theirs.mine, state.theirs.file, state.theirs.agreed.version]
    return max((one.serial for one in known if one is not None), default=0)
