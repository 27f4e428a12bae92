"""What a director remembers of its pair, where it outlives the daemon and the machine.

What both last ran, and which orders were taken back. It belongs to a pair key: with another key there
is another director on the other side, and nothing was agreed on with that.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from lvs.errors import SystemFault
from lvs.health.shared import Entry
from lvs.sync.version import Agreed

NAME = "pair.json"


class Memory(msgspec.Struct, frozen=True):
    fingerprint: str = ""  # of the pair key
    agreed: Agreed = Agreed()
    taken_back: tuple[Entry, ...] = ()  # orders
    at: float = 0.0  # when it was written, in seconds since the epoch


def load(path: Path) -> Memory:
    """What was remembered; nothing if there is no file. Errors: SystemFault if it cannot be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Memory)
    except FileNotFoundError:
        return Memory()
    except OSError as fault:
        raise SystemFault(f"{path} cannot be read: {os.strerror(fault.errno or 0).lower()}") from fault
    except (msgspec.MsgspecError, ValueError) as fault:
        raise SystemFault(f"{path} is not understood: {fault}") from fault


def save(path: Path, memory: Memory) -> None:
    """Replace what was remembered. Errors: SystemFault with the reason."""
    temporary = path.with_name(path.name + ".new")
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        with open(descriptor, "wb") as file:  # noqa: PTH123
            file.write(msgspec.json.format(msgspec.json.encode(memory), indent=2))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as fault:
        raise SystemFault(os.strerror(fault.errno or 0).lower()) from fault
