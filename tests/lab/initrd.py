"""The guest's first user space: mount the host's root, put a writable layer on it, run the agent.

Kept in memory and made anew for each boot: it is two files and a script, uncompressed because
unpacking costs more under emulation than reading.
"""

from __future__ import annotations

import shlex

from .paths import BUSYBOX, CHECKOUT, GUEST_HOST, MODULES, PYTHON, TREE, agent_command
from .setup import kernel_release

PROBE_WORD = "lab-kernel-runs"
PORT = "/dev/vport1p1"  # the only port of the only virtio serial controller

# tmpfs over what a boot would find empty. Anything below them that must be seen is bound back.
EMPTY = ("/run", "/tmp", "/var/tmp")

SCRIPT = """#!/bin/busybox sh
PATH=/bin
mount -t proc proc /proc
mount -t devtmpfs dev /dev
grep -q lab.probe /proc/cmdline && {{ echo {word}; poweroff -f; }}
mount -t sysfs sysfs /sys
mount -t virtiofs -o ro root /lower || exec poweroff -f
insmod /overlay.ko
mount -t tmpfs -o mode=755,size=90% rw /rw
mkdir /rw/upper /rw/work
mount -t overlay -o lowerdir=/lower,upperdir=/rw/upper,workdir=/rw/work root /new
for dir in {empty}; do mkdir -p /new$dir; mount -t tmpfs -o mode=1777 tmpfs /new$dir; done
chmod 755 /new/run
mkdir -p /new{host} /new/dev /new/proc /new/sys /new/usr/lib/modules
mount --move /lower /new{host}
mount -o bind /new{host}{modules} /new/usr/lib/modules
for dir in {keep}; do mkdir -p /new$dir; mount -o bind /new{host}$dir /new$dir; done
mount --move /proc /new/proc
mount --move /dev /new/dev
mount --move /sys /new/sys
cd /new
mkdir -p dev/pts dev/shm run/lock
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts dev/pts
mount -t tmpfs -o mode=1777 tmpfs dev/shm
mount -t cgroup2 cgroup2 sys/fs/cgroup
exec env -i {environment} switch_root /new {command}
"""

APPLETS = ("sh", "mount", "mkdir", "chmod", "insmod", "grep", "echo", "poweroff", "env", "switch_root")
FOLDERS = ("bin", "dev", "proc", "sys", "lower", "rw", "new")
ENVIRONMENT = ("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root")


def build() -> bytes:
    """The initrd whose last act is to become the agent."""
    hidden = [path for path in (str(CHECKOUT), PYTHON) if path.startswith(EMPTY)]
    script = SCRIPT.format(
        word=PROBE_WORD,
        empty=" ".join(EMPTY),
        host=GUEST_HOST,
        modules=MODULES,
        keep=shlex.join(hidden),
        environment=shlex.join(ENVIRONMENT),
        command=shlex.join(agent_command(PORT, f"{GUEST_HOST}{TREE}")),
    )
    module = MODULES / kernel_release() / "kernel/fs/overlayfs/overlay.ko"
    parts = [_entry(name, b"", 0o040755) for name in FOLDERS]
    parts.append(_entry("bin/busybox", BUSYBOX.read_bytes(), 0o100755))
    parts += [_entry(f"bin/{name}", b"busybox", 0o120777) for name in APPLETS]
    parts.append(_entry("overlay.ko", module.read_bytes(), 0o100644))
    parts.append(_entry("init", script.encode(), 0o100755))
    parts.append(_entry("TRAILER!!!", b"", 0))
    return b"".join(parts)


def _entry(name: str, content: bytes, mode: int) -> bytes:
    """One member of a cpio archive, "newc" (Documentation/driver-api/early-userspace)."""
    zeros = 0  # inode, uid, gid, times, devices: the kernel links nothing and asks for none
    fields = [zeros, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0]
    header = b"070701" + "".join(f"{field:08x}" for field in fields).encode()
    return _padded(header + name.encode() + b"\0") + _padded(content)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
