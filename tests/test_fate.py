"""What became of files that were read; over a channel in test_coupling.py."""

from __future__ import annotations

import asyncio

from lvs.commands import Cause
from lvs.fate import Fates, Outcome
from lvs.inputs import ConvergeFailed
from lvs.sync.version import Version

ONE, TWO = (Version(serial, str(serial)) for serial in (1, 2))


def test_who_waits_hears_when_the_other_director_has_it_too() -> None:
    async def run() -> None:
        fates = Fates()
        waits, other = fates.awaited(TWO, open_=True), fates.awaited(ONE, open_=True)
        applied = asyncio.get_running_loop().create_future()
        applied.set_result(ConvergeFailed(Cause.CONFIG, "no"))
        fates.runs(TWO, applied, TWO)
        assert not waits.done()
        fates.moves(None)
        assert await waits == Outcome(applied=applied)
        assert not other.done()

    asyncio.run(run())


def test_what_ran_here_first_and_is_taken_back_was_refused() -> None:
    async def run() -> None:
        fates = Fates()
        waits, gone = fates.awaited(TWO, open_=True), fates.awaited(TWO, open_=True)
        gone.cancel()
        fates.runs(TWO, None, TWO)
        fates.refuse(TWO, ("no",))
        fates.moves(None)
        assert await waits == Outcome(("no",)) == fates.known(TWO)
        assert await fates.awaited(TWO, open_=False) == Outcome(("no",))
        assert await fates.awaited(ONE, open_=False) == Outcome()

    asyncio.run(run())
