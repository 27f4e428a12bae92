"""What is said on the daemon's socket: one JSON request, one JSON reply, a line each."""

from __future__ import annotations

import msgspec

from lvs.status import Status

SOCKET_NAME = "lvsd.sock"  # in the run directory
LONGEST = 96 << 20  # bytes of a request: a file of 64 MiB in base64


class StatusRequest(msgspec.Struct, frozen=True, tag="status"):
    """Show the table."""


class PlanRequest(msgspec.Struct, frozen=True, tag="plan"):
    """What would change in the kernel; with `content`, for that text instead of the daemon's file."""

    file: str = ""
    content: bytes | None = None


class ReloadRequest(msgspec.Struct, frozen=True, tag="reload"):
    """Read the file again, and say what came of it."""


Request = StatusRequest | PlanRequest | ReloadRequest


class Reply(msgspec.Struct, frozen=True):
    """What to print, where, and the exit code."""

    exit_code: int = 0
    out: tuple[str, ...] = ()
    err: tuple[str, ...] = ()
    status: Status | None = None
