"""One configuration on both directors: how long a push takes, in the guest that counts instructions.

Both directors share its one processor, so that what they do at the same time elsewhere counts twice here.
"""

from __future__ import annotations

import json
import re
from typing import Any

import big
from bench import native
from bench.emulated import guest, text
from bench.guest import PYTHON
from bench.measured import Figure, Measured
from lvs.io import pairkey

EDITS = 6  # in turn on each director; the first of each is not counted
KEY = "/etc/lvs/pair.key"
FILES = ("/etc/lvs/one.toml", "/etc/lvs/two.toml")
SLOWEST_S = 120.0


def push(content: str) -> Measured:
    """From the file's close to the write in the kernel that is the later one of both."""
    content = re.sub(r"syncdaemon = true|monitor_links = true", "", content)
    content = re.sub(r"serial_no = \d+", "serial_no = 1", content)
    machine = guest().machine()
    machine.write(KEY, pairkey.make().text, mode=0o600)
    for file in FILES:
        machine.write(file, content)
    argv = [PYTHON, "-m", "lvs.cli", "run", "--unchecked", "--log", "stderr"]
    spec: dict[str, Any] = {"argv": argv, "files": FILES, "edits": EDITS, "longest_s": SLOWEST_S}
    answer = guest().measure(machine, "push", json.dumps(spec), timeout=900)
    guest().forget()
    edits = answer["edits"]
    assert all(edit["writes"] == 2 for edit in edits), f"{edits}\n{answer['said']}"
    first = max(edit["first_s"] for edit in edits[2:])
    return Measured([edit["both_s"] for edit in edits[2:]], [], f"first of both at most {first:.3f}")


FIGURES = (
    Figure("sync_example_s", 1, "s", lambda: push(native.EXAMPLE.read_text())),
    Figure(
        "sync_10k_s",
        5,
        "s",
        lambda: push(text(big.lvs_toml, 10_000).replace("backup_active = false", "backup_active = true")),
    ),
)
