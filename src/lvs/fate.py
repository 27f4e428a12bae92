"""What became of files that were read, and who waits for that: `lvsd reload`, a push."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from lvs.inputs import Converged, ConvergeFailed
from lvs.sync.version import Version

Applied = asyncio.Future[Converged | ConvergeFailed]


class Outcome(NamedTuple):
    """What became of a file that was read."""

    refused: tuple[str, ...] = ()  # why it does not run
    applied: Applied | None = None  # None: nothing to change


class Fates:
    """Of the last few versions."""

    def __init__(self) -> None:
        self.refused: dict[Version, Outcome] = {}  # the last
        self._waiting: dict[Version, list[asyncio.Future[Outcome]]] = {}
        self._running: dict[Version, Outcome] = {}  # here; the other director may have a word in it

    def known(self, version: Version) -> Outcome:
        """That it was refused; else an outcome without a word, as of long ago."""
        return self.refused.get(version, Outcome())

    def awaited(self, version: Version, *, open_: bool) -> asyncio.Future[Outcome]:
        """What will become of it; if that is not open, what has become of it."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        if open_:
            self._waiting.setdefault(version, []).append(future)
        else:
            future.set_result(self.known(version))
        return future

    def refuse(self, version: Version, reasons: tuple[str, ...]) -> None:
        """It does not run, or no longer."""
        self.refused = {version: Outcome(reasons)}
        self._running.pop(version, None)
        self._tell(version, Outcome(reasons))

    def runs(self, version: Version, applied: Applied | None, moving: Version | None) -> None:
        """It is on its way into the kernel here; told when it no longer is what is `moving`."""
        self._running[version] = Outcome(applied=applied)
        self.moves(moving)

    def moves(self, moving: Version | None) -> None:
        """This is by now what this director wants to have on both; whatever else runs, runs."""
        for version in [version for version in self._running if version != moving]:
            self._tell(version, self._running.pop(version))

    def _tell(self, version: Version, outcome: Outcome) -> None:
        for future in self._waiting.pop(version, ()):
            if not future.done():
                future.set_result(outcome)
