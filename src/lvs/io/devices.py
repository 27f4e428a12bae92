"""Some devices of this network namespace, read without the event loop and without pyroute2.

A VIP that was taken is announced through them at once: with hundreds of devices, or on a slow machine,
reading and decoding them all is the longest part of it.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterable

from lvs.errors import KernelError
from lvs.io.addresses import ANSWER_S, HEADER, LARGEST, NETLINK_ROUTE, NLM_F_REQUEST, attributes, messages
from lvs.io.rtnetlink import Device, device, exit_code

RTM_NEWLINK, RTM_GETLINK = 16, 18
LINK = struct.Struct("=BxHiII")  # ifinfomsg: family, type, index, flags, change
IFLA_ADDRESS = 1
# linux/rtnetlink.h, RTEXT_FILTER_SKIP_STATS: counters are of no use here
IFLA_EXT_MASK = struct.pack("=HHI", 8, 29, 1 << 3)


def devices(names: Iterable[str]) -> dict[str, Device]:
    """Those of these that there are. Errors: KernelError if they cannot be read."""
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_ROUTE) as kernel:
            kernel.settimeout(ANSWER_S)
            found = (_ask(kernel, name) for name in set(names))
            return {one.name: one for one in found if one is not None}
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else f"no answer in {ANSWER_S:.0f} s"
        code = error.errno or 0
        raise KernelError(f"network devices cannot be read: {reason}", code, exit_code(code)) from error


def _ask(kernel: socket.socket, name: str) -> Device | None:
    """The device of this name. Errors: OSError."""
    try:
        index = socket.if_nametoindex(name)
    except OSError:
        return None
    body = LINK.pack(socket.AF_UNSPEC, 0, index, 0, 0) + IFLA_EXT_MASK
    kernel.send(HEADER.pack(HEADER.size + len(body), RTM_GETLINK, NLM_F_REQUEST, 1, 0) + body)
    for kind, _, answer in messages(kernel.recv(LARGEST)):
        if kind == RTM_NEWLINK:
            _, _, index, flags, _ = LINK.unpack_from(answer)
            return device(name, index, attributes(answer, LINK.size).get(IFLA_ADDRESS, b""), flags)
    return None  # it went away meanwhile
