"""The key is read when its file is another, and only then."""

from __future__ import annotations

from pathlib import Path

import pytest

from lvs.errors import SystemFault
from lvs.io import pairkey
from lvs.io.keyfile import KeyFile


def test_read_once_until_the_file_is_another(tmp_path: Path) -> None:
    path = tmp_path / "pair.key"
    first, second = pairkey.make(), pairkey.make()
    pairkey.install(path, first)
    keeper = KeyFile()
    assert keeper.read(path) is keeper.read(path)
    assert keeper.read(path).fingerprint == first.fingerprint
    pairkey.install(path, second, replace=True)
    assert keeper.read(path).fingerprint == second.fingerprint


def test_a_key_that_is_gone_is_not_remembered(tmp_path: Path) -> None:
    path = tmp_path / "pair.key"
    pairkey.install(path, pairkey.make())
    keeper = KeyFile()
    keeper.read(path)
    path.unlink()
    with pytest.raises(SystemFault):
        keeper.read(path)
