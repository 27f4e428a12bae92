"""Which device leads to an address, asked of the kernel anew each time: 20 us, and never outdated.

A few bytes of rtnetlink (linux/rtnetlink.h), whose answer is there when the question was sent: no
waiting, and no library for one message.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
import sys
from ipaddress import ip_address

import msgspec

from lvs.checks import Address
from lvs.io.rtwire import LARGEST, NETLINK_ROUTE, attributes, error, messages, request
from lvs.kernel.wire import attribute

RTM_NEWROUTE, RTM_GETROUTE = 24, 26
ROUTE = struct.Struct("=8BI")  # rtmsg: family, length of the destination, ..., type at 7, flags
RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_PREFSRC, RTA_VIA = 1, 4, 5, 7, 18
RTN_UNICAST = 1
SIOCGIFHWADDR = 0x8927  # linux/sockios.h
IFNAMSIZ = 16


class Way(msgspec.Struct, frozen=True, gc=False):
    """How this host's packets go to an address of a link of its own."""

    device: str
    index: int
    mac: bytes  # 6 bytes on Ethernet
    source: Address | None


def way_to(address: Address) -> Way | str:
    """The device that an address is behind; a sentence if it is behind a router, or nowhere.

    Errors: OSError if this host cannot be asked.
    """
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_ROUTE) as kernel:
        kernel.send(question(address))
        kernel.setblocking(False)
        kind, code, found = answer(kernel.recv(LARGEST))
        if code:
            return f"no route: {os.strerror(code).lower()}"
        if kind != RTN_UNICAST:
            return "not a neighbour: an address of this director, or one that no route leads to"
        gateway = found.get(RTA_GATEWAY)
        if gateway is not None or RTA_VIA in found:
            return f"not a neighbour: behind router {ip_address(gateway)}" if gateway else "behind a router"
        index = int.from_bytes(found.get(RTA_OIF, b""), sys.byteorder)
        source = found.get(RTA_PREFSRC)
        device = socket.if_indextoname(index)
        return Way(device, index, _mac(kernel, device), ip_address(source) if source else None)


def question(address: Address) -> bytes:
    """RTM_GETROUTE for one address."""
    packed = address.packed
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    body = ROUTE.pack(family, len(packed) * 8, 0, 0, 0, 0, 0, 0, 0) + attribute(RTA_DST, packed)
    return request(RTM_GETROUTE, body)


def answer(data: bytes) -> tuple[int, int, dict[int, bytes]]:
    """Type of the route, errno and attributes of the first message. Errors: OSError if it is none."""
    for kind, _, body in messages(data):
        if code := error(kind, body):
            return 0, code, {}
        if kind == RTM_NEWROUTE:
            return body[7], 0, attributes(body, ROUTE.size)
        break
    raise OSError(errno.EPROTO, os.strerror(errno.EPROTO))


def _mac(any_socket: socket.socket, device: str) -> bytes:
    """A device's link-layer address, as far as a struct sockaddr holds it. Errors: OSError."""
    asked = struct.pack(f"{IFNAMSIZ}s24x", device.encode())
    return fcntl.ioctl(any_socket, SIOCGIFHWADDR, asked)[IFNAMSIZ + 2 : IFNAMSIZ + 8]
