"""`lvsd cloud-init`, as a person types it."""

from __future__ import annotations

from pathlib import Path

import pytest

from lvs.cli import main
from lvs.errors import Exit

ROOT = Path(__file__).parents[1]
EXAMPLE = str(ROOT / "lvs.toml.example")


def test_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cloud-init", "real1", EXAMPLE]) == Exit.OK
    assert capsys.readouterr().out.startswith("#cloud-config\n# Real server real1 (10.0.0.3)")
    assert main(["cloud-init", "10.0.0.4", EXAMPLE, "--redirect"]) == Exit.OK
    assert "nftables" in capsys.readouterr().out


def test_nobody_of_that_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cloud-init", "real9", EXAMPLE]) == Exit.PROBLEMS
    assert "there are real1 (10.0.0.3), real2 (10.0.0.4)" in capsys.readouterr().err


def test_a_file_that_is_wrong_or_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "lvs.toml"
    assert main(["cloud-init", "real1", str(path)]) == Exit.FAILED
    assert f"cannot read {path}" in capsys.readouterr().err
    path.write_text("serial_no = -1\n")
    assert main(["cloud-init", "real1", str(path)]) == Exit.PROBLEMS
    assert "lvs.toml:1: serial_no" in capsys.readouterr().err


def test_what_is_not_prepared_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "lvs.toml"
    text = Path(EXAMPLE).read_text().replace('network = "direct"', 'network = "tunnel"')
    path.write_text(
        text.replace('protocol = "tcp"\nport = 631', 'protocol = "tcp"\nport = 631\ntunnel = "gre"')
    )
    assert main(["cloud-init", "real1", str(path)]) == Exit.PROBLEMS
    said = capsys.readouterr()
    assert "ipp: only tunnels of type ipip are prepared here" in said.err
    assert "#cloud-config" in said.out
