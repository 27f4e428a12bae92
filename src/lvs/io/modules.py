"""Loads kernel modules with modprobe, and knows which there are.

modprobe is asked only for what is not there: a module that is loaded or built in needs nothing,
and a container that has no modprobe is fine as long as its host has done the work.

Under the unit lvsd may load none (CAP_SYS_MODULE). systemd has loaded ip_vs before it. Schedulers and
persistence engines are loaded by the kernel in its own right when a service names them (request_module,
net/netfilter/ipvs/ip_vs_sched.c and ip_vs_pe.c): what is missing then is told as the refusal of that service.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from lvs.io.child import child_environment, effective_capabilities, find_program

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

CAP_SYS_MODULE = 16  # linux/capability.h
LONGEST_S = 30.0  # a module's own start may wait for others; beyond that something is broken

SYS_MODULE = Path("/sys/module")
PROC_MODULES = Path("/proc/modules")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")

# Debian's and Ubuntu's small kernels come without some modules; by ID of os-release(5).
PACKAGES = {
    "debian": "apt install linux-image-{architecture}",
    "ubuntu": "apt install linux-modules-extra-{release}",
    "fedora": "dnf install kernel-modules-{release}",
    "rhel": "dnf install kernel-modules-{release}",
    "centos": "dnf install kernel-modules-{release}",
    "rocky": "dnf install kernel-modules-{release}",
    "almalinux": "dnf install kernel-modules-{release}",
}
DEBIAN_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}

_FORBIDDEN = (
    "lvsd may load no modules here (CAP_SYS_MODULE); modprobe {0}, "
    "and name it in /etc/modules-load.d for the next boot"
)


def load(names: Iterable[str]) -> dict[str, str]:
    """Load modules; return those that could not be, with a sentence each that says what to do.

    Shape: hyphen and underscore are one. Blocks for as long as modprobe takes, about 5 ms a
    module and at most LONGEST_S: call it from a thread where that matters.
    Errors: none.
    """
    wanted = [name for name in dict.fromkeys(names) if not loaded(name)]
    failed = {name: "no name of a kernel module" for name in wanted if not NAME.fullmatch(name)}
    wanted = [name for name in wanted if name not in failed]
    if not wanted:
        return failed
    if not may_load():
        return failed | {name: _FORBIDDEN.format(name) for name in wanted if not _on_demand(name)}
    modprobe = find_program("modprobe")
    if modprobe is None:
        return failed | dict.fromkeys(wanted, _no_modprobe())
    # All at once first: one process instead of fourteen. Only a failure is worth asking one by one.
    if len(wanted) > 1 and not _modprobe(modprobe, ["-a", *wanted]):
        return failed
    for name in wanted:
        if not loaded(name) and (said := _modprobe(modprobe, [name])):
            failed[name] = _sentence(name, said)
    return failed


def may_load() -> bool:
    """Whether this process may load modules."""
    return bool(effective_capabilities() >> CAP_SYS_MODULE & 1)


def _on_demand(name: str) -> bool:
    """Whether the kernel loads a module by itself when a service needs it."""
    return _plain(name).startswith("ip_vs_") and _plain(name) != "ip_vs_ftp"


def available(name: str) -> bool:
    """Whether a module is loaded, built in, or there to be loaded."""
    wanted = _plain(name)
    return loaded(name) or any(wanted == found for found in _listed("modules.dep"))


def loaded(name: str) -> bool:
    """Whether a module is loaded and ready, or built into the kernel."""
    if not NAME.fullmatch(name):
        return False  # "" and ".." would be found below /sys/module
    wanted = _plain(name)
    try:
        # name size users used-by state address; "Loading" and "Unloading" are not ready.
        for line in PROC_MODULES.read_text().splitlines():
            words = line.split()
            if words[0] == wanted:
                return words[4] == "Live"
    except OSError:
        pass  # a kernel without loadable modules has no such file
    # What is not in /proc/modules but here is built in; without parameters it is not even here.
    return (SYS_MODULE / wanted).is_dir() or wanted in _listed("modules.builtin")


def module_directory() -> Path:
    """Where the modules of the running kernel should be."""
    release = os.uname().release
    # /usr/lib is where merged systems have it, /lib where all others do; both are one mostly.
    return next(
        (path for base in ("/lib", "/usr/lib") if (path := Path(base, "modules", release)).is_dir()),
        Path("/lib/modules", release),
    )


def _listed(index: str) -> set[str]:
    """Modules of one of depmod's lists: `kernel/net/.../ip_vs.ko.xz: dependencies`."""
    try:
        lines = (module_directory() / index).read_text().splitlines()
    except OSError:
        return set()
    return {_plain(line.partition(":")[0].rpartition("/")[2].partition(".")[0]) for line in lines}


def _plain(name: str) -> str:
    return name.replace("-", "_")


def _modprobe(modprobe: str, names: Sequence[str]) -> str:
    """Run modprobe; nothing if it succeeded, else what it said."""
    import subprocess  # rarely needed, and slow to import

    environment = child_environment()
    environment.pop("MODPROBE_OPTIONS", None)  # modprobe(8): it would add to our arguments
    environment["LC_ALL"] = "C"
    try:
        done = subprocess.run(
            [modprobe, *names],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=LONGEST_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"no end after {LONGEST_S:.0f} s"
    except OSError as error:
        return str(error)
    if done.returncode == 0:
        return ""
    said = done.stderr.strip().splitlines()
    return said[-1] if said else f"exit status {done.returncode}"


def _sentence(name: str, said: str) -> str:
    """What to do about modprobe's complaint."""
    shown = said.removeprefix("modprobe: ").removeprefix("FATAL: ").removeprefix("ERROR: ")
    if in_container():
        return f"{shown}; this is a container, so the host must load it: modprobe {name}"
    if "Operation not permitted" in said or "Permission denied" in said:
        return f"{shown}; run as root, or with CAP_SYS_MODULE"
    if "Key was rejected" in said or "Required key" in said:
        return f"{shown}; Secure Boot takes signed modules only: use the distribution's own kernel"
    if "not found" in said:
        return f"{shown}; {_where_to_get()}"
    return shown


def _no_modprobe() -> str:
    if in_container():
        return "modprobe is missing; this is a container, so the host must load the module"
    return "modprobe is missing (package kmod), and the module is not loaded"


def _where_to_get() -> str:
    """How to come by modules that the running kernel lacks."""
    release = os.uname().release
    directory = module_directory()
    if not PROC_MODULES.exists():
        return (
            f"this kernel ({release}) was built without loadable modules and without this one: boot another"
        )
    if not directory.is_dir():
        others = sorted(path.name for path in directory.parent.glob("*") if path.is_dir())
        if others:
            return f"modules of the running kernel {release} are gone: reboot into {others[-1]}"
        return f"there are no modules for this kernel: install those of {release}, or another kernel"
    command = PACKAGES.get(_distribution())
    if command is None:
        return "install the package with the kernel's further modules"
    architecture = os.uname().machine
    return "the kernel's package may be a trimmed one: " + command.format(
        release=release, architecture=DEBIAN_ARCHITECTURES.get(architecture, architecture)
    )


def _distribution() -> str:
    from platform import freedesktop_os_release

    try:
        return freedesktop_os_release().get("ID", "")
    except OSError:
        return ""


def in_container() -> bool:
    """Whether this is a container, whose kernel is the host's (systemd's Container Interface)."""
    marks = ("/run/systemd/container", "/run/.containerenv", "/.dockerenv")
    return "container" in os.environ or any(Path(mark).exists() for mark in marks)
