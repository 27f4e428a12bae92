"""Credentials by name: what a check needs to log in, kept out of the configuration.

A name is the absolute path of a file that only root can read, or one of systemd's credentials
(LoadCredential= in systemd.exec(5), below $CREDENTIALS_DIRECTORY). No content is ever logged, and
no error quotes it.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from lvs.errors import SystemFault

LONGEST = 4096  # bytes; passwords and shared secrets are short
GROUP = "lvs"  # whose members may read what is root:lvs 0640

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,254}")  # credential_name_valid of systemd, and tamer


def read(name: str) -> bytes:
    """A credential, less one newline at its end. Errors: SystemFault with the reason and the remedy."""
    path = _place(name)
    try:
        # A FIFO in its place must not hang the daemon, hence O_NONBLOCK.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as fault:
        raise SystemFault(f"credential {name} cannot be read: {_reason(fault)}") from fault
    try:
        unfit = _unfit(path, os.fstat(descriptor), of_systemd=not name.startswith("/"))
        if unfit:
            raise SystemFault(unfit)
        content = os.read(descriptor, LONGEST + 1)
    except OSError as fault:
        raise SystemFault(f"credential {name} cannot be read: {_reason(fault)}") from fault
    finally:
        os.close(descriptor)
    if len(content) > LONGEST:
        raise SystemFault(f"credential {name} is longer than {LONGEST} bytes")
    return content.removesuffix(b"\n")


def _place(name: str) -> Path:
    if name.startswith("/"):
        return Path(name)
    if not _NAME.fullmatch(name):
        raise SystemFault(f"{name!r} names no credential: an absolute path, or a name of LoadCredential=")
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    if not directory:
        raise SystemFault(f"credential {name} is not there: the unit has no LoadCredential={name}:PATH")
    return Path(directory, name)


def _unfit(path: Path, status: os.stat_result, *, of_systemd: bool) -> str:
    """Why a file is not one to keep a secret in; empty if it is."""
    if not stat.S_ISREG(status.st_mode):
        return f"{path} is not a regular file"
    if of_systemd:
        return ""  # systemd guards the directory, and its files are read-only for all who can enter
    if status.st_uid not in (0, os.geteuid()):
        return f"{path} belongs to another user; chown root {path}"
    others = status.st_mode & 0o077
    if not others or (others == 0o040 and status.st_gid == _group()):
        return ""
    return f"{path} may be read or written by others; chmod 600 {path}"


def _group() -> int | None:
    import grp

    try:
        return grp.getgrnam(GROUP).gr_gid
    except KeyError:
        return None


def _reason(fault: OSError) -> str:
    return os.strerror(fault.errno or 0).lower()
