"""The whole table written and read, by us or by ipvsadm, in a network namespace of its own.

Usage: table apply|dump CF SAVED TREE; what is printed is CPU seconds.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench.inside.programs import Started
from lvs.config.load import load
from lvs.io.netlink import Table
from lvs.kernel.desired import desired
from lvs.kernel.diff import changes

IPVSADM = "/usr/sbin/ipvsadm"
RUNS = 3


def apply(cf: str, saved: str, tree: str) -> dict[str, list[float]]:
    """Load an empty table: ours from desired state to the last error read, theirs the whole process.

    Shape: the namespace has been flushed in between, and what was flushed stays in the kernel's
    trash for a minute; so the first of a side alone is a cold load, and each call gives one run of
    one side.
    """
    if saved:
        return {"peer": [Started((IPVSADM, "--restore"), tree, saved).wait().cpu_s]}
    config = load(Path(cf).read_bytes(), cf).config
    assert config is not None
    goal = desired(config).state.services
    table = Table()
    refused = table.execute([])  # the family is known, as after any start

    def once() -> None:
        refused.extend(table.execute(tuple(changes(table.read(), goal))))

    spent = cpu_s(once)
    assert not refused, refused[:3]
    found = table.read()
    assert found == goal
    return {"ours": [spent]}


def dump(cf: str, saved: str, tree: str) -> dict[str, list[float]]:
    """Read a full table: ours first and again, theirs the whole process."""
    Started((IPVSADM, "--restore"), tree, saved).wait()
    table = Table()
    first = cpu_s(table.read)
    return {
        "first": [first],
        "again": [cpu_s(table.read) for _ in range(RUNS)],
        "peer": [Started((IPVSADM, "-S", "-n"), tree).wait().cpu_s for _ in range(RUNS)],
    }


def cpu_s(action: Callable[[], object]) -> float:
    before = time.process_time()
    action()
    return time.process_time() - before


if __name__ == "__main__":
    what, *arguments = sys.argv[1:]
    print(json.dumps({"apply": apply, "dump": dump}[what](*arguments)))
