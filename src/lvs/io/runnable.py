"""As whom a program is run, what it is told, and whether it can be run at all.

A program may lie below a directory that its user cannot enter, as /root/scripts: `processes` opens
it and has it executed through the descriptor, so only the mode of the file itself counts.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

import msgspec

from lvs.errors import SystemFault
from lvs.io.child import PROGRAM_DIRECTORIES, effective_capabilities, find_program
from lvs.io.files import chain

CHECK_USER = "lvs-check"  # appliance/usr/lib/sysusers.d/lvs.conf
FALLBACK_USER = "nobody"
UNIT_SOCKETS = Path("/run/lvs-checks")  # appliance/usr/lib/systemd/system/lvs-checks@.socket

# linux/capability.h
_CAPABILITIES = (("CAP_KILL", 5), ("CAP_SETGID", 6), ("CAP_SETUID", 7))


class User(msgspec.Struct, frozen=True, gc=False):
    """Whom a program runs as: user and primary group, no other groups."""

    name: str
    uid: int
    gid: int
    home: str = "/"


def check_user(name: str | None = None) -> User | None:
    """Whom check programs run as; None: as ourselves, for that is who is wanted, or only root can choose.

    Shape: `name` is what the configuration says; without it CHECK_USER, or nobody where there is none.
    Errors: SystemFault if there is no user of that name.
    """
    import pwd

    for known in (name,) if name is not None else (CHECK_USER, FALLBACK_USER):
        with contextlib.suppress(KeyError):
            found = pwd.getpwnam(known)
            if found.pw_uid == 0 or os.geteuid() != 0:
                return None
            return User(known, found.pw_uid, found.pw_gid, found.pw_dir)
    if name is not None:
        raise SystemFault(f"there is no user {name}; useradd --system {name}")
    if os.geteuid() != 0:
        return None
    return User(FALLBACK_USER, 65534, 65534)  # where it has no name the number is known; user_namespaces(7)


def rights() -> str:
    """Which capabilities lvsd lacks to run and end programs as another user; empty if none."""
    effective = effective_capabilities()
    lacking = [name for name, bit in _CAPABILITIES if not effective >> bit & 1]
    return f"lvsd lacks {' and '.join(lacking)} to run programs as another user" if lacking else ""


def unit_socket(user: User) -> Path:
    """Where lvs-checks@USER.socket listens."""
    return UNIT_SOCKETS / user.name


def unable(user: User | None) -> str:
    """Why nothing can be run as a user, neither by us nor by its unit; empty if it can."""
    lacking = rights() if user is not None else ""
    if not lacking or user is None or unit_socket(user).is_socket():
        return ""
    return f"{lacking}; systemctl enable --now lvs-checks@{user.name}.socket"


def environment(user: User | None, more: dict[str, str]) -> dict[str, str]:
    """The whole environment of a program: nothing of ours, and the same on every machine."""
    base = {"PATH": ":".join(PROGRAM_DIRECTORIES), "LANG": "C.UTF-8", "HOME": user.home if user else "/"}
    if user is not None:
        base["USER"] = base["LOGNAME"] = user.name
    return base | more


def fit(words: tuple[str, ...], user: User | None) -> str:
    """Why a program cannot be run, as a sentence with the remedy; empty if it can, as far as is seen.

    Who is not root may not see what the daemon will: what is hidden is not judged.
    """
    name = words[0] if words else ""
    if lacking := unable(user):
        return lacking
    path = find(name)
    if path is None:
        return f"there is no program {name} in {':'.join(PROGRAM_DIRECTORIES)}; give its whole path"
    try:
        status = path.stat()
    except PermissionError:
        return "" if os.geteuid() else f"{path} is out of lvsd's own reach; put it where root may read"
    except FileNotFoundError:
        return f"there is no program {path}"
    except OSError as fault:
        return f"{path} cannot be run: {os.strerror(fault.errno or 0).lower()}"
    if not stat.S_ISREG(status.st_mode):
        return f"{path} is not a file that can be run"
    if os.statvfs(path).f_flag & os.ST_NOEXEC:
        return f"{path} is on a file system mounted noexec"
    lacking = _lacking(path, status, user)
    return lacking or _interpreter(path)


def find(name: str) -> Path | None:
    """Where a program is; a name with a slash is a path, others are searched for."""
    if "/" in name:
        return Path("/", name)  # the programs' working directory
    found = find_program(name) if name else None
    return None if found is None else Path(found)


def _lacking(path: Path, status: os.stat_result, user: User | None) -> str:
    """Which rights a user lacks on a program; a binary need not be readable."""
    needed = 5 if _beginning(path)[:2] == b"#!" else 1
    if user is None:
        if os.access(path, os.X_OK | (os.R_OK if needed & 4 else 0)):
            return ""
        return f"{path} is not executable; chmod +x {path}"
    if _allowed(status, user, needed):
        return ""
    with contextlib.suppress(OSError):  # an access control list may grant what the mode does not tell
        os.getxattr(path, "system.posix_acl_access")
        return ""
    rights = "read and execute" if needed & 4 else "execute"
    mode = "o+rx" if needed & 4 else "o+x"
    return f"user {user.name} may not {rights} {path}; chmod {mode} {path}"


def _interpreter(path: Path) -> str:
    """What is wrong with a script's first line."""
    first = _beginning(path)
    if not first.startswith(b"#!"):
        return ""
    words = first[2:].split(b"\n", 1)[0].strip(b" \t").split()
    interpreter = os.fsdecode(words[0]) if words else ""
    if first[2:].split(b"\n", 1)[0].endswith(b"\r"):
        return f"{path} has lines that end in CR LF; sed -i 's/\\r$//' {path}"
    if not interpreter.startswith("/") or not os.path.exists(interpreter):  # noqa: PTH110
        return f"{path} names an interpreter that does not exist in its first line"
    return ""


def _beginning(path: Path) -> bytes:
    """As much of a program as the kernel looks at (BINPRM_BUF_SIZE); empty if it cannot be read."""
    with contextlib.suppress(OSError), open(path, "rb", opener=_at_once) as file:
        return file.read(256)
    return b""


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def _allowed(status: os.stat_result, user: User, bits: int) -> bool:
    """Whether the mode of a file grants a user these bits (4 read, 2 write, 1 execute)."""
    shift = 6 if status.st_uid == user.uid else 3 if status.st_gid == user.gid else 0
    return (status.st_mode >> shift) & bits == bits


def reachable(path: Path, user: User) -> bool:
    """Whether a user may pass through every directory on the way to a file, links followed."""
    directories = {parent for step in chain(path) for parent in step.parents}
    return all(_allowed(directory.stat(), user, 1) for directory in directories)
