"""From the operator's words to the kernel's: every option, and what is reused."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import strategies
from lvs.kernel import state, text
from lvs.kernel.desired import NOTHING, desired
from lvs.kernel.desired import alone as lone_services
from lvs.kernel.keys import destination_of, service_key
from lvs.kernel.state import (
    Destination,
    DestinationKey,
    KernelState,
    ServiceKey,
    ServiceOptions,
    Timeouts,
    Vip,
)
from lvs.model import (
    CheckPath,
    Config,
    Drain,
    Forwarding,
    Persistence,
    PersistenceEngine,
    Protocol,
    Role,
    Scheduler,
    SchedulerFlag,
    Serving,
    Tunnel,
    TunnelChecksum,
    TunnelType,
    VirtualKey,
    VirtualServer,
    key_of,
)
from strategies import config, on_device, packed, real_server, virtual_server

VIP, VIP6 = "192.0.2.1", "2001:db8::1"
REAL = real_server("real1", "10.0.0.1")


PAIR = msgspec.structs.replace(
    config().pair,
    primary=ip_address("10.0.0.8"),
    primary_private=ip_address("10.9.0.8"),
    backup=ip_address("10.0.0.9"),
    backup_private=ip_address("10.9.0.9"),
    backup_active=True,
    syncdaemon=True,
    syncd_iface="eth1",
    syncd_id=7,
)
INACTIVE = (Role.STANDBY, Role.FAULT)


def options(**changes: Any) -> ServiceOptions:
    [service] = desired(config(virtual_server("web", VIP, **changes))).state.services.values()
    return service.options


def held(meant: Config) -> KernelState:
    return desired(meant).state


def destinations(*virtual_servers: VirtualServer) -> dict[DestinationKey, Destination]:
    [service] = desired(config(*virtual_servers)).state.services.values()
    return service.destinations


def test_a_whole_configuration() -> None:
    web = virtual_server("web", VIP, REAL, vip=on_device(VIP, "eth0:1"))
    kernel = msgspec.structs.replace(config().kernel, tcp_timeout_s=900, udp_timeout_s=300, conntrack=True)
    goal = desired(config(web, kernel=kernel))
    key = ServiceKey(4, state.TCP, packed(VIP), 80, 0)
    assert goal.origin == {key: (web,)}
    assert goal.state == KernelState(
        services={
            key: state.Service(
                ServiceOptions("wlc", 0, 0, strategies.ALL_IPV4, ""),
                {DestinationKey(packed("10.0.0.1"), 80): Destination(state.ROUTE, 1)},
            )
        },
        vips=frozenset({Vip("eth0", packed(VIP), 24, "eth0:1")}),
        timeouts=Timeouts(900, 0, 300),
        sysctls={
            "net/ipv4/vs/expire_nodest_conn": "0",
            "net/ipv4/vs/expire_quiescent_template": "0",
            "net/ipv4/vs/conn_reuse_mode": "1",
            "net/ipv4/vs/conntrack": "1",
            "net/ipv4/conf/eth0/promote_secondaries": "1",
        },
        modules=frozenset({"ip_vs", "ip_vs_wlc"}),
    )


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({}, ServiceKey(4, 6, packed(VIP), 80, 0)),
        ({"protocol": Protocol.UDP, "port": 53}, ServiceKey(4, 17, packed(VIP), 53, 0)),
        ({"protocol": Protocol.SCTP}, ServiceKey(4, 132, packed(VIP), 80, 0)),
        ({"fwmark": 2**32 - 1}, ServiceKey(4, 0, b"", 0, 2**32 - 1)),
    ],
)
def test_keys(changes: dict[str, Any], key: ServiceKey) -> None:
    assert service_key(virtual_server("web", VIP, **changes)) == key
    six = msgspec.structs.replace(key, family=6, address=packed(VIP6) if key.address else b"")
    assert service_key(virtual_server("web", VIP6, **changes)) == six


@pytest.mark.parametrize("scheduler", Scheduler)
def test_schedulers(scheduler: Scheduler) -> None:
    assert options(scheduler=scheduler).scheduler == scheduler.value
    assert f"ip_vs_{scheduler.value}" in held(config(virtual_server("a", VIP, scheduler=scheduler))).modules


@pytest.mark.parametrize(
    ("flags", "bits"),
    [
        ((), 0),
        ((SchedulerFlag.SH_FALLBACK,), state.SCHED1),
        ((SchedulerFlag.SH_FALLBACK, SchedulerFlag.SH_PORT), state.SCHED1 | state.SCHED2),
        ((SchedulerFlag.MH_FALLBACK,), state.SCHED1),
        ((SchedulerFlag.MH_PORT,), state.SCHED2),
        ((SchedulerFlag.ONE_PACKET,), state.ONE_PACKET),
    ],
)
def test_scheduler_flags(flags: tuple[SchedulerFlag, ...], bits: int) -> None:
    assert options(scheduler_flags=frozenset(flags)).flags == bits


@pytest.mark.parametrize(
    ("persistence", "found"),
    [
        (None, ServiceOptions("wlc", 0, 0, 0xFFFFFFFF, "")),
        (Persistence(60), ServiceOptions("wlc", state.PERSISTENT, 60, 0xFFFFFFFF, "")),
        (Persistence(60, 24), ServiceOptions("wlc", state.PERSISTENT, 60, 0xFFFFFF00, "")),
        (Persistence(60, 1), ServiceOptions("wlc", state.PERSISTENT, 60, 0x80000000, "")),
        (
            Persistence(60, None, PersistenceEngine.SIP),
            ServiceOptions("wlc", state.PERSISTENT, 60, 0xFFFFFFFF, "sip"),
        ),
    ],
)
def test_persistence(persistence: Persistence | None, found: ServiceOptions) -> None:
    assert options(persistence=persistence) == found


def test_persistence_of_ipv6_is_by_prefix() -> None:
    for prefix, netmask in ((None, 128), (64, 64)):
        web = virtual_server("web", VIP6, persistence=Persistence(60, prefix))
        [service] = desired(config(web)).state.services.values()
        assert service.options.netmask == netmask


def test_sip_is_a_module() -> None:
    sip = virtual_server("sip", VIP, persistence=Persistence(60, None, PersistenceEngine.SIP))
    assert held(config(sip)).modules == {"ip_vs", "ip_vs_wlc", "ip_vs_pe_sip"}


TUNNEL = Tunnel(TunnelType.GUE, 6080, TunnelChecksum.REMOTE)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, Destination(state.ROUTE, 1)),
        ({"forwarding": Forwarding.MASQUERADING}, Destination(state.MASQ, 1)),
        ({"forwarding": Forwarding.TUNNELING}, Destination(state.TUNNEL, 1)),
        (
            {"forwarding": Forwarding.TUNNELING, "tunnel": TUNNEL},
            Destination(state.TUNNEL, 1, 0, 0, state.GUE, 6080, state.REMCSUM),
        ),
        (
            {"forwarding": Forwarding.TUNNELING, "tunnel": Tunnel(TunnelType.GRE, 0, TunnelChecksum.FULL)},
            Destination(state.TUNNEL, 1, 0, 0, state.GRE, 0, state.CSUM),
        ),
        ({"tunnel": TUNNEL}, Destination(state.ROUTE, 1)),  # meaningful with tunneling only
    ],
)
def test_forwarding(changes: dict[str, Any], found: Destination) -> None:
    assert list(destinations(virtual_server("web", VIP, REAL, **changes)).values()) == [found]


def test_weights_and_thresholds() -> None:
    many = [
        real_server("a", "10.0.0.1", 0),
        real_server("b", "10.0.0.2", 65535, upper_threshold=10, lower_threshold=5),
        real_server("c", "10.0.0.3", 65535, upper_threshold=10),
    ]
    found = destinations(virtual_server("web", VIP, *many))
    assert list(found.values()) == [
        Destination(state.ROUTE, 0),
        Destination(state.ROUTE, 65535, 10, 5),
        Destination(state.ROUTE, 65535, 10, 0),
    ]


def test_what_is_inactive_is_not_there() -> None:
    inactive = real_server("b", "10.0.0.2", active=False)
    assert list(destinations(virtual_server("web", VIP, REAL, inactive))) == [
        DestinationKey(packed("10.0.0.1"), 80)
    ]
    off = msgspec.structs.replace(
        virtual_server("off", VIP, REAL, active=False, vip=on_device(VIP, "eth0")), address=None
    )
    state_of = held(config(off))
    assert (state_of.services, state_of.vips, state_of.modules) == ({}, frozenset(), frozenset())


@pytest.mark.parametrize(
    ("forwarding", "port", "kept"),
    [
        (Forwarding.DIRECT_ROUTING, 80, 0),
        (Forwarding.TUNNELING, 80, 0),
        (Forwarding.MASQUERADING, 80, 0),
        (Forwarding.MASQUERADING, 8080, 8080),
    ],
)
def test_a_mark_keeps_the_packets_port_unless_told(forwarding: Forwarding, port: int, kept: int) -> None:
    real = real_server("real1", "10.0.0.1", port=port)
    marked = virtual_server("web", VIP, real, fwmark=7, forwarding=forwarding)
    assert destination_of(marked, real).port == kept
    plain = virtual_server("web", VIP, real, forwarding=forwarding)
    assert destination_of(plain, real).port == port


def test_virtual_servers_of_one_mark_are_one_service() -> None:
    """The real servers of all, each once; the first one's word counts."""
    http = virtual_server("http", VIP, real_server("a", "10.0.0.1", 5), fwmark=7)
    https = virtual_server(
        "https", VIP, real_server("a", "10.0.0.1", 9), real_server("b", "10.0.0.2"), fwmark=7, port=443
    )
    assert destinations(http, https) == {
        DestinationKey(packed("10.0.0.1"), 0): Destination(state.ROUTE, 5),
        DestinationKey(packed("10.0.0.2"), 0): Destination(state.ROUTE, 1),
    }
    assert desired(config(http, https)).origin == {ServiceKey(4, 0, b"", 0, 7): (http, https)}


