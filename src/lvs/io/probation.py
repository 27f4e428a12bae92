"""The commit that is on trial, where it outlives daemon and machine: a file of the state directory."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from lvs.errors import SystemFault

NAME = "trial.json"


class Trial(msgspec.Struct, frozen=True):
    commit: str
    before: str  # what is gone back to
    until: float  # seconds since the epoch
    lasting: float  # seconds, as it was asked for: a clock that jumped back does not make it longer
    by: str
    ours: bool = True  # this director was pushed to


def load(path: Path) -> Trial | None:
    """The trial that is under way, if any. Errors: SystemFault if that cannot be told."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Trial)
    except FileNotFoundError:
        return None
    except OSError as fault:
        raise SystemFault(f"{path} cannot be read: {os.strerror(fault.errno or 0).lower()}") from fault
    except (msgspec.MsgspecError, ValueError) as fault:
        raise SystemFault(f"{path} is not understood: {fault}") from fault


def save(path: Path, trial: Trial | None) -> None:
    """Note a trial, or that there is none. Errors: SystemFault with the reason."""
    temporary = path.with_name(path.name + ".new")
    try:
        if trial is None:
            path.unlink(missing_ok=True)
        else:
            path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
            with open(descriptor, "wb") as file:  # noqa: PTH123
                file.write(msgspec.json.format(msgspec.json.encode(trial), indent=2))
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
