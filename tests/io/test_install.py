"""The other director's text in the place of this one's file: whole, or not at all."""

from __future__ import annotations

import os
import resource
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from lvs.errors import SystemFault
from lvs.io import install

OLD, NEW, EDIT = b"serial_no = 1\n", b"serial_no = 2\n", b"serial_no = 3  # mine\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "lvs.toml"
    path.write_bytes(OLD)
    path.chmod(0o640)
    return path


def is_old(content: bytes) -> bool:
    return content == OLD


def names(path: Path) -> list[str]:
    return sorted(one.name for one in path.parent.iterdir())


def test_it_takes_the_files_name_and_mode(file: Path) -> None:
    install.stage(file, NEW)
    assert file.read_bytes() == OLD
    install.commit(file, NEW, is_old, keep=False)
    assert file.read_bytes() == NEW
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert names(file) == ["lvs.toml"]


def test_through_links(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "elsewhere" / "lvs.toml"
    link.parent.mkdir()
    link.symlink_to(file)
    install.stage(link, NEW)
    install.commit(link, NEW, is_old, keep=False)
    assert link.is_symlink()
    assert file.read_bytes() == NEW


def test_what_is_not_staged_is_written_all_the_same(file: Path) -> None:
    install.commit(file, NEW, is_old, keep=False)
    assert file.read_bytes() == NEW


def test_discarded(file: Path) -> None:
    install.stage(file, NEW)
    assert len(names(file)) == 2
    install.discard(file)
    install.discard(file)
    assert names(file) == ["lvs.toml"]


def test_an_edit_is_not_overwritten(file: Path) -> None:
    install.stage(file, NEW)
    file.write_bytes(EDIT)
    with pytest.raises(SystemFault, match=r"lvs\.toml was edited at the same time"):
        install.commit(file, NEW, is_old, keep=False)
    assert file.read_bytes() == EDIT
    assert names(file) == ["lvs.toml"]


def test_an_edit_in_the_last_moment_is_not_overwritten(file: Path) -> None:
    """It comes between the look at the file and the change of names."""
    looks: list[bytes] = []

    def fits(content: bytes) -> bool:
        looks.append(content)
        if len(looks) == 1:
            file.write_bytes(EDIT)  # in place, as some editors do
        return content == OLD

    install.stage(file, NEW)
    with pytest.raises(SystemFault, match="was edited at the same time"):
        install.commit(file, NEW, fits, keep=False)
    assert file.read_bytes() == EDIT
    assert names(file) == ["lvs.toml"]


def test_a_person_chose_against_it_and_can_have_it_back(file: Path) -> None:
    file.write_bytes(EDIT)
    install.stage(file, NEW)
    install.commit(file, NEW, is_old, keep=True)
    assert file.read_bytes() == NEW
    assert (file.parent / "lvs.toml.replaced").read_bytes() == EDIT
    assert names(file) == ["lvs.toml", "lvs.toml.replaced"]


def test_a_copy_of_what_fits(file: Path) -> None:
    install.commit(file, NEW, is_old, keep=False, copy=True)
    assert file.read_bytes() == NEW
    assert file.with_name("lvs.toml.replaced").read_bytes() == OLD
    install.commit(file, NEW, lambda content: content == NEW, keep=False, copy=True)  # it is there already
    assert file.with_name("lvs.toml.replaced").read_bytes() == OLD
    file.write_bytes(EDIT)
    with pytest.raises(SystemFault, match="edited at the same time"):
        install.commit(file, NEW, is_old, keep=False, copy=True)
    assert file.read_bytes() == EDIT


def test_there_was_no_file(tmp_path: Path) -> None:
    path = tmp_path / "lvs.toml"
    install.stage(path, NEW)
    install.commit(path, NEW, is_old, keep=False)
    assert path.read_bytes() == NEW
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def limited(size: int, act: Callable[[], object]) -> str:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        with pytest.raises(SystemFault) as fault:
            act()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    return str(fault.value)


def test_a_disk_that_takes_no_more(file: Path) -> None:
    full = f"cannot write beside {file}: file too large; raise the limit of the size of files"
    assert limited(5, lambda: install.stage(file, NEW)).startswith(full)
    assert limited(5, lambda: install.commit(file, NEW, is_old, keep=False)).startswith(full)
    assert file.read_bytes() == OLD
    assert names(file) == ["lvs.toml"]


def test_what_lies_in_the_way(file: Path) -> None:
    (file.parent / ".lvs.toml.offered").mkdir()
    with pytest.raises(SystemFault, match="cannot write beside"):
        install.stage(file, NEW)
    assert file.read_bytes() == OLD


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_a_directory_that_may_not_be_written(file: Path) -> None:
    for directory in (file.parent, *file.parents[1:3]):
        directory.chmod(0o755)
    os.seteuid(65534)
    try:
        with pytest.raises(SystemFault, match="permission denied"):
            install.stage(file, NEW)
    finally:
        os.seteuid(0)
