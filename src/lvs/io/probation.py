"""The commit that is on trial, where it outlives daemon and machine: a file of the state directory."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from lvs.errors import SystemFault
from lvs.io import durable

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
    try:
        if trial is None:
            path.unlink(missing_ok=True)
            durable.settle(path.parent)
        else:
            durable.replace(path, msgspec.json.format(msgspec.json.encode(trial), indent=2))
    except OSError as fault:
        raise SystemFault(f"cannot write {path}: {durable.why(fault, path.parent)}") from fault
