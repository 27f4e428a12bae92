"""The daemon and its pulse understand each other."""

from __future__ import annotations

import pytest

from lvs.model import Failback, Role
from lvs.pulse.line import (
    LONGEST,
    FromPulse,
    Privileges,
    Seen,
    Strangers,
    ToPulse,
    Unusable,
    Way,
    Wiring,
    encode,
    from_pulse,
    to_pulse,
)
from lvs.pulse.words import (
    Beat,
    Fault,
    FaultsChanged,
    Grade,
    HoldingChanged,
    LeaveAsked,
    Left,
    Notice,
    Reannounce,
    SwitchoverAsked,
    SwitchoverEnded,
    TakeRole,
    Tell,
    Terms,
    Vitals,
    VitalsChanged,
)


@pytest.mark.parametrize(
    "what",
    [
        Wiring(
            (Way("public", "10.0.0.1", "10.0.0.2"),), 539, b"k" * 32, Terms(True, 0.2, 0.8, Failback.SYNCED)
        ),
        FaultsChanged((Fault(Grade.CUT, "eth0 has no link"),)),
        VitalsChanged(Vitals(7, "digest", 12, "1.0")),
        HoldingChanged(holding=True),
        SwitchoverAsked("root"),
        LeaveAsked(),
    ],
    ids=lambda what: type(what).__name__,
)
def test_to_the_pulse(what: ToPulse) -> None:
    assert to_pulse.decode(encode(what)) == what


@pytest.mark.parametrize(
    "what",
    [
        TakeRole(Role.FAULT, 3, "no link"),
        Reannounce(),
        SwitchoverEnded("why"),
        Left(),
        Tell(Notice.BOTH_ACTIVE, "terms 1 and 2"),
        Seen(Beat(boot=1, number=2), 0.1, ("private",), alive=True),
        Seen(None),
        Unusable("public", "no such address"),
        Strangers({"forged": 3}, "10.0.0.9"),
        Privileges(("locked memory",)),
    ],
    ids=lambda what: type(what).__name__,
)
def test_from_the_pulse(what: FromPulse) -> None:
    assert from_pulse.decode(encode(what)) == what


def test_many_faults_fit_into_a_message() -> None:
    faults = tuple(Fault(Grade.CUT, f"device eth{number} has no link") for number in range(500))
    assert len(encode(FaultsChanged(faults))) < LONGEST
