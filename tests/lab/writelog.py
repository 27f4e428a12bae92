"""What an appliance wrote to its disk, in order, and the disk as it is if the power goes at a moment.

A disk keeps what it was told to write in a cache that is gone with the power. Only a flush makes all that
came before it safe; what came later may have arrived, or not, or in part, in any order. A part is so many
whole blocks of 4096 bytes: ext4 itself asks of a disk that its superblock arrives whole. The log is the one
of QEMU's blklogwrites, which has the format of the kernel's target log-writes, with sectors of 512 bytes:
Documentation/admin-guide/device-mapper/log-writes.rst.
"""

from __future__ import annotations

import os
import random
import struct
import subprocess
from collections.abc import Iterator, Sequence
from enum import Enum
from pathlib import Path
from typing import NamedTuple

SECTOR = 512
BLOCK = 4096
MAGIC = 0x6A736677736872
FLUSH, FUA, DISCARD, MARK = 1, 2, 4, 8
_SUPER = struct.Struct("<QQQI")
_ENTRY = struct.Struct("<QQQQ")


class Entry(NamedTuple):
    """One request to the disk; all in bytes."""

    at: int  # on the disk
    length: int
    flags: int
    data: int  # where in the log what was written lies
    end: int  # in the log


def read(log: Path) -> list[Entry]:
    """All requests, as they ended."""
    found = []
    with log.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        magic, version, _, sector = _SUPER.unpack(file.read(_SUPER.size))
        assert (magic, version, sector) == (MAGIC, 1, SECTOR), "no write log of 512-byte sectors"
        place = SECTOR
        while place + SECTOR <= size:
            file.seek(place)
            start, sectors, flags, _ = _ENTRY.unpack(file.read(_ENTRY.size))
            data = place + SECTOR
            place = data + (0 if flags & DISCARD else sectors * SECTOR)
            if not (sectors or flags) or place > size:
                break  # the rest was on its way when QEMU was killed
            found.append(Entry(start * SECTOR, sectors * SECTOR, flags, data, place))
    return found


class Arrived(Enum):
    """What of the writes since the last flush reached the disk."""

    ALL = "all"
    NONE = "none"
    SOME = "some"


class Cut(NamedTuple):
    """The power goes when the disk has got this many requests."""

    requests: int
    arrived: Arrived
    seed: int


class Region:
    """A part of the disk as a file, from the beginning of the log to ever later moments."""

    def __init__(self, file: Path, base: Path, start: int, length: int) -> None:
        """Shape: `base` is the disk before the first request."""
        self.file, self._start, self._length = file, start, length
        self._applied = 0
        copied = max(0, min(length, base.stat().st_size - start))
        command = ["dd", f"if={base}", f"of={file}", "bs=1M", "conv=sparse", "status=none"]
        command += [f"skip={start}", f"count={copied}", "iflag=skip_bytes,count_bytes"]
        subprocess.run(command, check=True)
        os.truncate(file, length)

    def advance(self, log: Path, entries: Sequence[Entry], count: int) -> None:
        """Apply the first `count` requests, all of them."""
        assert count >= self._applied, "moments come in order"
        with log.open("rb") as source, self.file.open("r+b") as target:
            for entry in entries[self._applied : count]:
                self._write(source.fileno(), target.fileno(), entry, 0, entry.length)
        self._applied = count

    def cut(self, log: Path, entries: Sequence[Entry], cut: Cut, copy: Path) -> None:
        """Have a copy of what is left when the power goes then. Cuts come in order."""
        flushed = last_flush(entries, cut.requests)
        self.advance(log, entries, flushed)
        subprocess.run(["cp", "--sparse=always", "--reflink=auto", str(self.file), str(copy)], check=True)
        with log.open("rb") as source, copy.open("r+b") as target:
            for entry, first, length in _arrivals(entries[flushed : cut.requests], cut):
                self._write(source.fileno(), target.fileno(), entry, first, length)

    def _write(self, source: int, target: int, entry: Entry, first: int, length: int) -> None:
        """Write so much of an entry, beginning `first` bytes behind its own beginning."""
        begin = max(entry.at + first, self._start)
        end = min(entry.at + first + length, self._start + self._length)
        if begin >= end or entry.flags & MARK:
            return
        if entry.flags & DISCARD:
            os.pwrite(target, bytes(end - begin), begin - self._start)
        else:
            data = os.pread(source, end - begin, entry.data + begin - entry.at)
            os.pwrite(target, data, begin - self._start)


def last_flush(entries: Sequence[Entry], count: int) -> int:
    """How many of the first `count` requests are safe, whatever happens."""
    return next((n + 1 for n in reversed(range(count)) if entries[n].flags & FLUSH), 0)


def _arrivals(entries: Sequence[Entry], cut: Cut) -> Iterator[tuple[Entry, int, int]]:
    """What arrived of requests that no flush made safe: an entry, from where on, how much. Units: bytes."""
    chance = random.Random(cut.seed)
    for entry in entries:
        if entry.flags & FUA or cut.arrived is Arrived.ALL:
            yield entry, 0, entry.length
        elif (
            cut.arrived is Arrived.SOME and (kept := chance.choice(("all", "none", "begin", "end"))) != "none"
        ):
            part = chance.randrange(entry.length // BLOCK + 1) * BLOCK
            if kept == "all":
                yield entry, 0, entry.length
            elif kept == "begin":
                yield entry, 0, part
            else:
                yield entry, part, entry.length - part
