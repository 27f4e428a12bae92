"""Files for systemd-networkd: what may stand in them beside the VIPs of lvsd."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from firstboot.given import TOML
from lvs.config.load import load
from lvs.firstboot.network import judge, vips

HELD = {ip_address("192.0.2.1"): "web", ip_address("2001:db8::1"): "six"}
GOOD = """\
[Match]
Name=eth0
; of the director itself
[Network]
Address=192.0.2.2/24
Gateway=192.0.2.254
DNS=192.0.2.3 \\
# a comment within
    192.0.2.4
KeepConfiguration=static
"""


def said(text: str, name: str = "10-lan.network") -> list[str]:
    return [str(problem) for problem in judge(text.encode(), name, name, HELD)]


def test_vips_are_those_of_the_configuration() -> None:
    config = load(TOML, "lvs.toml").config
    assert vips(config) == {ip_address("192.0.2.1"): "web"}
    assert vips(None) == {}


def test_a_good_file_passes() -> None:
    assert said(GOOD) == []
    assert said("[NetDev]\nName=bond0\nKind=bond\n", "10-bond.netdev") == []


@pytest.mark.parametrize(
    ("line", "number"),
    [("Address=192.0.2.1/24", 5), ("Address=2001:db8:0::1/64", 5), ("Address=192.0.2.1", 5)],
)
def test_a_vip_is_lvsds(line: str, number: int) -> None:
    (problem,) = said(GOOD.replace("Address=192.0.2.2/24", line))
    assert problem.startswith(f"10-lan.network:{number}: Network.Address: ")
    assert "lvsd puts it on its device" in problem


def test_a_vip_in_a_section_of_its_own() -> None:
    (problem,) = said(f"{GOOD}[Address]\nAddress=192.0.2.1/32\n")
    assert problem.startswith("10-lan.network:12: Address.Address: 192.0.2.1 is the VIP of web")


def test_a_gateway_that_looks_like_a_vip_is_nobodys_address() -> None:
    assert said(GOOD.replace("192.0.2.254", "192.0.2.1")) == []


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("Name=eth0\n" + GOOD, ":1: is neither"),
        (GOOD + "nonsense\n", ":11: is neither"),
        (GOOD.replace("192.0.2.2/24", "192.0.2.256/24"), "an address with its prefix length"),
        ("[Network]\nKeepConfiguration=yes\n", "has no section [Match]"),
        (GOOD.replace("KeepConfiguration=static\n", ""), "warning: write KeepConfiguration=static"),
    ],
)
def test_what_is_wrong_is_named(text: str, wrong: str) -> None:
    (problem,) = said(text)
    assert wrong in problem


@pytest.mark.parametrize("name", ["lan", "../lan.network", ".network", "a b.network", "lan.network.bak"])
def test_names_are_plain(name: str) -> None:
    (problem,) = said(GOOD, name)
    assert "is asked for" in problem


def test_what_is_no_text() -> None:
    assert len(judge(b"\xff\xfe[\0", "10-lan.network", "x", {})) == 1
