"""Making machines: namespaces and what is mounted in them.

System calls go through ctypes: os.unshare and os.setns came with Python 3.12, and a mount program
would cost a process each.
"""
# pathlib costs 100 ms under emulation
# ruff: noqa: PTH103, PTH108, PTH112, PTH116, PTH208

from __future__ import annotations

import ctypes
import os
import signal
import time

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing itself costs 60 ms under emulation
    from collections.abc import Sequence
    from typing import Any

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWNET = 0x00020000, 0x04000000, 0x40000000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
SIOCSIFFLAGS, IFF_UP = 0x8914, 0x1
POWER_OFF = 0x4321FEDC
MNT_DETACH = 2

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


def private_mounts(tree: str, keep: list[str], overlaid: list[str]) -> None:
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
    for path in (*OVERLAID, *overlaid):
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


def isolate_names(name: str) -> None:
    """Know one's own name and ask nobody: a lookup through the host's resolver waits for 20 s."""
    files = {
        "hosts": f"127.0.0.1 localhost {name}\n::1 localhost {name}\n",
        "resolv.conf": "",
        "hostname": name,
    }
    for root in ("", TREE_MOUNT):
        for file, text in files.items():
            path = f"{root}/etc/{file}"
            if os.path.lexists(path):
                os.unlink(path)  # on many hosts a link into /run
            fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
            os.write(fd, text.encode())
            os.close(fd)


def set_up_machine(name: str, bare: bool, tree: str, keep: list[str], overlaid: list[str]) -> None:
    """Turn the calling (forked) process into the first one of a new machine."""
    if bare:
        sys_call("unshare", CLONE_NEWNET)
        bring_up_lo()
        return
    sys_call("unshare", CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWUTS)
    bring_up_lo()
    private_mounts(tree, keep, overlaid)
    isolate_names(name)
    sys_call("sethostname", name.encode(), len(name.encode()))


def make_machine(name: str, bare: bool, tree: str, keep: list[str], overlaid: list[str]) -> Machine:
    """Fork, let the child unshare, and hold its namespaces by descriptor.

    Errors: what went wrong in the child is raised here, in words.
    """
    ready_read, ready_write = os.pipe()
    go_read, go_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(go_write)
            set_up_machine(name, bare, tree, keep, overlaid)
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


def unmake_machine(name: str, machine: Machine) -> None:
    """End every program of a machine and let its namespaces go."""
    signal_all(machine, signal.SIGKILL)
    sys_call("umount2", f"/run/netns/{name}".encode(), MNT_DETACH)
    os.unlink(f"/run/netns/{name}")
    for fd in machine.fds:
        os.close(fd)


def signal_all(machine: Machine, number: int) -> int:
    """Signal every process of a machine, wherever it was started from; how many there were.

    Killing repeats until none is left, for those that were forking meanwhile.
    """
    count = 0
    while pids := processes_of(machine):
        for pid in pids:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
        count += len(pids)
        if number != signal.SIGKILL:
            break
        time.sleep(0.002)
    return count


def processes_of(machine: Machine) -> list[int]:
    """Every live process in a machine's network."""
    own = os.fstat(machine.fds[0]).st_ino
    found = []
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and name != "1" and os.stat(f"/proc/{name}/ns/net").st_ino == own:
                found.append(int(name))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # ended meanwhile, or ended and not yet reaped
    return found


def enter(namespaces: Sequence[int]) -> None:
    """Move the calling process, which must have one thread only, into a machine's namespaces."""
    for fd in namespaces:
        sys_call("setns", fd, 0)


def power_off() -> None:
    """End the guest."""
    libc.reboot(POWER_OFF)
