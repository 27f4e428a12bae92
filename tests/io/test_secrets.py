from __future__ import annotations

import grp
import os
from pathlib import Path

import pytest

from lvs.errors import SystemFault
from lvs.io import secrets


def kept(tmp_path: Path, content: bytes = b"s3cret\n", mode: int = 0o600) -> str:
    path = tmp_path / "password"
    path.write_bytes(content)
    path.chmod(mode)
    return str(path)


def refusal(name: str) -> str:
    with pytest.raises(SystemFault) as refused:
        secrets.read(name)
    assert "s3cret" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize(
    ("content", "secret"),
    [(b"s3cret\n", b"s3cret"), (b"s3cret", b"s3cret"), (b"a\n\n", b"a\n"), (b" a ", b" a "), (b"", b"")],
)
def test_less_one_newline(tmp_path: Path, content: bytes, secret: bytes) -> None:
    assert secrets.read(kept(tmp_path, content)) == secret


def test_of_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    kept(tmp_path, mode=0o444)
    assert secrets.read("password") == b"s3cret"
    assert refusal("other") == "credential other cannot be read: no such file or directory"
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    said = "credential password is not there: the unit has no LoadCredential=password:PATH"
    assert refusal("password") == said


@pytest.mark.parametrize("name", ["", "../password", "a/b", ".", "..", ".hidden", "a b", "x" * 300, "a\n"])
def test_names_that_leave_the_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "below"))
    kept(tmp_path)
    assert "names no credential" in refusal(name)


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o620, 0o660, 0o644, 0o601, 0o610])
def test_others_must_not_read_it(tmp_path: Path, mode: int) -> None:
    path = kept(tmp_path, mode=mode)
    assert refusal(path) == f"{path} may be read or written by others; chmod 600 {path}"


def test_our_group_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = kept(tmp_path, mode=0o640)
    monkeypatch.setattr(secrets, "GROUP", grp.getgrgid(Path(path).stat().st_gid).gr_name)
    assert secrets.read(path) == b"s3cret"
    Path(path).chmod(0o660)
    refusal(path)


def test_what_is_no_file(tmp_path: Path) -> None:
    assert refusal(str(tmp_path)) == f"{tmp_path} is not a regular file"
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo, 0o600)
    assert refusal(str(fifo)) == f"{fifo} is not a regular file"
    missing = tmp_path / "missing"
    assert refusal(str(missing)) == f"credential {missing} cannot be read: no such file or directory"


def test_too_long(tmp_path: Path) -> None:
    path = kept(tmp_path, b"x" * 4097)
    assert refusal(path) == f"credential {path} is longer than 4096 bytes"


def test_of_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = kept(tmp_path)
    status = os.stat_result((0o100600, 1, 1, 1, 61234, 0, 1, 0, 0, 0))
    monkeypatch.setattr(os, "fstat", lambda _: status)
    assert refusal(path) == f"{path} belongs to another user; chown root {path}"
