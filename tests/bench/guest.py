"""The guest that counts instructions, with everything to be measured in its memory."""

from __future__ import annotations

import compileall
import importlib.metadata
import json
import re
import sys
import sysconfig
from pathlib import Path
from typing import Any

import lvs
from lab import Lab, Machine
from lab.paths import CHECKOUT, TREE

PYTHON = sys.executable
STDLIB = Path(sysconfig.get_path("stdlib"))
SITE = Path(sysconfig.get_path("purelib"))
SOURCE = Path(lvs.__file__).parents[1]
TREE_IN_GUEST = "/run/.lab/tree"  # where a machine has its view of the peers' tree
COPIES = "/run/bench"
NEVER_IMPORTED = ("site-packages", "test", "tests", "idlelib", "tkinter", "ensurepip", "config-*")
MODULES = ("ip_vs", "ip_vs_wlc", "dummy")

PEER_LIBRARIES = {
    f"lib{name}"
    for name in [
        "atomic",
        "blkid",
        "c",
        "cap",
        "crypt",
        "crypto",
        "ffi",
        "gio-2.0",
        "glib-2.0",
        "gmodule-2.0",
        "gobject-2.0",
        "m",
        "mnl",
        "mount",
        "netsnmp",
        "netsnmpagent",
        "netsnmpmibs",
        "nftnl",
        "nl-3",
        "nl-genl-3",
        "pci",
        "pcre2-8",
        "perl",
        "popt",
        "selinux",
        "sensors",
        "ssl",
        "systemd",
        "udev",
        "wrap",
        "z",
        "zstd",
    ]
}

# A file read from the host costs virtual time that is no program's. So the trees that programs
# start from are copied, and the copies laid over them.
COPY = """
set -e
mkdir -p {copies}
{steps}
modprobe -a {modules}
"""
STEP = """
mkdir -p {copies}{path}
tar -C {path} {options} -cf - {names} | tar -C {copies}{path} -xf -
mount --bind {copies}{path} {path}
"""


SET_UP = """
ip link add eth0 type dummy && ip address add 10.0.0.1/8 dev eth0 && ip link set eth0 up
mkdir -p {copies}/tracing && mount -t tracefs tracefs {copies}/tracing
"""


class Guest:
    """One guest for all figures; each measurement takes a machine of its own."""

    def __init__(self) -> None:
        compileall.compile_dir(SOURCE, quiet=1)
        self.lab = Lab.start(icount=True)
        self._made = 0
        self._common = self.lab.machine("common", bare=True)
        steps = [
            self._step(STDLIB, ".", " ".join(f"--exclude=./{name}" for name in NEVER_IMPORTED)),
            self._step(SITE, " ".join(runtime_files())),
            self._step(SOURCE, "."),
        ]
        script = COPY.format(copies=COPIES, steps="".join(steps), modules=" ".join(MODULES))
        self._common.run("sh", "-c", script, timeout=300)
        self.lab.preload(self._common, *libraries())

    def close(self) -> None:
        self.lab.close()

    @staticmethod
    def _step(path: Path, names: str, options: str = "") -> str:
        return STEP.format(copies=COPIES, path=path, names=names, options=options)

    def machine(self) -> Machine:
        """A fresh machine with the device that VIPs are put on, and the peers in its memory."""
        self._made += 1
        machine = self.lab.machine(f"bench{self._made}")
        machine.run(
            "sh", "-c", "ip link add eth0 type dummy; ip address add 10.0.0.1/8 dev eth0; ip link set eth0 up"
        )
        machine.run("sh", "-c", f"mkdir -p {COPIES}/tracing && mount -t tracefs tracefs {COPIES}/tracing")
        self.lab.preload(machine, *peer_files(), root="tree")
        return machine

    def forget(self) -> None:
        """End all machines, and wait until the kernel has taken their tables apart."""
        self.lab.reset()
        self.lab.machine("common", bare=True).run("sleep", "2")

    def measure(self, machine: Machine, module: str, *arguments: str, timeout: float = 300) -> Any:
        """Run one of `bench.inside`; the object it prints."""
        command = (PYTHON, "-m", f"bench.inside.{module}", *arguments)
        env = {"PYTHONPATH": str(CHECKOUT / "tests"), "PYTHONDONTWRITEBYTECODE": "1"}
        return json.loads(machine.run(*command, timeout=timeout, env=env).out)


def runtime_files() -> list[str]:
    """What lvs needs of the virtual environment's packages, relative to it."""
    found = [path.name for path in SITE.glob("__editable__*")]
    for requirement in importlib.metadata.requires("lvs") or ():
        if "extra ==" not in requirement:
            name = re.split(r"[^A-Za-z0-9_.-]", requirement)[0]
            files = importlib.metadata.files(name) or ()
            found += [str(file) for file in files if not str(file).startswith("..")]
    return [name for name in found if (SITE / name).exists()]


def libraries() -> list[str]:
    """The interpreter and the libraries that this process and the packages have mapped."""
    import ssl  # noqa: F401  asyncio imports it

    mapped = {line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if "/" in line}
    outside = [name for name in mapped if not name.startswith((str(SITE), str(STDLIB)))]
    return sorted({str(Path(name).resolve()) for name in outside if Path(name).is_file()})


def peer_files() -> list[str]:
    """The peers' programs, their libraries and /etc, as a machine sees them."""
    folder = TREE / "usr/lib/x86_64-linux-gnu"
    found = [path for path in folder.glob("*.so*") if path.name.split(".so")[0] in PEER_LIBRARIES]
    found += [folder / "ld-linux-x86-64.so.2", TREE / "usr/sbin/keepalived", TREE / "usr/sbin/ipvsadm"]
    return [f"/{path.relative_to(TREE)}" for path in found] + ["/etc/ld.so.cache"]
