"""The pair key: made, installed, read and judged."""

from __future__ import annotations

import os
import re
import resource
import ssl
import stat
import subprocess
from pathlib import Path

import pytest

from lvs.errors import SystemFault
from lvs.io import durable, pairkey


@pytest.fixture(scope="module")
def key() -> pairkey.PairKey:
    return pairkey.make()


def refused(path: Path) -> str:
    with pytest.raises(SystemFault) as fault:
        pairkey.read(path)
    return str(fault.value)


def test_what_was_made_is_read_back(key: pairkey.PairKey, tmp_path: Path) -> None:
    path = tmp_path / "lvs" / "pair.key"
    pairkey.install(path, key)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["pair.key"]
    found = pairkey.read(path)
    assert found == key
    assert re.fullmatch("([0-9a-f]{4} ){4}[0-9a-f]{4}", found.fingerprint)
    assert len(found.heartbeat) == 32


def test_two_keys_differ(key: pairkey.PairKey) -> None:
    other = pairkey.make()
    assert other.fingerprint != key.fingerprint
    assert other.heartbeat != key.heartbeat


def test_the_fingerprint_is_of_all_of_it(key: pairkey.PairKey) -> None:
    other = pairkey.PairKey(key.text, key.certificate, bytes(32))
    assert other.fingerprint != key.fingerprint


def test_nothing_secret_is_shown(key: pairkey.PairKey) -> None:
    assert repr(key) == "PairKey()"


def test_openssl_understands_it(key: pairkey.PairKey) -> None:
    """The certificate is one for a hundred years."""
    words = ("openssl", "x509", "-noout", "-subject", "-checkend", str(90 * 365 * 86400))
    done = subprocess.run(words, input=key.text, capture_output=True, check=True)
    assert b"lvs pair" in done.stdout


def test_one_that_is_there_is_not_overwritten(key: pairkey.PairKey, tmp_path: Path) -> None:
    path = tmp_path / "pair.key"
    pairkey.install(path, key)
    with pytest.raises(SystemFault, match="is there already and stays as it is"):
        pairkey.install(path, pairkey.make())
    assert pairkey.read(path) == key
    other = pairkey.make()
    pairkey.install(path, other, replace=True)
    assert pairkey.read(path) == other
    assert [one.name for one in tmp_path.iterdir()] == ["pair.key"]


@pytest.mark.parametrize("replace", [False, True])
def test_its_name_is_on_the_disk_too(
    key: pairkey.PairKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replace: bool
) -> None:
    settled: list[tuple[Path, bool]] = []
    path = tmp_path / "pair.key"
    monkeypatch.setattr(durable, "settle", lambda directory: settled.append((directory, path.exists())))
    pairkey.install(path, key, replace=replace)
    assert settled == [(tmp_path, True)]


def test_a_place_that_cannot_be_written(key: pairkey.PairKey, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemFault, match=r"cannot write .*pair\.key: "):
        pairkey.install(tmp_path / "file" / "pair.key", key)


def test_a_disk_that_takes_no_more(key: pairkey.PairKey, tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(SystemFault, match=r"cannot write .*pair\.key: file too large; raise "):
            pairkey.install(tmp_path / "pair.key", key)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())


def test_missing(tmp_path: Path) -> None:
    said = refused(tmp_path / "pair.key")
    assert "pair.key is not there: `lvsd pair init` makes it" in said


def test_open_to_others(key: pairkey.PairKey, tmp_path: Path) -> None:
    path = tmp_path / "pair.key"
    pairkey.install(path, key)
    for mode in (0o640, 0o604, 0o660):
        path.chmod(mode)
        assert refused(path) == f"{path} is open to others (mode {mode:04o}); chmod 600 {path}"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_of_another_user(key: pairkey.PairKey, tmp_path: Path) -> None:
    path = tmp_path / "pair.key"
    pairkey.install(path, key)
    os.chown(path, 65534, 65534)
    assert refused(path) == f"{path} belongs to another user, who could replace it; chown root {path}"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_not_permitted(key: pairkey.PairKey, tmp_path: Path) -> None:
    path = tmp_path / "pair.key"
    pairkey.install(path, key)
    for directory in (tmp_path, *tmp_path.parents[:2]):
        directory.chmod(0o755)
    os.seteuid(65534)
    try:
        said = refused(path)
    finally:
        os.seteuid(0)
    assert said == f"{path} cannot be read: permission denied; be root, and chown root {path}"


def test_no_file(tmp_path: Path) -> None:
    assert refused(tmp_path) == f"{tmp_path} is not a regular file"
    os.mkfifo(tmp_path / "fifo", 0o600)
    assert "not a regular file" in refused(tmp_path / "fifo")


def without(text: bytes, block: str) -> bytes:
    return re.sub(rf"-----BEGIN {block}-----.*-----END {block}-----\n".encode(), b"", text, flags=re.DOTALL)


@pytest.mark.parametrize("block", ["PRIVATE KEY", "CERTIFICATE", "LVS HEARTBEAT KEY"])
def test_a_block_is_missing_or_there_twice(key: pairkey.PairKey, block: str) -> None:
    with pytest.raises(SystemFault, match=f"no whole pair key: its block {block} is missing; copy"):
        pairkey.parse(without(key.text, block), "k")
    with pytest.raises(SystemFault, match="is there more than once"):
        pairkey.parse(key.text * 2, "k")


def test_garbage(key: pairkey.PairKey) -> None:
    other = pairkey.make()
    mixed = without(key.text, "PRIVATE KEY") + without(
        without(other.text, "CERTIFICATE"), "LVS HEARTBEAT KEY"
    )
    short = re.sub(b"(BEGIN LVS HEARTBEAT KEY-----\n).*\n", rb"\1AAAA\n", key.text)
    for text, said in (
        (b"", "block PRIVATE KEY is missing"),
        (b"\xff\xfe", "not even text"),
        (b"x" * 20000, "longer than 16384 bytes"),
        (key.text[: len(key.text) // 2], "is missing"),
        (mixed, "private key and certificate do not fit together"),
        (short, "LVS HEARTBEAT KEY is 3 bytes, 32 are asked for"),
        (short.replace(b"AAAA", b"A*AA"), "a block is not base64"),
    ):
        with pytest.raises(SystemFault, match=re.escape(said)) as fault:
            pairkey.parse(text, "k")
        lines = [line for line in key.text.decode().splitlines() if not line.startswith("--")]
        assert not [line for line in lines if line in str(fault.value)]


def test_contexts_speak_nothing_older(key: pairkey.PairKey) -> None:
    for server in (False, True):
        made = key.context(server=server)
        assert made.minimum_version is ssl.TLSVersion.TLSv1_3
        assert made.verify_mode is ssl.CERT_REQUIRED
