"""What is believed of what is heard, and what silence means."""

from __future__ import annotations

import math

import msgspec
import pytest

from lvs.model import Role
from lvs.pulse.hearing import AGAIN, CLOCKS_S, RECENT, RETIRED, listened, overslept, received
from lvs.pulse.state import Pulse, begin
from lvs.pulse.words import Beat, BeatReceived, Command, Count, Notice, Reannounce, Tell, Terms

START, OURS, THEIRS = 100.0, 1, 7
TERMS = Terms(primary=False, keepalive_s=0.2, deadtime_s=0.8)


def beat(number: int = 1, boot: int = THEIRS, **more: object) -> Beat:
    return msgspec.structs.replace(
        Beat(boot, number, at_s=5000.0 + number, primary=True, deadtime_s=0.8), **more
    )


def hear(
    pulse: Pulse, what: Beat, now: float = START, *, path: str = "public", skew_s: float = 0.0
) -> tuple[bool, list[str]]:
    """Whether it was news, and what was told."""
    out: list[Command] = []
    news = received(pulse, BeatReceived(what, path, skew_s), now, out)
    assert news is None or news is what
    said = [one for one in out if not isinstance(one, Count)]
    return news is what, [one.notice if isinstance(one, Tell) else type(one).__name__ for one in said]


def counts(pulse: Pulse, what: Beat, now: float = START, *, path: str = "public") -> list[str]:
    """What was counted of it."""
    out: list[Command] = []
    received(pulse, BeatReceived(what, path, 0.0), now, out)
    assert all(one.path == path for one in out if isinstance(one, Count))
    return [one.what for one in out if isinstance(one, Count)]


def known() -> Pulse:
    """A standby that has heard number 100 of the other by both paths."""
    pulse = begin(TERMS, OURS, START)
    hear(pulse, beat(100))
    hear(pulse, beat(100), path="private")
    return pulse


def test_first_beat() -> None:
    pulse = begin(TERMS, OURS, START)
    pulse.send_at = START + 0.2
    assert hear(pulse, beat()) == (True, [Notice.PEER_HEARD])
    assert pulse.send_at == START  # it is told at once that it was heard


@pytest.mark.parametrize(
    ("what", "path", "news"),
    [
        (beat(101), "public", True),
        (beat(100), "public", False),  # twice
        (beat(99), "public", False),  # overtaken
        (beat(101, boot=OURS), "public", False),  # reflected
        (beat(101, boot=0), "public", False),
        (beat(0, boot=9, heard=OURS), "public", False),
        (beat(101, term=1 << 62), "public", False),
        (beat(101, deadtime_s=math.nan), "public", False),
        (beat(101, deadtime_s=math.inf), "public", False),
        (beat(101, deadtime_s=-1.0), "public", False),
    ],
)
def test_only_what_is_new_and_plausible_is_news(what: Beat, path: str, news: bool) -> None:
    pulse = known()
    before = pulse.peer
    assert hear(pulse, what, START + 0.1, path=path) == (news, [])
    assert (pulse.peer == before) is not news


def test_the_slower_path_says_the_same_again() -> None:
    pulse = known()
    assert hear(pulse, beat(101), START + 0.1)[0]
    assert hear(pulse, beat(101), START + 0.2, path="private")[0]
    assert pulse.peer is not None
    assert {path: at for path, (at, _) in pulse.peer.paths.items()} == {"public": 100.1, "private": 100.2}


def test_replays_of_this_start_are_told_now_and_then() -> None:
    pulse = known()
    assert hear(pulse, beat(94), START + 1) == (False, [Notice.REPLAYED])
    assert hear(pulse, beat(93), START + 60) == (False, [])
    assert hear(pulse, beat(93), START + 61) == (False, [Notice.REPLAYED])


@pytest.mark.parametrize(
    ("what", "counted"),
    [
        (beat(94), ["replayed"]),  # also when it is told no more
        (beat(101, boot=OURS), ["replayed"]),  # one of ours
        (beat(101, boot=6), ["replayed"]),  # an earlier start
        (beat(101, term=-1), ["garbled"]),
        (beat(101), []),
        (beat(100), []),  # the network brought it twice
        (beat(99), []),
        (beat(1, boot=8, at_s=0.0), []),  # not believed yet
    ],
)
def test_what_counts_for_nothing_is_counted(what: Beat, counted: list[str]) -> None:
    pulse = known()
    pulse.retired, pulse.suspect_at = (6,), START
    assert counts(pulse, what) == counted


@pytest.mark.parametrize(("what", "kind"), [(beat(100), "repeated"), (beat(1, boot=8, at_s=0.0), "unproven")])
def test_what_a_network_brings_twice_is_counted_when_it_does_not_end(what: Beat, kind: str) -> None:
    pulse = known()
    assert [counts(pulse, what) for _ in range(AGAIN)] == [[]] * AGAIN
    assert counts(pulse, what) == [kind]
    hear(pulse, beat(101), path="private")
    assert counts(pulse, what) == []


def test_a_network_that_brings_all_twice_is_no_attack() -> None:
    pulse = known()
    for number in range(101, 200):
        for path in ("public", "public", "private", "private"):
            assert counts(pulse, beat(number), path=path) == []


