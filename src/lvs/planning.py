"""What a text would change in the kernel, asked of a running director."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, NamedTuple, Protocol

from lvs import operators
from lvs.begin import ConfigFile
from lvs.config.load import load
from lvs.director import planned
from lvs.errors import Exit, LvsError
from lvs.kernel.desired import Desired
from lvs.kernel.diff import diff
from lvs.kernel.state import KernelState, ServiceKey
from lvs.model import Config
from lvs.state import State
from lvs.status import Held

if TYPE_CHECKING:
    from lvs.io.converge import Converger


class Director(Protocol):
    """What a plan needs of the daemon."""

    state: State
    file: ConfigFile
    converger: Converger
    kernel: asyncio.Lock  # one conversation with the kernel at a time


class Plan(NamedTuple):
    """What a text says, and would change."""

    exit_code: int
    config: Config | None  # None: it is refused
    problems: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()


async def plan(director: Director, file: str, content: bytes) -> Plan:
    """Read a text as the director would, and compare; `file` is its name in messages."""
    try:
        known, lacks = director.file.loaded, director.file.lacks
        loaded = await asyncio.to_thread(load, content, file, previous=known, lacks=lacks)
        if loaded.config is None:
            return Plan(Exit.PROBLEMS, None, tuple(map(str, loaded.problems)))
        goal = await asyncio.to_thread(planned, director.state, loaded.config, time.monotonic())
        async with director.kernel:
            actual = await director.converger.actual(goal.state)
            held = await asyncio.to_thread(director.converger.held)
    except LvsError as fault:
        return Plan(fault.exit_code, None, (f"{file}: {fault}",))
    lines = await asyncio.to_thread(_drawn, actual, held, director.state.goal, goal)
    return Plan(Exit.OK, loaded.config, tuple(map(str, loaded.problems)), lines)


def _drawn(
    actual: KernelState, held: dict[ServiceKey, Held], before: Desired, goal: Desired
) -> tuple[str, ...]:
    return operators.plan(diff(actual, goal.state), held, before, goal)
