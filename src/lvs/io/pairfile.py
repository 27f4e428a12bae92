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
from lvs.io import durable
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
    try:
        durable.replace(path, msgspec.json.format(msgspec.json.encode(memory), indent=2))
    except OSError as fault:
        raise SystemFault(durable.why(fault, path.parent)) from fault
