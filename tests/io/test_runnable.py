from __future__ import annotations

import os
import pwd
import socket
from pathlib import Path

import pytest

from lvs.errors import SystemFault
from lvs.io import runnable
from lvs.io.runnable import User

USER = User("lvs-check", 61234, 61234, "/nonexistent")


@pytest.fixture(autouse=True)
def _with_rights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runnable, "rights", lambda: "")


def program(tmp_path: Path, mode: int, content: bytes = b"#!/bin/sh\n") -> Path:
    path = tmp_path / "check"
    path.write_bytes(content)
    path.chmod(mode)
    return path


@pytest.mark.parametrize(
    ("mode", "content", "said"),
    [
        (0o755, b"#!/bin/sh\n", ""),
        (0o705, b"#! /bin/sh -e\n", ""),
        (0o711, b"\x7fELF", ""),
        (0o711, b"#!/bin/sh\n", "user lvs-check may not read and execute PATH; chmod o+rx PATH"),
        (0o750, b"#!/bin/sh\n", "user lvs-check may not read and execute PATH; chmod o+rx PATH"),
        (0o700, b"\x7fELF", "user lvs-check may not execute PATH; chmod o+x PATH"),
        (0o755, b"#!/nowhere/sh\n", "PATH names an interpreter that does not exist in its first line"),
        (0o755, b"#!\n", "PATH names an interpreter that does not exist in its first line"),
        (0o755, b"#!/bin/sh\r\n", "PATH has lines that end in CR LF; sed -i 's/\\r$//' PATH"),
        (0o755, b"", ""),
    ],
)
def test_fit(tmp_path: Path, mode: int, content: bytes, said: str) -> None:
    path = program(tmp_path, mode, content)
    assert runnable.fit((str(path), "x"), USER) == said.replace("PATH", str(path))


def test_fit_for_ourselves(tmp_path: Path) -> None:
    assert runnable.fit((str(program(tmp_path, 0o700)),), None) == ""
    path = program(tmp_path, 0o600)
    assert runnable.fit((str(path),), None) == f"{path} is not executable; chmod +x {path}"


def test_what_is_no_program(tmp_path: Path) -> None:
    assert runnable.fit(("/nowhere/x",), USER) == "there is no program /nowhere/x"
    assert runnable.fit((str(tmp_path),), USER) == f"{tmp_path} is not a file that can be run"
    assert runnable.fit((str(program(tmp_path, 0o755)) + "/x",), USER).endswith(
        "/x cannot be run: not a directory"
    )
    assert runnable.fit(("no-such-program",), USER).startswith("there is no program no-such-program in /usr")
    assert runnable.fit((), USER).startswith("there is no program ")
    assert runnable.fit(("sh",), USER) == ""


def test_rights_that_lvsd_lacks_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runnable, "rights", lambda: "lvsd lacks CAP_KILL")
    said = "lvsd lacks CAP_KILL; systemctl enable --now lvs-checks@lvs-check.socket"
    assert runnable.fit(("sh",), USER) == said


def test_a_unit_has_the_rights_that_lvsd_lacks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(runnable, "rights", lambda: "lvsd lacks CAP_KILL")
    monkeypatch.setattr(runnable, "UNIT_SOCKETS", tmp_path)
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(tmp_path / USER.name))
        assert runnable.fit(("sh",), USER) == ""
    assert runnable.fit(("sh",), None) == ""


def test_reachable(tmp_path: Path) -> None:
    path = program(tmp_path, 0o755)
    tmp_path.chmod(0o700)
    assert runnable.reachable(path, User("me", os.getuid(), os.getgid()))
    assert not runnable.reachable(path, USER)


def test_reachable_only_if_the_target_of_a_link_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(0o700)
    path = program(closed, 0o755)
    (tmp_path / "link").symlink_to(path)
    looked_at = []

    def allowed(status: os.stat_result, _user: User, _bits: int) -> bool:
        looked_at.append(status.st_ino)
        return True

    monkeypatch.setattr(runnable, "_allowed", allowed)
    assert runnable.reachable(tmp_path / "link", USER)
    assert closed.stat().st_ino in looked_at


def test_environment_is_ours_to_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", "/tmp/bundle")
    assert runnable.environment(USER, {"LVS_PORT": "53"}) == {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
        "HOME": "/nonexistent",
        "USER": "lvs-check",
        "LOGNAME": "lvs-check",
        "LVS_PORT": "53",
    }


def test_only_root_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert runnable.check_user() is None
    assert runnable.check_user("nobody") is None


def test_whom_root_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    user = runnable.check_user()
    assert user is not None
    assert user.name in {"lvs-check", "nobody"}
    assert user.uid
    other = runnable.check_user("nobody")
    assert other is not None
    assert other.name == "nobody"
    assert runnable.check_user("root") is None  # as ourselves
    with pytest.raises(SystemFault, match="there is no user no-such-user; useradd --system no-such-user"):
        runnable.check_user("no-such-user")


def test_a_system_without_names(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(name: str) -> None:
        raise KeyError(name)

    monkeypatch.setattr(pwd, "getpwnam", unknown)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert runnable.check_user() == User("nobody", 65534, 65534)


def test_the_units_grant_what_it_takes() -> None:
    """Programs are run by another unit, as the user that the package makes."""
    appliance = Path(__file__).parents[2] / "appliance"
    units = appliance / "usr/lib/systemd/system"
    unit = (units / "lvs.service").read_text()
    granted = next(line for line in unit.splitlines() if line.startswith("CapabilityBoundingSet="))
    assert {name for name, _ in runnable._CAPABILITIES} <= set(granted.partition("=")[2].split())  # for git
    assert f" lvs-checks@{runnable.CHECK_USER}.socket" in unit
    assert (
        f"ListenSequentialPacket={runnable.UNIT_SOCKETS}/%i\n" in (units / "lvs-checks@.socket").read_text()
    )
    assert f"\nu {runnable.CHECK_USER} " in (appliance / "usr/lib/sysusers.d/lvs.conf").read_text()
