"""`lvsd firstboot` on a system of its own: what lies there afterwards, and what was said."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from firstboot.given import TOML, public_key
from lvs.cli import main
from lvs.errors import Exit
from lvs.io import pairkey

BROKEN = TOML.replace("port = 80", "port = 80000")


class Card:
    """A partition, a system, and a boot of it."""

    def __init__(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.card, self.root = path / "card", path / "root"
        (self.root / "etc/ssh").mkdir(parents=True)
        self.card.mkdir()
        self._capsys = capsys

    def put(self, name: str, content: str | bytes) -> Path:
        path = self.card / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def has(self, path: str) -> str | None:
        found = self.root / path.lstrip("/")
        return found.read_text() if found.exists() else None

    def boot(self) -> tuple[int, str]:
        code = main(["firstboot", "--root", str(self.root), "--from", str(self.card)])
        return code, self._capsys.readouterr().err

    @property
    def issue(self) -> str:
        return self.has("run/issue.d/90-lvs.issue") or ""

    @property
    def note(self) -> str:
        return (self.card / "taken-over.txt").read_text()


@pytest.fixture
def card(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Card:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    return Card(tmp_path, capsys)


@pytest.fixture(scope="module")
def key() -> bytes:
    return pairkey.make().text


def test_a_machine_is_told_who_it_is(card: Card, key: bytes) -> None:
    card.put("lvs.toml", TOML)
    card.put("authorized_keys", public_key())
    card.put("hostname", "director1\r\n")
    secret = card.put("pair.key", key.replace(b"\n", b"\r\n"))
    code, said = card.boot()
    assert code == Exit.OK
    assert card.has("/etc/lvs/lvs.toml") == TOML
    assert card.has("/etc/hostname") == "director1\n"
    assert not secret.exists()
    placed = card.root / "etc/lvs/pair.key"
    assert stat.S_IMODE(placed.stat().st_mode) == 0o600
    assert pairkey.read(placed).fingerprint in said
    assert "wiped: LVS-CONFIG/pair.key" in said
    assert "LVS-CONFIG/pair.key -> /etc/lvs/pair.key" in card.note
    assert "PRIVATE" not in said + card.note + card.issue
    assert "serial 7, 1 virtual server" in card.issue
    assert "ssh host key: ssh-ed25519 SHA256:" in card.issue
    note = card.note
    assert card.boot() == (Exit.OK, "")
    assert card.note == note


def test_nothing_given(card: Card) -> None:
    code, said = card.boot()
    assert code == Exit.OK
    assert "this director serves nothing: a configuration, lvs.toml or lvs.cf" in said
    assert "NOT CONFIGURED" in card.issue
    assert not (card.card / "taken-over.txt").exists()


def test_a_broken_configuration_serves_nothing_and_is_told_everywhere(card: Card, tmp_path: Path) -> None:
    card.put("lvs.toml", BROKEN)
    code, said = card.boot()
    assert code == Exit.PROBLEMS
    assert card.has("/etc/lvs/lvs.toml") is None
    problem = "lvs.toml:7: virtual[0].port: 1 to 65535, got 80000"
    for text in (said, card.issue, card.note):
        assert f"LVS-CONFIG/{problem}" in text
    # as `lvsd check` says it
    (tmp_path / "lvs.toml").write_text(BROKEN)
    assert main(["check", str(tmp_path / "lvs.toml")]) == Exit.PROBLEMS
    # mended, it is taken
    card.put("lvs.toml", TOML)
    assert card.boot()[0] == Exit.OK
    assert card.has("/etc/lvs/lvs.toml") == TOML


def test_a_broken_successor_leaves_what_is_there(card: Card) -> None:
    card.put("lvs.toml", TOML)
    card.boot()
    card.put("lvs.toml", BROKEN)
    code, _ = card.boot()
    assert code == Exit.PROBLEMS
    assert card.has("/etc/lvs/lvs.toml") == TOML
    assert "serial 7" in card.issue
    assert "got 80000" in card.issue


def test_what_was_pushed_since_stays_until_the_card_changes(card: Card) -> None:
    card.put("lvs.toml", TOML)
    card.boot()
    place = card.root / "etc/lvs/lvs.toml"
    pushed = TOML.replace("serial_no = 7", "serial_no = 8")
    place.write_text(pushed)
    assert card.boot() == (Exit.OK, "")
    assert place.read_text() == pushed
    card.put("lvs.toml", TOML.replace("serial_no = 7", "serial_no = 9"))
    _, said = card.boot()
    assert "serial_no = 9" in place.read_text()
    assert card.has("/etc/lvs/lvs.toml.replaced") == pushed
    assert "what was there is kept as" in said


def test_a_private_key_by_mistake(card: Card) -> None:
    card.put("authorized_keys", "-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n")
    code, said = card.boot()
    assert code == Exit.PROBLEMS
    assert "LVS-CONFIG/authorized_keys:1: is a private key" in said
    assert "c2VjcmV0" not in said + card.note + card.issue
    assert card.has("/etc/ssh/authorized_keys.d/root") is None


def test_credentials_come_first(card: Card, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "lvs.toml").write_text(TOML)
    (credentials / "ssh.authorized_keys.root").write_text(public_key(name="there"))
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    card.put("lvs.toml", TOML.replace("7", "6"))
    code, said = card.boot()
    assert code == Exit.OK
    assert card.has("/etc/lvs/lvs.toml") == TOML
    assert "LVS-CONFIG/lvs.toml: warning: is not used: credential lvs.toml says the same thing" in said
    assert "there" in (card.has("/etc/ssh/authorized_keys.d/root") or "")


def test_a_full_state_partition_is_said_and_changes_nothing(
    card: Card, key: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    card.put("lvs.toml", TOML)
    secret = card.put("pair.key", key)

    def full(_descriptor: int) -> None:
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patch:
        patch.setattr("lvs.io.laying.os.fsync", full)
        code, said = card.boot()
    assert code == Exit.FAILED
    assert "nothing is taken over: " in said
    assert "no space left on device" in said
    assert card.has("/etc/lvs/lvs.toml") is None
    assert secret.exists()
    assert "NOT CONFIGURED" in card.issue
    assert card.boot()[0] == Exit.OK
    assert not secret.exists()


def test_power_cut_before_the_wipe(card: Card, key: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = card.put("pair.key", key)

    class Cut(BaseException):
        pass

    def cut(_path: Path) -> None:
        raise Cut

    with monkeypatch.context() as patch:
        patch.setattr("lvs.io.disks.wipe", cut)
        with pytest.raises(Cut):
            card.boot()
    assert secret.exists()
    assert card.boot()[0] == Exit.OK
    assert not secret.exists()
    assert (card.root / "etc/lvs/pair.key").read_bytes() == key


def test_power_cut_within_the_wipe(card: Card) -> None:
    left = card.put("pair.key", bytes(700))
    code, said = card.boot()
    assert code == Exit.OK
    assert "refused" not in said
    assert not left.exists()


def test_a_card_that_is_protected(card: Card, key: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    card.put("pair.key", key)

    def protected(path: Path) -> None:
        raise OSError(30, os.strerror(30))

    monkeypatch.setattr("lvs.io.disks.wipe", protected)
    _, said = card.boot()
    assert "LVS-CONFIG/pair.key is taken over and still lies there for all to read: read-only" in said


def test_a_memory_that_is_not_understood_is_told_and_nothing_is_lost(card: Card) -> None:
    card.put("lvs.toml", TOML)
    card.boot()
    (card.root / "var/lib/lvs/firstboot.json").write_text("{")
    (card.root / "etc/lvs/lvs.toml").write_text(TOML.replace("7", "8"))
    _, said = card.boot()
    assert "is not understood" in said
    assert card.has("/etc/lvs/lvs.toml.replaced") == TOML.replace("7", "8")


def test_two_configurations_on_the_machine(card: Card) -> None:
    (card.root / "etc/lvs").mkdir()
    (card.root / "etc/lvs/lvs.toml").write_text(TOML)
    (card.root / "etc/lvs/lvs.cf").write_text("serial_no = 1\n")
    _, said = card.boot()
    assert "lvs.cf is there, too: remove one of them" in said
    assert "NOT CONFIGURED" in card.issue
