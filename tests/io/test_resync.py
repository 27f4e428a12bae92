"""Messages go out by the device they should; here it is lo, in netns/test_sync.py the kernel hears them."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from kernel.test_resync import HEAD, SERVICES, WEB, line, received
from lvs.errors import KernelError
from lvs.io import resync
from lvs.kernel.state import MASTER, SyncDaemon
from strategies import packed

GROUP = packed("239.77.7.7")


@pytest.fixture
def heard() -> Iterator[socket.socket]:
    """A member of the group on lo, as the sync daemon is."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(10)
        sock.bind(("", 0))
        joined = struct.pack("=4s4si", GROUP, bytes(4), socket.if_nametoindex("lo"))
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, joined)
        yield sock


@pytest.fixture
def connections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(resync, "CONNECTIONS", tmp_path / "ip_vs_conn")
    return tmp_path / "ip_vs_conn"


def test_every_connection_is_told(
    heard: socket.socket, connections: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resync, "BURST", 2)
    monkeypatch.setattr(resync, "PAUSE_S", 0.0)
    clients = [f"198.51.100.{number} 4711" for number in range(5)]
    rows = [line("TCP", one, WEB, "10.0.0.1 80", "ESTABLISHED", 9) for one in clients]
    connections.write_text(HEAD + "".join(rows))
    daemon = SyncDaemon(MASTER, "lo", 7, 50, GROUP, heard.getsockname()[1], 3)
    assert resync.tell(SERVICES, daemon) == 3
    found = [one[1] for _ in range(3) for one in received(heard.recv(2000))]
    assert found == clients


def test_what_is_missing_is_said(connections: Path) -> None:
    daemon = SyncDaemon(MASTER, "eth99", 7, 1472, GROUP, 8848, 1)
    with pytest.raises(KernelError, match=r"not told of all connections \(eth99\): No such file") as raised:
        resync.tell(SERVICES, daemon)
    assert raised.value.errno == errno.ENOENT
    connections.write_text(HEAD)
    with pytest.raises(KernelError, match=r"\(eth99\): no interface with this name"):
        resync.tell(SERVICES, daemon)
