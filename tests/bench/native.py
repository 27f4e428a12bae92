"""Figures from this host: reading a configuration, and the frozen binary's start."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import big
from bench.measured import Figure, Measured, NotHereError
from lab import setup
from lab.paths import CHECKOUT, TREE

BINARY = CHECKOUT / "dist" / "lvsd"
EXAMPLE = CHECKOUT / "lvs.toml.example"
RUNS = 9

# What any command pays is imported first; the reader of the language is not, it is part of the load.
LOAD = """
import sys, time
from lvs.config.load import load
content = open(sys.argv[1], "rb").read()
began = time.process_time()
loaded = load(content, sys.argv[1])
spent = time.process_time() - began
assert loaded.config is not None, loaded.problems[:3]
print(spent)
"""


def parse(make: str) -> Measured:
    """CPU time of a cold load in a process of its own, and of `keepalived -t` beyond its mere start."""
    setup.ensure()
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory(dir=TREE / "tmp") as inside:
        file = Path(folder, "lvs.toml" if make == "lvs_toml" else "lvs.cf")
        file.write_text(getattr(big, make)(1000, 10))
        conf = Path(inside, "keepalived.conf")
        conf.write_text(big.keepalived_conf(1000, 10))
        test = ("/usr/sbin/keepalived", "-t", "-f", f"/{conf.relative_to(TREE)}")
        ours, peer = [], []
        for _ in range(RUNS):
            ours.append(float(run((sys.executable, "-c", LOAD, str(file)))[1]))
            peer.append(run(test, TREE)[0].cpu_s - run(("/usr/sbin/keepalived", "--version"), TREE)[0].cpu_s)
    return Measured(ours, peer)


def binary(*arguments: str) -> Measured:
    """Wall time of the frozen binary."""
    if not BINARY.exists():
        raise NotHereError("no dist/lvsd: make binary")
    run((str(BINARY), *arguments))
    return Measured([run((str(BINARY), *arguments))[0].wall_s for _ in range(RUNS)], [])


class Cost:
    """What a process and its children took."""

    def __init__(self, cpu_s: float, wall_s: float) -> None:
        self.cpu_s, self.wall_s = cpu_s, wall_s


def run(argv: Sequence[str], root: Path | None = None) -> tuple[Cost, str]:
    """Run a program to its end; what it took and wrote. Errors: RuntimeError with that if it failed."""
    output = os.memfd_create("output")
    began = time.monotonic()
    pid = os.fork()
    if pid == 0:
        try:
            os.dup2(output, 1)
            os.dup2(output, 2)
            if root is not None:
                os.chroot(root)
                os.chdir("/")
            os.execv(argv[0], list(argv))
        finally:
            os._exit(127)
    _, status, used = os.wait4(pid, 0)
    wall_s = time.monotonic() - began
    said = os.pread(output, 1 << 20, 0).decode(errors="replace")
    os.close(output)
    if status:
        raise RuntimeError(f"{' '.join(argv)}: status {status}: {said}")
    return Cost(used.ru_utime + used.ru_stime, wall_s), said


def check_example() -> Measured:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "lvs.toml")
        shutil.copy(EXAMPLE, file)
        return binary("check", "--elsewhere", str(file))


FIGURES = (
    Figure("parse_cf_10k_vs_keepalived_t", 1, "of keepalived -t", partial(parse, "lvs_cf")),
    Figure("parse_toml_10k_vs_keepalived_t", 4, "of keepalived -t", partial(parse, "lvs_toml")),
    Figure("version_s", 0.4, "s", partial(binary, "--version")),
    Figure("check_example_s", 0.6, "s", check_example),
)
