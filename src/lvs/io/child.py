"""What a child process gets from us: an environment that is not ours, and a program's place."""

from __future__ import annotations

import os
import sys
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# Where system programs are, in the order of Debian's root; never the caller's PATH, never "".
PROGRAM_DIRECTORIES = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")

# Between systemd and this process only: sd_notify(3), sd_watchdog_enabled(3), sd_listen_fds(3).
# A child that inherits them could speak to systemd in our name.
OURS_ALONE = frozenset(
    {
        "NOTIFY_SOCKET",
        "WATCHDOG_PID",
        "WATCHDOG_USEC",
        "LISTEN_FDS",
        "LISTEN_PID",
        "LISTEN_PIDFDID",
        "LISTEN_FDNAMES",
        "_MEIPASS2",
    }
)


def child_environment(base: Mapping[str, str] | None = None, *, frozen: bool | None = None) -> dict[str, str]:
    """The environment for a child process.

    Shape: `base` is ours if not given, `frozen` what the interpreter says. The frozen binary points
    LD_LIBRARY_PATH at its own libraries, with which systemctl or a check program would fail; what
    stood there before is in LD_LIBRARY_PATH_ORIG, if anything did (PyInstaller's manual, "LD_LIBRARY_PATH
    / LIBPATH considerations"). PyInstaller's own variables go as well: a child that is frozen too
    would take itself for a part of us.
    """
    environment = dict(os.environ if base is None else base)
    before = environment.pop("LD_LIBRARY_PATH_ORIG", None)
    if getattr(sys, "frozen", False) if frozen is None else frozen:
        environment.pop("LD_LIBRARY_PATH", None)
        if before:
            environment["LD_LIBRARY_PATH"] = before
    return {
        name: value
        for name, value in environment.items()
        if name not in OURS_ALONE and not name.startswith("_PYI_")
    }


def find_program(name: str) -> str | None:
    """The absolute path of a system program, or None."""
    for directory in PROGRAM_DIRECTORIES:
        path = f"{directory}/{name}"
        if os.access(path, os.X_OK) and os.path.isfile(path):  # noqa: PTH113
            return path
    return None


@cache
def effective_capabilities() -> int:
    """Our capabilities as bits, by the numbers of linux/capability.h; proc_pid_status(5)."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:  # noqa: PTH123
        return next(int(line[7:], 16) for line in file if line.startswith("CapEff:"))
