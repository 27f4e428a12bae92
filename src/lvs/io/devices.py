"""Some devices of this network namespace, read without the event loop and without pyroute2.

A VIP that was taken is announced through them at once: with hundreds of devices, or on a slow machine,
reading and decoding them all is the longest part of it.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable

from lvs.io.rtnetlink import Device, device
from lvs.io.rtwire import LARGEST, asking, attributes, messages, request

RTM_NEWLINK, RTM_GETLINK = 16, 18
LINK = struct.Struct("=BxHiII")  # ifinfomsg: family, type, index, flags, change
IFLA_ADDRESS = 1
# linux/rtnetlink.h, RTEXT_FILTER_SKIP_STATS: counters are of no use here
IFLA_EXT_MASK = struct.pack("=HHI", 8, 29, 1 << 3)


def devices(names: Iterable[str]) -> dict[str, Device]:
    """Those of these that there are. Errors: KernelError if they cannot be read."""
    with asking("network devices cannot be read") as kernel:
        found = (_ask(kernel, name) for name in set(names))
        return {one.name: one for one in found if one is not None}


def _ask(kernel: socket.socket, name: str) -> Device | None:
    """The device of this name. Errors: OSError."""
    try:
        index = socket.if_nametoindex(name)
    except OSError:
        return None
    kernel.send(request(RTM_GETLINK, LINK.pack(socket.AF_UNSPEC, 0, index, 0, 0) + IFLA_EXT_MASK))
    for kind, _, answer in messages(kernel.recv(LARGEST)):
        if kind == RTM_NEWLINK:
            _, _, index, flags, _ = LINK.unpack_from(answer)
            return device(name, index, attributes(answer, LINK.size).get(IFLA_ADDRESS, b""), flags)
    return None  # it went away meanwhile
