"""The ledger on real files: atomic, private, and only of this boot and namespace."""

from __future__ import annotations

import stat
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import strategies
from lvs.errors import SystemFault
from lvs.io import ledger
from lvs.io.ledger import Ledger
from lvs.kernel.state import KernelState, ServiceKey, Vip

HELD = Vip("eth0", strategies.packed("192.0.2.1"), 24, "eth0:1")
ONE = Ledger(frozenset(strategies.KEYS[:2]), frozenset({HELD}), {"net/ipv4/ip_forward": "0"})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "owned.json"


def test_there_is_none(file: Path) -> None:
    assert ledger.load(file) == Ledger()


@given(strategies.small_states, st.sampled_from((strategies.KEYS, strategies.MARKS)))
def test_there_and_back(
    tmp_path_factory: pytest.TempPathFactory, state: KernelState, keys: tuple[ServiceKey, ...]
) -> None:
    path = tmp_path_factory.getbasetemp() / "there-and-back.json"
    written = Ledger(frozenset((*keys, *state.services)), state.vips, state.sysctls)
    ledger.save(path, written)
    assert ledger.load(path) == written


def test_private_and_without_remains(file: Path) -> None:
    ledger.save(file, ONE)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(file.parent.iterdir()) == [file]


def test_replaced_as_a_whole(file: Path) -> None:
    """Whoever has the old one open still reads all of it."""
    ledger.save(file, ONE)
    with file.open("rb") as old:
        ledger.save(file, Ledger())
        assert msgspec.json.decode(old.read())["ledger"]["sysctls"] == ONE.sysctls
    assert ledger.load(file) == Ledger()


@pytest.mark.parametrize("where", ["another boot 1", ""])
def test_of_another_boot_or_namespace(file: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(ledger, "_where", lambda: where)
        ledger.save(file, ONE)
        assert ledger.load(file) == ONE
    assert ledger.load(file) == Ledger()


def test_where_is_this_boot_and_namespace() -> None:
    boot, namespace = ledger._where().split()
    assert boot == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert f"net:[{namespace}]" == str(Path("/proc/self/ns/net").readlink())


@given(st.binary(max_size=60) | st.sampled_from((b"{}", b"[]", b'{"where": 1}', b'{"where": "x"}')))
def test_garbage_is_no_ledger(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "garbage.json"
    path.write_bytes(content)
    assert ledger.load(path) == Ledger()


def test_half_of_one_is_no_ledger(file: Path) -> None:
    ledger.save(file, ONE)
    whole = file.read_bytes()
    for size in range(0, len(whole), 11):
        file.write_bytes(whole[:size])
        assert ledger.load(file) == Ledger()


def test_a_full_disk(file: Path) -> None:
    """The reason is told, and the old one stays."""
    ledger.save(file, ONE)
    (file.parent / "owned.json.new").symlink_to("/dev/full")
    with pytest.raises(SystemFault, match="no space left on device; make room there"):
        ledger.save(file, Ledger())
    assert ledger.load(file) == ONE


def test_no_directory(tmp_path: Path) -> None:
    with pytest.raises(SystemFault, match="no such file or directory"):
        ledger.save(tmp_path / "none" / "owned.json", ONE)
    assert ledger.load(tmp_path / "none" / "owned.json") == Ledger()


def test_a_directory_in_its_place(file: Path) -> None:
    file.mkdir()
    assert ledger.load(file) == Ledger()
    with pytest.raises(SystemFault, match="directory"):
        ledger.save(file, ONE)
