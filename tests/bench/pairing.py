"""Figures of the pair: two directors, two real servers and a client, on one kernel that has IPVS.

In a guest that keeps time, not in the one that counts: what a client waits for is time.
The rival is keepalived as a VRRP pair on the same machines, one pair after the other.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from statistics import median
from typing import NamedTuple

from bench.measured import Figure, Measured
from lab import Lab, Machine, Process
from lab.paths import CHECKOUT
from lab.peers import Tally, traffic
from lvs.io import pairkey
from lvs.model import Role
from lvs.pulse import wire
from lvs.pulse.words import Beat
from netns import pair as pairs
from netns.director import Director, until
from netns.pair import KEY, PORT, VIP, Pair

RUNS = 5
CLOSE_RUNS = 11  # where the two are close: a fault falls anywhere between two heartbeats
PERIOD_US, PACED_PORT = 5000, 81
UNSEEN_S = 2 * PERIOD_US / 1e6  # what is shorter is not told, and taken as this long
QUIET_S = 1.0  # before a fault and after it
CLOCK_S = 0.02  # what /proc/uptime may be ahead by, and the last answer behind
STREAMS = 2  # connections that have to outlive each switchover
PACING = "/tmp/pacing"
DEFAULTS = "monitor_links = true\nsyncdaemon = true\n"
QUICK = "keepalive = 0.1\ndeadtime = 0.3\n" + DEFAULTS
KEEPALIVED_CONF = "/etc/keepalived/keepalived.conf"
VRRP = """\
global_defs {
    router_id lvs
}
vrrp_instance pair {
    state BACKUP
    interface eth0
    virtual_router_id 51
    priority 100
    nopreempt
    version 3
    advert_int ADVERT_INT
    virtual_ipaddress {
        10.0.0.5/24 dev eth0 label eth0:1
    }
}
virtual_server 10.0.0.5 81 {
    lvs_sched rr
    lvs_method DR
    protocol UDP
    real_server 10.0.0.3 81 {
        weight 1
    }
    real_server 10.0.0.4 81 {
        weight 1
    }
}
"""


PACED = (
    pairs.VIRTUAL.format(protocol="udp")
    .replace('name = "udp"', 'name = "paced"')
    .replace("port = 80", "port = 81")
)


class Gap(NamedTuple):
    """What a client waited for an answer, and what of it went where; seconds.

    Parts: from the last answer of the old director to the first word of the new one as the active one, from
    there to its first announcement of the VIP, and from there to the first answer; none if that word did not
    leave (a dead machine may be asked for in vain). `calm` is the longest time without an answer
    before the fault.
    """

    lasted: float
    calm: float = UNSEEN_S
    parts: tuple[float, ...] = ()


# What is around the pair


@cache
def pacing() -> bytes:
    built = CHECKOUT / "build" / "pacing"
    source = CHECKOUT / "tests" / "bench" / "pacing.c"
    subprocess.run(("gcc", "-O2", "-static", "-o", built, source), check=True)
    return built.read_bytes()


def tool(machine: Machine, said: str, *words: str) -> Process:
    """Start pacing.c in a machine; it works on return."""
    if machine.run("test", "-e", PACING, check=False).rc:
        machine.write(PACING, pacing(), mode=0o755)
    process = machine.spawn(PACING, *words)
    if said:
        process.expect(said)
    return process


@dataclass
class Seen:
    """Seen from outside: times without an answer, and what the new director has sent."""

    pair: Pair
    asking: Process
    watching: Process
    since: float = 0.0

    def now(self) -> None:
        """The fault comes now."""
        self.since = self.pair.clock() - CLOCK_S

    def longest(self, speaks: Callable[[str, str], bool]) -> Gap:
        """The longest time without an answer since then; `speaks` tells an active director's first word."""
        self.asking.stop()
        counts, *lines = self.asking.result().out.splitlines()[1:]
        assert int(counts.split()[1]), "no answer at all"
        found = [(float(began), float(lasted)) for began, lasted in map(str.split, lines)]
        calm = max((lasted for began, lasted in found if began < self.since), default=UNSEEN_S)
        found = [one for one in found if one[0] >= self.since]
        if not found:
            return Gap(UNSEEN_S, calm=calm)
        began, lasted = max(found, key=lambda one: one[1])
        frames = [line.split() for line in self.watching.output().splitlines()[1:]]
        later = [(float(at), kind, what) for at, kind, what in frames if float(at) >= began]
        decided = next((at for at, kind, what in later if speaks(kind, what)), began)
        announced = (at for at, kind, what in later if (kind, what) == ("arp", VIP) and at >= decided)
        taken = next(announced, decided)
        whole = taken > decided > began
        split = (decided - began, taken - decided, began + lasted - taken) if whole else ()
        return Gap(lasted, calm, split)


@contextmanager
def seen(pair: Pair, heir: Director) -> Iterator[Seen]:
    """A client that asks every 5 ms, and a look at what the director that is to take over sends."""
    watching = tool(heir.machine, "watching", "watch", "eth0")
    asking = tool(pair.client, "started", "ask", VIP, str(PACED_PORT), str(PERIOD_US))
    time.sleep(QUIET_S)
    look = Seen(pair, asking, watching)
    look.now()
    yield look
    watching.stop()


def build(lab: Lab) -> Pair:
    """Directors, real servers that answer a client that keeps pace, and the client."""
    pair = pairs.build(lab)
    for name in ("real1", "real2"):
        tool(lab.machine(name), "serving", "echo", VIP, str(PACED_PORT))
    return pair


def advertised(kind: str, priority: str) -> bool:
    return kind == "vrrp" and priority != "0"


