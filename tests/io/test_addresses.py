"""Addresses from rtnetlink's bytes; pyroute2 is the oracle."""

from __future__ import annotations

import errno
import socket
from ipaddress import ip_address

import pytest
from pyroute2 import IPRoute
from pyroute2.netlink import NLM_F_DUMP_INTR as INTERRUPTED
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg

from lvs.errors import KernelError
from lvs.io import addresses as module
from lvs.io.addresses import RTM_NEWADDR, addresses, vips
from lvs.io.rtnetlink import vip_of
from lvs.kernel.state import Vip

NAMES = {1: "lo", 2: "eth0"}


def packet(shown: str, prefix: int, index: int, label: str = "", far: str = "") -> bytes:
    message = ifaddrmsg()
    message["header"]["type"] = RTM_NEWADDR
    message["family"] = socket.AF_INET6 if ":" in shown else socket.AF_INET
    message["prefixlen"], message["index"] = prefix, index
    message["attrs"].append(("IFA_ADDRESS", far or shown))
    if ":" not in shown:
        message["attrs"].append(("IFA_LOCAL", shown))
    if label:
        message["attrs"].append(("IFA_LABEL", label))
    message.encode()
    return bytes(message.data)


def vip(device: str, shown: str, prefix: int, label: str = "") -> Vip:
    return Vip(device, ip_address(shown).packed, prefix, label)


def test_every_kind_of_address() -> None:
    data = b"".join(
        [
            packet("127.0.0.1", 8, 1, "lo"),
            packet("192.0.2.5", 24, 2, "eth0:1"),
            packet("10.0.0.1", 32, 2, "eth0", far="10.0.0.2"),  # point to point: ours counts
            packet("2001:db8::5", 64, 2),
            packet("192.0.2.9", 24, 7, "gone0"),  # its device has gone
        ]
    )
    assert list(vips(data, NAMES)) == [
        vip("lo", "127.0.0.1", 8),
        vip("eth0", "192.0.2.5", 24, "eth0:1"),
        vip("eth0", "10.0.0.1", 32),
        vip("eth0", "2001:db8::5", 64),
    ]


def test_as_pyroute2_reads_this_host() -> None:
    names = dict(socket.if_nameindex())
    with IPRoute() as route:
        expected = {one for message in route.get_addr() if (one := vip_of(message, names)) is not None}
    assert addresses() == expected
    assert expected


def test_an_answer_that_changed_underway_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    assert module.NLM_F_DUMP_INTR == INTERRUPTED
    answers = iter([(packet("192.0.2.5", 24, 1), False), (packet("127.0.0.1", 8, 1, "lo"), True)])
    monkeypatch.setattr(module, "_dump", lambda _: next(answers))
    monkeypatch.setattr(socket, "if_nameindex", lambda: [(1, "lo")])
    assert addresses() == {vip("lo", "127.0.0.1", 8)}


@pytest.mark.parametrize(
    ("fault", "said"),
    [(TimeoutError(), "no answer in 10 s"), (OSError(errno.ENOBUFS, "no buffers"), "No buffer space")],
)
def test_what_cannot_be_read_is_the_kernels_fault(
    monkeypatch: pytest.MonkeyPatch, fault: OSError, said: str
) -> None:
    def raising(_: object) -> tuple[bytes, bool]:
        raise fault

    monkeypatch.setattr(module, "_dump", raising)
    with pytest.raises(KernelError, match=said):
        addresses()
