"""Files laid down so that the power may go at any moment.

All are first laid beside their places, whole and on the disk: a full one is found out before anything has
changed. Then each takes its name. Whoever is interrupted begins again, and arrives at the same.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from lvs.errors import Exit, SystemFault
from lvs.firstboot.values import Laid, Memory, digest
from lvs.io.durable import settle
from lvs.io.install import REPLACED

MEMORY = Path("var/lib/lvs/firstboot.json")


def lay_down(root: Path, files: Sequence[Laid], laid: Mapping[str, str]) -> dict[str, str]:
    """Lay files down below `root`; by path, where what somebody had edited there is kept, else nothing.

    Shape: `laid` is the digest of what was laid down at a path last; only what differs is in the result.
    Errors: SystemFault; before the first file has changed, unless the disk fails between.
    """
    staged: list[tuple[Laid, Path, Path]] = []
    done: dict[str, str] = {}
    try:
        try:
            for file in files:
                place = root / file.path.lstrip("/")
                if _content(place) == file.content and place.stat().st_mode & 0o7777 == file.mode:
                    _give_way(root, file, done)
                    continue
                beside = place.with_name(f".{place.name}.firstboot")
                staged.append((file, place, beside))
                _stage(beside, file.content, file.mode)
            for file, place, beside in staged:
                now = _content(place)
                edited = now is not None and digest(now) not in (laid.get(file.path), digest(file.content))
                done[file.path] = _kept(place) if edited else ""
                beside.replace(place)
                settle(place.parent)
                _give_way(root, file, done)
        finally:
            for _, _, beside in staged:
                beside.unlink(missing_ok=True)
    except OSError as fault:
        raise _fault(fault) from fault
    return done


def _give_way(root: Path, file: Laid, done: dict[str, str]) -> None:
    """Move a file of the same meaning away: lvs.cf when lvs.toml comes."""
    other = root / file.instead.lstrip("/")
    if file.instead and other.exists():
        done[file.path] = _moved(other)


def _stage(beside: Path, content: bytes, mode: int) -> None:
    private = mode & 0o077 == 0
    if not beside.parent.exists():
        beside.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        if private and beside.parent.name == "secrets":
            beside.parent.chmod(0o700)
        settle(beside.parent.parent)
    beside.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    descriptor = os.open(beside, flags, 0o600)
    with open(descriptor, "wb") as file:  # noqa: PTH123
        os.fchmod(descriptor, mode)
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def _kept(place: Path) -> str:
    """A second name for what is there, so that the first may go to another file."""
    beside = place.with_name(f".{place.name}.before")
    kept = place.with_name(place.name + REPLACED)
    beside.unlink(missing_ok=True)
    if not (kept.exists() and kept.samefile(place)):  # for then rename(2) does nothing
        beside.hardlink_to(place)
        beside.replace(kept)
    return str(kept)


def _moved(place: Path) -> str:
    kept = place.with_name(place.name + REPLACED)
    place.replace(kept)
    settle(place.parent)
    return str(kept)


def _content(place: Path) -> bytes | None:
    try:
        return place.read_bytes()
    except FileNotFoundError:
        return None


def remember(root: Path, memory: Memory) -> None:
    """Keep what was taken over. Errors: SystemFault."""
    place = root / MEMORY
    beside = place.with_name(place.name + ".new")
    try:
        try:
            _stage(beside, msgspec.json.format(msgspec.json.encode(memory), indent=2), 0o600)
            beside.replace(place)
            settle(place.parent)
        finally:
            with suppress(OSError):
                beside.unlink(missing_ok=True)
    except OSError as fault:
        raise _fault(fault) from fault


def remembered(root: Path) -> Memory:
    """What was taken over before; nothing if there is no memory. Errors: SystemFault."""
    place = root / MEMORY
    try:
        return msgspec.json.decode(place.read_bytes(), type=Memory)
    except FileNotFoundError:
        return Memory()
    except OSError as fault:
        raise SystemFault(f"{place} cannot be read: {os.strerror(fault.errno or 0).lower()}") from fault
    except (msgspec.MsgspecError, ValueError) as fault:
        raise SystemFault(f"{place} is not understood: {fault}") from fault


def _fault(fault: OSError) -> SystemFault:
    said = os.strerror(fault.errno or 0).lower()
    if fault.errno in (errno.ENOSPC, errno.EDQUOT):
        said += "; make room on the state partition (journalctl --vacuum-size=16M), and start again"
    code = Exit.RIGHTS if isinstance(fault, PermissionError) else Exit.FAILED
    return SystemFault(f"{fault.filename or 'a file'} cannot be written: {said}", code)
