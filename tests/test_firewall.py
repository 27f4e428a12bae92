"""`lvsd firewall`."""

from __future__ import annotations

from pathlib import Path

import pytest

from config import golden
from lvs.cli import main


def test_it_prints_what_run_would_keep(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["firewall", str(golden.FIXTURES / "deployment.cf")]) == 0
    assert capsys.readouterr().out == (golden.FIXTURES / "deployment.cf.nft").read_text()


def test_own_ports(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["firewall", "--open", "2222,udp/161", str(golden.FIXTURES / "deployment.cf")]) == 0
    out = capsys.readouterr().out
    assert "tcp dport { 2222 } accept" in out
    assert "udp dport { 161 } accept" in out
    assert main(["firewall", "--open", "ssh", str(golden.FIXTURES / "deployment.cf")]) == 2
    assert "got 'ssh'" in capsys.readouterr().err


def test_problems(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "lvs.toml"
    file.write_text("serial_no = -1\n")
    assert main(["firewall", str(file)]) == 2
    said = capsys.readouterr()
    assert "serial_no" in said.err
    assert said.out == ""
    assert main(["firewall", str(tmp_path / "none.toml")]) == 1
    assert f"cannot read {tmp_path / 'none.toml'}" in capsys.readouterr().err
