"""`lvsd status`: names and reasons beside what the kernel has, and the table drawn of it."""

from __future__ import annotations

from ipaddress import IPv4Address

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import strategies
from lvs.health import ward
from lvs.health.orders import Order, Verb
from lvs.kernel import text
from lvs.kernel.desired import NOTHING, Desired, desired
from lvs.kernel.state import (
    MASQ,
    ONE_PACKET,
    PERSISTENT,
    ROUTE,
    SCHED2,
    Destination,
    DestinationKey,
    KernelState,
    ServiceKey,
    ServiceOptions,
)
from lvs.model import Protocol, VirtualKey, key_of
from lvs.status import (
    CheckVitals,
    Connections,
    DirectorStatus,
    Held,
    OrderStatus,
    OtherStatus,
    RealServerStatus,
    Status,
    VirtualServerStatus,
    left_over,
    table,
    virtual_servers,
)
from lvs.why import Moment
from strategies import config, on_device, packed, real_server, virtual_server

WEB = virtual_server(
    "web",
    "192.0.2.1",
    real_server("real1", "10.0.0.1", 3),
    real_server("real2", "10.0.0.2", active=False),
    real_server("real3", "10.0.0.3"),
    vip=on_device("192.0.2.1", "eth0:1"),
)
GOAL = desired(config(WEB))
[KEY] = GOAL.state.services
OPTIONS = GOAL.state.services[KEY].options


def real(number: int) -> DestinationKey:
    return DestinationKey(packed(f"10.0.0.{number}"), 80)


def held(*rows: tuple[DestinationKey, int], options: ServiceOptions = OPTIONS) -> Held:
    """A service with real servers of these weights, with connections to tell them by."""
    return Held(
        options,
        {
            key: Connections(Destination(ROUTE, weight), 10 + n, 20 + n)
            for n, (key, weight) in enumerate(rows)
        },
    )


def shown_of(goal: Desired, found: dict[ServiceKey, Held]) -> list[VirtualServerStatus]:
    """With every real server taken as up."""
    meant = config(*(one for group in goal.origin.values() for one in group))
    health, _ = ward.configured(ward.Health(unchecked=True), meant, 0.0)
    return list(virtual_servers(goal, found, health, Moment(0.0, 0.0)))


def test_names_and_reasons() -> None:
    [found] = shown_of(GOAL, {KEY: held((real(1), 0), (real(9), 1))})
    assert (found.name, found.service, found.options) == ("web", "TCP  192.0.2.1:80", "wlc")
    assert (found.vip, found.serving, found.reason) == ("192.0.2.1 eth0:1", True, "serving")
    assert found.real_servers == (
        RealServerStatus(
            "real1",
            "10.0.0.1:80",
            "Route",
            0,
            10,
            20,
            False,
            "weight 3 is meant, up, not checked",
            "unchecked",
        ),
        RealServerStatus(
            "real2", "10.0.0.2:80", "-", 1, 0, 0, False, "inactive in the configuration", "inactive"
        ),
        RealServerStatus(
            "real3",
            "10.0.0.3:80",
            "-",
            1,
            0,
            0,
            False,
            "not in the kernel; up, not checked",
            "unchecked",
        ),
        RealServerStatus("", "10.0.0.9:80", "Route", 1, 11, 21, True, "not configured"),
    )


@pytest.mark.parametrize(
    ("rows", "serving", "reason"),
    [
        (None, False, "not in the kernel"),
        ([], False, "no real server serves"),
        ([(real(1), 0)], False, "no real server serves"),
        ([(real(1), 1)], True, "serving"),
    ],
)
def test_whether_a_virtual_server_serves(
    rows: list[tuple[DestinationKey, int]] | None, *, serving: bool, reason: str
) -> None:
    [found] = shown_of(GOAL, {} if rows is None else {KEY: held(*rows)})
    assert (found.serving, found.reason) == (serving, reason)


def test_a_virtual_server_without_real_servers() -> None:
    empty = desired(config(virtual_server("web", "192.0.2.1")))
    [found] = shown_of(empty, {KEY: held()})
    assert (found.serving, found.reason, found.vip) == (False, "no real servers", "")


def test_an_order_with_who_and_since_when() -> None:
    order = Order(Verb.DISABLE, IPv4Address("10.0.0.1"), None, "carla", 1764000000.0)
    health, _ = ward.configured(ward.Health(orders=(order,), unchecked=True), config(WEB), 0.0)
    goal = desired(config(WEB), serving=health.serving)
    [found] = virtual_servers(goal, {KEY: held((real(3), 1))}, health, Moment(50.0, 1764000180.0))
    row = found.real_servers[0]
    assert (row.reason, row.state, row.since_s) == ("disabled 3 min ago by carla", "disabled", 180.0)


