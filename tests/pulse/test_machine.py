"""The machine against transcripts/pulse/*.txt, which simulate both directors, and its laws under odd inputs.

A transcript is cases as `tests/pulse/cases.py` writes them, each with all that comes of it below `----`;
rewritten by `pytest --rewrite` and reviewed as a diff. The judge of the simulation watches them, too.
"""

from __future__ import annotations

import copy
import math
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvs.model import Failback, Role
from lvs.pulse.hearing import RETIRED
from lvs.pulse.machine import BORNE, HANDOVER_S, step
from lvs.pulse.state import LAST_TERM, Pulse, begin, deadline
from lvs.pulse.words import (
    Beat,
    BeatReceived,
    Command,
    Fault,
    FaultsChanged,
    Grade,
    HoldingChanged,
    Input,
    LeaveAsked,
    SendBeat,
    SwitchoverAsked,
    TakeRole,
    Terms,
    TermsChanged,
    TimePassed,
    Vitals,
    VitalsChanged,
)
from pulse.cases import parsed, told

TRANSCRIPTS = sorted((Path(__file__).parents[1] / "transcripts" / "pulse").glob("*.txt"))


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_transcript(path: Path, rewrite: bool) -> None:
    blocks = []
    for block in path.read_text().strip("\n").split("\n\n"):
        given_lines = block.split("\n----", 1)[0].split("\n")
        lines = [line for line in given_lines if not line.startswith("#")]
        blocks.append("\n".join([*given_lines, "----", *told(parsed(lines))]))
    text = "\n\n".join(blocks) + "\n"
    assert "** " not in text
    if rewrite:
        path.write_text(text)
    assert text == path.read_text()


# Laws

NUMBERS = st.sampled_from([-1, 0, 1, 2, 3, 50, LAST_TERM, 1 << 64])
SECONDS = st.sampled_from([-math.inf, -1.0, 0.0, 0.5, 18.0, 1e300, math.inf, math.nan])
TERMS = st.builds(
    Terms,
    primary=st.booleans(),
    keepalive_s=st.sampled_from([0.01, 0.2, 6.0]),
    deadtime_s=st.sampled_from([6.5, 18.0, 2147483.0]),
    failback=st.sampled_from(Failback),
)
BEATS = st.builds(
    Beat,
    boot=NUMBERS,
    number=NUMBERS,
    heard=NUMBERS,
    heard_number=NUMBERS,
    at_s=SECONDS,
    primary=st.booleans(),
    deadtime_s=SECONDS,
    role=st.sampled_from(Role),
    term=NUMBERS,
    holding=st.booleans(),
    able=st.booleans(),
    wants=st.booleans(),
    handing=st.booleans(),
    leaving=st.booleans(),
    witness=st.booleans(),
)
INPUTS: st.SearchStrategy[Input] = st.one_of(
    st.builds(BeatReceived, beat=BEATS, path=st.sampled_from(["public", "private"]), skew_s=SECONDS),
    st.lists(st.builds(Fault, grade=st.sampled_from(Grade), text=st.just("it is broken")), max_size=2).map(
        lambda faults: FaultsChanged(tuple(faults))
    ),
    st.builds(TermsChanged, terms=TERMS),
    st.builds(VitalsChanged, vitals=st.builds(Vitals, caught_up=st.booleans())),
    st.builds(HoldingChanged, holding=st.booleans()),
    st.just(SwitchoverAsked("operator")),
    st.just(LeaveAsked()),
    st.just(TimePassed()),
)
WAITS = st.sampled_from([None, None, None, 0.0, 0.001, 0.7, 7.0, 40.0])  # None: until the deadline
LIVES = st.tuples(TERMS, st.booleans(), st.lists(st.tuples(WAITS, INPUTS), max_size=30))
Life = tuple[Terms, bool, list[tuple[float | None, Input]]]


def lived(life: Life) -> list[tuple[Pulse, Input, float, Pulse, tuple[Command, ...]]]:
    """Each step of a life: before, input, time, after, commands."""
    terms, adopted, inputs = life
    pulse, now, steps = begin(terms, 2, 1000.0, adopted=adopted), 1000.0, []
    for wait_s, what in inputs:
        now = deadline(pulse) if wait_s is None else now + wait_s
        after, commands = step(pulse, what, now)
        steps.append((pulse, what, now, after, commands))
        pulse = after
    return steps


