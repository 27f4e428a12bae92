"""The announcer against a fake packet socket; a real wire is in netns/test_links.py."""

from __future__ import annotations

import errno
import socket
from pathlib import Path
from typing import Any

import pytest

from lvs.errors import Exit, KernelError
from lvs.io.announce import Announcer, routing
from lvs.io.links import Device
from lvs.kernel.frames import garp, unsolicited_na
from lvs.kernel.state import Vip

MAC = bytes.fromhex("020000000001")
VIP = Vip("eth0", bytes([192, 0, 2, 1]), 24, "eth0:1")
VIP6 = Vip("bond0.7", bytes.fromhex("20010db8000000000000000000000001"), 64, "")


def device(name: str, mac: bytes = MAC, *, arp: bool = True) -> Device:
    return Device(name, 2, mac, up=True, carrier=True, arp=arp)


class Wire:
    """A packet socket that keeps what is sent, and fails for one device."""

    def __init__(self, *_: Any) -> None:
        self.sent: list[tuple[bytes, str]] = []
        self.closed = False

    def sendto(self, frame: bytes, target: tuple[str, int]) -> None:
        if target[0] == "full0":
            raise OSError(errno.ENOBUFS, "No buffer space available")
        self.sent.append((frame, target[0]))

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    made = Wire()
    monkeypatch.setattr(socket, "socket", lambda *_: made)
    return made


def test_sends_on_each_device(wire: Wire) -> None:
    announcer = Announcer()
    announcer.open()
    announcer.open()
    devices = {"eth0": device("eth0"), "bond0.7": device("bond0.7")}
    assert announcer.announce([VIP, VIP6], devices, {"bond0.7"}) == []
    assert wire.sent == [
        (garp(VIP.address, MAC, reply=False), "eth0"),
        (garp(VIP.address, MAC, reply=True), "eth0"),
        (unsolicited_na(VIP6.address, MAC, router=True), "bond0.7"),
    ]
    announcer.announce([VIP6], devices, {"eth0"})
    assert wire.sent[3:] == [(unsolicited_na(VIP6.address, MAC, router=False), "bond0.7")]
    announcer.close()
    announcer.close()
    assert wire.closed


def test_the_router_flag_is_the_devices_own(tmp_path: Path) -> None:
    for name, value in {"all": "1", "eth0": "0", "eth1": "1", "bond0.7": "2"}.items():
        (tmp_path / "net/ipv6/conf" / name).mkdir(parents=True)
        (tmp_path / "net/ipv6/conf" / name / "forwarding").write_text(f"{value}\n")
    six = [Vip(name, VIP6.address, 64, "") for name in ("eth0", "eth1", "bond0.7", "none0")]
    assert routing([*six, Vip("eth1", VIP.address, 24, "")], tmp_path) == {"eth1", "bond0.7"}
    assert routing([Vip("eth1", VIP.address, 24, "")], tmp_path) == frozenset()


def test_one_bad_device_does_not_stop_the_others(wire: Wire) -> None:
    announcer = Announcer()
    announcer.open()
    devices = {
        "eth0": device("eth0"),
        "lo": device("lo", bytes(6), arp=False),
        "ib0": device("ib0", bytes(20)),
        "full0": device("full0"),
    }
    vips = [Vip(name, VIP.address, 24, "") for name in ("full0", "lo", "ib0", "eth0")]
    assert announcer.announce(vips, devices) == [
        "192.0.2.1 not announced: full0: No buffer space available",
        "192.0.2.1 not announced: ib0 is no Ethernet device",
    ]
    assert [name for _, name in wire.sent] == ["eth0", "eth0"]


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (PermissionError(errno.EPERM, "no"), Exit.RIGHTS, "CAP_NET_RAW"),
        (OSError(errno.EAFNOSUPPORT, "no"), Exit.FAILED, "CONFIG_PACKET"),
    ],
)
def test_no_socket(monkeypatch: pytest.MonkeyPatch, error: OSError, code: Exit, words: str) -> None:
    def refuse(*_: Any) -> None:
        raise error

    monkeypatch.setattr(socket, "socket", refuse)
    with pytest.raises(KernelError, match=words) as caught:
        Announcer().open()
    assert caught.value.exit_code is code
