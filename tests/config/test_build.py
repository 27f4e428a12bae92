"""The rules that join several options, blocks, or servers."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest

from lvs.config.load import load
from lvs.model import Config, Format, Forwarding, OnStop

V4 = {"name": '"v"', "address": '"10.0.0.5"', "device": '"eth0:1"', "port": "80"}
V6 = {"name": '"v"', "address": '"2001:db8::5"', "device": '"eth0"', "port": "80"}
UDP_CHECK = {"send_program": '"/usr/local/bin/check %h"'}
S4 = {"name": '"s"', "address": '"10.0.0.3"'}
S6 = {"name": '"s"', "address": '"2001:db8::3"'}


def lines(values: dict[str, str], more: dict[str, str]) -> list[str]:
    merged = {**values, **more}
    return [f"{key} = {value}" for key, value in merged.items() if value]


def virtual(values: dict[str, str], *servers: list[str], **more: str) -> str:
    """Return a block; an empty value leaves the option out."""
    out = ["[[virtual]]", *lines(values, more)]
    for server in servers:
        out += ["[[virtual.server]]", *server]
    return "\n".join(out) + "\n"


def server(values: dict[str, str], **more: str) -> list[str]:
    return lines(values, more)


def told(text: str, name: str = "lvs.toml") -> list[str]:
    """Return what is said, without file and line."""
    return [str(problem).partition(": ")[2] for problem in load(text, name).problems]


def good(text: str, name: str = "lvs.toml") -> Config:
    loaded = load(text, name)
    assert not loaded.problems, [str(problem) for problem in loaded.problems]
    assert loaded.config is not None
    return loaded.config


def warned(text: str, message: str, name: str = "lvs.toml") -> Config:
    loaded = load(text, name)
    assert told(text, name) == [f"warning: {message}"]
    assert loaded.config is not None
    return loaded.config


# --- what must be there


@pytest.mark.parametrize("option", ["address", "device", "port"])
def test_active_virtual_server_is_complete(option: str) -> None:
    assert len(told(virtual(V4, **{option: ""}))) == 1
    assert told(virtual(V4, **{option: ""}))[0].startswith(f"virtual[0].{option}: missing")
    good(virtual(V4, active="false", **{option: ""}))


def test_zero_address_is_none() -> None:
    assert told(virtual(V4, address='"0.0.0.0"')) == [
        "virtual[0].address: missing; an active virtual server needs a VIP"
    ]
    built = good(virtual(V4, address='"0.0.0.0"', active="false")).virtual_servers[0]
    assert built.address is None
    assert built.vip is None


def test_device_and_port_may_be_missing_beside_a_mark() -> None:
    built = good(virtual(V4, fwmark="7", device="", port="")).virtual_servers[0]
    assert built.vip is None
    assert built.port == 80


def test_real_server_without_address() -> None:
    assert told(virtual(V4, server(S4, address=""))) == [
        "virtual[0].server[0].address: missing; an active real server needs one"
    ]
    built = good(virtual(V4, server(S4, address="", active="false"))).virtual_servers[0]
    assert built.real_servers[0].address == IPv4Address(0)
    built = good(virtual(V6, server(S6, address="", active="false"))).virtual_servers[0]
    assert built.real_servers[0].address == IPv6Address(0)


# --- addresses and masks


def test_masks() -> None:
    config = good(virtual(V4, vip_nmask='"255.255.240.0"', persistent="5", pmask="24"))
    assert config.virtual_servers[0].vip is not None
    assert config.virtual_servers[0].vip.prefix == 20
    assert config.virtual_servers[0].persistence is not None
    assert config.virtual_servers[0].persistence.prefix == 24
    assert told(virtual(V6, vip_nmask='"255.255.255.0"')) == [
        "virtual[0].vip_nmask: an IPv6 mask is a prefix length, such as vip_nmask = 64"
    ]
    assert told(virtual(V4, vip_nmask="33")) == [
        "virtual[0].vip_nmask: a prefix length of 1 to 32 beside an IPv4 address, got 33"
    ]
    assert good(virtual(V6, vip_nmask="64")).virtual_servers[0].vip is not None


@pytest.mark.parametrize(("values", "full"), [(V4, "32"), (V4, '"255.255.255.255"'), (V6, "128")])
def test_full_persistence_mask_is_none(values: dict[str, str], full: str) -> None:
    persistence = good(virtual(values, persistent="5", pmask=full)).virtual_servers[0].persistence
    assert persistence is not None
    assert persistence.prefix is None


def test_masks_that_mean_nothing() -> None:
    warned(virtual(V4, pmask="24"), "virtual[0].pmask: ignored without persistent")
    warned(virtual(V4, fwmark="3", device="", vip_nmask="24"), "virtual[0].vip_nmask: ignored without device")
    warned("nat_nmask = 24\n", "nat_nmask: ignored without nat_router")
    warned("primary = 10.0.0.1\nnat_nmask = 255.0.0.0\n", "nat_nmask: ignored without nat_router", "lvs.cf")


def test_labels() -> None:
    built = good(virtual(V4)).virtual_servers[0]
    assert built.vip is not None
    assert (built.vip.device, built.vip.label) == ("eth0", "eth0:1")
    built = good(virtual(V4, device='"eth0"')).virtual_servers[0]
    assert built.vip is not None
    assert (built.vip.device, built.vip.label) == ("eth0", None)
    assert told(virtual(V6, device='"eth0:1"')) == [
        'virtual[0].device: IPv6 addresses have no labels; write device = "eth0"'
    ]


def test_two_vips_on_one_label() -> None:
    good(virtual(V4) + virtual(V4, name='"w"', address='"10.0.0.6"'))


def test_one_vip_on_two_devices() -> None:
    text = virtual(V4) + virtual(V4, name='"w"', port="81", device='"eth1"', vip_nmask="24")
    config = warned(
        text,
        "virtual[1].address: virtual[0] (v) puts this VIP on eth0:1; "
        "it is held there, as the first block says",
    )
    assert [server.vip.device for server in config.virtual_servers if server.vip] == ["eth0", "eth1"]
    good(virtual(V4) + virtual(V4, name='"w"', port="81", device='"eth1"', active="false"))


# --- families


def test_families_go_together() -> None:
    message = "IPv6, but the VIP is IPv4; only tunnel forwarding joins the two"
    assert told(virtual(V4, server(S6))) == [f"virtual[0].server[0].address: {message}"]
    assert told(virtual(V4, sorry_server='"2001:db8::9"')) == [f"virtual[0].sorry_server: {message}"]
    good(virtual(V4, server(S6), forwarding='"tunnel"', sorry_server='"2001:db8::9"'))
    good(virtual(V6, server(S4), forwarding='"tunnel"'))
    good(virtual(V4, server(S6, active="false")))


def test_syncdaemon_and_mixed_families() -> None:
    text = "syncdaemon = true\n" + virtual(V4, server(S6), forwarding='"tunnel"')
    message = (
        "virtual[0]: the kernel refuses syncdaemon beside real servers of another family than their VIP; "
        "turn off syncdaemon, or use one family"
    )
    assert told(text) == [message]
    good(text.replace("true", "false"))
    good("syncdaemon = true\n" + virtual(V4, server(S6), forwarding='"tunnel"', active="false"))


def test_how_connections_are_shared() -> None:
    pair = good("serial_no = 1\n").pair
    assert (str(pair.syncd_group), pair.syncd_port, pair.syncd_ttl, pair.syncd_maxlen) == (
        "224.0.0.81",
        8848,
        1,
        None,
    )
    asked = "a multicast address in quotes is asked for, such as 224.0.0.81 or ff02::81, got"
    for wrong in ('"10.0.0.1"', '"2001:db8::1"', '"ff02::81%eth0"', '"all"', "224"):
        assert told(f"syncd_group = {wrong}\n") == [f"syncd_group: {asked} {wrong}"]
    assert told("syncd_ttl = 0\n") == ["syncd_ttl: 1 to 255, got 0"]
    assert told("syncd_maxlen = 65508\n") == ["syncd_maxlen: 1 to 65507, got 65508"]
    good("syncd_maxlen = 65507\n")
    assert told('syncd_maxlen = 65488\nsyncd_group = "ff02::81"\n') == [
        "syncd_maxlen: 1 to 65487 with an IPv6 group, got 65488"
    ]


def test_announcements() -> None:
    assert good("serial_no = 1\n").announce_every_s == 60
    assert good("announce_every = 0\n").announce_every_s == 0


# --- one of each


def test_same_service_twice() -> None:
    text = virtual(V4) + virtual(V4, name='"w"')
    assert told(text) == ["virtual[1].address: virtual[0] (v) has this VIP, protocol and port already"]
    good(virtual(V4) + virtual(V4, name='"w"', protocol='"sctp"'))
    good(virtual(V4) + virtual(V4, name='"w"', port="81"))
    good(virtual(V4) + virtual(V4, name='"w"', active="false"))
    good(virtual(V4) + virtual(V4, name='"w"', fwmark="3"))


def test_same_real_server_twice() -> None:
    text = virtual(V4, server(S4), server(S4, name='"t"'))
    assert told(text) == ["virtual[0].server[1].address: 10.0.0.3 port 80 is server[0] (s) already"]
    good(virtual(V4, server(S4), server(S4, name='"t"', port="81")))
    good(virtual(V4, server(S4), server(S4, name='"t"', active="false")))
    text = virtual(V4, server(S4), server(S4, name='"t"', port="81"), forwarding='"direct"')
    assert "virtual[0].server[1].address: 10.0.0.3 port 80 is server[0] (s) already" in told(text)


def test_one_mark_in_several_virtual_servers() -> None:
    one = virtual(V4, fwmark="80", persistent="60")
    good(one + virtual(V4, name='"w"', fwmark="80", persistent="60", port="443"))
    good(one + virtual(V4, name='"w"', fwmark="80", active="false", port="443"))
    others = {
        "scheduler": ({"scheduler": '"rr"'}, "scheduler"),
        "persistent": ({"persistent": "50"}, "persistence"),
        "forwarding": ({"forwarding": '"direct"'}, "forwarding method"),
    }
    for option, (values, word) in others.items():
        text = one + virtual(
            V4, **{"name": '"w"', "fwmark": "80", "persistent": "60", "port": "443", **values}
        )
        message = (
            f"virtual[1].{option}: another {word} than virtual[0] (v), which has the same fwmark 80: "
            "to the kernel both are one service"
        )
        assert told(text) == [message]
    assert "another address family" in told(one + virtual(V6, name='"w"', fwmark="80", persistent="60"))[0]


# --- forwarding and tunnels


def test_forwarding_overrides_network() -> None:
    config = good(
        'network = "direct"\n' + virtual(V4) + virtual(V4, name='"w"', port="81", forwarding='"nat"')
    )
    assert [server.forwarding for server in config.virtual_servers] == ["direct", "nat"]
    assert config.network is Forwarding.DIRECT_ROUTING


@pytest.mark.parametrize("forwarding", ["direct", "tunnel"])
def test_port_of_a_real_server_without_nat(forwarding: str) -> None:
    text = virtual(V4, server(S4, port="8080"), forwarding=f'"{forwarding}"')
    message = (
        f"virtual[0].server[0].port: {forwarding} forwarding keeps the port: checked at 8080, forwarded to 80"
    )
    built = warned(text, message).virtual_servers[0].real_servers[0]
    assert (built.port, built.check_port) == (80, 8080)


def test_port_of_a_real_server_with_nat() -> None:
    built = good(virtual(V4, server(S4, port="8080"))).virtual_servers[0].real_servers[0]
    assert (built.port, built.check_port) == (8080, 8080)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"forwarding": "", "tunnel": '"gre"'}, "tunnel: for tunnel forwarding only, and this one is nat"),
        (
            {"forwarding": "", "tunnel_port": "5"},
            "tunnel_port: for tunnel forwarding only, and this one is nat",
        ),
        ({"tunnel": '"gue"'}, "tunnel_port: missing; a gue tunnel needs one"),
        ({"tunnel": '"gre"', "tunnel_port": "5"}, "tunnel_port: for gue tunnels only, and this one is gre"),
        ({"tunnel_checksum": '"csum"'}, "tunnel_checksum: ipip tunnels have none"),
        (
            {"tunnel": '"gre"', "tunnel_checksum": '"remcsum"'},
            "tunnel_checksum: remcsum is for gue tunnels only, and this one is gre",
        ),
    ],
)
def test_tunnel_rules(values: dict[str, str], message: str) -> None:
    assert told(virtual(V4, **{"forwarding": '"tunnel"', **values})) == [f"virtual[0].{message}"]


# --- scheduling and persistence


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"scheduler_flags": '["sh-port"]'},
            "scheduler_flags: sh-port is for scheduler sh only, and this one is wlc",
        ),
        (
            {"scheduler_flags": '["mh-port"]', "scheduler": '"sh"'},
            "scheduler_flags: mh-port is for scheduler mh only, and this one is sh",
        ),
        (
            {"scheduler_flags": '["one-packet"]'},
            "scheduler_flags: one-packet is for protocol udp only, and this one is tcp",
        ),
        (
            {"persistence_engine": '"sip"', "protocol": '"udp"', **UDP_CHECK},
            "persistence_engine: persistent is missing",
        ),
        (
            {"persistence_engine": '"sip"', "persistent": "5"},
            "persistence_engine: sip is for protocol udp only, and this one is tcp",
        ),
    ],
)
def test_scheduling_rules(values: dict[str, str], message: str) -> None:
    assert told(virtual(V4, **values)) == [f"virtual[0].{message}"]


def test_a_refused_value_is_not_judged_again() -> None:
    text = virtual(V4, scheduler='"shh"', scheduler_flags='["sh-port"]', persistent='"x"', pmask="24")
    assert [message.partition(":")[0] for message in told(text)] == [
        "virtual[0].scheduler",
        "virtual[0].persistent",
    ]
    text = virtual(V4, server(S4, address='"x"'), address='"x"', port='"x"', device="1")
    assert len(told(text)) == 4


def test_thresholds() -> None:
    good(virtual(V4, server(S4, upper_threshold="5", lower_threshold="4")))
    for upper in ("5", ""):
        message = told(virtual(V4, server(S4, upper_threshold=upper, lower_threshold="5", weight="1")))
        assert message == [
            f"virtual[0].server[0].lower_threshold: less than upper_threshold, which is {upper or 0}; got 5"
        ]


# --- defaults


def test_defaults_of_lvs_cf() -> None:
    config = good("primary = 10.0.0.1\nvirtual v {\nserver s {\n}\n}\n", "lvs.cf")
    pair, server = config.pair, config.virtual_servers[0]
    assert (pair.keepalive_s, pair.deadtime_s, pair.heartbeat_port, pair.backup_active) == (2, 5, 539, False)
    assert (server.active, server.port, server.checking.timeout_s, server.checking.reentry_s) == (
        False,
        80,
        10,
        180,
    )
    assert (server.real_servers[0].active, server.real_servers[0].weight) == (False, 1)
    assert config.on_stop is OnStop.KEEP
    assert config.network is Forwarding.MASQUERADING
    assert server.checking.load_monitor is None


def test_defaults_of_lvs_toml() -> None:
    config = good(virtual(V4, server(S4)))
    pair, built = config.pair, config.virtual_servers[0]
    assert (pair.keepalive_s, pair.deadtime_s, pair.heartbeat_port, pair.backup_active) == (
        0.2,
        0.8,
        539,
        False,
    )
    assert (built.active, built.checking.timeout_s, built.checking.reentry_s) == (True, 6, 15)
    assert built.real_servers[0].active
    assert config.on_stop is OnStop.KEEP
    assert built.checking.load_monitor is None
    assert config.kernel.expire_nodest_conn
    assert config.kernel.expire_quiescent_template
    assert config.kernel.conn_reuse_mode == 1
    assert not config.kernel.conntrack


def test_formats_agree_on_the_kernel() -> None:
    assert good("# nothing\n", "lvs.cf").kernel == load("# nothing\n", "x", Format.TOML).config.kernel  # type: ignore[union-attr]


def test_one_packet_with_nat_loses_answers() -> None:
    block = virtual(V4, protocol='"udp"', scheduler_flags='["one-packet"]', forwarding='"nat"', **UDP_CHECK)
    warned(
        block,
        "virtual[0].scheduler_flags: one-packet with nat: answers keep the real server's address",
    )
    good(block.replace('"nat"', '"direct"'))
    good(block + 'persistent = 60\npersistence_engine = "sip"\n')
