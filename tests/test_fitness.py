"""What a boot on trial must reach."""

from __future__ import annotations

import msgspec
import pytest

import strategies
from lvs.fitness import unhealthy
from lvs.model import Role
from lvs.pair import Pairing, Seat
from lvs.pulse.line import Seen
from lvs.pulse.words import Beat
from lvs.state import State

CONFIG = strategies.config()
SERVING = State(config=CONFIG)
OTHER = Seen(Beat(1, 1, role=Role.ACTIVE), alive=True)
ACTIVE = Pairing(seat=Seat.PRIMARY, role=Role.ACTIVE, holding=True, reason="r")
STANDBY = Pairing(seat=Seat.BACKUP, role=Role.STANDBY, seen=OTHER, reason="r")


def reasons(state: State, *, configured: bool = True) -> str:
    return "; ".join(unhealthy(state, configured=configured))


def paired(pairing: Pairing, **changed: object) -> State:
    return msgspec.structs.replace(SERVING, pairing=msgspec.structs.replace(pairing, **changed))


def test_a_director_that_serves() -> None:
    assert reasons(SERVING) == ""
    assert reasons(paired(ACTIVE)) == ""
    assert reasons(paired(STANDBY)) == ""
    assert reasons(paired(Pairing(seat=Seat.ASIDE, role=Role.STANDBY))) == ""


def test_without_a_configuration() -> None:
    assert reasons(State(), configured=False) == ""
    assert "has problems" in reasons(State(), configured=True)


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (msgspec.structs.replace(SERVING, unavailable="no ip_vs"), "cannot be managed: no ip_vs"),
        (msgspec.structs.replace(SERVING, all_moving=True), "on its way into the kernel"),
        (
            msgspec.structs.replace(SERVING, refused=(("ipvsadm -A", "why"),)),
            "refuses 1 operation: ipvsadm -A: why",
        ),
        (msgspec.structs.replace(SERVING, stopping="SIGTERM"), "stops (SIGTERM)"),
        (paired(ACTIVE, holding=False), "does not hold its VIPs yet"),
        (paired(ACTIVE, lost="it died"), "no heartbeat: it died"),
        (paired(ACTIVE, seat=Seat.UNKNOWN), "not known yet which"),
        (paired(ACTIVE, seat=Seat.NOBODY, reason="no such address"), "cannot serve: no such address"),
        (paired(STANDBY, role=Role.FAULT, reason="eth0 has no link"), "cannot serve: eth0 has no link"),
        (paired(STANDBY, seen=None), "no active director is heard"),
        (paired(STANDBY, seen=msgspec.structs.replace(OTHER, alive=False)), "no active director is heard"),
        (
            paired(STANDBY, seen=Seen(Beat(1, 1, role=Role.STANDBY), alive=True)),
            "no active director is heard",
        ),
    ],
)
def test_one_that_does_not(state: State, said: str) -> None:
    assert said in reasons(state)
