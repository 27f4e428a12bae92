"""Operations told in the operator's words."""

from __future__ import annotations

import pytest
from hypothesis import given

import strategies
from lvs import events, telling
from lvs.kernel import text
from lvs.kernel.desired import NOTHING, desired
from lvs.kernel.diff import diff
from lvs.kernel.state import (
    BACKUP,
    MASTER,
    ROUTE,
    SYNC_GROUP,
    AddDestination,
    AddService,
    Destination,
    DestinationKey,
    DropVip,
    LoadModule,
    Op,
    RemoveDestination,
    RemoveService,
    ServiceKey,
    ServiceOptions,
    SetDestination,
    SetFirewall,
    SetService,
    SetSysctl,
    SetTimeouts,
    StartDaemon,
    StopDaemon,
    SyncDaemon,
    TakeVip,
    Timeouts,
    Vip,
)
from lvs.model import Config, Forwarding
from strategies import config, packed, real_server, virtual_server

BEFORE = desired(config(virtual_server("old", "192.0.2.1", real_server("gone", "10.0.0.1"))))
AFTER = desired(config(virtual_server("new", "192.0.2.1", real_server("fresh", "10.0.0.1"))))
KEY = ServiceKey(4, 6, packed("192.0.2.1"), 80, 0)
REAL = DestinationKey(packed("10.0.0.1"), 80)
OPTIONS = ServiceOptions("wlc", 0, 0, strategies.ALL_IPV4, "")
ONE = Destination(ROUTE, 1)
HELD = Vip("eth0", packed("192.0.2.1"), 24, "eth0:1")
SENDS = SyncDaemon(MASTER, "eth1", 7, 1472, SYNC_GROUP, 8848, 1)
NAME, PLACE = "TCP  192.0.2.1:80", "10.0.0.1:80"


def line(op: Op) -> str:
    return text.line(op)


@pytest.mark.parametrize(
    ("op", "event"),
    [
        (AddService(KEY, OPTIONS), lambda op: events.VirtualServerAdded("new", NAME, line(op), "why")),
        (SetService(KEY, OPTIONS), lambda op: events.VirtualServerChanged("new", NAME, line(op), "why")),
        (RemoveService(KEY), lambda op: events.VirtualServerRemoved("old", NAME, line(op), "why")),
        (
            AddDestination(KEY, REAL, ONE),
            lambda op: events.RealServerAdded("new", "fresh", PLACE, line(op), "why"),
        ),
        (
            SetDestination(KEY, REAL, ONE),
            lambda op: events.RealServerChanged("new", "fresh", PLACE, line(op), "why"),
        ),
        (
            RemoveDestination(KEY, REAL),
            lambda op: events.RealServerRemoved("old", "gone", PLACE, line(op), "why"),
        ),
        (TakeVip(HELD), lambda op: events.VipTaken("192.0.2.1/24", "eth0:1", line(op), "why")),
        (DropVip(HELD), lambda op: events.VipDropped("192.0.2.1/24", "eth0:1", line(op), "why")),
        (
            TakeVip(Vip("eth1", HELD.address, 32, "")),
            lambda op: events.VipTaken("192.0.2.1/32", "eth1", line(op), "why"),
        ),
        (
            StartDaemon(SENDS),
            lambda op: events.SyncStarted("master", "eth1", line(op), "why"),
        ),
        (StopDaemon(BACKUP), lambda op: events.SyncStopped("backup", line(op), "why")),
        (SetFirewall("a"), lambda op: events.SettingChanged(line(op), "why")),
        (LoadModule("ip_vs"), lambda op: events.SettingChanged(line(op), "why")),
        (SetSysctl("net/ipv4/ip_forward", "1"), lambda op: events.SettingChanged(line(op), "why")),
        (SetTimeouts(Timeouts(1, 2, 3)), lambda op: events.SettingChanged(line(op), "why")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_operation_has_its_event(op: Op, event: object) -> None:
    assert callable(event)
    assert telling.told(op, BEFORE, AFTER, "why") == event(op)


def test_what_has_no_name_is_called_by_its_address() -> None:
    removed = telling.told(RemoveDestination(KEY, REAL), NOTHING, AFTER, "look")
    assert removed.text() == (
        "real server 10.0.0.1:80 of TCP  192.0.2.1:80 removed (look): "
        "ipvsadm -d -t 192.0.2.1:80 -r 10.0.0.1:80"
    )


def test_virtual_servers_of_one_mark_are_told_together() -> None:
    http = virtual_server("http", "192.0.2.1", real_server("a", "10.0.0.1"), fwmark=7)
    https = virtual_server("https", "192.0.2.1", real_server("b", "10.0.0.2"), fwmark=7, port=443)
    both = desired(config(http, https))
    [key] = both.state.services
    assert telling.virtual_server_name(key, both) == "http, https"
    assert telling.real_server_name(key, DestinationKey(packed("10.0.0.2"), 0), both) == "b"


def test_real_servers_of_one_address_are_told_by_their_ports() -> None:
    reals = [real_server("a", "10.0.0.1", port=8080), real_server("b", "10.0.0.1", port=8081)]
    web = desired(config(virtual_server("web", "192.0.2.1", *reals, forwarding=Forwarding.MASQUERADING)))
    names = [
        telling.real_server_name(KEY, DestinationKey(packed("10.0.0.1"), port), web) for port in (8080, 8081)
    ]
    assert names == ["a", "b"]


@given(strategies.configs(), strategies.configs())
def test_everything_on_the_way_has_its_name(one: Config, other: Config) -> None:
    """From any configuration to any other, no address stands where there is a name."""
    before, after = desired(one), desired(other)
    for op in diff(before.state, after.state):
        event = telling.told(op, before, after, "configuration")
        assert event.text()
        if isinstance(event, events.VirtualServerAdded | events.VirtualServerRemoved):
            assert event.virtual_server.startswith("web")
        if isinstance(event, events.RealServerAdded | events.RealServerChanged | events.RealServerRemoved):
            assert event.virtual_server.startswith("web")
            assert event.real_server.startswith("real")


def test_many_real_servers_are_told_by_their_machines() -> None:
    down = [
        events.RealServerDown(f"v{n}", "real3", f"10.0.0.3:{80 + n % 2}", "refused", "connection refused")
        for n in range(51)
    ]
    down.append(events.RealServerDown("v51", "real3", "10.0.0.3:99", "timed_out", "no answer within 2 s"))
    up = [events.RealServerUp("web", f"six{n}", f"[2001:db8::{n}]:80", "up", "connected") for n in range(11)]
    event = telling.moved([*up, *down])
    assert (event.up, event.down) == (11, 52)
    first, second, *_, last = event.machines.split("; ")
    assert first == "10.0.0.3 down in 52 virtual servers (refused: connection refused, and others)"
    assert second == "[2001:db8::0] up in 1 virtual server (up: connected)"
    assert last == "and 2 more machines"
    assert event.text().startswith(
        "many real servers at once: 11 came up, 52 went down: 10.0.0.3 down in 52 "
    )


def test_shortened() -> None:
    ops = tuple(LoadModule(f"m{number}") for number in range(7))
    assert telling.shortened(ops[:2]) == "modprobe m0; modprobe m1"
    assert telling.shortened(ops[:5]).count(";") == 4
    assert telling.shortened(ops) == (
        "modprobe m0; modprobe m1; modprobe m2; modprobe m3; modprobe m4; and 2 more"
    )
