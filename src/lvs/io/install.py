"""The other director's configuration, put in the place of this one's file.

It is first laid beside the file, whole and on the disk, so that a full disk or a missing right is found out
before anybody has agreed to anything; then it takes the file's name. Through that the file is never half
written, and never gone. What was there is looked at after it has lost its name, not before: an edit that
comes in between is not lost.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from lvs.errors import SystemFault
from lvs.io import durable

OFFERED, PUSHED = "offered", "pushed"  # within the name of what is laid beside the file
REPLACED = ".replaced"  # behind the file's name: what an operator chose against


def stage(path: Path, content: bytes, word: str = OFFERED) -> None:
    """Lay a text beside the file, with its mode and owner. Errors: SystemFault with the reason."""
    real, beside = _places(path, word)
    try:
        try:
            status = real.stat()
        except FileNotFoundError:
            status = None
        with suppress(FileNotFoundError):
            beside.unlink()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        descriptor = os.open(beside, flags, 0o600)
        with open(descriptor, "wb") as file:  # noqa: PTH123
            if status is not None:
                os.fchown(descriptor, status.st_uid, status.st_gid)
            os.fchmod(descriptor, 0o644 if status is None else status.st_mode & 0o7777)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
    except OSError as fault:
        discard(path, word)
        raise SystemFault(f"cannot write beside {real}: {durable.why(fault, real.parent)}") from fault


def discard(path: Path, word: str = OFFERED) -> None:
    """Remove what was laid beside the file, if anything was."""
    with suppress(OSError):
        _places(path, word)[1].unlink()


def commit(
    path: Path,
    content: bytes,
    fits: Callable[[bytes], bool],
    *,
    keep: bool,
    copy: bool = False,
    word: str = OFFERED,
) -> None:
    """Give the file's name to what was staged.

    With `keep`, what does not fit is overwritten, too, and a copy of it is kept; with `copy`, of what fits.

    Errors: SystemFault; the file is then as it was.
    """
    real, beside = _places(path, word)
    _, before = _places(path, "before")
    edited = SystemFault(f"{path} was edited at the same time")
    try:
        if not beside.exists():  # what is there already is not staged
            stage(path, content, word)
        with suppress(FileNotFoundError):
            before.unlink()
        try:
            before.hardlink_to(real)
        except FileNotFoundError:
            os.replace(beside, real)  # noqa: PTH105
            _settled(real.parent)
            return
        try:
            if not keep and not fits(before.read_bytes()):
                raise edited
            os.replace(beside, real)  # noqa: PTH105
            was = before.read_bytes()
            fitted = fits(was)
            if not (fitted or keep):
                os.replace(before, real)  # noqa: PTH105
                raise edited
            if not fitted or (copy and was != content):
                os.replace(before, real.with_name(real.name + REPLACED))  # noqa: PTH105
        finally:
            with suppress(FileNotFoundError):
                before.unlink()
            _settled(real.parent)
    except OSError as fault:
        raise SystemFault(f"cannot replace {real}: {durable.why(fault, real.parent)}") from fault
    finally:
        discard(path, word)


def replace(path: Path, content: bytes, fits: Callable[[bytes], bool], *, keep: bool) -> None:
    """Both in one: what a push brings, beside what the other director may be offering."""
    stage(path, content, PUSHED)
    commit(path, content, fits, keep=keep, word=PUSHED)


def _places(path: Path, word: str) -> tuple[Path, Path]:
    """The file itself, whatever links lead to it, and a place beside it."""
    real = Path(os.path.realpath(path))
    return real, real.with_name(f".{real.name}.{word}")


def _settled(directory: Path) -> None:
    """Names are on the disk."""
    with suppress(OSError):
        durable.settle(directory)
