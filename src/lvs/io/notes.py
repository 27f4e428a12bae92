"""What is noted of updates, on the state partition: `lvs.updating.note`, and the pair's plan."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import msgspec

from lvs.errors import SystemFault
from lvs.io import durable
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
    try:
        durable.replace(path, content + b"\n")
    except OSError as fault:
        raise SystemFault(f"cannot write {path}: {durable.why(fault, path.parent)}") from fault
