"""What is replaced is whole, and synced with the folder that names it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from lvs.io import durable


def test_replaced_with_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "made" / "file"
    durable.replace(path, b"one")
    durable.replace(path, b"two")
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o644 & ~os.umask(os.umask(0))
    assert list(path.parent.iterdir()) == [path]


def test_content_then_name_then_folder_are_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    real, seen = os.fsync, []

    def fsync(descriptor: int) -> None:
        seen.append((Path(f"/proc/self/fd/{descriptor}").readlink().name, path.exists()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    durable.replace(path, b"one")
    assert seen == [("file.new", False), (tmp_path.name, True)]


def test_what_helps_is_said() -> None:
    full = durable.why(OSError(errno.ENOSPC, "No space left on device"), Path("/etc/lvs"))
    assert full == "no space left on device; make room there (df -h /etc/lvs; df -i /etc/lvs)"
    assert durable.why(OSError(errno.ENOTDIR, ""), Path("/etc")) == "not a directory"


def test_what_cannot_be_written_stays(tmp_path: Path) -> None:
    path = tmp_path / "file"
    durable.replace(path, b"one")
    (tmp_path / "file.new").mkdir()
    with pytest.raises(OSError, match=r"file\.new"):
        durable.replace(path, b"two")
    assert path.read_bytes() == b"one"
