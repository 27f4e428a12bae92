"""File systems by their label, and what lies on them.

blkid(8) looks at the disks themselves, so that udev need not have got to them. What is mounted here is on
no path that others use, may hold no program, device or setuid file, and is gone when it is no longer needed.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import subprocess
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from lvs.errors import SystemFault
from lvs.io.child import child_environment, find_program
from lvs.io.durable import settle

PATIENCE_S = 60  # for a drive that does not answer
UDEV_S = 20  # for disks that the kernel has not found yet
MOST_FILES = 500
_KINDS = ("vfat", "iso9660")
# sys/mount.h
_READ_ONLY, _NOSUID, _NODEV, _NOEXEC, _DETACH = 1, 2, 4, 8, 2
_OPTIONS = {"vfat": "utf8,fmask=0177,dmask=0077,errors=remount-ro", "iso9660": ""}


class Disk(NamedTuple):
    """A file system that may be what is looked for."""

    device: Path
    label: str
    kind: str
    uuid: str


def labelled(labels: Collection[str]) -> list[Disk]:
    """Every FAT or ISO 9660 file system of one of these labels; cases are one. Errors: SystemFault."""
    program = find_program("blkid")
    if program is None:
        raise SystemFault("blkid is not installed; apt-get install util-linux")
    try:
        done = subprocess.run(
            (program, "-c", "/dev/null", "-o", "export"),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=child_environment(),
            check=False,
            timeout=PATIENCE_S,
        )
    except subprocess.TimeoutExpired as fault:
        raise SystemFault(f"blkid has not looked at all disks within {PATIENCE_S} s") from fault
    wanted = {label.lower() for label in labels}
    return [disk for disk in listed(done.stdout.decode(errors="replace")) if disk.label.lower() in wanted]


def listed(said: str) -> list[Disk]:
    """What `blkid -o export` said, of the kinds that are read."""
    found = []
    for block in said.split("\n\n"):
        values = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if values.get("TYPE") in _KINDS and "DEVNAME" in values:
            label = values.get("LABEL", values.get("LABEL_FATBOOT", ""))
            found.append(Disk(Path(values["DEVNAME"]), label, values["TYPE"], values.get("UUID", "")))
    return sorted(found)


@contextmanager
def mounted(disk: Disk, *, writable: bool = False) -> Iterator[Path]:
    """The file system's top directory, while it is needed. Errors: SystemFault with the reason."""
    place = Path(tempfile.mkdtemp(prefix="lvs-", dir="/run"))
    flags = _NOSUID | _NODEV | _NOEXEC | (0 if writable else _READ_ONLY)
    try:
        _called("mount", str(disk.device), str(place), disk.kind, flags, _OPTIONS[disk.kind])
        try:
            yield place
        finally:
            _called("umount2", str(place), 0 if writable else _DETACH)
    except OSError as fault:
        raise SystemFault(f"{disk.device} ({disk.label}) {_why(fault)}") from fault
    finally:
        with suppress(OSError):
            place.rmdir()


def read(top: Path, wanted: Callable[[str], bool], longest: int) -> dict[str, bytes]:
    """Files of a directory and of the folders in it by their path, without content if they are not wanted.

    Shape: at most `longest` bytes and one of each, so that what is longer is seen to be.
    Errors: OSError.
    """
    found: dict[str, bytes] = {}
    for entry in sorted(os.scandir(top), key=lambda entry: entry.name):
        if entry.is_dir(follow_symlinks=False):
            for below in sorted(os.scandir(entry.path), key=lambda below: below.name):
                _take(found, Path(below.path), f"{entry.name}/{below.name}", wanted, longest)
        else:
            _take(found, Path(entry.path), entry.name, wanted, longest)
        if len(found) >= MOST_FILES:
            break
    return found


def _take(
    found: dict[str, bytes], path: Path, name: str, wanted: Callable[[str], bool], longest: int
) -> None:
    if len(found) >= MOST_FILES:
        return
    if not wanted(name):
        found[name] = b""
        return
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError as fault:
        if fault.errno == errno.ELOOP:  # a link leads off the disk
            return
        raise
    try:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            with open(descriptor, "rb", closefd=False) as file:
                found[name] = file.read(longest + 1)
    finally:
        os.close(descriptor)


def wipe(path: Path) -> None:
    """Overwrite a file, then remove it; both are on the disk when this returns. Errors: OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        left = os.fstat(descriptor).st_size
        at = 0
        while left > 0:
            written = os.pwrite(descriptor, bytes(min(left, 1 << 16)), at)
            at, left = at + written, left - written
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    path.unlink()
    settle(path.parent)


def settle_all() -> None:
    """Wait until udev has seen all disks that the kernel knows of."""
    program = find_program("udevadm")
    if program is not None:
        with suppress(subprocess.TimeoutExpired):
            subprocess.run(
                (program, "settle", f"--timeout={UDEV_S}"),
                stdin=subprocess.DEVNULL,
                env=child_environment(),
                check=False,
                timeout=UDEV_S + 5,
            )


def _called(function: str, *arguments: str | int) -> None:
    """mount(2) or umount2(2). Errors: OSError."""
    library = ctypes.CDLL(None, use_errno=True)
    given = [word.encode() if isinstance(word, str) else ctypes.c_ulong(word) for word in arguments]
    if getattr(library, function)(*given):
        raise OSError(ctypes.get_errno(), function)


def _why(fault: OSError) -> str:
    said = os.strerror(fault.errno or 0).lower()
    if fault.errno == errno.ENODEV:
        said = "this kernel does not know its file system"
    return f"cannot be mounted: {said}" if fault.args[1:] == ("mount",) else f"cannot be read: {said}"