# VIPs and settings


def test_an_address_is_held_once_as_the_first_has_it() -> None:
    one = virtual_server("one", VIP, vip=on_device(VIP, "eth0:1"))
    two = virtual_server("two", VIP, vip=on_device(VIP, "eth1", None), port=443)
    six = virtual_server("six", VIP6, vip=on_device(VIP6, "eth1", None))
    assert held(config(one, two, six)).vips == {
        Vip("eth0", packed(VIP), 24, "eth0:1"),
        Vip("eth1", packed(VIP6), 128, ""),
    }


def test_the_nat_router_is_held_where_something_masquerades() -> None:
    inside = on_device("10.0.0.254", "eth1:1")
    masquerading = virtual_server("web", VIP, forwarding=Forwarding.MASQUERADING)
    router = Vip("eth1", packed("10.0.0.254"), 24, "eth1:1")
    assert held(config(masquerading, nat_router=inside)).vips == {router}
    assert not held(config(virtual_server("web", VIP), nat_router=inside)).vips
    off = msgspec.structs.replace(masquerading, active=False)
    assert not held(config(off, nat_router=inside)).vips


@pytest.mark.parametrize(
    ("address", "setting"), [(VIP, "net/ipv4/ip_forward"), (VIP6, "net/ipv6/conf/all/forwarding")]
)
def test_masquerading_forwards_in_its_own_family(address: str, setting: str) -> None:
    masquerading = virtual_server("web", address, forwarding=Forwarding.MASQUERADING)
    both = {"net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"}
    assert {name for name in held(config(masquerading)).sysctls if name in both} == {setting}
    assert not both & held(config(virtual_server("web", address))).sysctls.keys()


