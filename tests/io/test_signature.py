"""Signatures by real keys; whole updates with them are in test_updates.py."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from lvs.errors import SystemFault
from lvs.io import signature
from lvs.io.signature import verified
from updating.packing import allowed, key

CONTENT = b"what was signed"


def signed(by: Path, content: bytes = CONTENT, namespace: str = "lvs-update") -> bytes:
    command = ("ssh-keygen", "-q", "-Y", "sign", "-f", by, "-n", namespace)
    return subprocess.run(command, input=content, check=True, capture_output=True).stdout


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return key(tmp_path_factory.mktemp("keys"), "release")


def test_who_signed_it(release: Path, tmp_path: Path) -> None:
    ours, theirs = key(tmp_path, "ours"), tmp_path / "nobody"
    files = (theirs, allowed(tmp_path / "a", release), allowed(tmp_path / "b", ours))
    assert verified(CONTENT, signed(release), files) == "release"
    assert verified(CONTENT, signed(ours), files) == "ours"


def test_of_something_else(release: Path, tmp_path: Path) -> None:
    files = (allowed(tmp_path / "a", release),)
    for content, made in (
        (CONTENT + b".", signed(release)),
        (CONTENT, signed(release, namespace="git")),
        (CONTENT, b""),
        (CONTENT, signed(release)[:-40]),
    ):
        with pytest.raises(SystemFault, match="not signed by anybody who may"):
            verified(content, made, files)


def test_a_key_for_another_purpose_or_of_another_time(release: Path, tmp_path: Path) -> None:
    public = release.with_suffix(".pub").read_text()
    for option in ('namespaces="git"', 'valid-before="20200101"'):
        (tmp_path / "signers").write_text(f"release {option} {public}")
        with pytest.raises(SystemFault, match="not signed by anybody who may"):
            verified(CONTENT, signed(release), (tmp_path / "signers",))
    (tmp_path / "signers").write_text("not a line of who may sign\n")
    with pytest.raises(SystemFault, match="not signed by anybody who may"):
        verified(CONTENT, signed(release), (tmp_path / "signers",))


def test_without_ssh_keygen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signature, "find_program", lambda _: None)
    with pytest.raises(SystemFault, match="no ssh-keygen"):
        verified(CONTENT, b"", ())
