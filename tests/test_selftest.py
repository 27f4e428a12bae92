"""`lvsd selftest`, as it is printed; that it passes is a house rule."""

from __future__ import annotations

import pytest

from lvs import cli
from lvs.errors import Exit


@pytest.mark.parametrize(("passed", "code"), [(True, Exit.OK), (False, Exit.FAILED)])
def test_selftest(
    code: Exit, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, passed: bool
) -> None:
    monkeypatch.setattr("lvs.selftest.run", lambda: [("one", True, ""), ("two", passed, "3.11")])
    assert cli.main(["selftest"]) == code
    assert capsys.readouterr().out == f"ok   one\n{'ok  ' if passed else 'FAIL'} two: 3.11\n"
