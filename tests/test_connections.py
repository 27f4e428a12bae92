"""What a director makes of the connections that both know."""

from __future__ import annotations

import msgspec

from lvs import connections, events, pair
from lvs.commands import ShareConnections
from lvs.connections import ARRIVED_S, CHURNING_AFTER_S
from lvs.model import Role
from lvs.pair import Pairing
from lvs.pulse.line import Seen
from lvs.pulse.tables import DRIFTED_AFTER_S, TREND_S
from lvs.pulse.words import Beat, Notice, TakeRole, Tell, Vitals
from test_pair import PRIMARY, config, on, reports


def standby_beside(number: int, *, told: bool = True) -> Pairing:
    """One that listens, and whose active partner has so many connections."""
    pairing, _ = on(PRIMARY, config())
    pairing, _ = pair.heard(pairing, TakeRole(Role.STANDBY, 1, ""), config(), 0.0)
    beat = Beat(1, 1, role=Role.ACTIVE, connections=number)
    pairing = pair.heard(pairing, Seen(beat, alive=True, told=told), config(), 0.0)[0]
    return msgspec.structs.replace(pairing, vitals=Vitals(receives=True))


def active_beside(beat: Beat, pairing: Pairing | None = None) -> Pairing:
    if pairing is None:
        pairing, _ = on(PRIMARY, config())
        pairing, _ = pair.heard(pairing, TakeRole(Role.ACTIVE, 1, ""), config(), 0.0)
    return pair.heard(pairing, Seen(beat, alive=True), config(), 0.0)[0]


def test_a_standby_has_caught_up_when_it_was_told_all() -> None:
    pairing = standby_beside(100)
    early, _ = connections.counted(pairing, 100, ARRIVED_S / 2)
    assert not early.caught_up, "it may know others than the other one knows"
    few, _ = connections.counted(pairing, 50, ARRIVED_S)
    assert not few.caught_up
    assert connections.counted(pairing, 96, ARRIVED_S)[0].caught_up
    one = standby_beside(1)
    assert not connections.counted(one, 0, ARRIVED_S)[0].caught_up, "the one that there is"


def test_a_standby_that_was_not_told_waits_for_the_kernels_own_messages() -> None:
    one = standby_beside(1, told=False)
    assert not connections.counted(one, 1, CHURNING_AFTER_S - 1)[0].caught_up
    assert connections.counted(one, 0, CHURNING_AFTER_S)[0].caught_up, "it comes and goes"
    assert not connections.counted(standby_beside(100), 50, CHURNING_AFTER_S)[0].caught_up
    deaf = msgspec.structs.replace(one, vitals=Vitals())
    assert not connections.counted(deaf, 1, CHURNING_AFTER_S)[0].caught_up


def test_each_start_of_the_other_is_told_once() -> None:
    pairing = active_beside(Beat(7, 1))
    assert connections.listened(pairing) == (pairing, ())
    pairing, commands = connections.listened(active_beside(Beat(7, 2, receives=True), pairing))
    assert commands == (ShareConnections(7),)
    assert connections.listened(active_beside(Beat(7, 3, receives=True), pairing))[1] == ()
    assert connections.shared(pairing, 7)[0].told == 7
    pairing, commands = connections.listened(active_beside(Beat(8, 1, receives=True), pairing))
    assert (commands, pairing.told) == ((ShareConnections(8),), 0)
    assert connections.shared(pairing, 7)[0].told == 0, "this start knows nothing yet"


def test_who_was_away_or_active_is_told_again() -> None:
    pairing, _ = connections.listened(active_beside(Beat(7, 1, receives=True)))
    pairing, _ = connections.shared(pairing, 7)
    back, _ = pair.heard(pairing, Tell(Notice.PEER_HEARD, ""), config(), 1.0)
    assert (back.told, connections.listened(back)[1]) == (0, (ShareConnections(7),))
    served, commands = connections.listened(active_beside(Beat(7, 2, role=Role.ACTIVE), pairing))
    assert (served.told, commands) == (0, ())
    assert connections.listened(active_beside(Beat(7, 3, receives=True), served))[1] == (ShareConnections(7),)
    again, _ = pair.heard(pairing, TakeRole(Role.STANDBY, 2, ""), config(), 1.0)
    assert (again.told, again.telling) == (0, 0)


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