@given(LIVES)
def test_step_gives_the_same_answer_and_changes_nothing(life: Life) -> None:
    for before, what, now, after, commands in lived(life):
        kept = copy.deepcopy(before)
        assert step(before, what, now) == (after, commands)
        assert before == kept


@given(LIVES)
def test_deadline_is_later(life: Life) -> None:
    for _, _, now, after, _ in lived(life):
        assert now < deadline(after) < math.inf


@given(LIVES)
def test_what_it_says_another_director_takes(life: Life) -> None:
    numbers, last = [], None
    for before, _, _, after, commands in lived(life):
        assert all(0 <= command.term <= LAST_TERM for command in commands if isinstance(command, TakeRole))
        roles = [command.role for command in commands if isinstance(command, TakeRole)]
        assert (roles or [before.role])[-1] is after.role
        numbers += [command.beat.number for command in commands if isinstance(command, SendBeat)]
        last = after
    assert numbers == list(range(1, len(numbers) + 1))
    assert last is None or last.number == len(numbers)


@given(LIVES)
def test_whoever_is_alone_and_sound_serves(life: Life) -> None:
    """Whatever came before: when the other is silent from now on, this director is active in time."""
    steps = lived(life)
    pulse, now = (steps[-1][3], steps[-1][2]) if steps else (begin(life[0], 2, 1000.0), 1000.0)
    if pulse.leaving:
        return
    pulse, _ = step(pulse, FaultsChanged(()), now)
    longest_s = max(pulse.terms.deadtime_s, 0.0 if pulse.peer is None else pulse.peer.beat.deadtime_s)
    by = now + (BORNE + 2) * longest_s + HANDOVER_S
    while now < by and pulse.role is not Role.ACTIVE:
        # The many beats of a silent day tell nothing new: go on where something may happen.
        now = max(deadline(pulse), min(now + longest_s / 50, by))
        pulse, _ = step(pulse, TimePassed(), now)
    assert pulse.role is Role.ACTIVE


# Single rules


def lone(*, primary: bool = True, now: float = 0.0) -> Pulse:
    return begin(Terms(primary, 0.2, 0.8), 1, now)


def beat(number: int = 1, boot: int = 7, **more: object) -> Beat:
    return msgspec.structs.replace(Beat(boot, number, deadtime_s=0.8, able=True), **more)


def heard(pulse: Pulse, what: Beat, now: float) -> tuple[Pulse, tuple[Command, ...]]:
    return step(pulse, BeatReceived(what, "public", 0.0), now)


def silence(pulse: Pulse, until: float) -> tuple[Pulse, tuple[Command, ...]]:
    """Nothing but time passes; all that is ordered meanwhile."""
    ordered: tuple[Command, ...] = ()
    while (now := deadline(pulse)) <= until:
        pulse, commands = step(pulse, TimePassed(), now)
        ordered += commands
    return pulse, ordered


def roles(commands: tuple[Command, ...]) -> list[Role]:
    return [command.role for command in commands if isinstance(command, TakeRole)]


def test_equal_terms_are_settled_whatever_the_configurations_say() -> None:
    """Even if both say that they are the primary: the two never yield to each other, or both stay."""
    for claims in ((True, True), (False, False), (True, False)):
        left = []
        for number, other in ((0, 1), (1, 0)):
            pulse = begin(Terms(claims[number], 0.2, 0.8), number + 1, 0.0, adopted=True)
            there = beat(boot=other + 1, heard=number + 1, role=Role.ACTIVE, primary=claims[other])
            left.append(heard(pulse, there, 0.1)[0].role)
        assert sorted(left) == [Role.ACTIVE, Role.STANDBY], claims