def test_secondaries_are_promoted_on_devices_with_ipv4_vips() -> None:
    one = virtual_server("one", VIP, vip=on_device(VIP, "bond0.10"))
    six = virtual_server("six", VIP6, vip=on_device(VIP6, "eth1"))
    found = {name for name in held(config(one, six)).sysctls if name.endswith("promote_secondaries")}
    assert found == {"net/ipv4/conf/bond0.10/promote_secondaries"}


# What is reused


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[Config, dict[VirtualKey, Serving]]]:
    """Configurations one after the other, as edits make them: what is not edited is the identical object.

    Some share a firewall mark; some are checked through the VIP; who serves changes, too.
    """
    fresh = [draw(strategies.configs()) for _ in range(draw(st.integers(1, 3)))]
    known: dict[str, VirtualServer] = {}
    serving: dict[VirtualKey, Serving] = {}
    history = []
    for meant in fresh:
        for one in meant.virtual_servers:
            if one.name not in known or draw(st.booleans()):
                mark = draw(st.sampled_from((0, 0, 7)))
                path = draw(st.sampled_from(CheckPath))
                known[one.name] = msgspec.structs.replace(
                    one,
                    fwmark=mark,
                    drain=draw(st.sampled_from(Drain)),
                    checking=msgspec.structs.replace(one.checking, path=path),
                )
        names = draw(st.sampled_from((sorted(known), [one.name for one in meant.virtual_servers])))
        servers = tuple(known[name] for name in names)
        serving = {key: serves for key, serves in serving.items() if draw(st.booleans())}
        for one in servers:
            count = len(one.real_servers)
            before = serving.get(key_of(one))
            if before is None or len(before.weights) != count or draw(st.booleans()):
                weights = tuple(draw(st.sampled_from((None, 0, 1))) for _ in range(count))
                marks = tuple(range(100, 100 + count)) if one.checking.path is CheckPath.VIP else ()
                serving[key_of(one)] = Serving(weights, marks=marks)
        kernel = msgspec.structs.replace(meant.kernel, expire_quiescent_template=draw(st.booleans()))
        inside = draw(st.sampled_from((None, on_device("10.0.0.254", "eth1:1"))))
        edited = msgspec.structs.replace(meant, virtual_servers=servers, kernel=kernel, nat_router=inside)
        history.append((edited, dict(serving)))
    return history


