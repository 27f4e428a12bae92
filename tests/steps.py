"""What tests of the director and its parts share: a state to begin with, and what a step tells."""

from __future__ import annotations

import strategies
from lvs import events
from lvs.commands import Command, Converge, Report
from lvs.director import step
from lvs.inputs import ConfigLoaded, Converged, VipsTaken
from lvs.kernel.state import TakeVip
from lvs.state import State

FILE = "lvs.toml"


def applied(vips: int = 1) -> State:
    """A director whose configuration is in the kernel, VIPs just taken."""
    vip = strategies.on_device("192.0.2.1", "eth0")
    config = strategies.config(strategies.virtual_server("web", "192.0.2.1", vip=vip if vips else None))
    state, commands = step(State(), ConfigLoaded(FILE, "", config), 0.0)
    (begun,) = (command for command in commands if isinstance(command, Converge))
    held = tuple(begun.goal.state.vips)
    if held:
        state, _ = step(state, VipsTaken(held), 0.0)
    return step(state, Converged(begun, tuple(map(TakeVip, held))), 0.0)[0]


def told(commands: tuple[Command, ...]) -> list[events.Event]:
    return [command.event for command in commands if isinstance(command, Report)]
