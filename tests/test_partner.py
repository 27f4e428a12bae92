"""The director's hands for the pair: a pulse as long as there is a key."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from lvs.commands import Wire
from lvs.inputs import PulseLost
from lvs.io import pairkey
from lvs.model import Role
from lvs.partner import Partner
from lvs.pulse.line import ToPulse, Way, Wiring
from lvs.pulse.words import Terms, Vitals

WAYS = (Way("public", "192.0.2.1", "192.0.2.2"),)


class Pulse:
    """What it was wired with, None after it was ended."""

    def __init__(self) -> None:
        self.first: ToPulse | None = None

    def start(self, greeting: Callable[[], tuple[ToPulse, ...]]) -> bool:
        before, (self.first,) = self.first, greeting()
        return before is None

    def close(self) -> None:
        self.first = None


def test_a_key_that_is_back_starts_the_pulse_again(tmp_path: Path) -> None:
    """Also if it is the same one, and was missing when the pair was wired anew."""
    asyncio.run(key_comes_and_goes(tmp_path))


async def key_comes_and_goes(tmp_path: Path) -> None:
    file, fed = tmp_path / "pair.key", list[Any]()
    wire = Wire(WAYS, 539, Terms(True, 0.2, 0.8), str(file))
    pairing = SimpleNamespace(wire=wire, role=Role.STANDBY, holding=False, faults=(), vitals=Vitals())
    director: Any = SimpleNamespace(state=SimpleNamespace(pairing=pairing), feed=fed.append)
    partner, pulse = Partner(director, director), Pulse()
    partner._pulse = pulse  # type: ignore[assignment]
    made = pairkey.make()
    pairkey.install(file, made)
    partner.carry_out(wire)
    assert isinstance(pulse.first, Wiring)
    file.unlink()
    partner.carry_out(wire)
    await asyncio.sleep(0)
    assert pulse.first is None
    assert [type(one) for one in fed] == [PulseLost]
    pairkey.install(file, made)
    partner.rekeyed(made.heartbeat)
    assert isinstance(pulse.first, Wiring)