def claimed(kind: str, data: str) -> bool:
    if kind != "beat":
        return False
    beat = wire.decode(bytes.fromhex(data), pairkey.parse(pairs.key(), KEY).heartbeat)
    return isinstance(beat, Beat) and beat.role is Role.ACTIVE


# Our pair


@contextmanager
def ours(lab: Lab, more: str) -> Iterator[Pair]:
    pair = build(lab)
    try:
        for one in pair.directors:
            one.machine.write(one.file, pairs.text(more) + PACED)
            one.machine.write(KEY, pairs.key(), 0o600)
            one.spawn()
        pair.settled()
        yield pair
    except BaseException:
        print(pair.said())
        raise
    finally:
        lab.reset()


def kill(pair: Pair, lost: Director) -> None:
    """Its power is gone: its link goes down, and nothing of it runs on."""
    pair.lan.cut(lost.machine.name)
    lost.machine.kill()


def our_takeover(pair: Pair) -> Gap:
    lost = pair.active
    heir = pair.other(lost)
    with seen(pair, heir) as look:
        kill(pair, lost)
        pair.became(heir, "active")
        time.sleep(QUIET_S)
        gap = look.longest(claimed)
    pair.power_off(lost)
    pair.power_on(lost)
    lost.spawn()
    assert pair.settled() is heir
    return gap


def our_switchover(pair: Pair) -> Gap:
    first = pair.active
    heir = pair.other(first)
    with seen(pair, heir) as look:
        pair.switch()
        pair.became(heir, "active")
        assert pair.settled() is heir
        time.sleep(QUIET_S)
        return look.longest(claimed)


# keepalived's


def begin(director: Director, advert_int: float) -> None:
    text = VRRP.replace("ADVERT_INT", f"{advert_int:g}")
    director.machine.write(KEEPALIVED_CONF, text, root="tree")
    words = ("/usr/sbin/keepalived", "--dont-fork", "--no-syslog", "--log-console")
    director.process = director.machine.spawn(*words, root="tree")
    director.process.expect("Entering BACKUP STATE")


@contextmanager
def theirs(lab: Lab, advert_int: float) -> Iterator[Pair]:
    pair = build(lab)
    try:
        for one in pair.directors:
            begin(one, advert_int)
        yield pair
    except BaseException:
        print(pair.said())
        raise
    finally:
        lab.reset()


def holder(pair: Pair) -> Director:
    """Wait until just one holds the VIP; that one."""
    (name,) = until(pair.holders, lambda held: len(held) == 1)
    return next(one for one in pair.directors if one.machine.name == name)


def their_change(pair: Pair, advert_int: float, *, planned: bool) -> Gap:
    """One is killed, or stopped as cleanly as can be."""
    lost = holder(pair)
    heir = pair.other(lost)
    with seen(pair, heir) as look:
        if planned:
            lost.stop()
        else:
            kill(pair, lost)
        until(pair.holders, lambda held: heir.machine.name in held)
        time.sleep(QUIET_S)
        gap = look.longest(advertised)
    if not planned:
        pair.power_off(lost)
        pair.power_on(lost)
    begin(lost, advert_int)
    assert holder(pair) is heir
    return gap


# Figures


def shown(gaps: list[Gap], scale: float = 1.0) -> str:
    """Where the time of a gap went, medians, and the extremes."""
    waited = lasted(gaps, scale)
    remark = f"{min(waited):.3g} to {max(waited):.3g}, calm {median(gap.calm for gap in gaps) * scale:.2g}"
    if known := [gap.parts for gap in gaps if gap.parts]:
        decided, taken, reached = (median(column) * scale for column in zip(*known, strict=True))
        remark += f", decided {decided:.3g} + taken {taken:.3g} + reached {reached:.3g} ({len(known)} runs)"
    return remark


def lasted(gaps: list[Gap], scale: float = 1.0) -> list[float]:
    return [gap.lasted * scale for gap in gaps]


def takeover_default() -> Measured:
    with Lab.start() as lab, ours(lab, DEFAULTS) as pair:
        gaps = [our_takeover(pair) for _ in range(RUNS)]
    return Measured(lasted(gaps), [], shown(gaps))


def takeover_quick() -> Measured:
    """keepalive and advert_int 0.1: three heartbeats are lost, or three advertisements and the skew."""
    with Lab.start() as lab:
        with ours(lab, QUICK) as pair:
            gaps = [our_takeover(pair) for _ in range(CLOSE_RUNS)]
        with theirs(lab, 0.1) as pair:
            peer = [their_change(pair, 0.1, planned=False) for _ in range(CLOSE_RUNS)]
    return Measured(lasted(gaps), lasted(peer), f"{shown(gaps)}; keepalived {shown(peer)}")


def switchover() -> Measured:
    """A planned change at defaults; keepalived's is its stop."""
    with Lab.start() as lab:
        with ours(lab, DEFAULTS) as pair:
            streams = [traffic(pair.client, "stream", VIP, PORT, period_s=0.05) for _ in range(STREAMS)]
            gaps = [our_switchover(pair) for _ in range(RUNS + 1)]
            tallies = [one.stop() for one in streams]
        assert not any(map(lost_any, tallies)), tallies
        with theirs(lab, 1) as pair:
            peer = [their_change(pair, 1, planned=True) for _ in range(RUNS)]
    remark = f"{shown(gaps, 1e3)}; keepalived's stop {median(lasted(peer, 1e3)):.0f}"
    return Measured(lasted(gaps, 1e3), [], remark)


def lost_any(tally: Tally) -> bool:
    return bool(tally.failed or tally.refused or tally.reset)


FIGURES = (
    Figure("takeover_default_s", 1, "s", takeover_default),
    Figure("takeover_100ms_vs_keepalived", 1, "of keepalived", takeover_quick),
    Figure("switchover_gap_ms", 50, "ms", switchover),
)
