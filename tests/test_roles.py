"""A stop, as the command line or the file wants it; roles are in tests/transcripts."""

from __future__ import annotations

import pytest

import strategies
from lvs.commands import Cause, Converge, Quit
from lvs.director import step
from lvs.inputs import ConfigLoaded, Converged, ConvergeFailed, StopAsked
from lvs.model import OnStop
from lvs.state import State
from steps import FILE


@pytest.mark.parametrize("said", OnStop)
@pytest.mark.parametrize("configured", OnStop)
def test_the_command_lines_word_on_stop_is_over_the_files(said: OnStop, configured: OnStop) -> None:
    state = State(on_stop=said)
    state, commands = step(state, ConfigLoaded(FILE, "", strategies.config(on_stop=configured)), 0.0)
    (begun,) = (command for command in commands if isinstance(command, Converge))
    state, _ = step(state, Converged(begun, (), (), 0.0), 0.5)
    state, commands = step(state, StopAsked("SIGTERM"), 1.0)
    assert (Quit() in commands) == (said is OnStop.KEEP)
    assert any(isinstance(command, Converge) for command in commands) == (said is OnStop.EMPTY)


def test_a_stop_waits_until_the_table_stands() -> None:
    """Cut in the middle it would be a part of a table, and called whole."""
    config = strategies.config(strategies.virtual_server("web", "192.0.2.1"))
    state, commands = step(State(), ConfigLoaded(FILE, "", config), 0.0)
    (begun,) = (command for command in commands if isinstance(command, Converge))
    state, commands = step(state, StopAsked("SIGTERM"), 1.0)
    assert commands == ()
    assert Quit() in step(state, Converged(begun, (), (), 0.0), 2.0)[1]
    assert Quit() in step(state, ConvergeFailed(Cause.CONFIG, "no answer"), 2.0)[1]
