"""A pulse that begins, and when it is to be woken."""

from __future__ import annotations

import msgspec
import pytest

from lvs.model import Role
from lvs.pulse.state import Peer, Pulse, able, alive, begin, deadline, deadtime, hearing_due, hindrance
from lvs.pulse.words import Beat, Fault, Grade, Terms

FAULT = Fault(Grade.POOR, "no gateway")


def pulse(**more: object) -> Pulse:
    """A standby that has nothing to wait for before the year 1000 s."""
    settled = begin(Terms(primary=True, keepalive_s=0.2, deadtime_s=0.8), 1, 100.0)
    for name, value in {"listen_until": 0.0, "send_at": 1000.0, **more}.items():
        setattr(settled, name, value)
    return settled


def peer(heard_at: float, **more: object) -> Peer:
    return Peer(msgspec.structs.replace(Beat(7, 1), **more), heard_at, {"public": (heard_at, 1)})


def test_it_listens_first_unless_it_holds_the_vips() -> None:
    terms = Terms(primary=True, keepalive_s=0.2, deadtime_s=0.8)
    fresh, adopted = begin(terms, 1, 100.0), begin(terms, 1, 100.0, adopted=True)
    assert (fresh.role, fresh.holding, fresh.listen_until, fresh.send_at) == (
        Role.STANDBY,
        False,
        100.8,
        100.0,
    )
    assert (adopted.role, adopted.holding) == (Role.ACTIVE, True)


@pytest.mark.parametrize(
    ("more", "at"),
    [
        ({}, 1000.0),
        ({"listen_until": 100.5}, 100.5),
        ({"handing_until": 110.0}, 110.0),
        ({"wants_until": 110.0}, 110.0),
        ({"woke_at": 99.5}, 100.3),
        ({"idle_since": 99.5}, 100.3),
        ({"peer": peer(99.5)}, 100.3),
        ({"peer": peer(99.5, deadtime_s=3.0)}, 102.5),
        ({"goodbyes": 0}, 100.8),  # it says nothing more; never without an end
        ({"send_at": 100.0}, 100.8),  # what is due now was done by the step
    ],
)
def test_deadline(more: dict[str, object], at: float) -> None:
    assert deadline(pulse(**more)) == pytest.approx(at)


def test_the_longer_deadtime_of_the_two_holds() -> None:
    assert deadtime(pulse()) == 0.8
    assert deadtime(pulse(peer=peer(100.0, deadtime_s=0.4))) == 0.8
    assert deadtime(pulse(peer=peer(100.0, deadtime_s=3.0))) == 3.0
    assert hearing_due(pulse(peer=peer(100.0, deadtime_s=3.0)), 100.0) == pytest.approx(103.4)


def test_the_other_is_alive_for_deadtime_or_until_it_leaves() -> None:
    heard = peer(100.0)
    assert alive(pulse(), 100.0) is None
    assert alive(pulse(peer=heard), 100.79) == heard.beat
    assert alive(pulse(peer=heard), 100.8) is None
    assert alive(pulse(peer=peer(100.0, leaving=True)), 100.0) is None


def test_able_and_what_hinders_it() -> None:
    assert (able(pulse()), hindrance(pulse())) == (True, "")
    assert (able(pulse(faults=(FAULT,))), hindrance(pulse(faults=(FAULT,)))) == (False, "no gateway")
    assert (able(pulse(leaving=True)), hindrance(pulse(leaving=True))) == (False, "lvsd stops")
