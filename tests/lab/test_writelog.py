"""The log of a disk, written by hand as QEMU does it, and what a power cut leaves."""

from __future__ import annotations

import struct
from pathlib import Path

from lab.writelog import DISCARD, FLUSH, FUA, SECTOR, Arrived, Cut, Region, last_flush, read

SECTORS = 32


def write(place: Path, *requests: tuple[int, int, bytes]) -> Path:
    """A log of (sector, flags, content)."""
    log = place / "log"
    with log.open("wb") as file:
        file.write(struct.pack("<QQQI", 0x6A736677736872, 1, len(requests), SECTOR).ljust(SECTOR, b"\0"))
        for sector, flags, content in requests:
            length = len(content) // SECTOR
            file.write(struct.pack("<QQQQ", sector, length, flags, 0).ljust(SECTOR, b"\0"))
            file.write(b"" if flags & DISCARD else content)
    return log


def full(letter: bytes, sectors: int = 1) -> bytes:
    return letter * SECTOR * sectors


def left(place: Path, log: Path, cut: Cut, start: int = 0) -> bytes:
    """One letter for each sector; the disk began with dots."""
    base, copy = place / "base", place / "copy"
    base.write_bytes(full(b".", SECTORS))
    region = Region(place / "region", base, start * SECTOR, (SECTORS - start) * SECTOR)
    region.cut(log, read(log), cut, copy)
    content = copy.read_bytes()
    assert len(content) == (SECTORS - start) * SECTOR
    return content[::SECTOR]


def test_it_is_read_up_to_what_was_on_its_way(tmp_path: Path) -> None:
    log = write(
        tmp_path, (1, 0, full(b"a", 2)), (0, FLUSH, b""), (3, DISCARD, full(b"x")), (5, FUA, full(b"b"))
    )
    entries = read(log)
    assert [(it.at, it.length, it.flags) for it in entries] == [
        (SECTOR, 2 * SECTOR, 0),
        (0, 0, FLUSH),
        (3 * SECTOR, SECTOR, DISCARD),
        (5 * SECTOR, SECTOR, FUA),
    ]
    assert entries[-1].end == log.stat().st_size
    log.write_bytes(log.read_bytes()[:-1])
    assert read(log) == entries[:-1]
    assert [last_flush(entries, count) for count in range(5)] == [0, 0, 2, 2, 2]


def test_what_was_flushed_stays_and_the_rest_may_not(tmp_path: Path) -> None:
    log = write(
        tmp_path,
        (0, 0, full(b"a")),
        (0, FLUSH, b""),
        (1, 0, full(b"b")),
        (2, FUA, full(b"c")),
        (0, 0, full(b"d")),
    )
    assert left(tmp_path, log, Cut(1, Arrived.NONE, 0)) == b"".ljust(SECTORS, b".")
    assert left(tmp_path, log, Cut(1, Arrived.ALL, 0)) == b"a".ljust(SECTORS, b".")
    assert left(tmp_path, log, Cut(5, Arrived.ALL, 0)) == b"dbc".ljust(SECTORS, b".")
    assert left(tmp_path, log, Cut(5, Arrived.NONE, 0)) == b"a.c".ljust(SECTORS, b".")
    some = {left(tmp_path, log, Cut(5, Arrived.SOME, seed)).rstrip(b".") for seed in range(40)}
    assert some == {b"a.c", b"abc", b"d.c", b"dbc"}


def test_a_write_may_arrive_in_part(tmp_path: Path) -> None:
    log = write(tmp_path, (8, 0, full(b"a", 24)))
    some = {left(tmp_path, log, Cut(1, Arrived.SOME, seed))[::8] for seed in range(60)}
    assert some == {b"....", b".a..", b".aa.", b"...a", b"..aa", b".aaa"}


def test_a_part_of_the_disk_has_what_falls_into_it(tmp_path: Path) -> None:
    log = write(tmp_path, (2, 0, full(b"a", 3)), (0, 0, full(b"b")), (7, DISCARD, full(b"x")))
    assert left(tmp_path, log, Cut(3, Arrived.ALL, 0), start=4) == b"a..\0".ljust(SECTORS - 4, b".")
