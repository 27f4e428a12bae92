"""What came of a Converge: announced densely, told once."""

from __future__ import annotations

import msgspec
import pytest

import strategies
from lvs import events, outcomes
from lvs.commands import Announce, Cause, Converge, Quit
from lvs.director import step
from lvs.inputs import (
    Announced,
    ConfigLoaded,
    Converged,
    ConvergeFailed,
    LinksChanged,
    StopAsked,
    TimePassed,
    VipsTaken,
)
from lvs.kernel import text
from lvs.kernel.desired import desired
from lvs.kernel.state import AddService, TakeVip
from lvs.model import OnStop
from lvs.state import State, deadline
from lvs.sync.messages import Refusals
from steps import FILE, applied, told


def announced(
    state: State, until: float, failed: tuple[str, ...] = ()
) -> tuple[State, list[float], list[str]]:
    """Let time pass: when VIPs were announced, and what was told of it."""
    times, heard = [], []
    while (due := deadline(state)) is not None and due <= until:
        state, commands = step(state, TimePassed(), due)
        for command in commands:
            if isinstance(command, Announce):
                assert command.vips == tuple(state.goal.state.vips)
                times.append(due)
                state, more = step(state, Announced(failed), due)
                heard += [event.text() for event in told(more)]
            elif isinstance(command, Converge):
                state, _ = step(state, Converged(command, (), state.refused), due)
    return state, times, heard


def test_b35_vips_are_announced_densely_and_then_for_as_long_as_they_are_held() -> None:
    first = [0.2, 1.0, 2.0, 3.0, 4.0]  # and at 0.0, as what the Converged led to
    state, times, _ = announced(applied(), 200.0)
    assert times == [*first, 60.0, 120.0, 180.0]
    state, _ = step(state, LinksChanged(back="eth0"), 199.95)
    assert announced(state, 239.0)[1] == [200.0 + after for after in (0.0, *first)]

    assert state.config is not None
    for every, rest in ((0, []), (90, [60.0, 150.0])):
        state = applied()
        assert state.config is not None
        config = msgspec.structs.replace(state.config, announce_every_s=every)
        state, commands = step(state, ConfigLoaded(FILE, "", config), 0.0)
        (begun,) = (command for command in commands if isinstance(command, Converge))
        state, _ = step(state, Converged(begun, (), (), 0.0), 0.0)
        assert announced(state, 200.0)[1] == [*first, *rest]


def test_a_restart_goes_on_announcing_what_it_finds_held() -> None:
    vip = strategies.on_device("192.0.2.1", "eth0")
    config = strategies.config(strategies.virtual_server("web", "192.0.2.1", vip=vip))
    state, commands = step(State(), ConfigLoaded(FILE, "", config), 0.0)
    (begun,) = (command for command in commands if isinstance(command, Converge))
    state, _ = step(state, Converged(begun, (), (), 0.0), 0.5)
    assert announced(state, 130.0)[1] == [60.5, 120.5]


def test_a_vip_that_could_not_be_taken_is_not_announced() -> None:
    vip = strategies.on_device("192.0.2.1", "eth0")
    config = strategies.config(strategies.virtual_server("web", "192.0.2.1", vip=vip))
    state, commands = step(State(), ConfigLoaded(FILE, "", config), 0.0)
    (begun,) = (command for command in commands if isinstance(command, Converge))
    (held,) = begun.goal.state.vips
    refused = ((text.line(TakeVip(held)), "no"),)
    state, _ = step(state, Converged(begun, (), refused, 0.0), 0.0)
    assert announced(state, 200.0)[1] == []


def test_an_announcement_that_fails_again_and_again_is_told_once() -> None:
    why = "192.0.2.1 not announced: eth0 is down"
    state, times, heard = announced(applied(), 200.0, (why,))
    assert len(times) == 8
    assert heard == [f"not announced: {why}"]
    state, _, heard = announced(state, 300.0)
    assert heard == []
    state, _, heard = announced(state, 400.0, (why,))
    assert heard == [f"not announced: {why}"]


def test_a_ledger_that_cannot_be_written_is_told_once() -> None:
    state, heard = applied(0), []
    for not_saved in (("f", "full"), ("f", "full"), None, ("f", "full")):
        look = Converge(state.goal, Cause.LOOK, state.goal)
        state, commands = step(state, Converged(look, (), not_saved=not_saved), 1.0)
        heard += told(commands)
    assert heard == [events.StateNotSaved("f", "full")] * 2


@pytest.mark.parametrize("refused", [(), (("ipvsadm -D", "busy"),)])
def test_a_stop_that_could_not_empty_all_has_failed(refused: tuple[tuple[str, str], ...]) -> None:
    state, commands = step(
        msgspec.structs.replace(applied(), on_stop=OnStop.EMPTY), StopAsked("SIGTERM"), 1.0
    )
    (emptied,) = (command for command in commands if isinstance(command, Converge))
    assert step(state, Converged(emptied, (), refused), 2.0)[1][-1] == Quit(failed=bool(refused))
    assert step(state, ConvergeFailed(Cause.STOP, "no answer"), 2.0)[1][-1] == Quit(failed=True)


def test_vips_that_were_given_up_meanwhile_are_not_announced() -> None:
    state = applied()
    (held,) = state.goal.state.vips
    gone = msgspec.structs.replace(held, address=bytes([192, 0, 2, 99]))
    _, commands = step(state, VipsTaken((gone, held)), 1.0)
    assert commands == (Announce((held,)),)
    assert step(state, VipsTaken((gone,)), 1.0) == (state, ())


def test_what_is_new_and_refused_as_a_whole() -> None:
    web, mail = (strategies.virtual_server(name, f"192.0.2.{n}") for n, name in ((1, "web"), (2, "mail")))
    before, goal = (desired(strategies.config(*servers)) for servers in ((web,), (web, mail)))
    command = Converge(goal, Cause.CONFIG, before)
    lines = [text.line(AddService(key, one.options)) for key, one in goal.state.services.items()]
    said = [outcomes.missing(Converged(command, (), ((line, "no such scheduler"),))) for line in lines]
    assert said == ["", f"the kernel refused {lines[1]}: no such scheduler"]
    assert outcomes.missing(Converged(command, (), (("modprobe ip_vs_wlc", "no"),))) == ""
    assert outcomes.missing(ConvergeFailed(Cause.CONFIG, "not permitted")) == ""
    assert outcomes.refusals(State()) == Refusals()
    assert outcomes.refusals(State(refused=(("a", "b"), ("c", "d")))) == Refusals(2, "a: b")
    assert outcomes.refusals(State(unavailable="not permitted")) == Refusals(1, "not permitted")
