"""Marks of checks through the VIP, over edits of the configuration."""

from __future__ import annotations

import msgspec

from health.warded import PLAIN, servers
from lvs.checks import Answer, Reason
from lvs.health import marks, ward
from lvs.health.ward import Health
from lvs.model import CheckPath, key_of
from strategies import config


def test_marks_are_kept_and_are_nobodys() -> None:
    through = msgspec.structs.replace(PLAIN, path=CheckPath.VIP)
    both = servers(2, 0, 1, checking=through)
    health, _ = ward.configured(Health(), config(both), 0.0)
    kept = health.serving[key_of(both)].marks
    assert kept == (marks.FIRST_MARK, marks.FIRST_MARK + 1)
    fewer = servers(2, 1, checking=through)
    health, _ = ward.configured(health, config(fewer), 1.0)
    assert health.serving[key_of(fewer)].marks == kept[1:]
    rival = msgspec.structs.replace(servers(4, 0), fwmark=kept[1])
    fresh, _ = ward.configured(Health(), config(both, rival), 2.0)
    assert fresh.serving[key_of(both)].marks == (kept[0], kept[1] + 1)


def test_a_mark_that_the_configuration_comes_to_use_is_given_up() -> None:
    """The virtual server that is checked by it is not edited at all."""
    through = servers(2, 0, 1, checking=msgspec.structs.replace(PLAIN, path=CheckPath.VIP))
    health, change = ward.configured(Health(), config(through), 0.0)
    health, _ = ward.answered(health, [(change.follow[1], Answer(True, Reason.ANSWERED, "connected"))], 1.0)
    first, second = health.serving[key_of(through)].marks
    rival = msgspec.structs.replace(servers(4, 0), fwmark=second)
    health, edit = ward.configured(health, config(through, rival), 2.0)
    assert health.serving[key_of(through)].marks == (first, second + 1)
    assert change.follow[1] in edit.forget
    assert second + 1 in [target.path.mark for target in edit.follow if target.path]
    assert health.serving[key_of(through)].weights == (None, 4)  # it is still up
