"""How a target is asked: by datagram or not, from which address."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest

from lvs.checks import Check, Connect, Dns, Exchange, Http, Pace, Radius, Sip, Target
from lvs.io.probe import Probe, asks_by_datagram, needs_no_talk, prepare, silence_is_consent, source_towards

HOME = IPv4Address("127.0.0.1")
PACE = Pace(interval_s=60.0, step_s=0.1, limit_s=0.15)


def test_source_towards() -> None:
    assert source_towards(HOME) == "127.0.0.1"
    assert source_towards(IPv6Address("::1")) == "::1"


@pytest.mark.parametrize(
    ("check", "datagram"),
    [
        (Connect(), False),
        (Exchange(), False),
        (Exchange(udp=True), True),
        (Dns(), True),
        (Dns(tcp=True), False),
        (Radius(secret="s"), True),
        (Sip(), True),
        (Sip(udp=False), False),
        (Http(), False),
    ],
)
def test_what_asks_by_datagram(check: Check, datagram: bool) -> None:
    assert asks_by_datagram(Target(HOME, 1, check, PACE)) is datagram


@pytest.mark.parametrize(
    ("check", "enough"), [(Connect(), True), (Exchange(), True), (Exchange(b"?"), False), (Http(), False)]
)
def test_what_needs_no_talk(check: Check, enough: bool) -> None:
    assert needs_no_talk(Target(HOME, 1, check, PACE)) is enough


def test_prepared_once() -> None:
    probe = Probe(Target(IPv6Address("::1"), 53, Exchange(udp=True), PACE), 0.0)
    assert prepare(probe) == ("::1", 53) == probe.sockaddr
    assert probe.datagrams
    assert silence_is_consent(probe)
    assert not silence_is_consent(Probe(Target(HOME, 1, Connect(), PACE), 0.0))
