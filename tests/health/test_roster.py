"""Which checks a virtual server means, and what is carried over an edit."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import msgspec
import pytest

from lvs.checks import (
    Check,
    Connect,
    Dns,
    Exchange,
    Http,
    Icmp,
    Load,
    Pace,
    Path,
    Program,
    Reason,
    Rows,
    Unchecked,
)
from lvs.health import ward
from lvs.health.roster import (
    Member,
    checks,
    decisive,
    enrolled,
    is_up,
    load_check,
    pace,
    pending,
    rows_of,
)
from lvs.health.verdict import Verdict
from lvs.model import Checking, CheckPath, Need, Protocol, Start, VirtualServer
from strategies import real_server, virtual_server

PLAIN = Checking(None, None, False, None, 6, 15, None)
UP = Verdict(True, 1.0, Reason.ANSWERED, "connected")
DOWN = Verdict(False, 2.0, Reason.REFUSED, "connection refused")


def web(protocol: Protocol = Protocol.TCP, **checking: Any) -> VirtualServer:
    return virtual_server(
        "web",
        "192.0.2.1",
        real_server("a", "10.0.0.1"),
        real_server("b", "10.0.0.2", active=False),
        protocol=protocol,
        checking=msgspec.structs.replace(PLAIN, **checking),
    )


@pytest.mark.parametrize(
    ("meant", "found"),
    [
        (web(), Connect()),
        (web(Protocol.SCTP), Connect()),
        (web(Protocol.UDP), Unchecked()),
        (web(Protocol.UDP, send="ping"), Unchecked()),
        (web(Protocol.UDP, send="ping", expect="pong"), Exchange(b"ping", b"pong", udp=True)),
        (web(send="QUIT\r\n"), Exchange(b"QUIT\r\n")),
        (web(expect="SSH", use_regex=True), Exchange(None, b"SSH", use_regex=True)),
        (
            web(send="x", send_program="/bin/probe  %h %p", expect="OK"),
            Program(("/bin/probe", "%h", "%p"), "OK"),
        ),
        (web(send="x", checks=(Http(),)), Http()),
    ],
)
def test_checks_by_lvs_cfs_options(meant: VirtualServer, found: Check) -> None:
    assert checks(meant) == (found,)


@pytest.mark.parametrize(
    ("checking", "check", "found"),
    [
        ({}, Connect(), Pace(6.0, 6.0, 6.0)),
        ({"timeout_s": 10}, Exchange(), Pace(10.0, 10.0, 20.0)),
        ({}, Program(("/bin/true",)), Pace(6.0, 6.0, 6.0)),
        # a check of a set interval ends with it
        ({"interval_s": 1.0}, Connect(), Pace(1.0, 1.0, 1.0)),
        ({"interval_s": 8.0}, Connect(), Pace(8.0, 6.0, 6.0)),
        ({"interval_s": 8.0}, Http(), Pace(8.0, 6.0, 8.0)),
        ({"interval_s": 60.0}, Http(), Pace(60.0, 6.0, 12.0)),
        ({"interval_s": 1.0, "limit_s": 3.0}, Http(), Pace(1.0, 3.0, 3.0)),
        (
            {"interval_s": 0.5, "limit_s": 0.2, "rise": 3, "fall": 2, "down_interval_s": 5.0},
            Http(),
            Pace(0.5, 0.2, 0.2, 5.0),
        ),
    ],
)
def test_pace_by_nannys_timeout(checking: dict[str, Any], check: Check, found: Pace) -> None:
    assert pace(web(**checking), check) == found


@pytest.mark.parametrize(
    ("checking", "found"),
    [
        ({}, Rows(2, 1)),
        ({"timeout_s": 10, "reentry_s": 180}, Rows(18, 1)),
        ({"timeout_s": 10, "reentry_s": 5}, Rows(1, 1)),
        ({"reentry_s": 0}, Rows(30, 1)),
        ({"reentry_s": 60, "interval_s": 1.0}, Rows(60, 1)),
        ({"reentry_s": 60, "interval_s": 0.1}, Rows(600, 1)),
        ({"reentry_s": 15, "interval_s": 60.0}, Rows(1, 1)),
        ({"interval_s": 0.5, "rise": 3, "fall": 2}, Rows(3, 2)),
    ],
)
def test_rows_by_rise_and_fall_or_nannys_reentry(checking: dict[str, Any], found: Rows) -> None:
    assert rows_of(web(**checking)) == found


def test_a_check_that_names_the_port_that_is_meant_anyway_is_the_same() -> None:
    named, plain = (
        enrolled(web(checks=(check,)), None, ward.nothing_known, 0.0).members[0].targets[0]
        for check in (Connect(port=80), Connect())
    )
    assert named == plain


@pytest.mark.parametrize(
    ("word", "found"),
    [
        (None, None),
        ("none", None),
        ("rup", Load(("rup", "%h"))),
        ("ruptime", Load(("ruptime", "%h"))),
        ("uptime", Load(("ssh", "-l", "lvs", "%h", "uptime"))),
        ("/usr/local/bin/load", Load(("/usr/local/bin/load", "%h"))),
        ("/bin/load -t %h", Load(("/bin/load", "-t", "%h"))),
        ("http://%h:8000/load", Load(url="http://%h:8000/load")),
    ],
)
def test_load_monitors(word: str | None, found: Load | None) -> None:
    assert load_check(web(load_monitor=word), "ssh -l lvs") == found


def test_targets_are_of_active_real_servers() -> None:
    roster = enrolled(web(checks=(Connect(port=8080), Icmp())), None, ward.nothing_known, 0.0)
    [active, inactive] = roster.members
    assert [(str(t.address), t.port) for t in active.targets] == [("10.0.0.1", 8080), ("10.0.0.1", 0)]
    assert inactive == Member()
    assert pending(active)
    assert not is_up(active, Need.ALL)


def test_sctp_is_connected_to_by_sctp() -> None:
    roster = enrolled(web(Protocol.SCTP), None, ward.nothing_known, 0.0)
    assert roster.members[0].targets[0].sctp


@pytest.mark.parametrize(("start", "up"), [(Start.DOWN, False), (Start.UP, True)])
def test_before_the_first_answer(start: Start, *, up: bool) -> None:
    roster = enrolled(web(start=start), None, ward.nothing_known, 0.0)
    assert is_up(roster.members[0], Need.ALL) is up


@pytest.mark.parametrize("in_use", [True, False])
def test_what_the_kernel_had_counts_before_that(*, in_use: bool) -> None:
    roster = enrolled(web(start=Start.DOWN), None, lambda _: (in_use, None), 0.0)
    assert is_up(roster.members[0], Need.ALL) is in_use
    assert roster.members[0].verdicts[0].reason is Reason.ADOPTED
    assert not pending(roster.members[0])


def held(verdicts: tuple[Verdict, ...], **checking: Any) -> Any:
    roster = enrolled(web(**checking), None, ward.nothing_known, 0.0)
    member = msgspec.structs.replace(roster.members[0], verdicts=verdicts)
    return msgspec.structs.replace(roster, members=(member, roster.members[1]))


def test_an_edit_of_anything_else_changes_no_verdict() -> None:
    before = held((DOWN,))
    after = enrolled(
        msgspec.structs.replace(before.virtual_server, notify_cmd="/bin/true"),
        before,
        ward.nothing_known,
        9.0,
    )
    assert after.members == before.members


def test_another_check_begins_with_what_is_held() -> None:
    before = held((DOWN,))
    after = enrolled(web(checks=(Http(),)), before, ward.nothing_known, 9.0)
    [verdict] = after.members[0].verdicts
    assert (verdict.up, verdict.fresh) == (False, True)


def test_of_several_checks_those_that_stay_keep_their_verdict() -> None:
    before = held((DOWN, UP), checks=(Connect(), Icmp()))
    after = enrolled(web(checks=(Dns(), Icmp())), before, ward.nothing_known, 9.0)
    assert [verdict.up for verdict in after.members[0].verdicts] == [False, True]
    assert after.members[0].verdicts[1] is UP


def test_a_real_server_that_moves_keeps_its_verdict() -> None:
    before = held((DOWN,))
    moved = virtual_server("web", "192.0.2.1", real_server("new", "10.0.0.9"), real_server("a", "10.0.0.1"))
    after = enrolled(moved, before, ward.nothing_known, 9.0)
    assert [member.verdicts[0].reason for member in after.members] == [Reason.NOT_CHECKED_YET, Reason.REFUSED]


def test_unchecked_is_up() -> None:
    roster = enrolled(web(), None, ward.nothing_known, 0.0, unchecked=True)
    assert roster.members[0] == Member()
    assert is_up(roster.members[0], Need.ALL)


@pytest.mark.parametrize(
    ("need", "verdicts", "up", "says"),
    [
        (Need.ALL, (UP, DOWN), False, DOWN),
        (Need.ANY, (UP, DOWN), True, UP),
        (Need.ALL, (UP, UP), True, UP),
        (Need.ANY, (DOWN, DOWN), False, DOWN),
        (Need.ALL, (), True, None),
        (Need.ANY, (), True, None),
    ],
)
def test_several_checks_combine(
    need: Need, verdicts: tuple[Verdict, ...], says: Verdict | None, *, up: bool
) -> None:
    member = Member(verdicts=verdicts)
    assert is_up(member, need) is up
    assert decisive(member, need) == says


def test_icmp_has_no_port_to_be_told_apart_by() -> None:
    """One probe a period for a host, however many ports of it serve."""
    one = enrolled(web(checks=(Icmp(),)), None, ward.nothing_known, 0.0).members[0].targets
    other = virtual_server(
        "x",
        "192.0.2.2",
        real_server("a", "10.0.0.1", check_port=25),
        checking=msgspec.structs.replace(PLAIN, checks=(Icmp(),)),
    )
    assert enrolled(other, None, ward.nothing_known, 0.0).members[0].targets == one
    assert one[0].address == ip_address("10.0.0.1")


def test_a_check_through_the_vip_goes_by_a_mark() -> None:
    meant = web(path=CheckPath.VIP, checks=(Connect(), Program(("/bin/true",))))
    roster = enrolled(meant, None, ward.nothing_known, 0.0, mark_of=lambda *_: 77)
    active, inactive = roster.members
    assert [target.path for target in active.targets] == [Path(ip_address("192.0.2.1"), 77), None]
    assert (active.mark, inactive.mark) == (77, 0)


def test_an_agent_is_asked_at_the_port_of_its_url() -> None:
    roster = enrolled(web(load_monitor="http://%h:8000/load"), None, ward.nothing_known, 0.0)
    asked = roster.members[0].load
    assert asked is not None
    assert (str(asked.address), asked.port) == ("10.0.0.1", 8000)
