"""sd_notify over a socket of our own, and the watchdog's environment."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest

from lvs.io import systemd


def test_what_systemd_hears(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(path)
        listening.settimeout(5)
        notify = systemd.notifier()
        notify("READY=1", "STATUS=serving 2 virtual servers")
        assert listening.recv(1000) == b"READY=1\nSTATUS=serving 2 virtual servers"
        notify("STOPPING=1")
        assert listening.recv(1000) == b"STOPPING=1"


@pytest.mark.parametrize("value", [None, ""])
def test_nobody_listens(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    if value is not None:
        monkeypatch.setenv("NOTIFY_SOCKET", value)
    systemd.notifier()("READY=1")


def test_a_listener_that_went_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    systemd.notifier()("READY=1")


def test_a_reload_is_told_by_its_time() -> None:
    before = time.monotonic_ns() // 1000
    reloading, usec = systemd.reloading()
    name, value = usec.split("=")
    assert (reloading, name) == ("RELOADING=1", "MONOTONIC_USEC")
    assert before <= int(value) <= time.monotonic_ns() // 1000


@pytest.mark.parametrize(
    ("usec", "pid", "period_s"),
    [
        ("30000000", "", 15.0),
        ("30000000", "ours", 15.0),
        ("30000000", "1", None),
        ("500000", "ours", 0.25),
        (None, "", None),
        ("", "", None),
        ("infinity", "", None),
        ("-5", "", None),
    ],
)
def test_the_watchdogs_period(
    usec: str | None, pid: str, period_s: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (
        ("WATCHDOG_USEC", usec),
        ("WATCHDOG_PID", str(os.getpid()) if pid == "ours" else pid),
    ):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    assert systemd.watchdog_period_s() == period_s


def test_whether_the_journal_is_ours(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """JOURNAL_STREAM names the device and inode of the stream that systemd connected."""
    here = tmp_path_factory.mktemp("journal")
    (here / "socket").touch()
    monkeypatch.setattr(systemd, "JOURNAL", here / "socket")
    read, write = os.pipe()
    status = os.fstat(write)
    real = os.fstat
    monkeypatch.setattr(os, "fstat", lambda number: status if number == 2 else real(number))
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    assert not systemd.journal_is_ours()
    monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
    assert systemd.journal_is_ours()
    monkeypatch.setattr(systemd, "JOURNAL", here / "none")
    assert not systemd.journal_is_ours()
    monkeypatch.setattr(systemd, "JOURNAL", here / "socket")
    monkeypatch.setenv("JOURNAL_STREAM", "1:2")
    assert not systemd.journal_is_ours()
    os.close(read)
    os.close(write)
