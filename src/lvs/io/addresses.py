"""Every address of this network namespace, read without the event loop and without pyroute2.

The director looks at them every three seconds. Decoded by pyroute2, in the loop, a thousand VIPs held
it up for 150 ms each time; these few bytes of rtnetlink (linux/rtnetlink.h, linux/if_addr.h) take 2 ms,
in whatever thread.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator, Mapping

from lvs.errors import KernelError
from lvs.io.rtnetlink import exit_code
from lvs.kernel.state import Vip

NETLINK_ROUTE = 0
RTM_NEWADDR, RTM_GETADDR = 20, 22
NLMSG_ERROR, NLMSG_DONE = 2, 3
NLM_F_REQUEST, NLM_F_DUMP = 0x1, 0x300
NLM_F_DUMP_INTR = 0x10  # the dump changed underway, and may lack what was there all the time
HEADER = struct.Struct("=IHHII")  # nlmsghdr
ADDRESS = struct.Struct("=4BI")  # ifaddrmsg: family, prefix, flags, scope, index
ATTRIBUTE = struct.Struct("=HH")
IFA_ADDRESS, IFA_LOCAL, IFA_LABEL = 1, 2, 3
QUESTION = HEADER.pack(HEADER.size + ADDRESS.size, RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP, 1, 0)
QUESTION += ADDRESS.pack(socket.AF_UNSPEC, 0, 0, 0, 0)
LARGEST = 1 << 16  # bytes of one answer; the kernel's are half of it at most
ANSWER_S = 10.0
TRIES = 5  # while the answer changes underway


def addresses() -> frozenset[Vip]:
    """Every address, on every device. Errors: KernelError if they cannot be read."""
    doing = "addresses cannot be read"
    try:
        for _ in range(TRIES):
            data, whole = _dump()
            if whole:
                break
        names = dict(socket.if_nameindex())
    except TimeoutError as error:
        raise KernelError(f"{doing}: no answer in {ANSWER_S:.0f} s", errno.ETIMEDOUT) from error
    except OSError as error:
        code = error.errno or errno.EIO
        raise KernelError(f"{doing}: {os.strerror(code)}", code, exit_code(code)) from error
    return frozenset(vips(data, names))


def _dump() -> tuple[bytes, bool]:
    """All messages of one answer, and whether nothing changed underway. Errors: OSError."""
    answers, whole = [], True
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_ROUTE) as kernel:
        kernel.settimeout(ANSWER_S)
        kernel.send(QUESTION)
        while True:
            answer = kernel.recv(LARGEST)
            answers.append(answer)
            for kind, flags, body in messages(answer):
                whole = whole and not flags & NLM_F_DUMP_INTR
                if kind == NLMSG_DONE:
                    return b"".join(answers), whole
                if kind == NLMSG_ERROR:
                    code = -struct.unpack_from("=i", body)[0]
                    raise OSError(code, os.strerror(code))


def messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Type, flags and body of each message. Errors: OSError if it is no netlink."""
    at = 0
    while at + HEADER.size <= len(data):
        length, kind, flags, _, _ = HEADER.unpack_from(data, at)
        if length < HEADER.size or at + length > len(data):
            raise OSError(errno.EPROTO, os.strerror(errno.EPROTO))
        yield kind, flags, data[at + HEADER.size : at + length]
        at += (length + 3) & ~3


def attributes(body: bytes, at: int) -> dict[int, bytes]:
    """Attributes of a message by their type, from a position on."""
    found: dict[int, bytes] = {}
    while at + ATTRIBUTE.size <= len(body):
        size, name = ATTRIBUTE.unpack_from(body, at)
        if size < ATTRIBUTE.size:
            break
        found[name] = body[at + ATTRIBUTE.size : at + size]
        at += (size + 3) & ~3
    return found


def vips(data: bytes, names: Mapping[int, str]) -> Iterator[Vip]:
    """The addresses in a dump; not those of a device that went away meanwhile. Errors: OSError."""
    for kind, _, body in messages(data):
        if kind != RTM_NEWADDR:
            continue
        _, prefix, _, _, index = ADDRESS.unpack_from(body)
        found = attributes(body, ADDRESS.size)
        # IFA_ADDRESS is the other end of a point-to-point link, IFA_LOCAL ours; IPv6 has the
        # latter only there.
        address, device = found.get(IFA_LOCAL) or found.get(IFA_ADDRESS), names.get(index)
        if address is not None and device is not None:
            label = found.get(IFA_LABEL, b"").rstrip(b"\0").decode(errors="replace")
            yield Vip(device, address, prefix, "" if label == device else label)
