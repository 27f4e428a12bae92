"""What `lvsd pair status` says of every state there is."""

from __future__ import annotations

import msgspec
import pytest

from lvs.pairstatus import Channel, PairStatus, lines, resolvable, status
from lvs.sync.messages import Refusals, Standing
from lvs.sync.state import Following, Leading, Phase, State
from lvs.sync.version import Agreed, Text, Version

ONE, TWO = (Text(Version(serial, f"d{serial}"), b"", "toml") for serial in (1, 2))
AGREED = Agreed(1, ONE.version)
THERE = Channel("primary", "3f2a 91c0", "", "10.0.0.2", "lb2", "0.1.0")
SAME = State(mine=ONE, agreed=AGREED, connected=True, theirs=Standing(ONE.version, None, AGREED))


def changed(**fields: object) -> State:
    return msgspec.structs.replace(SAME, **fields)


LEADING = Leading(1, TWO, Phase.OFFERED, 0.0, fresh=True)
FOLLOWING = Following(1, TWO, Phase.EXAMINING, 0.0)
STATES = (
    (SAME, "same", "serial 1 (d1) runs on both"),
    (
        changed(theirs=Standing(ONE.version, None, AGREED, refusals=Refusals(2, "ipvsadm -A: no"))),
        "incomplete",
        "runs on both, but the other director's kernel refused 2 operations: ipvsadm -A: no",
    ),
    (
        changed(refusals=Refusals(1, "modprobe ip_vs_mh: no")),
        "incomplete",
        "this director's kernel refused 1",
    ),
    (changed(theirs=None), "away", "the other director is not connected"),
    (changed(theirs=None, mine=TWO), "pending", "serial 2 (d2) runs here only"),
    (changed(mine=TWO), "pending", "serial 2 (d2) runs here, serial 1 (d1) there"),
    (changed(leading=LEADING, file=TWO), "moving", "is on its way to the other director"),
    (changed(following=FOLLOWING), "moving", "is on its way from the other director"),
    (changed(conflict="both were changed"), "conflict", "both were changed; `lvsd pair resolve --use here`"),
    (changed(theirs=Standing(ONE.version, TWO.version)), "conflict", "file holds serial 2 (d2)"),
    (changed(mine=TWO, refused="no such program"), "refused", "refuses what runs here: no such program"),
    (changed(file=TWO, judged=True), "refused", "serial 2 (d2) lies in the file here and does not run"),
)


@pytest.mark.parametrize(("state", "word", "said"), STATES, ids=[row[1] for row in STATES])
def test_each_state_has_its_word(state: State, word: str, said: str) -> None:
    shown = status(state, THERE, paired=True)
    assert shown.state == word
    assert said in shown.text
    assert next(lines(shown)) == f"{word}: {shown.text}"


def test_both_sides_are_shown() -> None:
    shown = status(changed(file=TWO, judged=True), THERE, paired=True)
    assert list(lines(shown)) == [
        "refused: serial 2 (d2) lies in the file here and does not run",
        "key:   3f2a 91c0",
        "here:  serial 1 (d1); in the file serial 2 (d2), which does not run (primary)",
        "there: serial 1 (d1) (lb2 10.0.0.2, lvsd 0.1.0)",
        "both last ran: serial 1 (d1)",
    ]


def test_strangers_are_shown() -> None:
    channel = msgspec.structs.replace(THERE, strangers={"it has another pair key": 7})
    shown = status(SAME, channel, {"forged": 2, "address": 1}, paired=True)
    assert list(lines(shown))[-3:] == [
        "turned away 7 times: it has another pair key",
        "no heartbeats of the other director: 1 datagram, address",
        "no heartbeats of the other director: 2 datagrams, forged",
    ]


def test_without_a_key_or_a_pair() -> None:
    fault = "/etc/lvs/pair.key is not there"
    shown = status(SAME, Channel(fault=fault), paired=True)
    assert (shown.state, shown.text) == ("no key", fault)
    assert list(lines(status(SAME, Channel(), paired=False))) == [
        "no pair: the configuration names no second director"
    ]


def test_json_is_what_it_was() -> None:
    shown = status(SAME, THERE, paired=True)
    assert msgspec.json.decode(msgspec.json.encode(shown), type=PairStatus) == shown


def test_what_can_be_settled() -> None:
    assert "not connected" in resolvable(changed(theirs=None))
    assert "on its way" in resolvable(changed(leading=LEADING))
    assert "nothing to settle" in resolvable(SAME)
    assert not resolvable(changed(theirs=Standing(TWO.version)))
    assert not resolvable(changed(file=TWO))
