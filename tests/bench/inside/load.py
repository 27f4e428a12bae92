"""From exec to everything in the kernel, and from a file's close to the kernel's new weight.

Usage: load SPEC, JSON with: argv, root, file (as this program sees it), old (the bytes to
replace), hangup (whether the program must be told of the change), settled (what it says when all
is done), edits (how many).
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from bench.inside.programs import Started
from bench.inside.writes import Writes

CALM_S = 3.0  # no write for so long: all is loaded
SETTLED_S = 8.0  # VIPs are announced for five seconds; for each 10,000 real servers
LATEST_S = 10.0
AFTER_EDIT_S = 1.5
PERIOD_S = 4.0
LONGEST_S = 300.0


def main() -> None:
    spec = json.loads(sys.argv[1])
    with Writes() as writes:
        program = Started(spec["argv"], spec["root"], **spec.get("env", {}))
        try:
            answer = load(program, writes)
            if spec["edits"]:
                settle(program, spec["settled"], answer["writes"])
                answer["edits"] = [edit(program, writes, spec, number) for number in range(spec["edits"])]
                answer["rss_kib"] = program.rss_kib()
        except Exception as fault:
            raise RuntimeError(program.said()[-4000:]) from fault
        finally:
            program.kill()
    answer["said"] = program.said()[-2000:]
    print(json.dumps(answer))


def load(program: Started, writes: Writes) -> dict[str, Any]:
    """Wait until the program writes no more; when its last write was, and what it had spent."""
    end = time.monotonic() + LONGEST_S
    seen, calm_until = -1, 0.0
    while time.monotonic() < end:
        now = writes.count()
        if now != seen or now == 0:
            seen, calm_until = now, time.monotonic() + CALM_S
        elif time.monotonic() > calm_until:
            break
        time.sleep(0.2)
    stamps = writes.stamps_ns()
    return {
        "writes": len(stamps),
        "first_s": (stamps[0] - program.exec_ns) / 1e9,
        "last_s": (stamps[-1] - program.exec_ns) / 1e9,
        "rss_start_kib": program.rss_kib(),
    }


def settle(program: Started, said: str, size: int) -> None:
    """Wait until the program has said that all is done, and then for what it repeats after it."""
    end = time.monotonic() + LONGEST_S
    while said not in program.said():
        if time.monotonic() > end:
            raise RuntimeError(f"never said {said!r}")
        time.sleep(0.2)
    time.sleep(SETTLED_S * max(1.0, size / 11_000))


def edit(program: Started, writes: Writes, spec: dict[str, Any], number: int) -> dict[str, Any]:
    """Change one weight in the file; when the kernel was written, and what all of it cost."""
    path, old = Path(spec["file"]), spec["old"].encode()
    content = path.read_bytes()
    at = -1
    for _ in range(997 * (number + 1)):  # some real server in the middle
        at = content.index(old, at + 1)
    weight = old.rstrip().removesuffix(b"1") + b"%d" % (number + 2) + old[len(old.rstrip()) :]
    changed = content[:at] + weight + content[at + len(old) :]
    writes.clear()
    before = program.cpu_ns()
    began = time.monotonic()
    descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC)
    os.write(descriptor, changed)
    closed = time.monotonic_ns()
    os.close(descriptor)
    if spec["hangup"]:
        os.kill(program.pid, signal.SIGHUP)
    time.sleep(AFTER_EDIT_S)
    cpu_s = (program.cpu_ns() - before) / 1e9
    while not (stamps := writes.stamps_ns()) and time.monotonic() < began + LATEST_S:
        time.sleep(0.1)  # something else was under way; it shows in the latency
    time.sleep(max(0.0, began + PERIOD_S - time.monotonic()))
    return {
        "writes": len(stamps),
        "latency_s": (stamps[-1] - closed) / 1e9 if stamps else 0.0,
        "cpu_s": cpu_s,
    }


if __name__ == "__main__":
    main()