@given(histories())
def test_reuse_changes_nothing(history: list[tuple[Config, dict[VirtualKey, Serving]]]) -> None:
    """With all that was known before, as without any of it."""
    before = NOTHING
    for meant, serving in history:
        before = desired(meant, before, serving)
        assert before == desired(meant, NOTHING, serving)


@given(strategies.configs())
def test_the_same_virtual_server_is_the_same_service(same: Config) -> None:
    before = desired(same)
    again = desired(msgspec.structs.replace(same, serial_no=9), before)
    assert all(again.state.services[key] is service for key, service in before.state.services.items())


def test_another_object_is_built_anew() -> None:
    web, other = virtual_server("web", VIP, REAL), virtual_server("web", VIP, REAL)
    before = desired(config(web))
    [key] = before.state.services
    after = desired(config(other), before)
    assert after == before
    assert after.state.services[key] is not before.state.services[key]


def test_a_mark_that_gained_a_virtual_server_is_built_anew() -> None:
    http = virtual_server("http", VIP, REAL, fwmark=7)
    https = virtual_server("https", VIP, real_server("b", "10.0.0.2"), fwmark=7)
    before = desired(config(http))
    for after in (config(http, https), config(https, http)):
        [service] = desired(after, before).state.services.values()
        assert len(service.destinations) == 2
    [service] = desired(config(http), desired(config(http, https))).state.services.values()
    assert len(service.destinations) == 1


# Who serves


def served(serves: Serving, **changes: Any) -> dict[str, int]:
    """Weights of real servers 10.0.0.1 and 10.0.0.2 by address and port."""
    web = virtual_server(
        "web", "192.0.2.1", real_server("a", "10.0.0.1", 3), real_server("b", "10.0.0.2"), **changes
    )
    state = desired(config(web), serving={key_of(web): serves}).state
    found = state.services[service_key(web)]
    return {text.destination_name(key): one.weight for key, one in found.destinations.items()}


def test_only_who_serves_is_in_the_table() -> None:
    assert served(Serving((3, None))) == {"10.0.0.1:80": 3}
    assert served(Serving((0, 1))) == {"10.0.0.1:80": 0, "10.0.0.2:80": 1}


def test_the_sorry_server_has_the_virtual_servers_port() -> None:
    sorry = ip_address("10.0.0.9")
    assert served(Serving((None, None), sorry=True), sorry_server=sorry) == {"10.0.0.9:80": 1}
    assert served(Serving((None, 0), sorry=True), sorry_server=ip_address("10.0.0.2")) == {"10.0.0.2:80": 1}


