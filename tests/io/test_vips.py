"""Requests for addresses and their acknowledgements as bytes; pyroute2 is the oracle."""

from __future__ import annotations

import errno
import socket
from ipaddress import ip_address
from typing import Any

import pytest
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg

from lvs.errors import KernelError
from lvs.io.vips import Declined, answers, change, message
from lvs.kernel.state import DropVip, TakeVip, Vip
from lvs.kernel.wire import NLMSGHDR, attribute

# Valid for ever, and never chosen as a source.
NOT_PREFERRED = {"ifa_preferred": 0, "ifa_valid": 0xFFFFFFFF, "cstamp": 0, "tstamp": 0}


def vip(shown: str, prefix: int, label: str = "") -> Vip:
    return Vip("eth0", ip_address(shown).packed, prefix, label)


def decoded(data: bytes) -> Any:
    found = ifaddrmsg(data)
    found.decode()
    return found


@pytest.mark.parametrize(
    ("one", "attributes"),
    [
        (vip("192.0.2.5", 24), {"IFA_LABEL": "eth0", "IFA_BROADCAST": "192.0.2.255"}),
        (vip("192.0.2.5", 26, "eth0:1"), {"IFA_LABEL": "eth0:1", "IFA_BROADCAST": "192.0.2.63"}),
        (vip("192.0.2.5", 32), {"IFA_LABEL": "eth0"}),
        (vip("2001:db8::5", 64), {"IFA_FLAGS": 0x02, "IFA_CACHEINFO": NOT_PREFERRED}),
    ],
)
@pytest.mark.parametrize("taking", [True, False])
def test_as_pyroute2_reads_them(one: Vip, attributes: dict[str, Any], taking: bool) -> None:
    shown = str(ip_address(one.address))
    found = decoded(message(TakeVip(one) if taking else DropVip(one), 7, 3))
    expected = {"IFA_LOCAL": shown, "IFA_ADDRESS": shown, **(attributes if taking else {})}
    assert dict(found["attrs"]) == expected
    assert (found["index"], found["prefixlen"]) == (7, one.prefix)
    assert found["family"] == (socket.AF_INET6 if ":" in shown else socket.AF_INET)
    header = found["header"]
    assert header["type"] == (20 if taking else 21)  # RTM_NEWADDR, RTM_DELADDR
    assert header["flags"] == (0x605 if taking else 0x5)  # request, ack; and create, exclusively
    assert header["sequence_number"] == 3


def acknowledged(number: int, code: int = 0, words: str = "") -> bytes:
    body = (-code).to_bytes(4, "little", signed=True) + NLMSGHDR.pack(16, 20, 0x605, number, 0)
    if words:
        body += attribute(1, words.encode() + b"\0")
    return NLMSGHDR.pack(16 + len(body), 2, 0x300 if words else 0x100, number, 0) + body


def test_acknowledgements() -> None:
    said = acknowledged(4) + acknowledged(5, errno.EEXIST) + acknowledged(6, errno.EINVAL, "ipv4: no")
    assert answers(said) == {
        4: None,
        5: Declined(errno.EEXIST, ""),
        6: Declined(errno.EINVAL, "ipv4: no"),
    }


class Kernel:
    """A socket whose answers are given."""

    def __init__(self, *answers: bytes | OSError) -> None:
        self.answers = iter(answers)

    def __call__(self, *_: int) -> Kernel:
        return self

    __enter__ = setsockopt = settimeout = send = __call__

    def __exit__(self, *_: object) -> None: ...

    def recv(self, _: int) -> bytes:
        answer = next(self.answers)
        if isinstance(answer, OSError):
            raise answer
        return answer


def test_answers_in_any_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "socket", Kernel(acknowledged(1, errno.ENODEV), acknowledged(0)))
    moves = [(TakeVip(vip("192.0.2.5", 24)), 1), (TakeVip(vip("192.0.2.6", 24)), 2)]
    assert change(moves) == [None, Declined(errno.ENODEV, "")]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (TimeoutError(), "addresses cannot be changed: no answer in 10 s"),
        (OSError(errno.ENOBUFS, ""), "No buffer space"),
    ],
)
def test_what_cannot_be_asked(monkeypatch: pytest.MonkeyPatch, fault: OSError, said: str) -> None:
    monkeypatch.setattr(socket, "socket", Kernel(acknowledged(0), fault))
    with pytest.raises(KernelError, match=said):
        change([(DropVip(vip("192.0.2.5", 24)), 1), (DropVip(vip("192.0.2.6", 24)), 1)])
