"""How real servers are checked and brought in: options of a virtual server that belong together."""

from __future__ import annotations

import pytest

from config.test_build import S4, V4, good, server, told, virtual, warned
from lvs.config.load import load
from lvs.config.render import to_cf, to_toml
from lvs.model import Checking, CheckPath, Drain, Need, Quorum, Start, VirtualServer

CF = """\
virtual v {{
active = 1
address = 10.0.0.5 eth0:1
{}
server s {{
address = 10.0.0.3
active = 1
weight = {}
}}
}}
"""
LONGER = "warning: virtual[0].check_limit: longer than the time between two checks"
NANNY = ("GET / HTTP/1.0\r\n\r\n", "HTTP")


def cf(*lines: str, weight: int = 1) -> VirtualServer:
    return good(CF.format("\n".join(lines), weight), "lvs.cf").virtual_servers[0]


def toml(**options: str) -> VirtualServer:
    return good(virtual(V4, server(S4), **options)).virtual_servers[0]


# --- nanny's default check


@pytest.mark.parametrize(
    ("lines", "asked"),
    [
        ((), NANNY),
        (("port = 80", "fwmark = 7"), NANNY),
        (("port = 81",), (None, None)),
        (('expect = "x"',), (None, "x")),
        (('send = "x"',), ("x", None)),
        (("send_program = /bin/check",), (None, None)),
    ],
)
def test_port_80_is_asked_for_a_page_in_lvs_cf(lines: tuple[str, ...], asked: tuple[str, str]) -> None:
    checking = cf(*lines).checking
    assert (checking.send, checking.expect) == asked


def test_port_80_is_connected_to_in_lvs_toml() -> None:
    checking = toml().checking
    assert (checking.send, checking.expect) == (None, None)


def test_a_conversion_keeps_what_nanny_did() -> None:
    config = good(CF.format("", 100), "lvs.cf")
    assert config.virtual_servers[0].weight_doubling
    assert load(to_toml(config), "lvs.toml").config == config
    assert load(to_cf(config), "lvs.cf").config == config


# --- what cannot tell


def test_udp_without_an_answer() -> None:
    udp = {"protocol": '"udp"'}
    nothing = (
        "nothing tells whether a real server of UDP works, so each is taken as up; "
        "give send and expect, or a program"
    )
    warned(virtual(V4, **udp), f"virtual[0]: {nothing}")
    warned(virtual(V4, **udp, send='"x"'), f"virtual[0].send: {nothing}")
    message = "virtual[0].expect: over UDP nothing answers before something is sent; give send too"
    warned(virtual(V4, **udp, expect='"x"'), message)
    good(virtual(V4, **udp, send='"x"', expect='"*"'))
    good(virtual(V4, **udp, send_program='"/bin/check"'))
    good(virtual(V4, **udp, active="false"))


def test_expressions() -> None:
    warned(virtual(V4, use_regex="true"), "virtual[0].use_regex: ignored without expect")
    message = "virtual[0].use_regex: ignored: what send_program prints is compared as it is, as nanny did"
    warned(virtual(V4, use_regex="true", send_program='"/bin/check"', expect='"("'), message)
    assert told(virtual(V4, use_regex="true", expect='"("'))[0].startswith("virtual[0].expect: ")
    text = CF.format('expect = "("\nuse_regex = 1', 1)
    assert [problem.line for problem in load(text, "lvs.cf").problems] == [4]
    good(virtual(V4, expect='"("'))


def test_reentry_0() -> None:
    said = "virtual[0].reentry: 0 is taken as 180, as nanny did; rise = 1 in lvs.toml means at once"
    warned(CF.format("reentry = 0", 1), said, "lvs.cf")
    warned(virtual(V4, reentry="0"), said)
    message = "virtual[0].reentry: ignored beside rise"
    warned(virtual(V4, reentry="0", rise="1"), message)


# --- more


