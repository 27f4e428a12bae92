"""What it means when asking fails: for the real server that was asked, or for this director."""

from __future__ import annotations

import errno
import os
from functools import cache

from lvs.checks import Answer, Reason
from lvs.errors import LvsError
from lvs.probes.talk import LONGEST, down, quoted

# Whatever the real server does, these are said by this host of itself.
EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
OURS = EXHAUSTED | {
    errno.EPERM,  # the packet filter's OUTPUT, or no right to set a mark
    errno.EACCES,  # a prohibiting route, or a security module
    errno.EADDRNOTAVAIL,  # no ephemeral port is left
    errno.EAGAIN,  # the same, or a full queue
    errno.EAFNOSUPPORT,  # IPv6 is switched off
    errno.EPROTONOSUPPORT,  # no SCTP in this kernel
    errno.ESOCKTNOSUPPORT,
}


class ExhaustedError(Exception):
    """No socket could be had, for whatever target; it holds the answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.text)
        self.answer = answer


@cache
def failure(code: int, *, datagram: bool = False) -> Answer:
    """What an errno of a socket means for the real server, or for this director."""
    said = os.strerror(code)
    said = said[0].lower() + said[1:]
    match code:
        case errno.ECONNREFUSED:
            return down(Reason.REFUSED, "port unreachable" if datagram else "connection refused")
        case errno.ECONNRESET | errno.EPIPE | errno.ECONNABORTED:
            return down(Reason.RESET, "connection reset")
        case errno.ETIMEDOUT:
            return down(Reason.TIMED_OUT, "connection timed out in the kernel")
        case _ if code in OURS:
            return down(Reason.LOCAL_FAULT, f"this director could not ask: {said}")
        case _:
            return down(Reason.UNREACHABLE, said)


def endless() -> Answer:
    return down(Reason.TOO_LONG, f"no end of the answer after {LONGEST // 1024} KiB")


def unable(kind: type, fault: Exception | None = None) -> Answer:
    """This director has nothing to make such a check with, or failed to make it."""
    check = kind.__name__.lower()
    if fault is None:
        return down(Reason.LOCAL_FAULT, f"this director has nothing to check {check} with")
    said = str(fault) if isinstance(fault, LvsError) else f"{type(fault).__name__}: {fault}"
    return down(Reason.LOCAL_FAULT, f"this director cannot check {check}: {said}")


def broken(fault: Exception) -> Answer:
    """A protocol's code is not to raise, whatever comes; if it does, the answer was not understood."""
    return down(Reason.GARBLED, f"answer not understood: {type(fault).__name__} {quoted(str(fault))}")
