"""What systemd is told, and what it told us: sd_notify(3), the watchdog's period, the journal."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from lvs.io.child import child_environment, find_program

JOURNAL = Path("/run/systemd/journal/socket")
NETWORKD = Path("/run/systemd/netif/state")  # while networkd runs
NETWORKD_S = 15


def notifier() -> Callable[..., None]:
    """A function that tells systemd state lines, or does nothing where nobody listens.

    Called as `notify("READY=1", "STATUS=serving")`.
    """
    if not os.environ.get("NOTIFY_SOCKET"):
        return lambda *_lines: None
    from systemd.daemon import notify

    def tell(*lines: str) -> None:
        with contextlib.suppress(OSError):  # nobody listens any more; nothing depends on it
            notify("\n".join(lines))

    return tell


def reloading() -> tuple[str, str]:
    """The lines for Type=notify-reload: the time tells this reload from an older one."""
    return "RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}"


def watchdog_period_s() -> float | None:
    """How often WATCHDOG=1 is to be sent: half of what systemd waits, sd_watchdog_enabled(3).

    The one-file binary is a child of the process that systemd started and that only waits for it.
    """
    asked = os.environ.get("WATCHDOG_USEC", "")
    pid = os.environ.get("WATCHDOG_PID", "")
    ours = {str(os.getpid())}
    if getattr(sys, "frozen", False):
        ours.add(str(os.getppid()))
    if not asked.isdigit() or (pid and pid not in ours):
        return None
    return int(asked) / 2_000_000


def journal_is_ours() -> bool:
    """Whether standard error is connected to the journal, systemd.exec(5) JOURNAL_STREAM."""
    try:
        status = os.fstat(2)
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}" and JOURNAL.exists()


def reload_network() -> bool:
    """Have systemd-networkd read its files anew; whether it did. It does not run yet while booting."""
    program = find_program("networkctl")
    if program is None or not NETWORKD.exists():
        return False
    words = (program, "reload")
    with contextlib.suppress(subprocess.TimeoutExpired):
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=child_environment(),
            check=False,
            timeout=NETWORKD_S,
        )
        return done.returncode == 0
    return False
