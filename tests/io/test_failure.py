"""What an errno says of a real server, or of this director."""

from __future__ import annotations

import errno

import pytest

from lvs.checks import Reason
from lvs.io.failure import failure
from lvs.probes.talk import down


@pytest.mark.parametrize(
    ("code", "reason", "text"),
    [
        (errno.EHOSTUNREACH, Reason.UNREACHABLE, "no route to host"),
        (errno.ENETUNREACH, Reason.UNREACHABLE, "network is unreachable"),
        (errno.ETIMEDOUT, Reason.TIMED_OUT, "connection timed out in the kernel"),
        (errno.EPIPE, Reason.RESET, "connection reset"),
        (errno.ENOBUFS, Reason.LOCAL_FAULT, "this director could not ask: no buffer space available"),
        (errno.EPERM, Reason.LOCAL_FAULT, "this director could not ask: operation not permitted"),
    ],
)
def test_what_an_errno_means(code: int, reason: Reason, text: str) -> None:
    assert failure(code) == down(reason, text)
