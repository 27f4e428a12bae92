"""A trial outlives the daemon."""

from __future__ import annotations

from pathlib import Path

import pytest

from lvs.errors import SystemFault
from lvs.io.probation import Trial, load, save

ONE = Trial("1" * 40, "2" * 40, 1e9, 60.0, "alice")


def test_what_is_noted_is_read(tmp_path: Path) -> None:
    file = tmp_path / "state" / "trial.json"
    assert load(file) is None
    save(file, ONE)
    assert load(file) == ONE
    save(file, None)
    save(file, None)
    assert load(file) is None
    assert list(file.parent.iterdir()) == []


def test_what_is_not_understood_is_said(tmp_path: Path) -> None:
    file = tmp_path / "trial.json"
    file.write_text('{"commit": 1}')
    with pytest.raises(SystemFault, match="is not understood"):
        load(file)
    with pytest.raises(SystemFault, match="cannot write"):
        save(tmp_path / "trial.json" / "x", ONE)
