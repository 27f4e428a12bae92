"""The ssh host key: one, whole, kept."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from lvs.errors import SystemFault
from lvs.io import hostkey


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "etc/ssh").mkdir(parents=True)
    return tmp_path


def names(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "etc/ssh").iterdir())


def test_made_once_and_kept(root: Path) -> None:
    hostkey.ensure(root)
    key = root / hostkey.PLACE
    assert names(root) == ["ssh_host_ed25519_key", "ssh_host_ed25519_key.pub"]
    assert key.stat().st_mode & 0o777 == 0o600
    said = subprocess.run(("ssh-keygen", "-lf", key), capture_output=True, text=True, check=True).stdout
    assert said.split()[1] in hostkey.fingerprint(root)
    before = key.read_bytes()
    hostkey.ensure(root)
    assert key.read_bytes() == before


@pytest.mark.parametrize("left", [b"", b"-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl"])
def test_one_that_power_cut_short_is_made_anew(root: Path, left: bytes) -> None:
    (root / hostkey.PLACE).write_bytes(left)
    hostkey.ensure(root)
    assert hostkey.fingerprint(root).startswith("ssh-ed25519 SHA256:")
    assert (root / hostkey.PLACE).read_bytes() != left


def test_a_missing_public_half_is_made_of_the_other(root: Path) -> None:
    hostkey.ensure(root)
    before = (root / hostkey.PLACE).read_bytes(), hostkey.fingerprint(root)
    (root / "etc/ssh/ssh_host_ed25519_key.pub").unlink()
    assert hostkey.fingerprint(root) == ""
    hostkey.ensure(root)
    assert (root / hostkey.PLACE).read_bytes() == before[0]
    assert hostkey.fingerprint(root).split()[:2] == before[1].split()[:2]


def test_a_machine_without_sshd_gets_none(tmp_path: Path) -> None:
    hostkey.ensure(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_key_that_cannot_be_made_is_told(root: Path) -> None:
    (root / "etc/ssh/.lvs_host_key").mkdir()
    with pytest.raises(SystemFault, match="cannot be made"):
        hostkey.ensure(root)