def test_a_new_start_ends_the_old_one_for_good() -> None:
    pulse = known()
    assert hear(pulse, beat(1, boot=8, at_s=6000.0), START + 0.5)[0]
    assert pulse.retired == (THEIRS,)
    assert hear(pulse, beat(200, at_s=7000.0, heard=OURS), START + 0.6) == (False, [Notice.REPLAYED])
    for boot in range(20, 20 + 2 * RETIRED):
        hear(pulse, beat(1, boot=boot, at_s=6000.0 + boot), START + 1)
    assert len(pulse.retired) == RETIRED


@pytest.mark.parametrize(
    ("more", "skew_s", "news"),
    [
        ({"at_s": 6000.0}, 0.0, True),
        ({"at_s": 6000.0}, CLOCKS_S, True),
        ({"at_s": 6000.0}, -CLOCKS_S - 1, False),
        ({"at_s": 6000.0}, math.nan, False),
        ({"at_s": math.nan}, 0.0, False),
        ({"at_s": 5000.0}, 0.0, False),  # of before the newest beat of the other start
        ({"at_s": 6000.0, "primary": False}, 0.0, False),  # an earlier start of our own
        ({"at_s": 0.0, "heard": OURS, "primary": False}, 1e9, True),  # it has heard of us
    ],
)
def test_an_unknown_start_is_believed_by_its_clock_or_by_what_it_heard(
    more: dict[str, object], skew_s: float, news: bool
) -> None:
    pulse = known()
    pulse.send_at = START + 6.0
    what = beat(1, boot=8, **more)
    assert hear(pulse, what, START + 0.5, skew_s=skew_s)[0] is news
    assert (pulse.claimed == what) is not news  # it is to hear that it was heard, soon
    assert pulse.send_at <= START + 0.53


def test_a_claim_is_over_when_the_known_start_is_heard() -> None:
    pulse = known()
    hear(pulse, beat(1, boot=8, at_s=5000.0), START + 0.1)
    hear(pulse, beat(101), START + 0.2)
    assert pulse.claimed is None


@pytest.mark.parametrize(("behind", "news"), [(0, True), (RECENT, True), (RECENT + 1, False)])
def test_whoever_heard_of_ours_heard_it_of_late(behind: int, news: bool) -> None:
    """Else it is what a start of long ago said to this start of ours."""
    pulse = known()
    pulse.number = 1000
    what = beat(1, boot=8, at_s=0.0, heard=OURS, heard_number=1000 - behind)
    assert hear(pulse, what, START + 0.5, skew_s=1e5)[0] is news


def test_an_active_director_announces_again_who_was_silent() -> None:
    pulse = known()
    pulse.role = Role.ACTIVE
    out: list[Command] = []
    listened(pulse, START + 0.8, out)
    assert out == [Tell(Notice.PEER_SILENT, "silent for 0.8 s")]
    assert hear(pulse, beat(101), START + 2) == (True, [Notice.PEER_HEARD, Reannounce.__name__])


def test_a_goodbye_is_told_once_and_is_not_silence() -> None:
    pulse = known()
    assert hear(pulse, beat(101, leaving=True), START + 0.1) == (True, [Notice.PEER_LEFT])
    assert hear(pulse, beat(102, leaving=True), START + 0.2) == (True, [])
    out: list[Command] = []
    listened(pulse, START + 9, out)
    assert not out


def tells(pulse: Pulse, now: float) -> list[str]:
    out: list[Command] = []
    listened(pulse, now, out)
    return [f"{one.notice} {one.text}" for one in out if isinstance(one, Tell)]


def test_a_path_is_silent_if_another_goes_on_without_it() -> None:
    pulse = known()
    for number in range(1, 7):
        hear(pulse, beat(100 + number), START + number * 0.2)
        said = tells(pulse, START + number * 0.2)
        assert [one for one in said if "path" in one] == (["path_silent private"] if number == 4 else [])
    hear(pulse, beat(106), START + 1.2, path="private")
    assert "path_heard private" in tells(pulse, START + 1.2)


def test_both_paths_are_silent_together() -> None:
    pulse = known()
    assert tells(pulse, START + 0.79) == []
    assert tells(pulse, START + 0.8) == ["peer_silent silent for 0.8 s"]
    hear(pulse, beat(101), START + 9)
    assert tells(pulse, START + 9) == []  # nor is private when public is back


def test_who_hears_us_says_which_of_ours() -> None:
    pulse, said = begin(TERMS, OURS, START), {}
    pulse.number = 10
    for number in range(1, 21):  # number 10 is heard at 101.0, one after it not before 103.0
        heard_number = 0 if number < 5 else 10 if number < 15 else 11
        hear(pulse, beat(number, heard=OURS, heard_number=heard_number), START + number * 0.2)
        said[number] = tells(pulse, START + number * 0.2)
    assert {number: one for number, one in said.items() if one} == {
        12: ["not_heard it is heard, but does not hear this director"]
    }
    assert Notice.NOT_HEARD not in pulse.told


def test_after_a_pause_silence_means_nothing_for_deadtime() -> None:
    pulse = known()
    out: list[Command] = []
    overslept(pulse, 5.0, START + 6, out)
    assert out == [Tell(Notice.OVERSLEPT, "lvsd could not run for 5.0 s")]
    assert (pulse.listen_until, pulse.woke_at) == (START + 6.8, START + 6)
    assert tells(pulse, START + 6.79) == []
    assert tells(pulse, START + 6.8) == ["peer_silent silent for 0.8 s"]


def test_after_a_pause_a_longer_deadtime_of_before_counts_too() -> None:
    pulse = known()
    pulse.listen_until = START + 20
    overslept(pulse, 5.0, START + 6, [])
    assert pulse.listen_until == START + 20
