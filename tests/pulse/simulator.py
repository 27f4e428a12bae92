"""Two directors, a fake clock, and networks that cut, delay, duplicate, reorder, lose and go one way.

A run is a `Case`: terms, a seed for the networks, and a list of disturbances at their times. The same
case always goes the same way, and what the network does to a beat depends on the beat alone, so that a case
with fewer disturbances stays the same case elsewhere. `run` gives what was violated, or nothing.
"""

from __future__ import annotations

import heapq
import random
from enum import StrEnum
from itertools import count

import msgspec

from lvs.model import Failback, Role
from lvs.pulse.hearing import CLOCKS_S
from lvs.pulse.machine import HANDOVER_S, step
from lvs.pulse.state import Pulse, begin, deadline
from lvs.pulse.words import (
    Beat,
    BeatReceived,
    Command,
    Fault,
    FaultsChanged,
    Grade,
    HoldingChanged,
    Input,
    LeaveAsked,
    Left,
    SendBeat,
    SwitchoverAsked,
    TakeRole,
    Tell,
    Terms,
    TimePassed,
    Vitals,
    VitalsChanged,
)

NAMES = ("primary", "backup")
PATHS = ("public", "private")
KERNEL_S = (0.002, 0.05)  # what taking and giving up VIPs takes
START_S = 0.3  # of a daemon that was killed


class Act(StrEnum):
    CUT = "cut"  # SUBJECT: path and who is not heard by it
    JOIN = "join"
    LOSE = "lose"  # half of the beats of a path are lost
    PAUSE = "pause"  # SUBJECT: director
    CRASH = "crash"  # and boots again
    KILL = "kill"  # the daemon; its VIPs stay, it is started again
    FAULT = "fault"
    CLEAR = "clear"
    SWITCHOVER = "switchover"
    LEAVE = "leave"  # a clean stop; it is started again
    SYNCED = "synced"


class Disturbance(msgspec.Struct, frozen=True, order=True):
    at: float
    act: Act
    subject: str
    detail: str = ""
    lasts: float = 0.0


class Case(msgspec.Struct, frozen=True):
    keepalive_s: float
    deadtime_s: float
    failback: Failback
    seed: int
    lasts: float
    disturbances: tuple[Disturbance, ...]
    delay_s: float = 0.001  # of a network, at most ten times as much
    skew_s: float = 0.0  # of the clocks on the wall


class Violation(msgspec.Struct, frozen=True):
    at: float
    rule: str
    text: str


class Node:
    """A director: its machine, its kernel, and what happens to it."""

    def __init__(self, name: str, other: str, case: Case) -> None:
        self.name, self.other = name, other
        self.terms = Terms(name == "primary", case.keepalive_s, case.deadtime_s, case.failback)
        self.number = NAMES.index(name)
        self.offset = 1000.0 if name == "primary" else 77777.0  # of the monotonic clock
        self.pulse: Pulse | None = None
        self.paused = False
        self.inbox: list[Input] = []  # what came while it was paused
        self.holds = False  # VIPs are in its kernel
        self.faults: dict[str, Fault] = {}
        self.since = 0.0  # it has been well, without a break
        self.epoch = 0  # of what is under way in its kernel
        self.woken = 0  # token of the newest timer

    @property
    def runs(self) -> bool:
        return self.pulse is not None and not self.paused

    @property
    def active(self) -> bool:
        return self.pulse is not None and self.pulse.role is Role.ACTIVE

    @property
    def well(self) -> bool:
        return self.runs and not self.faults and self.pulse is not None and not self.pulse.leaving


