"""From a file's close on one director to the other's kernel: two directors, each in a network of its own.

Usage: push SPEC, JSON with: argv (of a director, without its file and directories), files (of both), edits
(how many, in turn on each), longest_s.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench.inside.programs import Started
from bench.inside.writes import Writes

NETWORK = """
ip link delete eth0
ip netns add other
ip link add eth0 type veth peer name eth0 netns other
ip address add 10.0.0.1/8 dev eth0 && ip link set eth0 up
ip netns exec other ip address add 10.0.0.2/8 dev eth0
ip netns exec other ip link set eth0 up
ip netns exec other ip link set lo up
"""
OTHER = ("/usr/sbin/ip", "netns", "exec", "other")
BETWEEN_S = 3.0


def main() -> None:
    spec = json.loads(sys.argv[1])
    subprocess.run(("sh", "-ec", NETWORK), check=True)
    directors = [
        Started([*prefix, *spec["argv"], *places(number, file)])
        for number, (prefix, file) in enumerate(zip(((), OTHER), spec["files"], strict=True))
    ]
    try:
        with Writes() as writes:
            wait(lambda: all(" is what both ran" in told(number) for number in (0, 1)), spec["longest_s"])
            answer = [push(writes, spec, number) for number in range(spec["edits"])]
    except Exception as fault:
        raise RuntimeError("\n---\n".join(one.said()[-3000:] for one in directors)) from fault
    finally:
        for one in directors:
            one.kill()
    print(json.dumps({"edits": answer, "said": [one.said()[-1500:] for one in directors]}))


def places(number: int, file: str) -> list[str]:
    return ["--config", file, "--run-dir", f"/run/d{number}", "--state-dir", f"/var/lib/d{number}"]


def told(number: int) -> str:
    """Whether a director knows what both run."""
    try:
        memory = json.loads(Path(f"/var/lib/d{number}/pair.json").read_text())
    except (OSError, ValueError):
        return ""
    return f"serial {memory['agreed']['version']['serial']} is what both ran"


def wait(good: Any, longest_s: float) -> None:
    end = time.monotonic() + longest_s
    while not good():
        if time.monotonic() > end:
            raise RuntimeError(f"not within {longest_s:.0f} s")
        time.sleep(0.1)


def push(writes: Writes, spec: dict[str, Any], number: int) -> dict[str, Any]:
    """Change one weight, and the serial number, on one director; when each kernel was written."""
    time.sleep(BETWEEN_S)
    path = Path(spec["files"][number % 2])
    content = path.read_bytes()
    changed = re.sub(rb"serial_no = \d+", b"serial_no = %d" % (number + 2), content, count=1)
    at = [found.start(1) for found in re.finditer(rb"\nweight = (\d+)", changed)]
    middle = at[len(at) // 2]
    end = changed.index(b"\n", middle)
    changed = changed[:middle] + b"%d" % (number + 2) + changed[end:]
    writes.clear()
    descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC)
    os.write(descriptor, changed)
    closed = time.monotonic_ns()
    os.close(descriptor)
    wait(lambda: len(writes.stamps_ns()) >= 2, spec["longest_s"])
    wait(lambda: all(f"serial {number + 2} " in told(one) for one in (0, 1)), spec["longest_s"])
    stamps = sorted(writes.stamps_ns())
    assert Path(spec["files"][0]).read_bytes() == Path(spec["files"][1]).read_bytes() == changed
    return {
        "writes": len(stamps),
        "first_s": (stamps[0] - closed) / 1e9,
        "both_s": (stamps[-1] - closed) / 1e9,
    }


if __name__ == "__main__":
    main()
