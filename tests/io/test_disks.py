"""File systems by their label; files read within bounds, and wiped."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lvs.errors import SystemFault
from lvs.io import disks

BLKID = """\
DEVNAME=/dev/vda1
LABEL_FATBOOT=ESP
UUID=AAAA-BBBB
TYPE=vfat

DEVNAME=/dev/vda6
LABEL=LVS-CONFIG
UUID=C0DE-0001
BLOCK_SIZE=512
TYPE=vfat
PARTLABEL=lvs-config

DEVNAME=/dev/vda7
LABEL=lvs-config
TYPE=ext4

DEVNAME=/dev/sr0
LABEL=cidata
UUID=2026-01-01-00-00-00-00
TYPE=iso9660
"""


def test_what_blkid_says() -> None:
    assert [(str(disk.device), disk.label, disk.kind, disk.uuid) for disk in disks.listed(BLKID)] == [
        ("/dev/sr0", "cidata", "iso9660", "2026-01-01-00-00-00-00"),
        ("/dev/vda1", "ESP", "vfat", "AAAA-BBBB"),
        ("/dev/vda6", "LVS-CONFIG", "vfat", "C0DE-0001"),
    ]
    assert disks.listed("") == []


def test_blkid_here_finds_nothing_of_a_label_that_nobody_has() -> None:
    assert disks.labelled(["no such label"]) == []


def test_what_cannot_be_mounted_is_a_sentence(tmp_path: Path) -> None:
    disk = disks.Disk(tmp_path / "none", "LVS-CONFIG", "vfat", "")
    with pytest.raises(SystemFault, match=r"none \(LVS-CONFIG\) cannot be mounted: "), disks.mounted(disk):
        pass
    assert not list(Path("/run").glob("lvs-*")) or os.geteuid() != 0


def test_files_are_read_within_bounds(tmp_path: Path) -> None:
    (tmp_path / "lvs.toml").write_bytes(b"a" * 100)
    (tmp_path / "photo.jpg").write_bytes(b"b")
    (tmp_path / "network").mkdir()
    (tmp_path / "network/10-lan.network").write_bytes(b"c")
    (tmp_path / "network/deeper").mkdir()
    (tmp_path / "link").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "fifo")
    found = disks.read(tmp_path, lambda name: name != "photo.jpg", 10)
    assert found == {"lvs.toml": b"a" * 11, "network/10-lan.network": b"c", "photo.jpg": b""}


def test_a_stick_full_of_photos_is_not_read_to_its_end(tmp_path: Path) -> None:
    for number in range(disks.MOST_FILES + 5):
        (tmp_path / f"{number}.jpg").touch()
    assert len(disks.read(tmp_path, lambda _: False, 10)) == disks.MOST_FILES


def test_a_file_is_overwritten_before_it_is_removed(tmp_path: Path) -> None:
    path, other = tmp_path / "pair.key", tmp_path / "the same file"
    path.write_bytes(b"s3cret" * 30_000)
    other.hardlink_to(path)
    disks.wipe(path)
    assert not path.exists()
    assert other.read_bytes() == bytes(180_000)


def test_what_cannot_be_wiped(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        disks.wipe(tmp_path / "none")
    (tmp_path / "link").symlink_to("/etc/hostname")
    with pytest.raises(OSError, match="link"):
        disks.wipe(tmp_path / "link")