def test_what_is_not_ours_comes_last() -> None:
    other = ServiceKey(6, 17, packed("2001:db8::1"), 53, 0)
    ours, theirs = shown_of(GOAL, {other: held((real(1), 1)), KEY: held((real(1), 1))})
    assert ours.name == "web"
    assert (theirs.name, theirs.service, theirs.reason) == (
        "",
        "UDP  [2001:db8::1]:53",
        "not ours: left alone",
    )
    assert [row.reason for row in theirs.real_servers] == ["not ours: left alone"]


def test_a_real_server_of_two_virtual_servers_of_one_mark_is_one_row() -> None:
    one = virtual_server("http", "192.0.2.1", real_server("a", "10.0.0.1"), fwmark=7)
    two = virtual_server(
        "https", "192.0.2.1", real_server("a2", "10.0.0.1"), real_server("b", "10.0.0.2"), fwmark=7
    )
    [found] = shown_of(desired(config(one, two)), {})
    assert (found.name, found.service) == ("http, https", "FWM  7")
    assert [row.name for row in found.real_servers] == ["a", "b"]


@pytest.mark.parametrize(
    ("key", "options", "said"),
    [
        (KEY, ServiceOptions("wlc", PERSISTENT, 60, 0xFFFFFFFF, ""), "wlc persistent 60"),
        (KEY, ServiceOptions("rr", PERSISTENT, 60, 0xFFFFFF00, ""), "rr persistent 60 mask 255.255.255.0"),
        (KEY, ServiceOptions("mh", SCHED2, 0, 0xFFFFFFFF, ""), "mh (mh-port)"),
        (KEY, ServiceOptions("rr", PERSISTENT, 60, 0xFFFFFFFF, "sip"), "rr persistent 60 pe sip"),
        (KEY, ServiceOptions("rr", ONE_PACKET, 0, 0xFFFFFFFF, ""), "rr ops"),
        (
            ServiceKey(6, 6, packed("2001:db8::1"), 80, 0),
            ServiceOptions("rr", PERSISTENT, 60, 64, ""),
            "rr persistent 60 mask 64",
        ),
    ],
)
def test_options_as_ipvsadm_lists_them(key: ServiceKey, options: ServiceOptions, said: str) -> None:
    [found] = shown_of(NOTHING, {key: held(options=options)})
    assert found.options == said


def shown(*servers: VirtualServerStatus, refused: tuple[str, ...] = ()) -> list[str]:
    return list(
        table(Status("1.0", "lvs.toml", 7, "d", "serving", ("192.0.2.1/24 eth0:1",), refused, servers))
    )


def test_the_table() -> None:
    masquerading = Held(OPTIONS, {real(1): Connections(Destination(MASQ, 1), 0, 0)})
    other = ServiceKey(6, 6, packed("2001:db8::1"), 443, 0)
    rows = shown_of(GOAL, {KEY: held((real(1), 3), (real(3), 0)), other: masquerading})
    inactive, weightless = "inactive in the configuration", "weight 1 is meant, up, not checked"
    assert shown(*rows, refused=("ipvsadm -A: no",)) == [
        "lvsd 1.0: serving, serial 7, lvs.toml",
        "refused: ipvsadm -A: no",
        "VIPs: 192.0.2.1/24 eth0:1",
        "Prot LocalAddress:Port Scheduler Flags",
        "  -> RemoteAddress:Port          Forward Weight ActiveConn InActConn  Why",
        "TCP  192.0.2.1:80 wlc  [web]",
        "  -> 10.0.0.1:80                 Route   3      10         20         real1  up, not checked",
        f"{'  -> 10.0.0.2:80                 -       1      0          0':70}real2  {inactive}",
        f"{'  -> 10.0.0.3:80                 Route   0      11         21':70}real3  {weightless}",
        "TCP  [2001:db8::1]:443 wlc  (not ours: left alone)",
        "  -> 10.0.0.1:80                 Masq    1      0          0                 not ours: left alone",
    ]


def test_nothing_to_show() -> None:
    assert list(table(Status("1.0", "lvs.toml", None, "", "waiting", (), (), ()))) == [
        "lvsd 1.0: waiting, no configuration yet, lvs.toml",
        "Prot LocalAddress:Port Scheduler Flags",
        "  -> RemoteAddress:Port          Forward Weight ActiveConn InActConn  Why",
    ]


