"""Who is logged in: what systemd-logind notes of each session."""

from __future__ import annotations

import os
import stat
from pathlib import Path

DIRECTORY = Path("/run/systemd/sessions")  # sd-login(3) reads the same files


def users(directory: Path = DIRECTORY) -> frozenset[str]:
    """The users with a session of their own on this machine. Errors: none; without logind nobody is known."""
    found = set()
    try:
        names = os.listdir(directory)  # noqa: PTH208
    except OSError:
        return frozenset()
    for name in names:
        path = directory / name
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                continue  # the pipe of a session: whoever reads it waits until that ends
            text = path.read_text(errors="replace")
        except OSError:  # one that has just ended
            continue
        said = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
        if said.get("CLASS") == "user" and said.get("USER"):
            found.add(said["USER"])
    return frozenset(found)
