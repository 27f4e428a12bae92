"""Every address of this network namespace, read without the event loop and without pyroute2.

The director looks at them every three seconds. Decoded by pyroute2, in the loop, a thousand VIPs held
it up for 150 ms each time; these few bytes of rtnetlink (linux/rtnetlink.h, linux/if_addr.h) take 2 ms,
in whatever thread.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator, Mapping

from lvs.io.rtwire import LARGEST, asking, attributes, error, messages, request
from lvs.kernel.state import Vip
from lvs.kernel.wire import NLM_F_DUMP, NLMSG_DONE

RTM_NEWADDR, RTM_GETADDR = 20, 22
NLM_F_DUMP_INTR = 0x10  # the dump changed underway, and may lack what was there all the time
ADDRESS = struct.Struct("=4BI")  # ifaddrmsg: family, prefix, flags, scope, index
IFA_ADDRESS, IFA_LOCAL, IFA_LABEL = 1, 2, 3
QUESTION = request(RTM_GETADDR, ADDRESS.pack(socket.AF_UNSPEC, 0, 0, 0, 0), flags=NLM_F_DUMP)
TRIES = 5  # while the answer changes underway


def addresses() -> frozenset[Vip]:
    """Every address, on every device. Errors: KernelError if they cannot be read."""
    with asking("addresses cannot be read") as kernel:
        for _ in range(TRIES):
            data, whole = _dump(kernel)
            if whole:
                break
        return frozenset(vips(data, dict(socket.if_nameindex())))


def _dump(kernel: socket.socket) -> tuple[bytes, bool]:
    """All messages of one answer, and whether nothing changed underway. Errors: OSError."""
    answers, whole = [], True
    kernel.send(QUESTION)
    while True:
        answer = kernel.recv(LARGEST)
        answers.append(answer)
        for kind, flags, body in messages(answer):
            whole = whole and not flags & NLM_F_DUMP_INTR
            if kind == NLMSG_DONE:
                return b"".join(answers), whole
            if code := error(kind, body):
                raise OSError(code, os.strerror(code))


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
