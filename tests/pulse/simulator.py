"""Two directors, a fake clock, and networks that cut, delay, duplicate, reorder, lose and go one way.

A run is a `Case`: terms, a seed for the networks, and disturbances at their times. The same case always goes
the same way, and what the network does to a beat depends on the beat alone, so that a case with fewer
disturbances stays the same case elsewhere. `tests/pulse/judge.py` says what must hold meanwhile.
"""

from __future__ import annotations

import heapq
from collections import deque
from enum import StrEnum
from itertools import count

import msgspec

from lvs.model import Failback, Role
from lvs.pulse.machine import step
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
    Reannounce,
    SendBeat,
    SwitchoverAsked,
    SwitchoverEnded,
    TakeRole,
    Tell,
    Terms,
    TermsChanged,
    TimePassed,
    Vitals,
    VitalsChanged,
)
from pulse.judge import Judge, Violation

NAMES = ("primary", "backup")
PATHS = ("public", "private")
KERNEL_S = (0.002, 0.05)  # what taking and giving up VIPs takes
TICK_S = 1e-6  # of a timer
START_S = 0.3  # of a daemon that was killed
AWAY_S = 6.0  # of one that was stopped
RECORDED = 2000  # newest beats of each sender that a third party has
REPLAYED = 4  # of these in a row


class Act(StrEnum):
    CUT = "cut"  # SUBJECT: who is not heard, DETAIL: by which path
    LOSE = "lose"  # of the beats of a path AMOUNT are lost, a share
    PAUSE = "pause"  # SUBJECT: director
    FREEZE = "freeze"  # as a snapshot does: its clocks stand still, too
    CRASH = "crash"  # and boots again, its clock on the wall set off by AMOUNT
    KILL = "kill"  # the daemon; its VIPs stay, it is started again
    FAULT = "fault"  # DETAIL: grade
    STUCK = "stuck"  # its kernel takes no VIP
    SWITCHOVER = "switchover"
    LEAVE = "leave"  # a clean stop; it is started again
    SYNCED = "synced"  # its connection table has caught up
    RELOAD = "reload"  # DETAIL: keepalive/deadtime; after LASTS on the other, too
    REPLAY = "replay"  # a third party says to SUBJECT what DETAIL said; AMOUNT: 0 long ago to 1 just now


class Disturbance(msgspec.Struct, frozen=True, order=True):
    at: float
    act: Act
    subject: str
    detail: str = ""
    lasts: float = 0.0
    amount: float = 0.0


class Timing(msgspec.Struct, frozen=True):
    keepalive_s: float
    deadtime_s: float

    @classmethod
    def parsed(cls, text: str) -> Timing:
        return cls(*map(float, text.split("/")))


class Case(msgspec.Struct, frozen=True):
    timings: tuple[Timing, Timing]  # of the primary and of the backup
    failback: Failback = Failback.NEVER
    seed: int = 0
    late_s: float = 0.0  # the backup starts after the primary
    delay_s: float = 0.001  # of a network, at most ten times as much
    skew_s: float = 0.0  # the backup's clock on the wall is ahead
    lasts: float = 10.0
    disturbances: tuple[Disturbance, ...] = ()


class Node:
    """A director: its machine, its kernel, and what happens to it."""

    def __init__(self, number: int, case: Case) -> None:
        self.number, self.name, self.other = number, NAMES[number], NAMES[1 - number]
        timing = case.timings[number]
        self.terms = Terms(number == 0, timing.keepalive_s, timing.deadtime_s, case.failback)
        self.offset = (1000.0, 77777.0)[number]  # of the monotonic clock
        self.wall = 1e9 + case.skew_s * number  # of the other one
        self.pulse: Pulse | None = None
        self.paused: float | None = None  # since when
        self.inbox: list[Input] = []  # what came while it was paused
        self.holds = False  # VIPs are in its kernel
        self.stuck = 0  # how many reasons there are that it takes none
        self.faults: dict[str, Fault] = {}
        self.since = 0.0  # it has been well, without a break
        self.listens_since = 0.0  # it began to, after a start, a fault or a long pause ...
        self.listens_s = 0.0  # ... and is to for so long
        self.woke_at = -1.0  # from such a pause
        self.epoch = 0  # of what is under way in its kernel
        self.woken = 0  # token of the newest timer

    @property
    def runs(self) -> bool:
        return self.pulse is not None and self.paused is None

    @property
    def active(self) -> bool:
        return self.pulse is not None and self.pulse.role is Role.ACTIVE

    @property
    def well(self) -> bool:
        healthy = self.runs and not self.faults and not self.stuck
        return healthy and self.pulse is not None and not self.pulse.leaving


