"""What a director makes of its pair, where the transcripts (tests/transcripts/pair*.txt) do not reach."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import msgspec
import pytest

import strategies
from lvs import events, pair
from lvs.checks import Answer, Reason
from lvs.commands import Ask, Command, Report, TellPulse, Wire
from lvs.model import Config, Role
from lvs.pair import Pairing, Seat
from lvs.pulse.line import Privileges, Strangers, Unusable, Way
from lvs.pulse.words import FaultsChanged, Grade, Left, Notice, SwitchoverEnded, TakeRole, Tell

PRIMARY, BACKUP, WITNESS = map(ip_address, ("10.0.0.1", "10.0.0.2", "10.0.0.254"))


def config(**changes: Any) -> Config:
    """Of a pair on one network."""
    plain = strategies.config()
    ends = {"primary": PRIMARY, "primary_private": PRIMARY, "backup": BACKUP, "backup_private": BACKUP}
    changed = {**ends, "backup_active": True, **changes}
    return msgspec.structs.replace(plain, pair=msgspec.structs.replace(plain.pair, **changed))


def on(address: object, of: Config) -> tuple[Pairing, tuple[Command, ...]]:
    """A director that has started with this address, and what it wants done."""
    begun, _ = pair.situated(Pairing(), of, starts=True)
    seen = msgspec.structs.replace(begun, own={str(address): "eth0"}, linked={"eth0": True})
    return pair.situated(seen, of)


def reports(commands: tuple[Command, ...]) -> list[events.Event]:
    return [one.event for one in commands if isinstance(one, Report)]


@pytest.mark.parametrize(
    ("address", "changes", "seat", "role"),
    [
        (PRIMARY, {}, Seat.PRIMARY, Role.STANDBY),
        (BACKUP, {}, Seat.BACKUP, Role.STANDBY),
        (WITNESS, {}, Seat.NOBODY, Role.FAULT),
        (PRIMARY, {"backup_active": False}, Seat.ALONE, Role.ACTIVE),
        (BACKUP, {"backup_active": False}, Seat.ASIDE, Role.STANDBY),
        (BACKUP, {"backup": None}, Seat.ALONE, Role.ACTIVE),
    ],
)
def test_its_addresses_tell_which_director_it_is(
    address: object, changes: dict[str, Any], seat: Seat, role: Role
) -> None:
    pairing, commands = on(address, config(**changes))
    assert (pairing.seat, pairing.role) == (seat, role)
    assert any(isinstance(one, Wire) for one in commands) == (seat in pair.PAIRED)


def test_each_network_is_a_way_and_ends_are_told_apart() -> None:
    private = {"primary_private": ip_address("10.9.0.1"), "backup_private": ip_address("fd09::2")}
    for address, turned in ((PRIMARY, 1), (BACKUP, -1)):
        _, commands = on(address, config(**private))
        (wire,) = [one for one in commands if isinstance(one, Wire)]
        ends = ("10.0.0.1", "10.0.0.2")[::turned], ("10.9.0.1", "fd09::2")[::turned]
        assert wire.ways == (Way("public", *ends[0]), Way("private", *ends[1]))
        assert wire.terms.primary is (turned == 1)


def test_without_a_second_network_there_is_one_way() -> None:
    (wire,) = [one for one in on(PRIMARY, config())[1] if isinstance(one, Wire)]
    assert wire.ways == (Way("public", "10.0.0.1", "10.0.0.2"),)


def test_a_witness_that_does_not_answer_is_a_fault() -> None:
    of = config(witness=frozenset({WITNESS}))
    pairing, commands = on(PRIMARY, of)
    (asked,) = [one for one in commands if isinstance(one, Ask)]
    (target,) = asked.follow
    assert pair.judged(pairing, of, unavailable="")[1] == ()
    silent = Answer(ok=False, reason=Reason.TIMED_OUT, text="no answer")
    for second in range(3):
        assert not pairing.faults
        pairing = pair.witnessed(pairing, ((target, silent),), float(second))
        pairing, commands = pair.judged(pairing, of, unavailable="")
    (told,) = commands
    assert isinstance(told, TellPulse)
    assert isinstance(told.what, FaultsChanged)
    assert [fault.grade for fault in told.what.faults] == [Grade.ISOLATED]
    assert "10.0.0.254" in told.what.faults[0].text
    pairing = pair.witnessed(pairing, ((target, Answer(ok=True, reason=Reason.ANSWERED, text="")),), 4.0)
    pairing, _ = pair.judged(pairing, of, unavailable="")
    assert pairing.faults == ()


def test_of_several_witnesses_one_is_enough() -> None:
    of = config(witness=frozenset({WITNESS, ip_address("10.0.0.253")}))
    pairing, commands = on(PRIMARY, of)
    (asked,) = [one for one in commands if isinstance(one, Ask)]
    silent = Answer(ok=False, reason=Reason.TIMED_OUT, text="no answer")
    for second in range(3):
        pairing = pair.witnessed(pairing, ((asked.follow[0], silent),), float(second))
    assert pair.judged(pairing, of, unavailable="")[0].faults == ()


def test_links_are_watched_if_that_is_wanted() -> None:
    watched, of = on(PRIMARY, config(monitor_links=True))[0], config(monitor_links=True)
    down = msgspec.structs.replace(watched, linked={"eth0": False})
    assert pair.judged(down, of, unavailable="")[0].faults[0].text == "eth0 has no link"
    gone = msgspec.structs.replace(watched, linked={})
    assert pair.judged(gone, of, unavailable="")[0].faults[0].text == "there is no device eth0"
    assert pair.judged(down, config(), unavailable="")[0].faults == ()


@pytest.mark.parametrize(
    ("word", "event"),
    [
        (Tell(Notice.BOTH_ACTIVE, "terms 1 here and 2 there"), events.BothActive("terms 1 here and 2 there")),
        (Tell(Notice.NONE_ACTIVE, "why"), events.NoneActive("why")),
        (Tell(Notice.SETTLED, "this"), events.PairSettled("this")),
        (Unusable("public", "no such address"), events.HeartbeatUnusable("public", "no such address")),
        (Strangers({"protocol": 3}, "a"), events.HeartbeatUnfit(3, "a")),
        (Strangers({"forged": 2, "address": 1}, "a"), events.HeartbeatStrangers("1 address, 2 forged", "a")),
        (Privileges(("locked memory",)), events.PulseUnprivileged("locked memory")),
        (SwitchoverEnded("it is silent"), events.SwitchoverRefused("it is silent")),
    ],
)
def test_what_the_pulse_says_is_told(word: Any, event: events.Event) -> None:
    pairing, _ = on(PRIMARY, config())
    assert reports(pair.heard(pairing, word, config(), 1.0)[1]) == [event]


def test_datagrams_of_strangers_add_up() -> None:
    pairing, _ = on(PRIMARY, config())
    for counts in ({"forged": 2}, {"forged": 1, "address": 1}):
        pairing, _ = pair.heard(pairing, Strangers(counts, "a"), config(), 1.0)
    assert pairing.strangers == {"forged": 3, "address": 1}


def test_a_handover_that_is_tried_on_and_on_is_refused_once() -> None:
    """Nobody asked for it: this director has a fault, and the other one does not take over."""
    pairing, _ = on(PRIMARY, config())
    told = []
    for words in (SwitchoverEnded("slow"), SwitchoverEnded("slow"), TakeRole(Role.ACTIVE, 1, "so")):
        pairing, commands = pair.heard(pairing, words, config(), 1.0)
        told += [one for one in reports(commands) if isinstance(one, events.SwitchoverRefused)]
    assert told == [events.SwitchoverRefused("slow")]
    assert reports(pair.heard(pairing, SwitchoverEnded("slow"), config(), 1.0)[1]) == told


def test_every_notice_has_an_event() -> None:
    pairing, _ = on(PRIMARY, config())
    for notice in Notice:
        assert len(reports(pair.heard(pairing, Tell(notice, "so"), config(), 1.0)[1])) == 1


def test_a_pulse_that_was_ended_is_not_listened_to() -> None:
    alone, _ = on(PRIMARY, config(backup=None))
    for word in (TakeRole(Role.STANDBY, 1, "late"), Left(), Tell(Notice.SETTLED, "late")):
        assert pair.heard(alone, word, config(backup=None), 1.0) == (alone, ())
