"""The firewall's script: golden ones, and what each option adds. nft itself reads them in tests/netns."""

from __future__ import annotations

import pytest

from config import golden
from lvs.config.load import load
from lvs.errors import UsageError
from lvs.kernel.firewall import Port, ports, ruleset
from lvs.model import Config, Protocol

SSH = frozenset({Port(Protocol.TCP, 22)})
PAIR = 'primary = "192.0.2.1"\nbackup = "192.0.2.2"\nbackup_active = true\n'


def virtual(
    forwarding: str = "nat", *, vip: str = "192.0.2.10", rip: str = "10.0.0.1", more: str = ""
) -> str:
    return f"""
[[virtual]]
name = "{vip} {forwarding} {more.strip()[:12]}"
address = "{vip}"
device = "eth0"
port = 80
forwarding = "{forwarding}"
{more}
[[virtual.server]]
name = "one"
address = "{rip}"
port = {8080 if forwarding == "nat" else 80}
"""


def config(text: str, name: str = "lvs.toml") -> Config:
    loaded = load(text.encode(), name)
    assert loaded.config is not None, loaded.problems
    return loaded.config


def rules(text: str, opened: frozenset[Port] = SSH) -> dict[str, list[str]]:
    """The lines of each chain and set."""
    found: dict[str, list[str]] = {}
    for line in ruleset(config(text), opened).splitlines():
        if line.startswith("\t") and not line.startswith("\t\t") and line.endswith("{"):
            found[line.split()[1]] = block = []
        elif line.startswith("\t\t"):
            block.append(line.strip())
    return found


@pytest.mark.parametrize("name", ["deployment.cf", "nat-blog.cf", "everything.toml", "openstack.cf"])
def test_golden(name: str) -> None:
    text = (golden.FIXTURES / name).read_text()
    golden.check(f"{name}.nft", ruleset(config(text, name), SSH))


def test_direct_routing_forwards_nothing() -> None:
    found = rules(virtual("direct"))
    assert "192.0.2.10 . tcp . 80," in found["served4"]
    assert found["forward"][1:] == ['counter comment "dropped"']
    assert found["input"][0].endswith("policy drop;")
    assert found["input"][-2:] == ["tcp dport { 22 } accept", 'counter comment "dropped"']


@pytest.mark.parametrize(
    ("vip", "rip", "ip", "version"),
    [("192.0.2.10", "10.0.0.1", "ip", 4), ("2001:db8::10", "2001:db8:1::1", "ip6", 6)],
)
def test_masquerading_forwards_answers(vip: str, rip: str, ip: str, version: int) -> None:
    found = rules(virtual(vip=vip, rip=rip, more=f'sorry_server = "{rip}9"'))
    assert found[f"answers{version}"][1:-1] == [f"{rip} . tcp . 8080,", f"{rip}9 . tcp . 80,"]
    assert f"{ip} saddr . meta l4proto . th sport @answers{version} accept" in found["forward"]
    assert f"{ip} saddr . meta l4proto . th sport @answers{version} notrack" in found["untracked"]
    assert not [line for line in found["forward"] if "established" in line or "daddr" in line]


def test_behind_a_nat_router_real_servers_may_begin() -> None:
    router = 'nat_router = "10.0.0.254"\nnat_router_device = "eth1"\n'
    found = rules(router + virtual() + virtual(vip="2001:db8::10", rip="2001:db8:1::1"))
    assert "ip saddr @masqueraded4 accept" in found["forward"]
    assert "ip daddr @masqueraded4 ct state established,related accept" in found["forward"]
    assert "ip6 saddr @masqueraded6 accept" not in found["forward"]


def test_a_firewall_mark_is_the_condition() -> None:
    """Its rules are the operator's; the port is each packet's, unless masquerading says another."""
    found = rules(virtual("direct", more="fwmark = 7"))
    assert "meta mark { 7 } accept" in found["input"]
    assert "served4" not in found
    found = rules(virtual(more="fwmark = 7").replace("port = 8080", "port = 80"))
    assert found["anywhere4"][1:-1] == ["10.0.0.1,"]
    assert "ip saddr @anywhere4 accept" in found["forward"]
    assert rules(virtual(more="fwmark = 7"))["answers4"][1:-1] == ["10.0.0.1 . tcp . 8080,"]


def test_what_is_inactive_is_closed() -> None:
    found = rules(virtual(more="active = false"))
    assert "served4" not in found
    assert "answers4" not in found


def test_only_the_directors_reach_the_heartbeat() -> None:
    found = rules(PAIR + virtual("direct"))
    assert found["directors4"][1:-1] == ["192.0.2.1,", "192.0.2.2,"]
    assert "ip saddr @directors4 meta l4proto { tcp, udp } th dport 539 accept" in found["input"]
    assert not [line for line in found["input"] if "igmp" in line]
    assert "directors4" not in rules(virtual("direct"))


def test_connections_are_shared_on_one_device() -> None:
    sync = 'syncdaemon = true\nsyncd_iface = "eth3"\nsyncd_group = "ff02::81"\nsyncd_port = 9000\n'
    found = rules(PAIR + sync + virtual("direct"))
    assert 'iifname "eth3" ip6 daddr ff02::81 udp dport 9000 accept' in found["input"]


def test_checks_through_the_vip_are_answered_by_it() -> None:
    found = rules(virtual("direct", more='check_path = "vip"'))
    assert found["asked4"][1:-1] == ["192.0.2.10,"]
    assert "ip saddr @asked4 udp dport 32768-65535 accept" in found["input"]


def test_with_conntrack_everything_is_tracked() -> None:
    found = rules("conntrack = true\n" + virtual())
    assert "untracked" not in found
    assert "untracked_own" not in found


def test_own_ports() -> None:
    found = rules(virtual("direct"), ports("udp/161, 9100,22"))
    assert "tcp dport { 22, 9100 } accept" in found["input"]
    assert "udp dport { 161 } accept" in found["input"]
    assert not [line for line in rules(virtual("direct"), ports(""))["input"] if line.startswith("tcp dport")]


@pytest.mark.parametrize("text", ["ssh", "0", "65536", "icmp/1", "22/tcp", "-1", "1-2", "²"])
def test_what_is_no_port(text: str) -> None:
    with pytest.raises(UsageError, match="port"):
        ports(text)