def test_all_of_it() -> None:
    built = toml(
        check_need='"any"',
        check_interval="0.5",
        check_limit="0.4",
        check_interval_down="2",
        rise="3",
        fall="4",
        check_start='"up"',
        check_path='"vip"',
        forwarding='"direct"',
        quorum_up_cmd='"/bin/up now"',
        quorum_down_cmd='"/bin/down"',
        notify_cmd='"/bin/tell"',
        slow_start="20",
        drain='"stay"',
    )
    assert built.checking == Checking(
        None,
        None,
        False,
        None,
        6,
        15,
        None,
        need=Need.ANY,
        interval_s=0.5,
        limit_s=0.4,
        rise=3,
        fall=4,
        down_interval_s=2.0,
        start=Start.UP,
        path=CheckPath.VIP,
    )
    assert built.quorum == Quorum(1, 0, "/bin/up now", "/bin/down")
    assert (built.slow_start_s, built.drain, built.notify_cmd) == (20.0, Drain.STAY, "/bin/tell")


def test_defaults() -> None:
    built = toml()
    assert built.checking == Checking(None, None, False, None, 6, 15, None)
    assert (built.quorum, built.slow_start_s, built.drain) == (Quorum(), 0.0, Drain.LEAVE)
    assert built.notify_cmd is None
    assert toml(fall="1") == built


def test_weight_doubling_is_piranha_s() -> None:
    assert not cf(weight=1).weight_doubling  # where it means nothing
    assert cf(weight=2).weight_doubling
    assert cf("load_monitor = rup").weight_doubling
    heavy = virtual(V4, server(S4, weight="2"))
    assert not good(heavy).virtual_servers[0].weight_doubling
    assert (
        good(virtual(V4, server(S4, weight="2"), weight_doubling="true")).virtual_servers[0].weight_doubling
    )


@pytest.mark.parametrize(
    "options",
    [
        {"check_interval": "1"},
        {"timeout": "3", "check_interval": "3"},
        {"timeout": "3", "check_interval": "1", "check_limit": "1"},
    ],
)
def test_an_interval_without_a_limit_is_no_mistake(options: dict[str, str]) -> None:
    good(virtual(V4, **options))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"check_limit": "7"},
            f"{LONGER}, 6 s: one that takes so long delays the next",
        ),
        (
            {"check_limit": "1.5", "check_interval": "0.5"},
            f"{LONGER}, 0.5 s: one that takes so long delays the next",
        ),
        (
            {"timeout": "3", "check_interval": "1.5"},
            "warning: virtual[0].timeout: longer than check_interval: a check ends after 1.5 s",
        ),
        (
            {"check_path": '"vip"'},
            "virtual[0].check_path: vip is for direct and tunnel forwarding only, and this one is nat",
        ),
        (
            {"check_path": '"vip"', "forwarding": '"direct"', "send_program": '"/bin/x %h"'},
            "virtual[0].check_path: a check of send_program does not go by the VIP, and there is no other",
        ),
        (
            {"slow_start": "3", "weight_doubling": "true"},
            "virtual[0].weight_doubling: slow_start is there too; which of the two counts?",
        ),
        (
            {"quorum_hysteresis": "1"},
            "virtual[0].quorum_hysteresis: less than quorum, which is 1; got 1",
        ),
        (
            {"quorum": "2"},
            "warning: virtual[0].quorum: the weights of all real servers together are 1, never 2",
        ),
        (
            {"load_monitor": '"https://%h/load"'},
            "virtual[0].load_monitor: http://%h:PORT/PATH expected, got https://%h/load",
        ),
        ({"check_interval": "0.05"}, "virtual[0].check_interval: 0.1 to 2147483, got 0.05"),
        ({"rise": "0"}, "virtual[0].rise: 1 to 1000, got 0"),
    ],
)
def test_what_is_said(options: dict[str, str], said: str) -> None:
    assert told(virtual(V4, server(S4), **options)) == [said]


def test_check_user() -> None:
    assert good('check_user = "lvs-check"\n').check_user == "lvs-check"
    assert good("serial_no = 1\n").check_user is None
    assert told('check_user = "a b"\n') == ['check_user: the name of a user is asked for, got "a b"']


@pytest.mark.parametrize("monitor", ["none", "rup", "ruptime", "uptime", "http://%h:8080/x", "/bin/load -x"])
def test_load_monitors(monitor: str) -> None:
    assert cf(f'load_monitor = "{monitor}"').checking.load_monitor == monitor
    assert toml(load_monitor=f'"{monitor}"').checking.load_monitor == monitor


def test_lvs_cf_cannot_say_it() -> None:
    message = "known in lvs.toml only: take this line out, run lvsd convert --to toml, and put it there"
    assert told("virtual v {\nrise = 2\n}\n", "lvs.cf") == [f"virtual[0].rise: {message}"]