class Simulation:
    """One run of a case."""

    def __init__(self, case: Case, *, log: list[str] | None = None) -> None:
        self.case, self.log = case, log
        self.now = 0.0
        self.queue: list[tuple[float, int, str, tuple[object, ...]]] = []
        self.order = count()
        self.boots = count(1)
        self.nodes = {
            name: Node(name, other, case) for name, other in zip(NAMES, reversed(NAMES), strict=True)
        }
        self.cut: dict[tuple[str, str], int] = {}  # (path, sender) -> how many cuts lie on it
        self.lossy: dict[tuple[str, str], int] = {}
        self.joined_at = dict.fromkeys([(path, name) for path in PATHS for name in NAMES], 0.0)
        self.violation: Violation | None = None
        self.none_since = 0.0
        self.two_since: float | None = None
        self.odd_since: float | None = None  # not just one of them holds the VIPs
        for name in NAMES:
            self.at(self.case.seed % 7 * 0.1 if name == "backup" else 0.0, "start", name)
        for number, one in enumerate(case.disturbances):
            self.at(one.at, "disturb", number)

    def at(self, time: float, kind: str, *what: object) -> None:
        heapq.heappush(self.queue, (time, next(self.order), kind, what))

    def say(self, text: str) -> None:
        if self.log is not None:
            self.log.append(f"{self.now:10.3f} {text}")

    def run(self) -> Violation | None:
        """Until its end, or the first violation."""
        while self.queue and self.violation is None:
            time, _, kind, what = heapq.heappop(self.queue)
            if time > self.case.lasts:
                break
            self.judge(time)  # what held until now
            self.now = time
            getattr(self, f"on_{kind}")(*what)
            self.watch()
        return self.violation

    # The machines

    def feed(self, node: Node, what: Input) -> None:
        if node.pulse is None:
            return
        if node.paused:
            node.inbox.append(what)
            return
        node.pulse, commands = step(node.pulse, what, self.now + node.offset)
        for command in commands:
            self.carry_out(node, command)
        if node.pulse is not None:
            node.woken += 1
            self.at(max(self.now, deadline(node.pulse) - node.offset), "wake", node.name, node.woken)

    def carry_out(self, node: Node, command: Command) -> None:
        match command:
            case SendBeat(beat):
                self.send(node, beat)
            case TakeRole(role, term, reason):
                self.say(f"{node.name}: {role} (term {term}): {reason}")
                node.epoch += 1
                if (role is Role.ACTIVE) != node.holds or role is Role.ACTIVE:
                    least, most = KERNEL_S
                    takes = least + (most - least) * self.chance(node.number, node.epoch)
                    self.at(self.now + takes, "kernel", node.name, node.epoch, role is Role.ACTIVE)
                if role is Role.ACTIVE:
                    self.judge_taking(node, reason)
            case Left():
                self.say(f"{node.name}: has said goodbye")
                node.pulse = None
                self.at(self.now + 20 * START_S, "start", node.name)
            case Tell(notice, text):
                self.say(f"{node.name}: {notice}: {text}")

    def send(self, node: Node, beat: Beat) -> None:
        for number, path in enumerate(PATHS):
            if self.cut.get((path, node.name)):
                continue
            chance = self.chance(node.number, number, beat.boot, beat.number)
            if self.lossy.get((path, node.name)) and chance < 0.5:
                continue
            beat = msgspec.structs.replace(beat, at_s=self.now + 1e9)
            late = 10 if chance > 0.98 else 2 if chance > 0.9 else 1  # some are overtaken
            self.at(self.now + self.case.delay_s * late, "beat", node.other, beat, path)
            if chance > 0.97:  # and some come twice
                self.at(self.now + self.case.delay_s * 3, "beat", node.other, beat, path)

    def chance(self, *what: int) -> float:
        """A number from 0 to 1 that depends on nothing but the case and what it is for."""
        return (hash((self.case.seed, *what)) & 0xFFFFFF) / 0x1000000

    def on_beat(self, name: str, beat: Beat, path: str) -> None:
        sign = 1 if name == "primary" else -1
        self.feed(self.nodes[name], BeatReceived(beat, path, sign * self.case.skew_s))

    def on_wake(self, name: str, token: int) -> None:
        if token == self.nodes[name].woken and self.nodes[name].runs:
            self.feed(self.nodes[name], TimePassed())

    def on_kernel(self, name: str, epoch: int, holds: bool) -> None:
        node = self.nodes[name]
        if node.epoch == epoch:
            node.holds = holds
            self.feed(node, HoldingChanged(holds))

    def on_start(self, name: str) -> None:
        node = self.nodes[name]
        if node.pulse is not None:
            return
        boot = next(self.boots)
        node.pulse = begin(node.terms, boot, self.now + node.offset, adopted=node.holds)
        node.since = self.now
        self.say(f"{name}: starts{', adopting its VIPs' if node.holds else ''}")
        self.feed(node, VitalsChanged(Vitals(version="1")))
        if node.faults:
            self.feed(node, FaultsChanged(tuple(node.faults.values())))

    # What disturbs them

    def on_disturb(self, number: int) -> None:
        one = self.case.disturbances[number]
        self.say(f"-- {one.act} {one.subject} {one.detail} for {one.lasts:.3f}")
        getattr(self, f"do_{one.act}")(one)

    def do_cut(self, one: Disturbance) -> None:
        key = (one.subject, one.detail)
        self.cut[key] = self.cut.get(key, 0) + 1
        self.at(self.now + one.lasts, "joined", key)

    def on_joined(self, key: tuple[str, str]) -> None:
        self.cut[key] -= 1
        self.joined_at[key] = self.now

    def do_lose(self, one: Disturbance) -> None:
        key = (one.subject, one.detail)
        self.lossy[key] = self.lossy.get(key, 0) + 1
        self.at(self.now + one.lasts, "found", key)

    def on_found(self, key: tuple[str, str]) -> None:
        self.lossy[key] -= 1
        self.joined_at[key] = self.now

    def do_pause(self, one: Disturbance) -> None:
        node = self.nodes[one.subject]
        if node.runs:
            node.paused = True
            self.at(self.now + one.lasts, "resume", one.subject)

    def on_resume(self, name: str) -> None:
        node = self.nodes[name]
        if node.paused:
            node.paused = False
            node.since = self.now
            waiting, node.inbox = node.inbox, []
            for what in waiting:
                self.feed(node, what)
            self.feed(node, TimePassed())

    def do_crash(self, one: Disturbance) -> None:
        self.gone(one, keeps=False)

    def do_kill(self, one: Disturbance) -> None:
        self.gone(one, keeps=True)

    def gone(self, one: Disturbance, *, keeps: bool) -> None:
        node = self.nodes[one.subject]
        if node.pulse is None:
            return
        node.pulse, node.paused, node.inbox = None, False, []
        node.epoch += 1
        node.holds = node.holds and keeps
        self.at(self.now + (START_S if keeps else one.lasts), "start", one.subject)

    def do_fault(self, one: Disturbance) -> None:
        node = self.nodes[one.subject]
        node.faults[one.detail] = Fault(Grade(one.detail), f"{one.detail} fault")
        self.feed(node, FaultsChanged(tuple(node.faults.values())))
        self.at(self.now + one.lasts, "cleared", one.subject, one.detail)

    def on_cleared(self, name: str, detail: str) -> None:
        node = self.nodes[name]
        if node.faults.pop(detail, None) is not None:
            node.since = self.now
            self.feed(node, FaultsChanged(tuple(node.faults.values())))

    def do_switchover(self, one: Disturbance) -> None:
        self.feed(self.nodes[one.subject], SwitchoverAsked("operator"))

    def do_leave(self, one: Disturbance) -> None:
        self.feed(self.nodes[one.subject], LeaveAsked())

    def do_synced(self, one: Disturbance) -> None:
        self.feed(self.nodes[one.subject], VitalsChanged(Vitals(version="1", caught_up=True)))

    # What must hold

    def hears(self, sender: str) -> float | None:
        """Since when beats of a sender arrive by some path, without a loss; None: they may not."""
        times = [
            self.joined_at[path, sender]
            for path in PATHS
            if not self.cut.get((path, sender)) and not self.lossy.get((path, sender))
        ]
        return min(times, default=None)

    def watch(self) -> None:
        """Note when none or two became active."""
        actives = [node for node in self.nodes.values() if node.active]
        if actives:
            self.none_since = float("inf")
        elif self.none_since == float("inf"):
            self.none_since = self.now
        if len(actives) < 2:
            self.two_since = None
        elif self.two_since is None:
            self.two_since = self.now
        if sum(node.holds for node in self.nodes.values()) == 1:
            self.odd_since = None
        elif self.odd_since is None:
            self.odd_since = self.now

    def judge(self, until: float) -> None:
        """Whether what holds since the last event may hold until now."""
        case = self.case
        one, other = self.nodes.values()
        slack = 0.2 + 20 * case.delay_s
        patience = 2 * case.deadtime_s + 3 * case.keepalive_s + slack
        well = [node for node in (one, other) if node.well]
        if self.none_since != float("inf") and well:
            since = max(self.none_since, min(node.since for node in well))
            if until - since > patience:
                self.violated("none is active", f"for {until - since:.2f} s")
        if self.two_since is not None and one.runs and other.runs:
            heard = [time for time in map(self.hears, NAMES) if time is not None]
            if case.skew_s > CLOCKS_S:  # a start that cannot be heard is not believed then
                heard = [max(heard)] if len(heard) == len(NAMES) else []
            planned = any(
                node.pulse is not None and node.pulse.handing_until is not None for node in (one, other)
            )
            if heard:
                since = max(self.two_since, min(heard), one.since, other.since)
                most = patience + (HANDOVER_S if planned else 0)
                if until - since > most:
                    self.violated("two are active", f"for {until - since:.2f} s, and one hears the other")
        calm = [self.hears(name) for name in NAMES]
        if len(well) == 2 and None not in calm and self.odd_since is not None:
            since = max(self.odd_since, one.since, other.since, *(time for time in calm if time is not None))
            if until - since > patience + HANDOVER_S:
                self.violated(
                    "not healed", f"{one.holds + other.holds} hold the VIPs after {until - since:.2f} s"
                )

    def judge_taking(self, node: Node, reason: str) -> None:
        """Nobody takes over from a director that it could hear all the time."""
        other = self.nodes[node.other]
        heard = self.hears(other.name)
        if "silent" not in reason and "never" not in reason:
            return
        if other.active and other.runs and heard is not None and other.pulse is not None:
            since = max(heard, other.since, node.since)
            quiet = other.pulse.woke_at is not None
            if self.now - since > self.case.deadtime_s + 2 * self.case.keepalive_s and not quiet:
                self.violated("taken for no reason", f"{node.name}: {reason}")

    def violated(self, rule: str, text: str) -> None:
        if self.violation is None:
            self.violation = Violation(self.now, rule, text)
            self.say(f"** {rule}: {text}")


