"""Standard streams that nobody reads: the command's exit code is what it would have been."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lvs.errors import Exit

VALID = "serial_no = 1\nheartbeat_port = 010\n"  # with a warning
WRONG = "xyzzy = 1\n" * 9999  # more than a pipe holds


def lvsd(*words: object, redirection: str = "") -> subprocess.CompletedProcess[bytes]:
    """Run it with what a shell calls `redirection`."""
    return subprocess.run(
        ("sh", "-c", f'exec "$@" {redirection}', "sh", sys.executable, "-m", "lvs.cli", *map(str, words)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )


@pytest.fixture
def valid(tmp_path: Path) -> Path:
    path = tmp_path / "valid.cf"
    path.write_text(VALID)
    return path


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    path = tmp_path / "wrong.cf"
    path.write_text(WRONG)
    return path


def test_a_reader_that_goes_away_changes_no_verdict(valid: Path, wrong: Path) -> None:
    for words, code in (
        (("check", valid), Exit.OK),
        (("check", wrong), Exit.PROBLEMS),
        (("convert", "--to", "toml", wrong), Exit.PROBLEMS),
        (("completion", "bash"), Exit.OK),
    ):
        read, write = os.pipe()
        os.close(read)
        command = (sys.executable, "-m", "lvs.cli", *map(str, words))
        assert subprocess.run(command, stdout=write, stderr=write, check=False).returncode == code, words
        done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, check=False)
        os.close(write)
        assert done.returncode == code
        assert b"Traceback" not in done.stderr
        assert b"Exception" not in done.stderr


def test_standard_output_that_is_closed(valid: Path, wrong: Path) -> None:
    assert lvsd("check", valid, redirection=">&-").returncode == Exit.OK
    done = lvsd("check", wrong, redirection=">&-")
    assert done.returncode == Exit.PROBLEMS
    assert done.stderr.startswith(f"{wrong}:1: xyzzy: unknown option\n".encode())
    done = lvsd("convert", "--to", "toml", valid, redirection=">&-")
    assert done.returncode == Exit.FAILED
    assert done.stderr.endswith(b"write it so\nlvsd: standard output is closed\n")


def test_standard_error_that_is_closed_is_not_standard_output(valid: Path) -> None:
    done = lvsd("convert", "--to", "cf", valid, redirection="2>&-")
    assert (done.returncode, done.stderr) == (Exit.OK, b"")
    assert done.stdout.startswith(b"serial_no = 1\n")


def test_a_full_disk_is_told_once() -> None:
    done = lvsd("completion", "bash", redirection=">/dev/full")
    assert (done.returncode, done.stderr) == (Exit.FAILED, b"lvsd: No space left on device\n")
