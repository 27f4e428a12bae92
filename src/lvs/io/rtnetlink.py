"""What rtnetlink says, as values and sentences: devices, routes, changes, refusals.

No socket and no pyroute2 here: messages come as pyroute2 decodes them, and are only looked at
through `message[field]` and `message.get_attr(name)`.
"""

from __future__ import annotations

import errno
import os
from ipaddress import IPv4Address, IPv6Address
from socket import AF_UNSPEC
from typing import TYPE_CHECKING, Any

import msgspec

from lvs.errors import Exit, KernelError
from lvs.kernel import text
from lvs.kernel.state import Vip

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from lvs.model import Address

# include/uapi/linux/if.h
IFF_UP, IFF_LOOPBACK, IFF_NOARP, IFF_LOWER_UP = 0x1, 0x8, 0x80, 0x10000

# NUD_*, include/uapi/linux/neighbour.h
NEIGHBOUR_STATES = {
    0x01: "incomplete",
    0x02: "reachable",
    0x04: "stale",
    0x08: "delay",
    0x10: "probe",
    0x20: "failed",
    0x40: "noarp",
    0x80: "permanent",
}


class Device(msgspec.Struct, frozen=True, gc=False):
    """A network device. VLANs, bonds and bridges are devices like others."""

    name: str
    index: int
    mac: bytes  # 6 bytes on Ethernet; empty, 4 (tunnels) or 20 (InfiniBand) elsewhere
    up: bool  # switched on by the administrator
    carrier: bool  # up, and the layer below is there
    arp: bool  # has neighbours to tell: no loopback, no NOARP device, with a link-layer address


class Neighbour(msgspec.Struct, frozen=True, gc=False):
    device: str
    mac: bytes  # empty if not known
    state: str  # of NEIGHBOUR_STATES


class Route(msgspec.Struct, frozen=True, gc=False):
    """The way that a packet of this host would take to an address."""

    device: str  # "lo" for addresses of our own
    gateway: Address | None  # None: the address is on the link; may be IPv6 for an IPv4 address
    prefsrc: Address | None  # source address that the kernel would choose


class AddressCame(msgspec.Struct, frozen=True, gc=False):
    vip: Vip


class AddressGone(msgspec.Struct, frozen=True, gc=False):
    vip: Vip


class DeviceChanged(msgspec.Struct, frozen=True, gc=False):
    name: str
    up: bool
    carrier: bool


class DeviceGone(msgspec.Struct, frozen=True, gc=False):
    name: str


class Resync(msgspec.Struct, frozen=True, gc=False):
    """Changes were lost, or not watched yet: read everything afresh."""


LinkChange = AddressCame | AddressGone | DeviceChanged | DeviceGone | Resync


class Seen:
    """What `changes` has told so far: netlink repeats itself, and names devices by number."""

    def __init__(self, devices: Mapping[str, Device], addresses: Iterable[Vip]) -> None:
        self._devices = {device.index: device for device in devices.values()}
        self._addresses = set(addresses)

    def fold(self, message: Any) -> Iterator[LinkChange]:
        """What a message of the kernel tells that was not told before."""
        match message.get("event"):
            case "RTM_NEWADDR" if (vip := self._vip(message)) and vip not in self._addresses:
                self._addresses.add(vip)
                yield AddressCame(vip)
            case "RTM_DELADDR" if vip := self._vip(message):
                self._addresses.discard(vip)
                yield AddressGone(vip)
            # A bridge sends link messages of its own family about its ports: a "deleted" one
            # left the bridge and is still a device.
            case "RTM_NEWLINK" if message["family"] == AF_UNSPEC:
                yield from self._link(device_of(message))
            case "RTM_DELLINK" if message["family"] == AF_UNSPEC:
                gone = self._devices.pop(message["index"], None)
                yield DeviceGone(gone.name if gone else message.get_attr("IFLA_IFNAME"))

    def _vip(self, message: Any) -> Vip | None:
        return vip_of(message, {index: device.name for index, device in self._devices.items()})

    def _link(self, device: Device) -> Iterator[LinkChange]:
        before = self._devices.get(device.index)
        self._devices[device.index] = device
        change = DeviceChanged(device.name, device.up, device.carrier)
        if before is not None and before.name != device.name:
            yield DeviceGone(before.name)
            yield change
            yield Resync()  # its addresses have moved with it, without a word
        elif before is None or change != DeviceChanged(before.name, before.up, before.carrier):
            yield change


def vip_of(message: Any, names: Mapping[int, str]) -> Vip | None:
    """An address message as a value; None if its device went away meanwhile."""
    device = names.get(message["index"])
    # IFA_ADDRESS is the other end of a point-to-point link, IFA_LOCAL ours; IPv6 has the
    # latter only there.
    local = address_of(message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS"))
    if device is None or local is None:
        return None
    label = message.get_attr("IFA_LABEL") or ""
    return Vip(device, local.packed, message["prefixlen"], "" if label == device else label)


def device_of(message: Any) -> Device:
    mac = mac_of(message.get_attr("IFLA_ADDRESS"))
    return device(message.get_attr("IFLA_IFNAME"), message["index"], mac, message["flags"])


def device(name: str, index: int, mac: bytes, flags: int) -> Device:
    """What the kernel says of a device; `flags` as in linux/if.h."""
    return Device(
        name=name,
        index=index,
        mac=mac,
        up=bool(flags & IFF_UP),
        carrier=bool(flags & IFF_UP) and bool(flags & IFF_LOWER_UP),
        arp=bool(mac) and not flags & (IFF_LOOPBACK | IFF_NOARP),
    )


def mac_of(shown: str | None) -> bytes:
    return bytes.fromhex(shown.replace(":", "")) if shown else b""


def address_of(shown: str | None) -> Address | None:
    if not shown:
        return None
    return IPv6Address(shown) if ":" in shown else IPv4Address(shown)


def alike(names: Iterable[str], name: str) -> str:
    """Which devices may have been meant."""
    from difflib import get_close_matches

    return " or ".join(get_close_matches(name, sorted(names), n=3, cutoff=0.5) or sorted(names)[:5])


def no_device(vip: Vip, meant: str) -> KernelError:
    """A device that is not there, and those that may have been meant."""
    return KernelError(
        f"{text.vip(vip)}: there is no device {vip.device}; did you mean {meant}?", errno.ENODEV
    )


def refusal(vip: Vip, code: int, words: str, *, adding: bool) -> KernelError:
    """Why an address could not be put on a device or removed: errno(3), and the kernel's words if any."""
    device, six = vip.device, len(vip.address) == 16
    if code == errno.EEXIST:
        other = "prefix" if six else "label"
        why = f"it is there with another {other}; see `ip address show {device}`"
    elif code == errno.EACCES and six:
        why = f"IPv6 is off there; `sysctl -w net/ipv6/conf/{device}/disable_ipv6=0` turns it on"
    elif code == errno.EOPNOTSUPP and six:
        why = "this kernel runs without IPv6 (ipv6.disable=1 on its command line?)"
    else:
        why = reason(code, words)
    doing = "put on" if adding else "removed from"
    return KernelError(f"{text.vip(vip)} cannot be {doing} {device}: {why}", code, exit_code(code))


def reason(code: int, words: str = "") -> str:
    """The kernel's own words if it had some, and what to do about a missing right."""
    if code in (errno.EPERM, errno.EACCES):
        return "not permitted; run as root or with CAP_NET_ADMIN"
    return words or os.strerror(code)


def exit_code(code: int) -> Exit:
    return Exit.RIGHTS if code in (errno.EPERM, errno.EACCES) else Exit.FAILED