# The deployment's values, Piranha's, ours, and faster ones; slow ones cost less for each second.
TERMS = ((0.1, 0.4), (0.2, 0.8), (0.5, 1.5), (2.0, 5.0), *[(6.0, 18.0)] * 8)


def drawn(seed: int, deadtimes: int = 400) -> Case:
    """A case by its seed."""
    chance = random.Random(seed)
    keepalive_s, deadtime_s = chance.choice(TERMS)
    lasts = deadtime_s * deadtimes
    rate = chance.choice((2, 5, 10, 40))  # deadtimes between two disturbances
    disturbances = []
    at = 0.0
    while True:
        at += chance.expovariate(1 / (rate * deadtime_s))
        if at > lasts:
            break
        disturbances += _disturbance(chance, at, deadtime_s)
    delay_s = chance.choice((0.0005, 0.005, deadtime_s / 100))
    skew_s = chance.choice((0.0, 0.0, 3.0, 1000.0))
    failback = chance.choice(list(Failback))
    return Case(keepalive_s, deadtime_s, failback, seed, lasts, tuple(sorted(disturbances)), delay_s, skew_s)


def _disturbance(chance: random.Random, at: float, deadtime_s: float) -> list[Disturbance]:
    lasts = deadtime_s * chance.choice((0.1, 0.5, 0.9, 1.0, 1.1, 1.5, 3, 20)) * chance.uniform(0.9, 1.1)
    name = chance.choice(NAMES)
    match chance.choice((*Act, Act.CUT, Act.CUT, Act.PAUSE)):
        case Act.CUT | Act.JOIN:
            which = chance.randrange(4)
            paths = PATHS if which else (chance.choice(PATHS),)
            senders = NAMES if which > 1 else (name,)
            return [Disturbance(at, Act.CUT, path, sender, lasts) for path in paths for sender in senders]
        case Act.LOSE:
            return [Disturbance(at, Act.LOSE, path, sender, lasts) for path in PATHS for sender in NAMES]
        case Act.FAULT | Act.CLEAR:
            grade = str(chance.choice(list(Grade)))
            names = NAMES if chance.random() < 0.2 else (name,)
            return [Disturbance(at, Act.FAULT, one, grade, lasts) for one in names]
        case act:
            return [Disturbance(at, act, name, "", lasts)]


def shrunk(case: Case) -> Case:
    """A case with as few disturbances as violate the same rule."""
    first = Simulation(case).run()
    assert first is not None
    case = msgspec.structs.replace(
        case,
        lasts=first.at + 1,
        disturbances=tuple(one for one in case.disturbances if one.at <= first.at),
    )
    size = max(1, len(case.disturbances) // 2)
    while True:
        index = 0
        while index < len(case.disturbances):
            fewer = case.disturbances[:index] + case.disturbances[index + size :]
            tried = msgspec.structs.replace(case, disturbances=fewer)
            found = Simulation(tried).run()
            if found is not None and found.rule == first.rule:
                case = tried
            else:
                index += size
        if size == 1:
            return case
        size //= 2


def transcript(case: Case) -> list[str]:
    """What happens in a case, a line each."""
    log: list[str] = []
    Simulation(case, log=log).run()
    terms = f"keepalive {case.keepalive_s:g}, deadtime {case.deadtime_s:g}, failback {case.failback}"
    return [f"# seed {case.seed}: {terms}, delay {case.delay_s:g}, clocks {case.skew_s:g} s apart", *log]
