"""network-config version 2 as files for systemd-networkd."""

from __future__ import annotations

import pytest

from lvs.firstboot import netplan, network

GOOD = """\
network:
  version: 2
  ethernets:
    lan:
      match: {macaddress: "52:54:00:12:34:56"}
      addresses: [10.0.0.1/24, "2001:db8::1/64"]
      gateway4: 10.0.0.254
      routes:
        - {to: default, via: "2001:db8::fe", metric: 10}
        - {to: 10.9.0.0/16, via: 10.0.0.9, on-link: true}
      nameservers: {addresses: [10.0.0.53], search: [example.org]}
      mtu: 9000
      accept-ra: no
      optional: true
    eth1:
      dhcp4: yes
      dhcp-identifier: mac
"""
LAN = """\
[Match]
MACAddress=52:54:00:12:34:56

[Link]
MTUBytes=9000
RequiredForOnline=no

[Network]
DHCP=no
IPv6AcceptRA=no
Address=10.0.0.1/24
Address=2001:db8::1/64
Gateway=10.0.0.254
DNS=10.0.0.53
Domains=example.org
KeepConfiguration=static

[Route]
Gateway=2001:db8::fe
Metric=10

[Route]
Destination=10.9.0.0/16
Gateway=10.0.0.9
GatewayOnLink=yes
"""
ETH1 = """\
[Match]
Name=eth1

[Network]
DHCP=ipv4
KeepConfiguration=static

[DHCPv4]
ClientIdentifier=mac
"""


def read(text: str) -> tuple[dict[str, str], list[str]]:
    offered, problems = netplan.read(text.encode(), "nc", "")
    return {one.name: one.content.decode() for one in offered}, [str(problem) for problem in problems]


def test_good() -> None:
    assert read(GOOD) == ({"network/50-lan.network": LAN, "network/50-eth1.network": ETH1}, [])


def test_what_is_made_passes_our_own_judge() -> None:
    for name, text in read(GOOD)[0].items():
        assert network.judge(text.encode(), name.removeprefix("network/"), name, {}) == ()


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("ethernets: {}\n", "nc:1: version: 2 is the version that is read"),
        ("version: 1\nconfig: []\n", "nc:1: version: 2 is the version that is read"),
        ("version: 2\nethernets: []\n", "nc:2: ethernets: keys with values are asked for"),
    ],
)
def test_nothing_is_taken(text: str, wrong: str) -> None:
    found, said = read(text)
    assert found == {}
    assert wrong in said[0]


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("addresses: [10.0.0.1]", "ethernets.eth0.addresses[0]: an address such as 10.0.0.1/24 is asked for"),
        ("gateway4: 10.0.0", "ethernets.eth0.gateway4: an address is asked for"),
        ("dhcp4: perhaps", "ethernets.eth0.dhcp4: true or false"),
        ("set-name: lan0", "ethernets.eth0.set-name: devices keep the names"),
        ("match: {}", "ethernets.eth0.match: one of macaddress, name, driver is asked for"),
        ("match: {macaddress: 5254}", "ethernets.eth0.match.macaddress: a macaddress is asked for"),
        ('match: {name: "eth0\\n[Network]"}', "ethernets.eth0.match.name: a name is asked for"),
        ("routes: [{via: 10.0.0.1}]", "ethernets.eth0.routes[0]: to is missing"),
        ("routes: [{to: 10.0.0.1/8, via: 10.0.0.1}]", "ethernets.eth0.routes[0].to: a network"),
        ("mtu: big", "ethernets.eth0.mtu: a number of bytes"),
        ("nameservers: {addresses: [dns]}", "ethernets.eth0.nameservers.addresses[0]: an address"),
    ],
)
def test_an_interface_that_is_not_understood_is_left_out(line: str, wrong: str) -> None:
    found, said = read(f"version: 2\nethernets:\n  eth0:\n    {line}\n  eth1: {{dhcp4: true}}\n")
    assert list(found) == ["network/50-eth1.network"]
    assert any(wrong in one for one in said)


def test_keys_that_mean_nothing_are_told_and_the_rest_counts() -> None:
    found, said = read(
        "version: 2\nbonds: {b: {}}\nethernets:\n  eth0: {dhcp4: true, dhcp: true, wakeonlan: true}\n"
    )
    assert list(found) == ["network/50-eth0.network"]
    assert [one.split(" ", 2)[1] for one in said] == ["warning:"] * 3
    assert "only ethernets are" in said[0]
    assert "did you mean dhcp" in said[1]


def test_a_name_that_is_no_name() -> None:
    found, said = read('version: 2\nethernets:\n  "../../x": {dhcp4: true}\n')
    assert found == {}
    assert "letters, digits" in said[0]
