"""Runs the tools of `make check` side by side: a line for each, and all of what one that fails said."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import NamedTuple

PYTHON = (sys.executable, "-m")
OTHERS = ("native", "netns", "binary", "image", "search")
SELECTED = " and ".join(f"not {mark}" for mark in OTHERS)
UNUSED = ("-pno:logging", "-pno:doctest", "-pno:cacheprovider")  # a tenth of the time of 4,000 quick tests
UNIT = ("-m", SELECTED, "-q", "--no-header", "--tb=short", *UNUSED)
WORKERS = str(2 * (os.cpu_count() or 1))  # a third of the time a test waits
HOUSE = "tests/test_house.py"

# The slowest first: there are more tools than cores.
TOOLS = {
    "unit tests": (*PYTHON, "pytest", *UNIT, "-n", WORKERS, "--dist", "worksteal", f"--ignore={HOUSE}"),
    "types": (*PYTHON, "mypy", "src", "tests", ".ci/check.py"),
    "house rules": (*PYTHON, "pytest", *UNIT, HOUSE),
    "lint": (*PYTHON, "ruff", "check", "--quiet", "."),
    "format": (*PYTHON, "ruff", "format", "--quiet", "--diff", "."),
}


class Ran(NamedTuple):
    """What came of a tool."""

    name: str
    passed: bool
    said: str
    took_s: float


def run(name: str) -> Ran:
    """Run a tool to its end."""
    began = time.monotonic()
    done = subprocess.run(
        TOOLS[name], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    said = done.stdout.decode(errors="replace").rstrip()
    return Ran(name, done.returncode == 0, said, time.monotonic() - began)


def main() -> int:
    """Run them all; 1 if any failed."""
    began = time.monotonic()
    failed = []
    with ThreadPoolExecutor(len(TOOLS)) as pool:
        for ran in as_completed([pool.submit(run, name) for name in TOOLS]):
            result = ran.result()
            if result.passed:
                last = result.said.rsplit("\n", 1)[-1]
                print(f"ok   {result.name:<11} {result.took_s:5.1f} s  {last}".rstrip(), flush=True)
            else:
                failed.append(result.name)
                print(f"FAIL {result.name:<11} {result.took_s:5.1f} s\n\n{result.said}\n", flush=True)
    took_s = time.monotonic() - began
    print(f"check: {', '.join(failed) or 'nothing'} failed, {took_s:.1f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
