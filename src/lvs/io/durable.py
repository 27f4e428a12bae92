"""Files that are replaced as a whole, and are on the disk when that is said."""

from __future__ import annotations

import errno
import os
from pathlib import Path

_REMEDY = {
    errno.ENOSPC: "make room there (df -h {0}; df -i {0})",
    errno.EDQUOT: "make room there, or raise the quota (quota)",
    errno.EFBIG: "raise the limit of the size of files (ulimit -f, LimitFSIZE=)",
    errno.EROFS: "mount it writable (findmnt -T {0}); of a unit, name it in ReadWritePaths=",
    errno.EACCES: "be root, or see who may write there (namei -l {0})",
    errno.EPERM: "be root, or see who may write there (namei -l {0}; lsattr -d {0})",
    errno.EIO: "look for faults of the disk (dmesg)",
}


def why(fault: OSError, directory: Path) -> str:
    """Why nothing could be written there, and what helps: `no space left on device; make room there`."""
    said = os.strerror(fault.errno or 0).lower()
    remedy = _REMEDY.get(fault.errno or 0, "").format(directory)
    return f"{said}; {remedy}" if remedy else said


def replace(path: Path, content: bytes) -> None:
    """Give a file another content, mode 0644; its folder is made. Errors: OSError, and the file is as it was.

    The folder is synced, too: the name is what a power cut would lose else; rename(2), fsync(2).
    """
    temporary = path.with_name(path.name + ".new")
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    with open(descriptor, "wb") as file:  # noqa: PTH123
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    settle(path.parent)


def settle(directory: Path) -> None:
    """Names in a folder are on the disk. Errors: OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
