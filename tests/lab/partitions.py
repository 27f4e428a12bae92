"""The partitions of a disk in a file."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple

from .writelog import SECTOR


class Partition(NamedTuple):
    """Units: bytes."""

    name: str
    uuid: str
    at: int
    length: int


def partitions(disk: Path) -> list[Partition]:
    """All of them; if the first table is torn, its copy counts. Errors: CalledProcessError."""
    command = ["partx", "--noheadings", "--raw", "--output", "UUID,START,SECTORS,NAME", str(disk)]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rows = [line.split(maxsplit=3) for line in listed.splitlines()]
    return [Partition(name, uuid, int(at) * SECTOR, int(size) * SECTOR) for uuid, at, size, name in rows]


def named(disk: Path, name: str) -> Partition:
    """The one of this name. Errors: StopIteration if there is none."""
    return next(it for it in partitions(disk) if it.name == name)
