"""Beats over real sockets of loopback; tests/io/test_heart.py has them in processes of their own."""

from __future__ import annotations

import errno
import select
import socket
import time
from collections.abc import Iterator

import pytest

from lvs.io import heartbeat
from lvs.io.heartbeat import Heard, Sockets
from lvs.pulse.line import Strangers, Unusable, Way, Wiring
from lvs.pulse.wire import encode
from lvs.pulse.words import Beat, Ignored, Terms

KEY = b"k" * 32
TERMS = Terms(True, 1.0, 3.0)
BEAT = Beat(boot=5, number=1)


def wiring(*ways: tuple[str, str, str], port: int, key: bytes = KEY) -> Wiring:
    return Wiring(tuple(Way(*way) for way in ways), port, key, TERMS)


@pytest.fixture
def port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        found: int = one.getsockname()[1]
        return found


@pytest.fixture
def both(port: int) -> Iterator[tuple[Sockets, Sockets]]:
    one, other = Sockets(), Sockets()
    one.wire(wiring(("public", "127.0.0.1", "127.0.0.2"), ("private", "127.0.1.1", "127.0.1.2"), port=port))
    other.wire(wiring(("public", "127.0.0.2", "127.0.0.1"), ("private", "127.0.1.2", "127.0.1.1"), port=port))
    yield one, other
    one.close()
    other.close()


def heard(sockets: Sockets, number: int) -> list[Heard]:
    """So many beats, as they arrive."""
    found: list[Heard] = []
    poll = select.poll()
    for descriptor in sockets.descriptors():
        poll.register(descriptor, select.POLLIN)
    while len(found) < number:
        assert poll.poll(10_000), found
        found += sockets.receive()
    return found


def test_a_beat_arrives_by_every_way(both: tuple[Sockets, Sockets]) -> None:
    one, other = both
    assert one.whole
    assert other.whole
    one.send(BEAT)
    found = heard(other, 2)
    assert sorted(beat.way for beat in found) == ["private", "public"]
    assert all(abs(beat.skew_s) < 10 for beat in found)
    assert {beat.beat.boot for beat in found} == {5}


def test_nobody_there_is_no_fault(both: tuple[Sockets, Sockets]) -> None:
    one, other = both
    other.close()
    for _ in range(5):
        one.send(BEAT)
        list(one.receive())
    assert one.whole
    assert list(one.news(0.0)) == []


def test_who_cannot_send_still_hears_and_says_so_once_a_minute(
    both: tuple[Sockets, Sockets], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a packet filter that drops what goes out."""
    one, other = both
    before, told, now = set(one.descriptors()), list[Unusable](), 0.0
    send = heartbeat._sent
    for _ in range(600):  # two minutes, every second beat passes
        now += 0.2
        for refused in (errno.EPERM, 0):
            monkeypatch.setattr(heartbeat, "_sent", lambda *_, refused=refused: refused)
            one.send(BEAT)
            told += one.news(now)
    assert set(one.descriptors()) == before
    assert one.whole
    reasons = [news.reason for news in told if news.way == "public" and news.reason]
    assert reasons == ["127.0.0.1: a packet filter of this machine refuses what is sent"] * 2
    assert told[-1].reason == ""
    monkeypatch.setattr(heartbeat, "_sent", send)
    other.send(BEAT)
    assert len(heard(one, 2)) == 2


def test_an_address_that_is_not_here_is_told_once_and_tried_again(port: int) -> None:
    sockets = Sockets()
    sockets.wire(
        wiring(("public", "192.0.2.1", "192.0.2.2"), ("private", "127.0.0.1", "127.0.0.2"), port=port)
    )
    told = list(sockets.news(0.0))
    assert [one.way for one in told] == ["public"]
    assert f"192.0.2.1 port {port}: cannot assign requested address" in told[0].reason
    sockets.retry()
    assert list(sockets.news(0.0)) == []
    assert not sockets.whole
    sockets.send(BEAT)  # by what there is
    sockets.wire(
        wiring(("public", "127.0.0.3", "127.0.0.2"), ("private", "127.0.0.1", "127.0.0.2"), port=port)
    )
    assert [(one.way, one.reason) for one in sockets.news(0.0)] == [("public", "")]
    assert sockets.whole
    sockets.close()


def test_what_did_not_change_stays_open(port: int) -> None:
    sockets = Sockets()
    sockets.wire(wiring(("public", "127.0.0.1", "127.0.0.2"), port=port))
    before = set(sockets.descriptors())
    version = sockets.version
    sockets.wire(wiring(("public", "127.0.0.1", "127.0.0.2"), port=port, key=b"n" * 32))
    assert set(sockets.descriptors()) == before
    assert sockets.version == version
    sockets.close()


def test_strangers_are_counted_by_kind(both: tuple[Sockets, Sockets], port: int) -> None:
    one, other = both
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind(("127.0.0.9", 0))
        stranger.sendto(b"\xda\xdb\xad\xbd", ("127.0.0.2", port))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sibling:
        sibling.bind(("127.0.0.1", 0))  # the other director's address, another program
        sibling.sendto(b"\xda\xdb\xad\xbd", ("127.0.0.2", port))
        sibling.sendto(encode(BEAT, KEY), ("127.0.0.2", port))
    one.wire(wiring(("public", "127.0.0.1", "127.0.0.2"), port=port, key=b"x" * 32))
    one.send(BEAT)
    counted: dict[str, int] = {}
    ends = time.monotonic() + 10  # strangers wake nobody
    while sum(counted.values()) < 4:
        assert time.monotonic() < ends, counted
        assert list(other.receive()) == []
        if (seen := other.strangers()) is not None:
            for kind, number in seen.counts.items():
                counted[kind] = counted.get(kind, 0) + number
    assert counted == {"address": 1, "piranha": 1, "port": 1, "forged": 1}
    assert other.strangers() is None


def test_what_is_ignored_counts_as_a_strangers(both: tuple[Sockets, Sockets]) -> None:
    one, _ = both
    for _ in range(3):
        one.count(Ignored.REPLAYED, "private")
    one.count(Ignored.REPLAYED, "gone")
    assert one.strangers() == Strangers({"replayed": 3}, "127.0.1.2")