def test_two_that_hear_each_other_now_and_then_do_not_both_stay() -> None:
    """The other hears nothing, and is heard each second, at a deadtime of 0.8 s."""
    pulse, _ = silence(lone(), 1.0)
    pulse.term = 5
    ordered: tuple[Command, ...] = ()
    for second in range(2, 12):
        pulse, more = silence(pulse, second)
        ordered += more
        there = beat(second, role=Role.ACTIVE, term=3, at_s=float(second))
        pulse, more = heard(pulse, there, float(second))
        ordered += more
    assert roles(ordered).count(Role.ACTIVE) == 1  # it gives way, tries it once more, and bears the gaps then
    assert pulse.role is Role.STANDBY
    pulse, more = silence(pulse, 14.0)
    assert roles(more) == [Role.ACTIVE]  # in the end it is gone


@pytest.mark.parametrize(("boot", "number", "silence_s"), [(7, 40, 3.2), (7, 41, 0.8), (8, 40, 0.8)])
def test_more_silence_is_borne_until_the_other_knows_who_serves(
    boot: int, number: int, silence_s: float
) -> None:
    pulse, _ = heard(lone(), beat(1), 0.5)
    pulse.yields, pulse.yielded_at, pulse.number = 3, 40, 50
    there = beat(2, boot, role=Role.ACTIVE, term=3, at_s=1.0, heard=1, heard_number=number)
    pulse, _ = heard(pulse, there, 1.0)
    pulse, ordered = silence(pulse, 1.0 + silence_s - 0.01)
    assert Role.ACTIVE not in roles(ordered)
    pulse, ordered = silence(pulse, 1.0 + silence_s + 0.2)
    assert Role.ACTIVE in roles(ordered)


def test_a_goodbye_of_a_start_that_never_heard_ours_does_not_count_at_once() -> None:
    pulse, commands = heard(lone(primary=False), beat(primary=True, at_s=5.0, leaving=True), 0.1)
    assert not roles(commands)
    assert roles(silence(pulse, 0.79)[1]) == []
    pulse, commands = silence(pulse, 0.8)
    assert roles(commands) == [Role.ACTIVE]


def test_a_start_of_long_ago_is_not_believed_however_many_came_after_it() -> None:
    """Recorded 10 h ago, when it had heard of this start of ours, which still runs."""
    pulse, recorded, now = lone(primary=False), [], 0.0
    for boot in range(100, 100 + 2 * RETIRED):
        now += 5.0
        pulse, _ = silence(pulse, now)
        what = beat(boot=boot, primary=True, at_s=now, heard=1, heard_number=pulse.number)
        pulse, _ = heard(pulse, what, now)
        recorded.append(what)
    live = recorded[-1]
    for what in recorded[:-1]:
        pulse, _ = step(pulse, BeatReceived(what, "public", 36000.0), now + 0.1)
    assert pulse.peer is not None
    assert pulse.peer.beat is live
    pulse, _ = heard(pulse, msgspec.structs.replace(live, number=2), now + 0.2)
    assert pulse.peer is not None
    assert pulse.peer.beat.number == 2


def test_beats_of_an_unproven_start_change_little_of_what_is_said() -> None:
    """Somebody sends what a start of before ours said, a hundred times a second."""
    pulse, _ = heard(lone(), beat(1, at_s=1.0), 0.0)
    ordered = list[Command]()
    for tick in range(1, 501):
        now = tick / 100
        if tick % 20 == 0:
            there = beat(1 + tick, role=Role.ACTIVE, term=3, at_s=now, heard=1, heard_number=pulse.number)
            pulse, more = heard(pulse, there, now)
            ordered += more
        pulse, more = heard(pulse, beat(1, boot=6, at_s=-9.0), now + 0.001)
        ordered += more
        pulse, more = silence(pulse, now + 0.009)
        ordered += more
    said = [one.beat.heard for one in ordered if isinstance(one, SendBeat)]
    assert len(said) <= 25 + 8  # one each keepalive, and the first words
    assert said.count(7) >= len(said) // 2 - 3


def test_nonsense_of_the_other_ends_at_the_last_term() -> None:
    pulse, _ = heard(lone(primary=False), beat(primary=True, at_s=5.0, role=Role.ACTIVE, term=LAST_TERM), 0.1)
    pulse, _ = silence(pulse, 1.0)
    assert pulse.role is Role.ACTIVE
    assert pulse.term == LAST_TERM
