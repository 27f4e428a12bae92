"""Reads and writes kernel settings under /proc/sys, by sysctl(8)'s names.

A name is dotted: `net.ipv4.vs.conntrack`. A device's name may hold a dot itself (VLAN
`eth0.10`), and sysctl(8) has two ways to say that, both understood here:

    net.ipv4.conf.eth0/10.promote_secondaries    dot and slash change places
    net/ipv4/conf/eth0.10/promote_secondaries    the first separator is a slash: a path as it is

A third one is understood as well, since it cannot mean anything else: below `net.ipv4.conf`,
`net.ipv4.neigh` and their IPv6 twins, the device's name is all between the fourth word and the last:

    net.ipv4.conf.eth0.10.promote_secondaries

Values are text; blanks and tabs between words are one blank, so that what was written compares
equal to what is read.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

from lvs.errors import Exit, KernelError

if TYPE_CHECKING:
    from collections.abc import Iterable

PROC_SYS = Path("/proc/sys")

PER_DEVICE = frozenset(
    {("net", "ipv4", "conf"), ("net", "ipv4", "neigh"), ("net", "ipv6", "conf"), ("net", "ipv6", "neigh")}
)


def read(names: Iterable[str], root: Path = PROC_SYS) -> dict[str, str]:
    """Settings by the names given; those that are missing or unreadable are left out."""
    values = {}
    for name in names:
        words = parts(name)
        if words is None:
            continue
        try:
            values[name] = " ".join(root.joinpath(*words).read_text().split())
        except OSError:
            continue
    return values


def write(name: str, value: str, root: Path = PROC_SYS) -> None:
    """Set one setting.

    Errors: KernelError with a sentence that says what to do: no such setting (a module is not
    loaded, a device is missing), no right, read-only, value refused.
    """
    words = parts(name)
    if words is None:
        raise KernelError(f"{name!r} is no name of a setting", errno.EINVAL)
    try:
        # No O_CREAT: /proc/sys has what it has, and a test's directory should say so, too.
        handle = os.open(root.joinpath(*words), os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(handle, f"{value}\n".encode())
        finally:
            os.close(handle)
    except OSError as error:
        code = error.errno or 0
        rights = Exit.RIGHTS if code in (errno.EACCES, errno.EPERM) else Exit.FAILED
        raise KernelError(f"{name} = {value}: {_reason(words, code, root)}", code, rights) from error


def parts(name: str) -> tuple[str, ...] | None:
    """The components of a setting's path; None for a name that leads elsewhere or nowhere."""
    separators = [character for character in name if character in "./"]
    if not separators or "\0" in name:
        return None
    if separators[0] == "/":
        words = name.split("/")
    else:
        words = [word.replace("/", ".") for word in name.split(".")]
        if tuple(words[:3]) in PER_DEVICE and len(words) > 5:
            words = [*words[:3], ".".join(words[3:-1]), words[-1]]
    if any(word in ("", ".", "..") for word in words):
        return None
    return tuple(words)


def _reason(words: tuple[str, ...], code: int, root: Path) -> str:
    match code:
        case errno.EACCES | errno.EPERM:
            return "not permitted; run as root (CAP_NET_ADMIN suffices for this network namespace's own)"
        case errno.EROFS:
            return "/proc/sys is read-only, as in most containers; set it on the host, or mount it writable"
        case errno.ENOENT if words[:3] == ("net", "ipv4", "vs"):
            return "no such setting; the module ip_vs is not loaded (modprobe ip_vs), or is too old for it"
        case errno.ENOENT if words[1] == "ipv6" and not root.joinpath(*words[:2]).exists():
            return "this kernel runs without IPv6"
        case errno.ENOENT if words[:3] in PER_DEVICE and not root.joinpath(*words[:-1]).exists():
            return f"there is no device {words[3]}"
        case errno.ENOENT:
            return "this kernel has no such setting"
        case errno.EINVAL | errno.ERANGE:
            return "the kernel refuses this value"
        case _:
            return os.strerror(code)
