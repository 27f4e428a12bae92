"""Where the lab keeps its things, all of it below ``build/`` and none of it under version control."""

from __future__ import annotations

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
