"""What systemd and /etc say of this boot."""

from __future__ import annotations

import filecmp
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from lvs.io.child import child_environment, find_program

UNIT = "lvs.service"
# Of this machine by their nature, or the daemon's own.
_OURS = ("lvs/", "machine-id", ".updated", "resolv.conf", "hostname", "ssh/ssh_host_", "adjtime")


def unit(name: str = UNIT) -> tuple[str, int]:
    """A unit's state, and how often it was started again; `unknown` where no systemd answers."""
    program = find_program("systemctl")
    if program is None:
        return "unknown", 0
    command = (program, "show", name, "--property=ActiveState,NRestarts")
    done = subprocess.run(command, capture_output=True, check=False, env=child_environment())
    said = dict(line.split("=", 1) for line in done.stdout.decode().splitlines() if "=" in line)
    return said.get("ActiveState", "unknown"), int(said.get("NRestarts") or 0)


def reboot() -> bool:
    """Start the machine anew, in order; whether systemd took it."""
    program = find_program("systemctl")
    if program is None:
        return False
    return not subprocess.run((program, "reboot"), check=False, env=child_environment()).returncode


def shadowed(changed: Path, shipped: Path) -> Iterator[str]:
    """Files below `changed` that hide others of the same name below `shipped`.

    Shape: `changed` is the upper layer of /etc, `shipped` the image's own /etc: lvs-healthy.service shows it.
    """
    for directory, _, names in os.walk(changed):
        for name in sorted(names):
            path = Path(directory) / name
            relative = path.relative_to(changed)
            if str(relative).startswith(_OURS):
                continue
            below = shipped / relative
            try:
                if below.is_file() and not (path.is_file() and filecmp.cmp(path, below, shallow=False)):
                    yield f"/etc/{relative}"
            except OSError:
                continue  # it went away meanwhile
