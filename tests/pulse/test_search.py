"""The search finds what it is to find: with one rule taken out of the machine some promise is broken."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from lvs.model import Failback
from lvs.pulse import hearing, machine, speaking, state
from lvs.pulse.state import Pulse
from lvs.pulse.words import Beat, Command, HoldingChanged, Input
from pulse import simulator
from pulse.cases import drawn, parsed, shrunk, told, written
from pulse.simulator import Simulation

pytestmark = pytest.mark.search

SEEDS = range(24)  # most need one or two
DEADTIMES = 100  # of a case; few disturbances are enough


def test_no_promise_is_broken() -> None:
    """A small part of `make simulate`."""
    for seed in range(20):
        case = drawn(seed, DEADTIMES // 2)
        violation = Simulation(case).run()
        assert violation is None, "\n".join([str(violation), *written(case), "----", *told(case)])


def test_a_case_is_what_is_written_of_it() -> None:
    for seed in SEEDS:
        case = drawn(seed, 10)
        assert parsed(written(case)) == case
        assert told(case) == told(case)


# Rules, each taken out by what a machine without it would do

Patch = pytest.MonkeyPatch


def lower_term_stays(patch: Patch) -> None:
    def both(new: Pulse, other: Beat, heard: Beat | None, now: float, out: list[Command]) -> bool:
        return False

    patch.setattr(machine, "_both", both)


def higher_term_insists(patch: Patch) -> None:
    kept = machine._both

    def both(new: Pulse, other: Beat, heard: Beat | None, now: float, out: list[Command]) -> bool:
        return kept(new, other, None, now, out)

    patch.setattr(machine, "_both", both)


def silence_ends_a_conflict(patch: Patch) -> None:
    """Of two that hear each other so seldom that each time is the first one."""
    kept = machine._active

    def active(new: Pulse, heard: Beat | None, now: float, out: list[Command]) -> None:
        if state.alive(new, now) is None:
            new.conflict_since = None
        kept(new, heard, now, out)

    patch.setattr(machine, "_active", active)


def no_listening_at_start(patch: Patch) -> None:
    def begin(*args: Any, **more: Any) -> Pulse:
        pulse = state.begin(*args, **more)
        pulse.listen_until = 0.0
        return pulse

    patch.setattr(simulator, "begin", begin)


def no_listening_after_a_pause(patch: Patch) -> None:
    patch.setattr(machine, "overslept", lambda *_: None)


def no_listening_after_a_fault(patch: Patch) -> None:
    kept = machine._idle

    def idle(new: Pulse, now: float, out: list[Command]) -> None:
        until = new.listen_until
        kept(new, now, out)
        new.listen_until = until

    patch.setattr(machine, "_idle", idle)


def any_start_is_believed(patch: Patch) -> None:
    patch.setattr(hearing, "_believed", lambda *_: True)


def starts_are_believed_whatever_their_clock(patch: Patch) -> None:
    patch.setattr(hearing, "CLOCKS_S", float("inf"))


def starts_are_forgotten(patch: Patch) -> None:
    """One that heard of ours is believed again when there were others after it."""
    patch.setattr(hearing, "RETIRED", 1)
    patch.setattr(hearing, "RECENT", 1 << 62)


def any_number_is_fresh(patch: Patch) -> None:
    patch.setattr(hearing, "_fresh", lambda *_: True)


def one_path_is_all(patch: Patch) -> None:
    """A takeover as soon as one path is silent."""

    def alive(pulse: Pulse, now: float) -> Beat | None:
        if pulse.peer is None or now >= min(at for at, _ in pulse.peer.paths.values()) + state.deadtime(
            pulse
        ):
            return None
        return state.alive(pulse, now)

    patch.setattr(machine, "alive", alive)


def own_deadtime_is_all(patch: Patch) -> None:
    """A reload that reaches the standby first."""

    def deadtime(pulse: Pulse) -> float:
        return pulse.terms.deadtime_s

    for module in (state, machine, hearing):
        patch.setattr(module, "deadtime", deadtime)


def broken_before_made(patch: Patch) -> None:
    kept = machine._both

    def both(new: Pulse, other: Beat, heard: Beat | None, now: float, out: list[Command]) -> bool:
        return kept(new, msgspec.structs.replace(other, holding=True), heard, now, out)

    patch.setattr(machine, "_both", both)


def nobody_takes_over(patch: Patch) -> None:
    patch.setattr(machine, "_alone", lambda *_: None)


def takeovers_are_late(patch: Patch) -> None:
    kept = machine._alone

    def alone(new: Pulse, now: float, out: list[Command]) -> None:
        if new.peer is None or now >= new.peer.heard_at + 1.9 * state.deadtime(new):
            kept(new, now, out)

    patch.setattr(machine, "_alone", alone)


def wants_changed(patch: Patch, change: Callable[[Pulse], None]) -> None:
    kept = speaking._wants

    def wants(new: Pulse, other: Beat | None) -> bool:
        new = copy.copy(new)
        change(new)
        return kept(new, other)

    patch.setattr(speaking, "_wants", wants)


def the_primary_always_comes_back(patch: Patch) -> None:
    def change(new: Pulse) -> None:
        new.terms = msgspec.structs.replace(new.terms, failback=Failback.IMMEDIATE)

    wants_changed(patch, change)


def switchovers_are_undone(patch: Patch) -> None:
    def change(new: Pulse) -> None:
        new.failback_held = False

    wants_changed(patch, change)


def both_wait_for_the_other(patch: Patch) -> None:
    patch.setattr(machine, "_nobody", lambda *_: None)


def holding_is_not_heard_of(patch: Patch) -> None:
    """A failed handover that nobody takes back."""
    kept = machine.step

    def step(pulse: Pulse, what: Input, now: float) -> machine.Step:
        return kept(pulse, HoldingChanged(False) if isinstance(what, HoldingChanged) else what, now)

    patch.setattr(simulator, "step", step)
    patch.setattr(machine, "HANDOVER_S", 1e9)


def woken_active_talks(patch: Patch) -> None:
    kept = speaking.speak

    def speak(before: Pulse, new: Pulse, now: float, out: list[Command]) -> None:
        woke, new.woke_at = new.woke_at, None
        kept(before, new, now, out)
        new.woke_at = woke

    patch.setattr(machine, "speak", speak)


RULES = [
    lower_term_stays,
    higher_term_insists,
    silence_ends_a_conflict,
    no_listening_at_start,
    no_listening_after_a_pause,
    no_listening_after_a_fault,
    any_start_is_believed,
    starts_are_believed_whatever_their_clock,
    starts_are_forgotten,
    any_number_is_fresh,
    one_path_is_all,
    own_deadtime_is_all,
    broken_before_made,
    nobody_takes_over,
    takeovers_are_late,
    the_primary_always_comes_back,
    switchovers_are_undone,
    both_wait_for_the_other,
    holding_is_not_heard_of,
    woken_active_talks,
]


@pytest.mark.parametrize("without", RULES, ids=lambda rule: rule.__name__)
def test_a_missing_rule_is_found(without: Callable[[Patch], None], monkeypatch: Patch) -> None:
    without(monkeypatch)
    found = next((seed for seed in SEEDS if Simulation(drawn(seed, DEADTIMES)).run()), None)
    assert found is not None


def test_a_failure_is_made_small(monkeypatch: Patch) -> None:
    """What is left is one pause, cut or crash of the many that were drawn."""
    lower_term_stays(monkeypatch)
    seed = next(seed for seed in SEEDS if Simulation(drawn(seed, DEADTIMES)).run())
    case = drawn(seed, DEADTIMES)
    small = shrunk(case)
    assert 0 < len(small.disturbances) <= 4 < len(case.disturbances)
    assert [line for line in told(parsed(written(small))) if "** two are active" in line]
