"""What real servers are told, for each forwarding method."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from lvs.config.load import load
from lvs.firstboot.document import Reader
from lvs.model import Config
from lvs.realserver import names, needed, user_data

ROOT = Path(__file__).parents[1]
SNIPPETS = ROOT / "appliance/usr/share/lvs/cloud-init"
EXAMPLE = (ROOT / "lvs.toml.example").read_text()
NAT = EXAMPLE.replace(
    'network = "direct"', 'network = "nat"\nnat_router = "10.0.0.253"\nnat_router_device = "eth0:9"'
)
TUNNEL = EXAMPLE.replace('network = "direct"', 'network = "tunnel"')
MADE = {
    "direct-routing": (EXAMPLE, False),
    "redirect": (EXAMPLE, True),
    "masquerading": (NAT, False),
    "tunneling": (TUNNEL, False),
}


def config(text: str) -> Config:
    loaded = load(text, "lvs.toml")
    assert loaded.config is not None, loaded.problems
    return loaded.config


def made(text: str, server: str = "real1", *, redirect: bool = False) -> tuple[str, tuple[str, ...]]:
    need = needed(config(text), server, redirect=redirect)
    assert need is not None
    return user_data(need), need.refused


def files(text: str) -> dict[str, str]:
    return {file["path"]: file["content"] for file in yaml.safe_load(text).get("write_files", ())}


@pytest.mark.parametrize("name", MADE)
def test_the_snippets_are_what_is_made_of_the_example(name: str) -> None:
    text, redirect = MADE[name]
    told, refused = made(text, redirect=redirect)
    assert refused == ()
    assert (SNIPPETS / f"{name}.yaml").read_text() == told
    reader = Reader("x")
    assert reader.read(told.encode()) is not None
    assert reader.problems == []


def test_direct_routing() -> None:
    found = files(made(EXAMPLE)[0])
    held = found["/etc/systemd/network/60-lvs.network"]
    assert [line for line in held.splitlines() if line.startswith("Address=")] == [
        "Address=10.0.0.5/32",
        "Address=10.0.0.6/32",
        "Address=10.0.0.7/32",
    ]
    assert "arp_ignore = 1" in found["/etc/sysctl.d/60-lvs.conf"]


def test_each_service_is_redirected_once() -> None:
    rules = files(made(EXAMPLE, redirect=True)[0])["/etc/lvs-redirect.nft"]
    assert rules.count(" redirect") == 5
    assert "ip daddr 10.0.0.7 udp dport 53 redirect" in rules


def test_masquerading_asks_for_a_gateway_that_moves() -> None:
    assert "default via 10.0.0.253" in files(made(NAT)[0])["/etc/systemd/system/lvs-gateway.service"]
    without = NAT.replace('nat_router = "10.0.0.253"\nnat_router_device = "eth0:9"', "")
    assert "nat_router" in made(without)[0]


TWO = """\
serial_no = 1
network = "tunnel"
[[virtual]]
name = "four"
address = "192.0.2.1"
device = "eth0:1"
port = 80
[[virtual.server]]
name = "real1"
address = "{server}"
[[virtual]]
name = "six"
address = "2001:db8::1"
device = "eth0"
port = 80
[[virtual.server]]
name = "real1"
address = "{server}"
"""


def test_tunnels_end_where_their_outer_family_says() -> None:
    told, refused = made(TWO.format(server="10.0.0.3"))
    assert refused == ()
    assert files(told)["/etc/modules-load.d/lvs.conf"] == "ipip\nsit\n"
    assert "Address=2001:db8::1/128" in files(told)["/etc/systemd/network/60-sit0.network"]
    told, refused = made(TWO.format(server="2001:db8::3"))
    assert files(told)["/etc/modules-load.d/lvs.conf"] == "ip6_tunnel\n"
    assert "IPv4 within IPv6 is not prepared" in refused[0]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('tunnel = "gre"', "only tunnels of type ipip"),
        ("fwmark = 7", "firewall mark 7"),
    ],
)
def test_what_is_not_prepared_is_said(line: str, said: str) -> None:
    text = TWO.format(server="10.0.0.3").replace("port = 80\n", f"port = 80\n{line}\n", 1)
    assert said in made(text)[1][0]


def test_servers_are_known_by_name_and_address() -> None:
    assert names(config(EXAMPLE)) == ("real1 (10.0.0.3)", "real2 (10.0.0.4)")
    assert made(EXAMPLE, "10.0.0.3") == made(EXAMPLE, "real1")
    assert needed(config(EXAMPLE), "real9") is None
    two = EXAMPLE.replace('name = "real2"', 'name = "real1"')
    assert "has other addresses, too (10.0.0.4)" in made(two, "real1")[1][0]
    assert made(two, "10.0.0.4")[1] == ()


def test_what_is_not_active_is_not_prepared() -> None:
    text = TWO.format(server="10.0.0.3").replace("port = 80\n", "port = 80\nactive = false\n")
    assert "write_files" not in made(text)[0]
