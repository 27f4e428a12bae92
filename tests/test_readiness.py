"""What systemd hears, at the socket that it would listen on."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from lvs.readiness import Readiness


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield listening


def heard(listening: socket.socket) -> list[str]:
    """Lines that came, but for times."""
    lines: list[str] = []
    while True:
        try:
            lines += listening.recv(4096).decode().split("\n")
        except BlockingIOError:
            return [line for line in lines if not line.startswith("MONOTONIC_USEC=")]


def test_ready_when_the_kernel_was_written(systemd: socket.socket) -> None:
    readiness = Readiness(started=False)
    readiness.tell("serial 1")
    assert heard(systemd) == ["STATUS=serial 1"]
    readiness.started()
    readiness.tell("serial 1")
    readiness.tell("serial 1")
    assert heard(systemd) == ["READY=1"]
    readiness.stopping()
    assert heard(systemd) == ["STOPPING=1"]


def test_ready_again_after_a_reload_and_not_while_it_lasts(systemd: socket.socket) -> None:
    readiness = Readiness(started=True)
    readiness.tell("serial 1")
    assert heard(systemd) == ["READY=1", "STATUS=serial 1"]
    readiness.reading()
    readiness.read(changed=False)
    readiness.tell("serial 1")
    assert heard(systemd) == []
    readiness.reading()
    readiness.reloading()
    readiness.tell("serial 1")
    assert heard(systemd) == ["RELOADING=1"]
    readiness.read(changed=True)
    readiness.tell("serial 2")
    assert heard(systemd) == ["READY=1", "STATUS=serial 2"]
