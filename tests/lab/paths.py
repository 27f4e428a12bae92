"""Where the lab's things are, and how the agent among them is started.

All that is made lies below ``build/``, none of it under version control.
"""

from __future__ import annotations

import os
import py_compile
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
BUILD = CHECKOUT / "build" / "lab"
TREE = BUILD / "tree"  # the peers' userland, and the kernel
KERNEL = BUILD / "vmlinux"
MODULES = TREE / "usr" / "lib" / "modules"
BUSYBOX = TREE / "usr" / "bin" / "busybox"
LAB = Path(__file__).resolve().parent

# In a guest: the host's files without the writable layer on top.
GUEST_HOST = Path("/run/lab/host")

PYTHON = os.path.realpath(sys.executable)
LVSD = str(Path(sys.executable).parent / "lvsd")

# The interpreter that runs the tests, with as little as it can load.
START = f"import sys; sys.path.append({str(LAB)!r}); from agent.loop import main; main()"


def agent_command(port: str, tree: str) -> list[str]:
    """The command line of an agent at ``port``, with the peers' tree where it will find it.

    Shape: compiled here, because a guest cannot write to the checkout and compiling costs it 0.3 s.
    """
    for source in (LAB / "agent").glob("*.py"):
        py_compile.compile(str(source))
    return [PYTHON, "-I", "-S", "-c", START, port, tree, str(CHECKOUT)]
