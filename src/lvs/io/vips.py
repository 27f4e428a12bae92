"""VIPs put on devices and removed, many in one write, without the event loop and without pyroute2.

A takeover waits for it. pyroute2 took a millisecond for each VIP, most of it to build and to decode
messages, and its first message cost ten more; these few bytes take what the kernel takes.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from typing import NamedTuple

from lvs.io.addresses import ADDRESS, IFA_ADDRESS, IFA_LABEL, IFA_LOCAL, RTM_NEWADDR
from lvs.io.rtwire import CODE, LARGEST, asking, attributes, error, messages, request
from lvs.kernel.state import DropVip, TakeVip, Vip
from lvs.kernel.wire import NLM_F_ACK, NLMSG_ERROR, NLMSGHDR, attribute

VipOp = TakeVip | DropVip

RTM_DELADDR = 21
NLM_F_EXCL, NLM_F_CREATE = 0x200, 0x400
IFA_BROADCAST, IFA_CACHEINFO, IFA_FLAGS = 4, 6, 8
IFA_F_NODAD = 0x02
CACHEINFO = struct.Struct("=4I")  # ifa_cacheinfo: preferred and valid lifetime, when made and when changed
FOREVER = 0xFFFFFFFF
# linux/netlink.h: what is refused comes back as its header only, and with the kernel's words.
SOL_NETLINK, NETLINK_CAP_ACK, NETLINK_EXT_ACK = 270, 10, 11
NLMSGERR_ATTR_MSG = 1
# Each is acknowledged: 128 answers stay well inside the smallest receive buffer that distributions set.
AT_ONCE = 128


class Declined(NamedTuple):
    """Why the kernel would not: errno(3), and its own words if it had some."""

    code: int
    words: str


def change(moves: Sequence[tuple[VipOp, int]]) -> list[Declined | None]:
    """Ask for each, at most AT_ONCE, on the device of this index; what was declined, in their order.

    Errors: KernelError if nothing could be asked, or the kernel was silent for `rtwire.ANSWER_S`.
    """
    with asking("addresses cannot be changed") as kernel:
        for option in (NETLINK_CAP_ACK, NETLINK_EXT_ACK):
            kernel.setsockopt(SOL_NETLINK, option, 1)
        kernel.send(b"".join(message(op, index, number) for number, (op, index) in enumerate(moves)))
        outcomes: dict[int, Declined | None] = {}
        while len(outcomes) < len(moves):
            outcomes |= answers(kernel.recv(LARGEST))
        return [outcomes[number] for number in range(len(moves))]


def message(op: VipOp, index: int, number: int) -> bytes:
    """The request for a change (rtnetlink(7)), with its number as sequence."""
    vip, six = op.vip, len(op.vip.address) == 16
    body = ADDRESS.pack(socket.AF_INET6 if six else socket.AF_INET, vip.prefix, 0, 0, index)
    body += attribute(IFA_LOCAL, vip.address) + attribute(IFA_ADDRESS, vip.address)
    taking = isinstance(op, TakeVip)
    if taking and six:
        body += attribute(IFA_FLAGS, struct.pack("=I", IFA_F_NODAD))
        # Deprecated from the beginning (RFC 4862 section 5.5.4): of two, the kernel prefers the newer or the
        # longer match as source (RFC 6724 section 5), and a real server that holds the VIP answers itself.
        body += attribute(IFA_CACHEINFO, CACHEINFO.pack(0, FOREVER, 0, 0))
    elif taking:
        body += attribute(IFA_LABEL, (vip.label or vip.device).encode() + b"\0")
        if vip.prefix < 31:  # RFC 3021: a subnet of two has no broadcast address
            body += attribute(IFA_BROADCAST, broadcast(vip))
    kind, flags = (RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL) if taking else (RTM_DELADDR, 0)
    return request(kind, body, flags=NLM_F_ACK | flags, number=number)


def broadcast(vip: Vip) -> bytes:
    """The last address of its subnet."""
    return (int.from_bytes(vip.address) | (1 << 32 - vip.prefix) - 1).to_bytes(4)


def answers(data: bytes) -> dict[int, Declined | None]:
    """Acknowledgements by the numbers of their requests. Errors: OSError if it is no netlink."""
    found: dict[int, Declined | None] = {}
    for kind, _, body in messages(data):
        if kind != NLMSG_ERROR:
            continue
        code = error(kind, body)
        _, _, _, number, _ = NLMSGHDR.unpack_from(body, CODE.size)
        words = attributes(body, CODE.size + NLMSGHDR.size).get(NLMSGERR_ATTR_MSG, b"")
        found[number] = Declined(code, words.rstrip(b"\0").decode(errors="replace")) if code else None
    return found