class Simulation:
    """One run of a case."""

    def __init__(self, case: Case, *, log: list[str] | None = None) -> None:
        self.case, self.log = case, log
        self.now = 0.0
        self.queue: list[tuple[float, int, str, tuple[object, ...]]] = []
        self.order, self.boots = count(), count(1)
        self.nodes = {name: Node(number, case) for number, name in enumerate(NAMES)}
        self.cut = {(path, name): 0 for path in PATHS for name in NAMES}  # how many cuts lie on it
        self.lossy: dict[tuple[str, str], list[float]] = {key: [] for key in self.cut}  # shares
        self.joined_at = dict.fromkeys(self.cut, 0.0)
        self.recorded = {name: deque[Beat](maxlen=RECORDED) for name in NAMES}
        self.judge = Judge(self)
        self.at(0.0, "start", "primary")
        self.at(case.late_s, "start", "backup")
        for one in case.disturbances:
            self.at(one.at, "disturb", one)

    def at(self, time: float, kind: str, *what: object) -> None:
        heapq.heappush(self.queue, (time, next(self.order), kind, what))

    def say(self, text: str) -> None:
        if self.log is not None:
            self.log.append(f"{self.now:9.3f} {text}")

    def run(self) -> Violation | None:
        """Until its end, or the first violation."""
        while self.queue and self.judge.violation is None:
            time, _, kind, what = heapq.heappop(self.queue)
            if time > self.case.lasts:
                break
            self.judge.until(time)  # what held until now
            self.now = time
            getattr(self, f"on_{kind}")(*what)
            self.judge.watch()
        return self.judge.violation

    # The machines

    def feed(self, node: Node, what: Input) -> None:
        if node.pulse is None:
            return
        if node.paused is not None:
            node.inbox.append(what)
            return
        if isinstance(what, SwitchoverAsked):
            self.judge.asked()
        slept = node.pulse.woke_at is not None
        node.pulse, commands = step(node.pulse, what, self.now + node.offset)
        self.judge.stepped(node)
        if slept and node.pulse.woke_at is None:
            node.since = self.now
        for command in commands:
            self.carry_out(node, command)
        if node.pulse is not None:
            node.woken += 1
            self.at(max(self.now + TICK_S, deadline(node.pulse) - node.offset), "wake", node, node.woken)

    def carry_out(self, node: Node, command: Command) -> None:
        match command:
            case SendBeat(beat):
                self.send(node, msgspec.structs.replace(beat, at_s=self.now + node.wall))
            case TakeRole(role, term, reason):
                self.say(f"{node.name}: {role} (term {term}): {reason}")
                node.epoch += 1
                if role is Role.ACTIVE or node.holds:
                    least, most = KERNEL_S
                    takes = least + (most - least) * self.chance(node.number, node.epoch)
                    self.at(self.now + takes, "kernel", node, node.epoch, role is Role.ACTIVE)
                self.judge.took(node, role, reason)
            case Left():
                self.say(f"{node.name}: has said goodbye")
                node.pulse = None
                self.at(self.now + AWAY_S, "start", node.name)
            case Tell(notice, text):
                self.say(f"{node.name}: tells {notice}: {text}")
            case SwitchoverEnded(refused):
                if refused:
                    self.judge.declined()
                self.say(f"{node.name}: switchover {f'refused: {refused}' if refused else 'done'}")
            case Reannounce():
                self.say(f"{node.name}: announces its VIPs again")

    def send(self, node: Node, beat: Beat) -> None:
        self.judge.said(node, beat)
        self.recorded[node.name].append(beat)
        for number, path in enumerate(PATHS):
            if self.cut[path, node.name]:
                continue
            chance = self.chance(node.number, number, beat.boot, beat.number)
            if chance < max(self.lossy[path, node.name], default=0.0):
                continue
            late = 10 if chance > 0.98 else 2 if chance > 0.9 else 1  # some are overtaken
            other = self.nodes[node.other]
            self.at(self.now + self.case.delay_s * late, "beat", other, beat, path)
            if chance > 0.97:  # and some come twice
                self.at(self.now + self.case.delay_s * 3, "beat", other, beat, path)

    def chance(self, *what: int) -> float:
        """A number from 0 to 1 that depends on nothing but the case and what it is for."""
        return (hash((self.case.seed, *what)) & 0xFFFFFF) / 0x1000000

    def on_beat(self, node: Node, beat: Beat, path: str) -> None:
        self.feed(node, BeatReceived(beat, path, self.now + node.wall - beat.at_s))

    def on_wake(self, node: Node, token: int) -> None:
        if token == node.woken and node.runs:
            self.feed(node, TimePassed())

    def on_kernel(self, node: Node, epoch: int, holds: bool) -> None:
        if node.epoch != epoch:
            return
        if holds and node.stuck:
            self.at(self.now + KERNEL_S[1], "kernel", node, epoch, holds)
            return
        node.holds = holds
        self.say(f"{node.name}: {'holds' if holds else 'has given up'} the VIPs")
        self.feed(node, HoldingChanged(holds))

    def on_start(self, name: str) -> None:
        node = self.nodes[name]
        if node.pulse is not None:
            return
        boot = next(self.boots)
        node.pulse = begin(node.terms, boot, self.now + node.offset, adopted=node.holds)
        node.since = node.listens_since = self.now
        node.listens_s = node.terms.deadtime_s
        self.say(f"{name}: starts{', adopting its VIPs' if node.holds else ''}")
        if node.faults:
            self.feed(node, FaultsChanged(tuple(node.faults.values())))
        self.feed(node, VitalsChanged(Vitals(version="1")))

    # What disturbs them

    def on_disturb(self, one: Disturbance) -> None:
        self.say(f"-- {one.act} {one.subject} {one.detail}".rstrip())
        getattr(self, f"do_{one.act}")(one, self.nodes[one.subject])

    def do_cut(self, one: Disturbance, node: Node) -> None:
        key = one.detail, node.name
        self.cut[key] += 1
        self.at(self.now + one.lasts, "joined", key)

    def on_joined(self, key: tuple[str, str]) -> None:
        self.cut[key] -= 1
        self.joined_at[key] = self.now

    def do_lose(self, one: Disturbance, node: Node) -> None:
        key = one.detail, node.name
        self.lossy[key].append(one.amount)
        self.at(self.now + one.lasts, "found", key, one.amount)

    def on_found(self, key: tuple[str, str], share: float) -> None:
        self.lossy[key].remove(share)
        self.joined_at[key] = self.now

    def do_pause(self, one: Disturbance, node: Node) -> None:
        if node.runs:
            node.paused = self.now
            self.at(self.now + one.lasts, "resume", node, self.now, one.act is Act.FREEZE)

    do_freeze = do_pause

    def on_resume(self, node: Node, since: float, frozen: bool) -> None:
        if node.paused != since:
            return
        node.paused, node.since = None, self.now
        if frozen:
            node.offset -= self.now - since
            node.wall -= self.now - since
        elif self.now - since > self.judge.deadtime_s:
            node.woke_at = node.listens_since = self.now
            node.listens_s = node.terms.deadtime_s
        waiting, node.inbox = node.inbox, []
        if self.chance(int(self.now * 1000)) < 0.5:  # which is first is left to the kernel
            self.feed(node, TimePassed())
        for what in waiting:
            self.feed(node, what)
        self.feed(node, TimePassed())

    def do_crash(self, one: Disturbance, node: Node) -> None:
        if node.pulse is not None:
            self.gone(node, keeps=False, away_s=one.lasts)
            node.offset = 10.0 - self.now - one.lasts
            node.wall += one.amount

    def do_kill(self, _: Disturbance, node: Node) -> None:
        if node.pulse is not None:
            self.gone(node, keeps=True, away_s=START_S)

    def gone(self, node: Node, *, keeps: bool, away_s: float) -> None:
        node.pulse, node.paused, node.inbox = None, None, []
        node.epoch += 1
        node.holds = node.holds and keeps
        self.at(self.now + away_s, "start", node.name)

    def do_fault(self, one: Disturbance, node: Node) -> None:
        node.faults[one.detail] = Fault(Grade(one.detail), f"{one.detail} fault")
        self.feed(node, FaultsChanged(tuple(node.faults.values())))
        self.at(self.now + one.lasts, "cleared", node, one.detail)

    def on_cleared(self, node: Node, detail: str) -> None:
        if node.faults.pop(detail, None) is not None:
            node.since = self.now
            if node.pulse is not None and node.pulse.role is Role.FAULT:
                node.listens_since, node.listens_s = self.now, node.terms.deadtime_s
            self.feed(node, FaultsChanged(tuple(node.faults.values())))

    def do_stuck(self, one: Disturbance, node: Node) -> None:
        node.stuck += 1
        self.at(self.now + one.lasts, "freed", node)

    def on_freed(self, node: Node) -> None:
        node.stuck -= 1
        node.since = self.now

    def do_switchover(self, _: Disturbance, node: Node) -> None:
        self.feed(node, SwitchoverAsked("operator"))

    def do_leave(self, _: Disturbance, node: Node) -> None:
        self.feed(node, LeaveAsked())

    def do_synced(self, _: Disturbance, node: Node) -> None:
        self.feed(node, VitalsChanged(Vitals(version="1", caught_up=True)))

    def do_reload(self, one: Disturbance, node: Node) -> None:
        self.on_reloaded(node, one.detail)
        self.at(self.now + one.lasts, "reloaded", self.nodes[node.other], one.detail)

    def on_reloaded(self, node: Node, detail: str) -> None:
        timing = Timing.parsed(detail)
        node.terms = Terms(node.terms.primary, timing.keepalive_s, timing.deadtime_s, node.terms.failback)
        self.feed(node, TermsChanged(node.terms))

    def do_replay(self, one: Disturbance, node: Node) -> None:
        beats = self.recorded[one.detail]
        first = int(max(0, len(beats) - REPLAYED) * one.amount)
        for number in range(first, min(len(beats), first + REPLAYED)):
            self.at(self.now + (number - first) * self.case.delay_s, "replayed", node, beats[number])

    def on_replayed(self, node: Node, beat: Beat) -> None:
        skew_s = self.now + node.wall - beat.at_s
        if node.pulse is not None and node.runs and self.judge.past(node.pulse, beat, skew_s):
            for path in PATHS:
                self.feed(node, BeatReceived(beat, path, skew_s))
            self.judge.heard_replay(node, beat)
