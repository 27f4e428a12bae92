"""What a director makes of the connections that both know."""

from __future__ import annotations

from lvs import connections, events, pair
from lvs.commands import ShareConnections
from lvs.connections import CAUGHT_UP_AFTER_S, CHURNING_AFTER_S
from lvs.model import Role
from lvs.pair import Pairing
from lvs.pulse.line import Seen
from lvs.pulse.tables import DRIFTED_AFTER_S, TREND_S
from lvs.pulse.words import Beat, TakeRole
from test_pair import PRIMARY, config, on, reports


def standby_beside(number: int) -> Pairing:
    """One whose active partner has so many connections."""
    pairing, _ = on(PRIMARY, config())
    pairing, _ = pair.heard(pairing, TakeRole(Role.STANDBY, 1, ""), config(), 0.0)
    beat = Beat(1, 1, role=Role.ACTIVE, connections=number)
    return pair.heard(pairing, Seen(beat, alive=True), config(), 0.0)[0]


def test_a_standby_has_caught_up_when_it_was_told_all() -> None:
    pairing = standby_beside(100)
    early, _ = connections.counted(pairing, 100, CAUGHT_UP_AFTER_S - 1)
    assert not early.caught_up, "it may know others than the other one knows"
    few, _ = connections.counted(pairing, 50, CAUGHT_UP_AFTER_S)
    assert not few.caught_up
    assert connections.counted(pairing, 96, CAUGHT_UP_AFTER_S)[0].caught_up
    one = standby_beside(1)
    assert not connections.counted(one, 0, CAUGHT_UP_AFTER_S)[0].caught_up, "the one that there is"
    assert connections.counted(one, 0, CHURNING_AFTER_S)[0].caught_up, "it comes and goes"
    assert not connections.counted(few, 50, CHURNING_AFTER_S)[0].caught_up


def test_tables_that_drift_apart_are_told_once() -> None:
    pairing, told = standby_beside(1000), list[events.Event]()
    for second in range(int(DRIFTED_AFTER_S) + 20):
        pairing, commands = connections.counted(pairing, 10, float(second))
        told += reports(commands)
    assert told == [events.SyncDrifted(1000, 10, int(DRIFTED_AFTER_S))]
    for second in range(100, 120):
        pairing, commands = connections.counted(pairing, 1000, float(second))
        told += reports(commands)
    assert told[1:] == [events.SyncCaughtUp(1000, 1000)]


def test_a_standby_that_drifted_is_told_all_again() -> None:
    pairing, _ = on(PRIMARY, config())
    pairing, _ = pair.heard(pairing, TakeRole(Role.ACTIVE, 1, ""), config(), 0.0)
    beat = Beat(1, 1, role=Role.STANDBY, connections=10)
    pairing, _ = pair.heard(pairing, Seen(beat, alive=True), config(), 0.0)
    shared = 0
    for second in range(int(DRIFTED_AFTER_S) + 20):
        pairing, commands = connections.counted(pairing, 1000, float(second))
        shared += ShareConnections() in commands
    assert shared == 1


def test_growth_is_told_of_both() -> None:
    pairing = standby_beside(1000)
    pairing, _ = connections.counted(pairing, 1000, 0.0)
    beat = Beat(1, 2, role=Role.ACTIVE, connections=1500)
    pairing, _ = pair.heard(pairing, Seen(beat, alive=True), config(), 5.0)
    pairing, _ = connections.counted(pairing, 1450, TREND_S)
    assert [one.per_s for one in pairing.growth] == [450 / TREND_S, 500 / TREND_S]
    gone, _ = pair.heard(pairing, Seen(beat, alive=False), config(), 20.0)
    gone, _ = connections.counted(gone, 1450, 2 * TREND_S)
    assert [one.per_s for one in gone.growth] == [0.0, 0.0]
