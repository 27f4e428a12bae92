from __future__ import annotations

import os
import subprocess
from pathlib import Path

import msgspec
import pytest

from lvs.config.needs import Need, NeedKind
from lvs.io import requirements, runnable


def said(kind: NeedKind, name: object, *, serving: bool = True) -> str:
    return requirements.lacks(serving=serving)(Need(kind, str(name)))


@pytest.fixture(autouse=True)
def _with_rights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runnable, "rights", lambda: "")


@pytest.mark.parametrize("kind", [NeedKind.PROGRAM, NeedKind.COMMAND])
def test_programs(kind: NeedKind) -> None:
    assert said(kind, "/bin/sh") == ""
    assert said(kind, "sh") == ""
    assert said(kind, "/nowhere/x") == "there is no program /nowhere/x"


def test_users(monkeypatch: pytest.MonkeyPatch) -> None:
    assert said(NeedKind.USER, "root") == ""
    missing = "no-such-user"
    assert said(NeedKind.USER, missing) == f"there is no user {missing}; useradd --system {missing}"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    program = Need(NeedKind.PROGRAM, "/bin/sh", missing)
    assert requirements.lacks(serving=True)(program) == ""  # said once
    assert requirements.lacks(serving=True)(msgspec.structs.replace(program, user="daemon")) == ""


def test_programs_are_for_their_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    path = tmp_path / "check"
    path.write_text("#!/bin/sh\n")
    path.chmod(0o700)
    need = Need(NeedKind.PROGRAM, str(path), "daemon")
    assert requirements.lacks(serving=True)(need).startswith("user daemon may not read and execute")


def test_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret"
    path.write_text("x")
    path.chmod(0o600)
    assert said(NeedKind.CREDENTIAL, path) == ""
    path.chmod(0o644)
    assert "may be read or written by others" in said(NeedKind.CREDENTIAL, path)
    missing = f"credential {tmp_path}/no cannot be read: no such file or directory"
    assert said(NeedKind.CREDENTIAL, tmp_path / "no") == missing
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    assert said(NeedKind.CREDENTIAL, "of-systemd", serving=False) == ""
    assert "LoadCredential=of-systemd:PATH" in said(NeedKind.CREDENTIAL, "of-systemd")


def test_hidden_credentials_are_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "")

    monkeypatch.setattr(os, "open", refuse)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert said(NeedKind.CREDENTIAL, "/etc/shadow") == ""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert said(NeedKind.CREDENTIAL, "/etc/shadow").endswith("permission denied")


def test_authorities(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    assert said(NeedKind.FILE, path) == f"{path}: no such file or directory"
    path.write_text("nothing\n")
    assert said(NeedKind.FILE, path) == f"{path} holds no certificates in PEM"
    assert said(NeedKind.FILE, tmp_path) == f"{tmp_path}: is a directory"
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    assert said(NeedKind.FILE, fifo) == f"{fifo} is not a regular file"
    command = (
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    )
    where = ("-subj", "/CN=x", "-keyout", os.devnull, "-out", str(path))
    subprocess.run((*command, *where), check=True, capture_output=True)
    assert said(NeedKind.FILE, path) == ""
