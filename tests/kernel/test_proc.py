"""Connections counted in /proc/net/ip_vs, as Linux 6.12 writes it."""

from __future__ import annotations

import pytest

import strategies
from lvs.kernel.proc import established
from lvs.kernel.state import SCTP, TCP, UDP, ServiceKey

# ip_vs_info_seq_show, with every form of a service that it has
TEXT = b"""\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
TCP  C0000201:0050 wlc  persistent 60 FFFFFFFF
  -> 0A000001:0050      Route   1      1          7         \x20
  -> 0A000002:0050      Masq    65535  20         0         \x20
UDP  C0000201:0050 rr ops\x20
  -> 0A000001:0050      Local   0      300        90000     \x20
TCP  [2001:0db8:0000:0000:0000:0000:0000:0001]:0050 rr\x20
  -> [2001:0db8:0000:0000:0000:0000:0000:00a1]:0050      Tunnel  1      4000       0         \x20
SCTP C0000202:FFFF rr \x20
FWM  00000007 sh persistent 60 FFFFFFFF
  -> 0A000001:0000      Route   1      50000      1234567890\x20
"""
V4, V6 = strategies.packed("192.0.2.1"), strategies.packed("2001:db8::1")
ALL = 54321


@pytest.mark.parametrize(
    ("key", "counted"),
    [
        (ServiceKey(4, TCP, V4, 80, 0), 21),
        (ServiceKey(4, UDP, V4, 80, 0), 300),
        (ServiceKey(6, TCP, V6, 80, 0), 4000),
        (ServiceKey(4, 0, b"", 0, 7), 50000),
        (ServiceKey(4, SCTP, strategies.packed("192.0.2.2"), 65535, 0), 0),
        (ServiceKey(4, TCP, V4, 81, 0), 0),  # not there
    ],
)
def test_services_are_left_out(key: ServiceKey, counted: int) -> None:
    assert established(TEXT, [key]) == ALL - counted
    assert established(TEXT) == ALL


def test_nothing_is_there() -> None:
    headings = b"".join(TEXT.splitlines(keepends=True)[:3])
    assert established(headings) == established(b"") == 0


def test_all_but_two() -> None:
    two = [ServiceKey(4, TCP, V4, 80, 0), ServiceKey(4, 0, b"", 0, 7)]
    assert established(TEXT, two) == 4300
