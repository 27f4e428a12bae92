"""What every question to a netlink socket without pyroute2 needs: a socket, the frame, attributes, errors.

The frame is netlink(7)'s, the questions are rtnetlink(7)'s; `kernel.wire` has what is generic netlink's.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from struct import Struct

from lvs.errors import KernelError
from lvs.io.rtnetlink import exit_code
from lvs.kernel.wire import NLATTR, NLM_F_REQUEST, NLMSG_ERROR, NLMSGHDR

NETLINK_ROUTE = 0
CODE = Struct("=i")  # struct nlmsgerr begins with it: -errno
LARGEST = 1 << 16  # bytes of one answer; the kernel's are half of it at most
# The kernel answers in microseconds, but others may hold the rtnetlink lock for long. A lost
# answer must not hang a takeover for ever.
ANSWER_S = 10.0


@contextmanager
def asking(doing: str) -> Iterator[socket.socket]:
    """A socket for questions to rtnetlink. Errors: KernelError that begins with `doing` for an OSError."""
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_ROUTE) as kernel:
            kernel.settimeout(ANSWER_S)
            yield kernel
    except OSError as fault:
        raise failure(doing, fault) from fault


def failure(doing: str, fault: OSError) -> KernelError:
    """What was being done, and why it failed."""
    if isinstance(fault, TimeoutError):
        return KernelError(f"{doing}: no answer in {ANSWER_S:.0f} s", errno.ETIMEDOUT)
    code = fault.errno or errno.EIO
    return KernelError(f"{doing}: {os.strerror(code)}", code, exit_code(code))


def request(kind: int, body: bytes, *, flags: int = 0, number: int = 1) -> bytes:
    """One message, with its number as sequence."""
    return NLMSGHDR.pack(NLMSGHDR.size + len(body), kind, NLM_F_REQUEST | flags, number, 0) + body


def messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Type, flags and body of each message. Errors: OSError if it is no netlink."""
    at = 0
    while at + NLMSGHDR.size <= len(data):
        length, kind, flags, _, _ = NLMSGHDR.unpack_from(data, at)
        if length < NLMSGHDR.size or at + length > len(data):
            raise OSError(errno.EPROTO, os.strerror(errno.EPROTO))
        yield kind, flags, data[at + NLMSGHDR.size : at + length]
        at += (length + 3) & ~3


def error(kind: int, body: bytes) -> int:
    """The errno that a message brings; 0: none, or it acknowledges."""
    return -int(CODE.unpack_from(body)[0]) if kind == NLMSG_ERROR else 0


def attributes(body: bytes, at: int) -> dict[int, bytes]:
    """Attributes of a message by their type, from a position on."""
    found: dict[int, bytes] = {}
    while at + NLATTR.size <= len(body):
        size, name = NLATTR.unpack_from(body, at)
        if size < NLATTR.size:
            break
        found[name] = body[at + NLATTR.size : at + size]
        at += (size + 3) & ~3
    return found
