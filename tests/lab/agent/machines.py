"""Making machines: namespaces and what is mounted in them.

System calls go through ctypes: os.unshare and os.setns came with Python 3.12, and a mount program
would cost a process each.
"""
# pathlib costs 100 ms under emulation
# ruff: noqa: PTH103, PTH112, PTH120

from __future__ import annotations

import ctypes
import os

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing itself costs 60 ms under emulation
    from typing import Any

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWNET = 0x00020000, 0x04000000, 0x40000000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
SIOCSIFFLAGS, IFF_UP = 0x8914, 0x1
POWER_OFF = 0x4321FEDC

# What each machine has for itself. /etc and /var/lib are overlays: reads see the host's files,
# writes stay in the machine, and /etc/lvs can be made without touching the host.
PRIVATE = ("/run", "/tmp", "/var/tmp", "/dev/shm")
OVERLAID = ("/etc", "/var/lib")
OWN = ("/etc/lvs", "/var/lib/lvs")
TREE_MOUNT = "/run/.lab/tree"

libc = ctypes.CDLL(None, use_errno=True)


class Machine:
    """The namespaces of one machine, as file descriptors in the order they must be entered."""

    def __init__(self, fds: list[int], bare: bool) -> None:
        self.fds, self.bare = fds, bare


def sys_call(name: str, *args: Any) -> int:
    """Call libc; a failure is an OSError that names the call."""
    result: int = getattr(libc, name)(*args)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}{args}: {os.strerror(number)}")
    return result


def mount(source: str, target: str, kind: str = "none", flags: int = 0, data: str = "") -> None:
    """mount(2)."""
    sys_call("mount", source.encode(), target.encode(), kind.encode(), flags, data.encode())


def overlay(lower: str, target: str, scratch: str) -> None:
    """Mount a writable view of ``lower`` on ``target``; what is written lies in ``scratch``."""
    for part in ("upper", "work"):
        os.makedirs(f"{scratch}/{part}", exist_ok=True)
    data = f"lowerdir={lower},upperdir={scratch}/upper,workdir={scratch}/work"
    mount("overlay", target, "overlay", 0, data)


def bring_up_lo() -> None:
    """Set lo up: without it IPVS refuses every real server as "not unicast"."""
    sock = sys_call("socket", 2, 2, 0)
    request = ctypes.create_string_buffer(b"lo".ljust(16, b"\0") + IFF_UP.to_bytes(2, "little"), 40)
    sys_call("ioctl", sock, SIOCSIFFLAGS, request)
    os.close(sock)


def private_mounts(tree: str, keep: list[str]) -> None:
    """Give the calling process its own /run, /tmp, /etc, /var/lib, /sys and peer tree.

    ``keep`` are directories (the checkout, the tree) that must stay visible even when they lie
    below one of those.
    """
    mount("none", "/", flags=MS_REC | MS_PRIVATE)
    kept = [(path, os.open(path, os.O_PATH)) for path in [*keep, tree]]
    cgroup = os.open("/sys/fs/cgroup", os.O_PATH)
    for path in PRIVATE:
        if os.path.isdir(path):
            mount("tmpfs", path, "tmpfs", 0, "mode=1777" if path != "/run" else "mode=755")
    for path, fd in kept:
        if path.startswith(tuple(f"{hidden}/" for hidden in PRIVATE)):
            os.makedirs(path, exist_ok=True)
            mount(f"/proc/self/fd/{fd}", path, flags=MS_BIND | MS_REC)
    os.makedirs("/run/lock", exist_ok=True)
    for path in OVERLAID:
        overlay(path, path, f"/run/.lab{path}")
    for path in OWN:
        os.makedirs(path, exist_ok=True)
    mount("sysfs", "/sys", "sysfs")  # /sys/class/net shows the namespace it was mounted in
    mount(f"/proc/self/fd/{cgroup}", "/sys/fs/cgroup", flags=MS_BIND | MS_REC)
    os.makedirs(TREE_MOUNT)
    overlay(tree, TREE_MOUNT, "/run/.lab/tree-rw")
    for path in ("/proc", "/sys", "/dev"):
        mount(path, TREE_MOUNT + path, flags=MS_BIND | MS_REC)
    for fd in (cgroup, *(fd for _, fd in kept)):
        os.close(fd)


def set_up_machine(name: str, bare: bool, tree: str, keep: list[str]) -> None:
    """Turn the calling (forked) process into the first one of a new machine."""
    if bare:
        sys_call("unshare", CLONE_NEWNET)
        bring_up_lo()
        return
    sys_call("unshare", CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWUTS)
    bring_up_lo()
    private_mounts(tree, keep)
    sys_call("sethostname", name.encode(), len(name.encode()))


def make_machine(name: str, bare: bool, tree: str, keep: list[str]) -> Machine:
    """Fork, let the child unshare, and hold its namespaces by descriptor.

    Errors: what went wrong in the child is raised here, in words.
    """
    ready_read, ready_write = os.pipe()
    go_read, go_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(go_write)
            set_up_machine(name, bare, tree, keep)
            os.write(ready_write, b"\0")
            os.read(go_read, 1)
        except BaseException as problem:  # noqa: BLE001  told to the parent
            os.write(ready_write, f"{name}: {problem}".encode())
        os._exit(0)
    os.close(ready_write)
    os.close(go_read)
    try:
        said = os.read(ready_read, 4096)
        if said != b"\0":
            raise OSError(said.decode() or f"{name}: set-up died")
        kinds = ("net",) if bare else ("net", "uts", "mnt")
        fds = [os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY) for kind in kinds]
        _name_namespace(name, fds[0])
    finally:
        os.close(ready_read)
        os.close(go_write)  # the child ends; the loop reaps it
    return Machine(fds, bare)


def _name_namespace(name: str, fd: int) -> None:
    """Let ``ip ... netns NAME`` find the namespace, in this process's own mount namespace."""
    path = f"/run/netns/{name}"
    os.close(os.open(path, os.O_CREAT | os.O_RDONLY))
    mount(f"/proc/self/fd/{fd}", path, flags=MS_BIND)


def enter(machine: Machine) -> None:
    """Move the calling process, which must have one thread only, into a machine."""
    for fd in machine.fds:
        sys_call("setns", fd, 0)


def power_off() -> None:
    """End the guest."""
    libc.reboot(POWER_OFF)
