"""What is noted of updates, on the state partition: `lvs.updating.note`, and the pair's plan."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import msgspec

from lvs.errors import SystemFault
from lvs.updating.note import Note
from lvs.updating.rolling import Plan

NOTE, PLAN = "note.json", "plan.json"  # lvs-update-pair.service looks for the plan


def load(directory: Path) -> Note:
    """What was noted; nothing if there is no file, or one that is not understood: of another version."""
    try:
        return msgspec.json.decode((directory / NOTE).read_bytes(), type=Note)
    except (OSError, msgspec.MsgspecError, ValueError):
        return Note()


def save(directory: Path, note: Note) -> None:
    """Errors: SystemFault."""
    _save(directory / NOTE, msgspec.json.encode(note))


def plan(directory: Path) -> Plan | None:
    """What the pair is to do, if anything."""
    try:
        return msgspec.json.decode((directory / PLAN).read_bytes(), type=Plan)
    except (OSError, msgspec.MsgspecError, ValueError):
        return None


def keep(directory: Path, plan: Plan | None) -> None:
    """With None there is nothing more to do. Errors: SystemFault."""
    if plan is not None:
        _save(directory / PLAN, msgspec.json.encode(plan))
        return
    with suppress(OSError):
        (directory / PLAN).unlink()


def _save(path: Path, content: bytes) -> None:
    """Replace a file as a whole, on the disk."""
    temporary = path.with_name(path.name + ".new")
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        with open(descriptor, "wb") as file:  # noqa: PTH123
            file.write(content + b"\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as fault:
        raise SystemFault(f"cannot write {path}: {os.strerror(fault.errno or 0).lower()}") from fault