def test_how_the_checks_are_doing() -> None:
    calm = Status("1.0", "f", 1, "", "", (), (), (), CheckVitals(followed=12, late_s=0.0123))
    assert "Checks: 12, none overdue, at most 12 ms late in the last 30 s" in list(table(calm))
    late = Status("1.0", "f", 1, "", "", (), (), (), CheckVitals(followed=12, overdue=3))
    assert "Checks: 12, 3 OVERDUE, at most 0 ms late in the last 30 s" in list(table(late))


def test_connections_of_both_directors_and_how_they_grow() -> None:
    other = OtherStatus("10.0.0.2", True, 0.1, "standby", "", "1.0", 1, "d", 90, -2.0, ())
    this = DirectorStatus("primary", "active", 5.0, 1, "", (), "", (), 0.0, True, 100, 3.25, other)
    status = Status("1.0", "f", 1, "d", "", (), (), (), pair=this)
    assert "Connections: 100 established here (+3.2/s), 90 there (-2.0/s)" in list(table(status))
    lacking = msgspec.structs.replace(other, lacking="the other director's kernel refused 1 operation: -A")
    status = msgspec.structs.replace(status, pair=msgspec.structs.replace(this, other=lacking))
    assert "Fault: the other director's kernel refused 1 operation: -A" in list(table(status))
    alone = msgspec.structs.replace(status, pair=msgspec.structs.replace(this, shares=False))
    assert not any(line.startswith("Connections:") for line in table(alone))


def test_orders_outlive_the_configuration() -> None:
    """Where a real server has gone, its order is still to be seen, and how to take it back."""
    here, there = IPv4Address("10.0.0.1"), IPv4Address("10.9.9.9")
    other = VirtualKey(packed("192.0.2.77"), Protocol.TCP, 80, 0)
    orders = (
        Order(Verb.DRAIN, here, None, "carla", 0.0),
        Order(Verb.DRAIN, here, key_of(WEB), "carla", 0.0),
        Order(Verb.DISABLE, here, other, "carla", 0.0),
        Order(Verb.DRAIN, there, None, "root", 1.0),
    )
    health = ward.configured(ward.Health(orders=orders), config(WEB), 0.0)[0]
    left = left_over(health)
    assert left == (
        OrderStatus("10.0.0.1", "disable", "carla", 0.0),
        OrderStatus("10.9.9.9", "drain", "root", 1.0),
    )
    shown = list(table(Status("1.0", "f", 1, "", "", (), (), (), orders=left)))
    assert shown[2].startswith("Order: 10.9.9.9, not configured: drain by root, 19")
    assert shown[2].endswith("; `lvsd enable 10.9.9.9` takes it back")


@st.composite
def tables(draw: st.DrawFn) -> dict[ServiceKey, Held]:
    """Any table, with connections."""
    state: KernelState = draw(strategies.states())
    counts = st.integers(0, 2**32 - 1)
    return {
        key: Held(
            service.options,
            {k: Connections(v, draw(counts), draw(counts)) for k, v in service.destinations.items()},
        )
        for key, service in state.services.items()
    }


@given(strategies.configs().map(desired), tables())
def test_every_row_of_the_kernel_is_shown_once(goal: Desired, found: dict[ServiceKey, Held]) -> None:
    servers = tuple(shown_of(goal, found))
    assert {server.service for server in servers} >= {text.service_name(key) for key in found}
    assert len(servers) == len(found.keys() | goal.origin.keys())
    rows = [row for server in servers for row in server.real_servers if row.forwarding != "-"]
    assert len(rows) == sum(len(one.destinations) for one in found.values())
    assert all(row.reason for row in rows)
    told = Status("1.0", "f", 1, "", "", (), (), servers)
    assert len(list(table(told))) == 3 + len(servers) + sum(len(one.real_servers) for one in servers)
    assert msgspec.json.decode(msgspec.json.encode(told), type=Status) == told


def test_what_only_a_strange_program_puts_there_is_shown_as_a_number() -> None:
    """Netlink takes any protocol and forwarding method; status must not fail of it."""
    key = ServiceKey(4, 47, packed("192.0.2.9"), 80, 0)
    strange = Held(OPTIONS, {real(1): Connections(Destination(5, 1), 0, 0)})
    [found] = shown_of(NOTHING, {key: strange})
    assert found.service == "47   192.0.2.9:80"
    assert found.real_servers[0].forwarding == "5"
