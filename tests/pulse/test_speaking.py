"""What a director says, and when."""

from __future__ import annotations

import copy

import msgspec
import pytest

from lvs.model import Failback, Role
from lvs.pulse.speaking import speak
from lvs.pulse.state import BURST, BURST_S, Peer, Pulse, begin
from lvs.pulse.words import Beat, Command, Fault, Grade, Left, SendBeat, Terms, Vitals

START = 100.0
POOR = Fault(Grade.POOR, "no route")


def settled(**more: object) -> Pulse:
    """A standby that has said its first words and hears an active director."""
    pulse = begin(Terms(primary=True, keepalive_s=0.2, deadtime_s=0.8), 1, START)
    there = Beat(7, 40, primary=False, deadtime_s=0.8, role=Role.ACTIVE, term=3, able=True)
    pulse.peer, pulse.burst, pulse.send_at = Peer(there, START, {"public": (START, 40)}), 0, START + 0.2
    pulse.number = 5
    return changed(pulse, **more)


def changed(pulse: Pulse, **more: object) -> Pulse:
    new = copy.copy(pulse)
    for name, value in more.items():
        setattr(new, name, value)
    return new


def says(before: Pulse, new: Pulse, now: float) -> tuple[Beat | None, list[Command]]:
    out: list[Command] = []
    speak(before, new, now, out)
    beats = [one.beat for one in out if isinstance(one, SendBeat)]
    return (beats[0] if beats else None), [one for one in out if not isinstance(one, SendBeat)]


def test_a_beat_each_keepalive() -> None:
    pulse = settled()
    assert says(pulse, pulse, START + 0.19) == (None, [])
    beat, _ = says(pulse, pulse, START + 0.2)
    assert beat is not None
    assert (beat.boot, beat.number, beat.heard, beat.heard_number) == (1, 6, 7, 40)
    assert (beat.primary, beat.deadtime_s, beat.able, beat.witness) == (True, 0.8, True, True)
    assert pulse.send_at == pytest.approx(START + 0.4)


@pytest.mark.parametrize(
    "more",
    [
        {"role": Role.ACTIVE},
        {"term": 4},
        {"faults": (POOR,)},
        {"faults": (Fault(Grade.ISOLATED, "no answer"),)},
        {"wants_until": START + 10},
        {"handing_until": START + 10},
        {"leaving": True},
        {"terms": Terms(primary=True, keepalive_s=0.2, deadtime_s=0.9)},
        {"terms": Terms(primary=False, keepalive_s=0.2, deadtime_s=0.8)},
    ],
)
def test_what_is_new_is_said_at_once_and_again(more: dict[str, object]) -> None:
    before = settled()
    new, now = changed(before, **more), START + 0.05
    assert says(before, new, now)[0] is not None
    for _ in range(BURST - 1):
        now = new.send_at
        assert says(new, new, now)[0] is not None
    assert now == pytest.approx(START + 0.05 + (BURST - 1) * BURST_S)
    assert new.send_at == pytest.approx(now + 0.2)


def test_vitals_can_wait() -> None:
    before = settled()
    new = changed(before, vitals=Vitals(serial_no=4, digest="ab", connections=9, version="1"))
    assert says(before, new, START + 0.05) == (None, [])
    beat, _ = says(new, new, START + 0.2)
    assert beat is not None
    assert (beat.serial_no, beat.digest, beat.connections, beat.version) == (4, "ab", 9, "1")


def test_a_start_that_is_not_believed_yet_is_told_once_that_it_was_heard() -> None:
    pulse = settled(claimed=Beat(8, 2))
    first, _ = says(pulse, pulse, START + 0.2)
    second, _ = says(pulse, pulse, START + 0.4)
    assert first is not None
    assert second is not None
    assert (first.heard, second.heard) == (8, 7)


def test_who_woke_as_active_is_mute_until_it_has_listened() -> None:
    active = settled(role=Role.ACTIVE, woke_at=START)
    assert says(active, active, START + 0.7) == (None, [])
    standby = settled(woke_at=START)
    assert says(standby, standby, START + 0.2)[0] is not None


def test_it_leaves_after_the_last_goodbye() -> None:
    pulse = settled(leaving=True, goodbyes=2, burst=2)
    assert says(pulse, pulse, START + 0.2)[1] == []
    beat, rest = says(pulse, pulse, START + 0.4)
    assert beat is not None
    assert (beat.leaving, beat.able, beat.reason) == (True, False, "lvsd stops")
    assert rest == [Left()]
    assert says(pulse, pulse, START + 9) == (None, [])


def test_reason_of_a_standby_that_cannot() -> None:
    pulse = settled(faults=(POOR,), reason="the other director is active")
    beat, _ = says(pulse, pulse, START + 0.2)
    assert beat is not None
    assert beat.reason == "no route"


@pytest.mark.parametrize(
    ("failback", "more", "wants"),
    [
        (Failback.NEVER, {}, False),
        (Failback.NEVER, {"wants_until": START + 10}, True),
        (Failback.IMMEDIATE, {}, True),
        (Failback.IMMEDIATE, {"faults": (POOR,)}, False),
        (Failback.IMMEDIATE, {"failback_held": True}, False),
        (Failback.IMMEDIATE, {"role": Role.ACTIVE}, False),
        (Failback.IMMEDIATE, {"peer": None}, False),
        (Failback.SYNCED, {}, False),
        (Failback.SYNCED, {"vitals": Vitals(caught_up=True)}, True),
    ],
)
def test_who_asks_for_the_service(failback: Failback, more: dict[str, object], wants: bool) -> None:
    pulse = settled(terms=Terms(True, 0.2, 0.8, failback), **more)
    beat, _ = says(pulse, pulse, START + 0.2)
    assert beat is not None
    assert beat.wants is wants
    backup = settled(terms=Terms(False, 0.2, 0.8, failback), **more)
    beat, _ = says(backup, backup, START + 0.2)
    assert beat is not None
    assert beat.wants is ("wants_until" in more)


def test_who_is_active_does_not_say_that_it_holds_what_it_gave_up() -> None:
    for role in Role:
        pulse = settled(role=role, holding=True)
        beat, _ = says(pulse, pulse, START + 0.2)
        assert beat is not None
        assert beat.holding is (role is Role.ACTIVE)


def test_numbers_only_count_up() -> None:
    pulse = settled()
    numbers = [says(pulse, pulse, pulse.send_at)[0] for _ in range(3)]
    assert [beat.number for beat in numbers if beat is not None] == [6, 7, 8]
    assert msgspec.structs.asdict(pulse)["number"] == 8