def test_of_one_mark_a_real_server_serves_if_it_does_in_both() -> None:
    one = virtual_server("http", "192.0.2.1", real_server("a", "10.0.0.1"), fwmark=7)
    two = virtual_server("https", "192.0.2.1", real_server("a", "10.0.0.1"), fwmark=7, port=443)
    for other, weights in ((1, [1]), (0, [0]), (None, [])):
        serving = {key_of(one): Serving((1,)), key_of(two): Serving((other,))}
        [service] = desired(config(one, two), serving=serving).state.services.values()
        assert [held.weight for held in service.destinations.values()] == weights


def test_the_same_servings_give_the_identical_service() -> None:
    web = virtual_server("web", "192.0.2.1", real_server("a", "10.0.0.1"))
    serves = Serving((1,))
    before = desired(config(web), serving={key_of(web): serves})
    same = desired(config(web), before, {key_of(web): serves})
    other = desired(config(web), before, {key_of(web): Serving((None,))})
    [key] = before.state.services
    assert same.state.services[key] is before.state.services[key]
    assert other.state.services[key].destinations == {}


@pytest.mark.parametrize(
    ("drains", "leave"), [((Drain.STAY,), "0"), ((Drain.LEAVE,), "1"), ((Drain.STAY, Drain.LEAVE), "1")]
)
def test_persistent_clients_may_stay_while_nobody_says_leave(drains: tuple[Drain, ...], leave: str) -> None:
    servers = [
        virtual_server(f"v{n}", "192.0.2.1", real_server("a", "10.0.0.1"), port=80 + n, drain=drain)
        for n, drain in enumerate(drains)
    ]
    meant = config(*servers)
    meant = msgspec.structs.replace(
        meant, kernel=msgspec.structs.replace(meant.kernel, expire_quiescent_template=True)
    )
    name = "net/ipv4/vs/expire_quiescent_template"
    assert desired(meant).state.sysctls[name] == "1"
    idle = {key_of(one): Serving((0,)) for one in servers}
    assert desired(meant, serving=idle).state.sysctls[name] == leave


def test_ways_for_checks_through_the_vip() -> None:
    web = virtual_server("web", "192.0.2.1", real_server("a", "10.0.0.1"), real_server("b", "10.0.0.2"))
    through = msgspec.structs.replace(web.checking, path=CheckPath.VIP)
    web = msgspec.structs.replace(web, checking=through)
    before = desired(config(web), serving={key_of(web): Serving((1, None), marks=(71, 72))})
    ways = {key.fwmark: one for key, one in before.state.services.items() if key.fwmark}
    assert [list(ways[mark].destinations) for mark in (71, 72)] == [
        [DestinationKey(packed("10.0.0.1"), 0)],
        [DestinationKey(packed("10.0.0.2"), 0)],
    ]
    after = desired(config(web), before, {key_of(web): Serving((None, None), marks=(71, 72))})
    for key, one in before.state.services.items():
        assert (after.state.services[key] is one) is bool(key.fwmark)


@pytest.mark.parametrize("role", INACTIVE)
def test_a_director_that_is_not_active_holds_the_table_and_no_addresses(role: Role) -> None:
    web = virtual_server("web", VIP, REAL, vip=on_device(VIP, "eth0:1"), forwarding=Forwarding.MASQUERADING)
    both = config(web, pair=PAIR, nat_router=on_device("10.0.0.254", "eth1"))
    active = desired(both)
    standby = desired(both, active, role=role)
    assert len(active.state.vips) == 2
    assert standby.state.vips == frozenset()
    assert standby.state.barred == active.state.vips
    assert active.state.barred == frozenset()
    [(key, service)] = standby.state.services.items()
    assert active.state.services[key] is service
    assert standby.state.sysctls == active.state.sysctls  # a takeover is a matter of addresses
    assert desired(both, standby).state == active.state


