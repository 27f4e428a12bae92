"""Files laid down whole, all or none, with what was edited kept beside them."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from firstboot.given import offer
from lvs.errors import SystemFault
from lvs.firstboot.values import Laid, Memory, digest
from lvs.io import laying


def file(path: str, content: bytes, mode: int = 0o644, instead: str = "") -> Laid:
    return Laid(path, content, mode, offer("x", content), "", instead)


def tree(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@contextmanager
def full_at(size: int) -> Iterator[None]:
    """No file may grow beyond this, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_laid_down_with_mode_and_folders(tmp_path: Path) -> None:
    files = [file("/etc/lvs/secrets/radius", b"s", 0o600), file("/etc/hostname", b"a\n")]
    assert laying.lay_down(tmp_path, files, {}) == {"/etc/lvs/secrets/radius": "", "/etc/hostname": ""}
    assert tree(tmp_path) == {"etc/lvs/secrets/radius": b"s", "etc/hostname": b"a\n"}
    assert (tmp_path / "etc/lvs/secrets/radius").stat().st_mode & 0o7777 == 0o600
    assert (tmp_path / "etc/lvs/secrets").stat().st_mode & 0o7777 == 0o700
    assert (tmp_path / "etc/lvs").stat().st_mode & 0o7777 == 0o755
    assert laying.lay_down(tmp_path, files, {}) == {}


def test_what_was_edited_is_kept_what_was_laid_is_not(tmp_path: Path) -> None:
    laying.lay_down(tmp_path, [file("/etc/a", b"1")], {})
    known = {"/etc/a": digest(b"1")}
    assert laying.lay_down(tmp_path, [file("/etc/a", b"2")], known) == {"/etc/a": ""}
    (tmp_path / "etc/a").write_bytes(b"edited")
    kept = str(tmp_path / "etc/a.replaced")
    assert laying.lay_down(tmp_path, [file("/etc/a", b"3")], {"/etc/a": digest(b"2")}) == {"/etc/a": kept}
    assert tree(tmp_path) == {"etc/a": b"3", "etc/a.replaced": b"edited"}


def test_the_other_language_gives_way(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/lvs.cf").write_bytes(b"old")
    files = [file("/etc/lvs.toml", b"new", instead="/etc/lvs.cf")]
    assert laying.lay_down(tmp_path, files, {}) == {"/etc/lvs.toml": str(tmp_path / "etc/lvs.cf.replaced")}
    assert tree(tmp_path) == {"etc/lvs.toml": b"new", "etc/lvs.cf.replaced": b"old"}
    # and after a cut between the two
    (tmp_path / "etc/lvs.cf.replaced").rename(tmp_path / "etc/lvs.cf")
    laying.lay_down(tmp_path, files, {})
    assert tree(tmp_path) == {"etc/lvs.toml": b"new", "etc/lvs.cf.replaced": b"old"}


def test_a_full_disk_changes_nothing(tmp_path: Path) -> None:
    laying.lay_down(tmp_path, [file("/etc/a", b"old")], {})
    before = tree(tmp_path)
    with full_at(1000), pytest.raises(SystemFault) as fault:
        laying.lay_down(tmp_path, [file("/etc/a", b"new"), file("/etc/b", bytes(2000))], {})
    assert "cannot be written: file too large" in str(fault.value)
    assert tree(tmp_path) == before


def test_a_full_disk_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SystemFault, match="no space left on device; make room on the state partition"):
        laying.lay_down(tmp_path, [file("/etc/a", b"new")], {})
    assert tree(tmp_path) == {}


@pytest.mark.parametrize("steps", range(12))
def test_cut_anywhere_and_done_again_arrives_at_the_same(
    tmp_path: Path, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Power goes at the n-th time that something is brought to the disk or gets its name."""
    etc = tmp_path / "etc"
    etc.mkdir()
    (etc / "a").write_bytes(b"edited")
    (etc / "lvs.cf").write_bytes(b"old")
    files = [file("/etc/a", b"1"), file("/etc/lvs.toml", b"2", instead="/etc/lvs.cf"), file("/etc/c/d", b"3")]

    class Cut(BaseException):
        pass

    left = steps
    fsync, replace, unlink = os.fsync, Path.replace, Path.unlink

    def step() -> None:
        nonlocal left
        if left == 0:
            raise Cut
        left -= 1

    def cut_fsync(descriptor: int) -> None:
        step()
        fsync(descriptor)

    def cut_replace(path: Path, target: Path) -> Path:
        step()
        return replace(path, target)

    def no_unlink(path: Path, *, missing_ok: bool = False) -> None:
        if left:  # a machine without power clears up nothing
            unlink(path, missing_ok=missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", cut_fsync)
        patch.setattr(Path, "replace", cut_replace)
        patch.setattr(Path, "unlink", no_unlink)
        with pytest.raises(Cut):
            laying.lay_down(tmp_path, files, {})
    assert {(etc / "a").read_bytes()} <= {b"edited", b"1"}
    assert (etc / "lvs.cf").exists() or (etc / "lvs.toml").exists()
    laying.lay_down(tmp_path, files, {})
    assert tree(etc) == {
        "a": b"1",
        "a.replaced": b"edited",
        "lvs.toml": b"2",
        "lvs.cf.replaced": b"old",
        "c/d": b"3",
    }


def test_memory(tmp_path: Path) -> None:
    assert laying.remembered(tmp_path) == Memory()
    memory = Memory({"a": "1"}, {"/b": "2"})
    laying.remember(tmp_path, memory)
    assert laying.remembered(tmp_path) == memory
    place = tmp_path / laying.MEMORY
    assert place.stat().st_mode & 0o777 == 0o600
    with full_at(10), pytest.raises(SystemFault):
        laying.remember(tmp_path, Memory({"a": "2"}))
    assert laying.remembered(tmp_path) == memory
    place.write_text("{")
    with pytest.raises(SystemFault, match="is not understood"):
        laying.remembered(tmp_path)
