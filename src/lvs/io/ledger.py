"""Which services and VIPs are ours, and what settings were before us, across restarts.

The kernel does not say who added a service. What is noted here and no longer configured is
removed; what is neither noted nor configured is somebody else's and left alone. The file
lies on a tmpfs: it must not outlive the kernel that it speaks of, nor be taken from another
network namespace, so it carries the boot's and the namespace's identity.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import msgspec

from lvs.errors import SystemFault
from lvs.io import durable
from lvs.kernel.state import ServiceKey, Timeouts, Vip

UNSET = Timeouts(0, 0, 0)


class Ledger(msgspec.Struct, frozen=True):
    """What is ours, and what settings were before us."""

    services: frozenset[ServiceKey] = frozenset()
    vips: frozenset[Vip] = frozenset()
    sysctls: dict[str, str] = {}  # by name; only those that we changed
    timeouts: Timeouts = UNSET  # 0: not changed by us
    daemons: dict[int, int] = {}  # sync daemons by state: index of the device each was started on
    firewall: bool = False  # the table of nftables
    awaited: frozenset[Vip] = frozenset()  # on standby: ours when they are taken, with nothing to write first


class _Page(msgspec.Struct, frozen=True):
    where: str
    ledger: Ledger


def load(path: Path) -> Ledger:
    """The ledger of this boot and network namespace; an empty one if there is none."""
    with contextlib.suppress(OSError, msgspec.MsgspecError):
        page = msgspec.json.decode(path.read_bytes(), type=_Page)
        if page.where == _where():
            return page.ledger
    return Ledger()


def save(path: Path, ledger: Ledger) -> None:
    """Replace the ledger atomically, mode 0600. Errors: SystemFault with the reason."""
    temporary = path.with_name(path.name + ".new")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as file:  # noqa: PTH123
            file.write(msgspec.json.encode(_Page(_where(), ledger)))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as fault:
        raise SystemFault(durable.why(fault, path.parent)) from fault


def _where() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot} {os.stat('/proc/self/ns/net').st_ino}"  # noqa: PTH116