@pytest.mark.parametrize(
    ("director", "forwarding", "alone"),
    [
        ("10.0.0.8", Forwarding.DIRECT_ROUTING, True),
        ("10.9.0.8", Forwarding.TUNNELING, True),
        ("10.0.0.9", Forwarding.DIRECT_ROUTING, True),
        ("10.9.0.9", Forwarding.DIRECT_ROUTING, True),
        ("10.0.0.9", Forwarding.MASQUERADING, False),  # no VIP is left in the packet
        ("10.0.0.7", Forwarding.DIRECT_ROUTING, False),
    ],
)
def test_who_forwards_to_a_director_is_in_one_table_only(
    director: str, forwarding: Forwarding, *, alone: bool
) -> None:
    """Else the standby would balance again what the active director forwarded to it."""
    there = virtual_server("there", VIP, REAL, real_server("d", director), forwarding=forwarding)
    sorry = virtual_server("sorry", "192.0.2.2", sorry_server=ip_address(director), forwarding=forwarding)
    idle = real_server("d", director, active=False)
    other = virtual_server("other", "192.0.2.3", REAL, idle, forwarding=forwarding)
    whole = config(there, sorry, other, pair=PAIR)
    active = desired(whole)
    assert len(active.state.services) == 3
    standby = desired(whole, active, role=Role.STANDBY)
    expected = {service_key(other)} if alone else set(map(service_key, (there, sorry, other)))
    assert standby.state.services.keys() == standby.origin.keys() == expected
    assert desired(whole, standby) == active
    for goal in (active, standby):
        assert lone_services(goal) == active.state.services.keys() - expected
    single = msgspec.structs.replace(whole, pair=msgspec.structs.replace(PAIR, backup_active=False))
    assert len(desired(single, active, role=Role.STANDBY).state.services) == 3


def test_a_director_that_is_a_real_server_may_have_the_vip() -> None:
    web = virtual_server("web", VIP, real_server("d", "10.0.0.9"), vip=on_device(VIP, "dummy0"))
    assert desired(config(web, pair=PAIR), role=Role.STANDBY).state.barred == frozenset()


def test_a_shared_mark_is_in_one_table_only_as_a_whole() -> None:
    one = virtual_server("http", VIP, REAL, fwmark=7)
    two = virtual_server("https", VIP, real_server("d", "10.0.0.9"), fwmark=7, port=443)
    assert desired(config(one, two, pair=PAIR), role=Role.STANDBY).state.services == {}


def test_a_director_that_moves_is_seen() -> None:
    """Its address is part of what a virtual server is to the table."""
    web = virtual_server("web", VIP, real_server("real9", "10.0.0.9"))
    before = desired(config(web, pair=PAIR), role=Role.STANDBY)
    assert before.state.services == {}
    moved = msgspec.structs.replace(PAIR, backup=ip_address("10.0.0.10"))
    assert desired(config(web, pair=moved), before, role=Role.STANDBY).state.services.keys() == {
        service_key(web)
    }


@pytest.mark.parametrize("role", Role)
def test_connections_are_shared(role: Role) -> None:
    kind = state.MASTER if role is Role.ACTIVE else state.BACKUP
    web = virtual_server("web", VIP, REAL)
    held = desired(config(web, pair=PAIR), role=role).state
    assert held.daemons == {state.SyncDaemon(kind, "eth1", 7, 1472, state.SYNC_GROUP, 8848, 1)}
    assert held.sysctls["net/ipv4/vs/sync_threshold"] == "0 2"

    six = msgspec.structs.replace(PAIR, syncd_group=ip_address("ff02::81"), syncd_port=9, syncd_ttl=3)
    held = desired(config(web, pair=six), role=role).state
    assert held.daemons == {state.SyncDaemon(kind, "eth1", 7, 1452, packed("ff02::81"), 9, 3)}

    small = msgspec.structs.replace(PAIR, syncd_maxlen=500)
    [daemon] = desired(config(web, pair=small), role=role).state.daemons
    assert daemon.maxlen == (500 if role is Role.ACTIVE else 1024)


@pytest.mark.parametrize("option", ["syncdaemon", "backup_active"])
def test_connections_are_shared_with_somebody_and_if_asked(option: str) -> None:
    pair = msgspec.structs.replace(PAIR, **{option: False})
    held = desired(config(virtual_server("web", VIP, REAL), pair=pair)).state
    assert held.daemons == frozenset()
    assert not [name for name in held.sysctls if "sync" in name]
