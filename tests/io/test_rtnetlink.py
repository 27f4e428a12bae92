"""Links without a kernel: `rtnetlink` and what `links` does by itself; with one: netns/test_links.py."""

from __future__ import annotations

import errno
import subprocess
import sys
from typing import Any

import pytest

from lvs.errors import Exit
from lvs.io.links import AddressCame, AddressGone, Device, DeviceChanged, DeviceGone, LinkChange, Resync
from lvs.io.rtnetlink import Seen, alike, device_of, no_device, refusal, vip_of
from lvs.kernel.state import Vip

VIP = Vip("eth0", bytes([192, 0, 2, 1]), 24, "eth0:1")
VIP6 = Vip("eth0", bytes.fromhex("20010db8000000000000000000000001"), 64, "")
ETH0 = Device("eth0", 2, bytes.fromhex("020000000001"), up=True, carrier=True, arp=True)


class Message(dict[str, Any]):
    """A message as pyroute2 shows it: fields by index, attributes by name."""

    def __init__(self, event: str, attributes: dict[str, Any], **fields: Any) -> None:
        super().__init__(fields, event=event)
        self.attributes = attributes

    def get_attr(self, name: str, default: Any = None) -> Any:
        return self.attributes.get(name, default)


def address(event: str = "RTM_NEWADDR", local: str = "192.0.2.1", label: str = "eth0:1") -> Message:
    return Message(event, {"IFA_LOCAL": local, "IFA_LABEL": label}, index=2, prefixlen=24)


def link(event: str = "RTM_NEWLINK", name: str = "eth0", flags: int = 0x10001, family: int = 0) -> Message:
    shown = {"IFLA_IFNAME": name, "IFLA_ADDRESS": "02:00:00:00:00:01"}
    return Message(event, shown, index=2, flags=flags, family=family)


def told(*messages: Message, addresses: frozenset[Vip] = frozenset()) -> list[LinkChange]:
    seen = Seen({"eth0": ETH0}, addresses)
    return [change for message in messages for change in seen.fold(message)]


def test_an_address_comes_once() -> None:
    assert told(address(), address()) == [AddressCame(VIP)]
    assert told(address(), addresses=frozenset({VIP})) == []


def test_an_address_goes_and_comes_again() -> None:
    assert told(address(), address("RTM_DELADDR"), address()) == [
        AddressCame(VIP),
        AddressGone(VIP),
        AddressCame(VIP),
    ]


def test_only_what_matters_of_a_link_is_told() -> None:
    assert told(link(), link(flags=0x1), link(flags=0x1043), link(flags=0)) == [
        DeviceChanged("eth0", up=True, carrier=False),
        DeviceChanged("eth0", up=False, carrier=False),
    ]


def test_leaving_a_bridge_is_nothing() -> None:
    assert told(link("RTM_DELLINK", family=7), link(family=7)) == []


def test_another_name() -> None:
    change = DeviceChanged("wan0", up=True, carrier=True)
    assert told(link(name="wan0")) == [DeviceGone("eth0"), change, Resync()]


def test_a_device_goes() -> None:
    assert told(link("RTM_DELLINK"), link("RTM_DELLINK", name="eth9")) == [
        DeviceGone("eth0"),
        DeviceGone("eth9"),
    ]
    assert told(link("RTM_DELLINK"), address()) == [DeviceGone("eth0")]


def test_other_messages_are_nothing() -> None:
    assert told(Message("RTM_NEWROUTE", {})) == []


def test_addresses_as_values() -> None:
    names = {2: "eth0"}
    assert vip_of(address(), names) == VIP
    assert vip_of(address(label="eth0"), names) == Vip("eth0", VIP.address, 24, "")
    assert vip_of(address(), {}) is None
    six = Message("RTM_NEWADDR", {"IFA_ADDRESS": "2001:db8::1"}, index=2, prefixlen=64)
    assert vip_of(six, names) == VIP6
    # Point to point: IFA_ADDRESS is the other end.
    peer = Message("", {"IFA_LOCAL": "192.0.2.1", "IFA_ADDRESS": "192.0.2.9"}, index=2, prefixlen=32)
    found = vip_of(peer, names)
    assert found is not None
    assert found.address == VIP.address


@pytest.mark.parametrize(
    ("flags", "mac", "arp"),
    [
        (0x1003, "02:00:00:00:00:01", True),
        (0x9, "00:00:00:00:00:00", False),  # loopback
        (0x91, "c0:00:02:01", False),  # NOARP: an IPIP tunnel shows its local address
        (0x1, None, False),
    ],
)
def test_who_has_neighbours(flags: int, mac: str | None, arp: bool) -> None:
    message = Message("", {"IFLA_IFNAME": "x", "IFLA_ADDRESS": mac}, index=3, flags=flags)
    assert device_of(message).arp is arp


def test_refusals() -> None:
    rights = refusal(VIP, errno.EPERM, "", adding=True)
    assert rights.exit_code is Exit.RIGHTS
    assert str(rights) == (
        "192.0.2.1/24 cannot be put on eth0: not permitted; run as root or with CAP_NET_ADMIN"
    )
    kernel = refusal(VIP, errno.EINVAL, "ipv4: Invalid prefix length", adding=False)
    assert str(kernel) == "192.0.2.1/24 cannot be removed from eth0: ipv4: Invalid prefix length"
    without = refusal(VIP6, errno.EOPNOTSUPP, "", adding=True)
    assert "this kernel runs without IPv6" in str(without)


def test_names_that_may_have_been_meant() -> None:
    assert str(no_device(VIP, "eth1")).endswith("no device eth0; did you mean eth1?")
    assert alike(["lo", "eth1", "wg0"], "eth0") == "eth1"
    assert alike(["lo", "ens3"], "eth0") == "ens3 or lo"


def test_pyroute2_is_imported_late() -> None:
    code = "import sys, lvs.io.links, lvs.io.announce; assert 'pyroute2' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
