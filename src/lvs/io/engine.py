"""Probes every followed target again and again, and tells what it found.

One timer ticks for all of them. A target has a record and a place in a timer wheel, and nothing
else: no task, no timer, no future. So ten thousand targets cost what their system calls cost
(`lvs.io.streams`), and following them is done in slices that leave the event loop room for
heartbeats.

The first probe of a target starts as soon as `STARTS_PER_S` lets it, the second at a random moment
of its interval, so that targets followed together are not asked together for ever; from then on
from start to start it is the interval exactly, whatever a probe took and however late a tick was.
Deadlines are of the clock (keepalived#1637): a tick finds them, no event of a socket is waited for.
But time during which this process did not run is not counted against a real server.

What changes nothing is only remembered: a result is told while the row of equal ones is not
longer than somebody's rise or fall, when its reason or value changed, or when a newcomer wants to know.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from random import Random

import msgspec

from lvs.checks import ONCE, Answer, Connect, Load, Reason, Rows, Target, Unchecked
from lvs.io.asked import Asked
from lvs.io.backlog import Backlog
from lvs.io.failure import ExhaustedError, unable
from lvs.io.findings import Asker, Finished, Last, Vitals
from lvs.io.probe import ASKED, CONNECTING, FRESH, GONE, IDLE, READY, TALKING, Probe, needs_no_talk
from lvs.io.streams import Sockets
from lvs.io.wheel import Wheel
from lvs.probes.talk import Talk

TICK_S = 0.025  # a start or a deadline is late by this at most, if the loop is not
SLICE_S = 0.005  # after which a tick leaves the rest to the next one
STARTS_PER_S = 5000  # of targets that are new
RETRY_S = 1.0  # after a fault of this director
HOLD_S = 0.25  # without starts once no socket could be had
STALLED_S = 0.5  # a tick this late means that real servers could not be heard
NOBODYS: Mapping[Target, Rows] = {}
LOCAL_FAULT = Reason.LOCAL_FAULT  # looked up for each result


class Engine:
    """Probes targets; `report` is called from the event loop with results, at most once a tick."""

    def __init__(
        self,
        report: Callable[[list[Finished]], None],
        talk_for: Callable[[Target], Talk | None],
        askers: Mapping[type, Asker] | None = None,
        *,
        at_once: int = 2000,
        clock: Callable[[], float] = time.monotonic,
        random: Random | None = None,
    ) -> None:
        self._report = report
        self._talk_for = talk_for
        self._askers = dict(askers or {})
        self._at_once = at_once
        self._clock = clock
        self._random = random or Random()  # noqa: S311
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._planned = 0.0  # when the timer is due
        self._sockets: Sockets
        self._wheel: Wheel[Probe]
        self._probes: dict[Target, Probe] = {}
        self._backlog = Backlog(clock)
        self._fresh: deque[Probe] = deque()
        self._ready: deque[Probe] = deque()
        self._asked = Asked(self._askers, self._heard, self._slow)
        self._results: list[Finished] = []
        self._in_flight = 0
        self._held_until = 0.0  # no starts before
        self._released = 0.0  # fresh ones, up to now
        self._fault_at = float("-inf")  # a fault of ours was last told
        self._serial = 0
        self._late_s = 0.0
        self._stall_s = 0.0

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to probe what is followed. Errors: OSError if there is no descriptor for an epoll."""
        now = self._clock()
        self._sockets = Sockets(self._finish, self._slow, self._clock)
        self._wheel = Wheel(TICK_S, now)
        self._released = now
        self._loop = loop
        loop.add_reader(self._sockets.fileno(), self._readable)
        self._arm(now)

    def close(self) -> None:
        """End all probes and follow nothing. No result is told any more."""
        if self._loop is None:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._asked.close()
        self._loop.remove_reader(self._sockets.fileno())
        self._sockets.close()
        self._loop = None
        for probe in self._probes.values():
            probe.phase = GONE
        for held in (self._probes, self._backlog.orders, self._fresh, self._ready, self._results):
            held.clear()
        self._in_flight = 0

    # Orders: carried out one after the other, a slice in each tick

    def follow(self, targets: Iterable[Target], rows: Mapping[Target, Rows] = NOBODYS) -> None:
        """Probe these from now on. Followed n times is probed once a period, until forgotten n times."""
        self._order(lambda target: self._follow(target, rows.get(target, ONCE)), targets)

    def forget(self, targets: Iterable[Target]) -> None:
        """Probe these no more; a result that was found already may still be told."""
        self._order(self._forget, targets)

    def loudly(self, targets: Iterable[Target], rows: Mapping[Target, Rows] = NOBODYS) -> None:
        """Tell the next results of these (as many as rise or fall asks for), even if nothing changed."""
        self._order(lambda target: self._loudly(target, rows.get(target, ONCE)), targets)

    def now(self, targets: Iterable[Target]) -> None:
        """Probe these at once; when the next is due stays as it is."""
        self._order(self._now, targets)

    def last(self, target: Target) -> Last:
        """What is known of a target."""
        probe = self._probes.get(target)
        return Last() if probe is None else probe.last()

    def health(self, now: float) -> Vitals:
        """How the engine is doing; the two maxima begin anew."""
        overdue = sum([now - probe.at > probe.overdue_s for probe in self._probes.values()])
        late_s = max(self._late_s, now - self._ready[0].due if self._ready else 0.0)
        stall_s = max(self._stall_s, now - self._planned if self._timer is not None else 0.0)
        self._late_s = self._stall_s = 0.0
        waiting = len(self._ready)
        return Vitals(len(self._probes), self._in_flight, waiting, self._serial, late_s, stall_s, overdue)

    def _order(self, what: Callable[[Target], None], items: Iterable[Target]) -> None:
        self._backlog.add(what, items)
        if self._loop is not None:
            self._arm(self._clock())

    def _follow(self, target: Target, rows: Rows) -> None:
        probe = self._probes.get(target)
        if probe is not None:
            probe.users += 1
            self._loudly(target, rows)
        elif type(target.check) is not Unchecked:
            self._probes[target] = probe = Probe(target, self._clock(), rows)
            self._fresh.append(probe)

    def _forget(self, target: Target) -> None:
        probe = self._probes.get(target)
        if probe is None:
            return
        probe.users -= 1
        if probe.users:
            return
        del self._probes[target]
        phase, probe.phase = probe.phase, GONE
        if phase in (CONNECTING, TALKING):
            self._sockets.cut(probe)
            self._in_flight -= 1
        elif phase == ASKED:
            self._asked.cut(probe)
            self._in_flight -= 1

    def _loudly(self, target: Target, rows: Rows) -> None:
        probe = self._probes.get(target)
        if probe is not None:
            probe.heed(rows)
            probe.loud = probe.most

    def _now(self, target: Target) -> None:
        probe = self._probes.get(target)
        if probe is not None and probe.phase == IDLE:
            probe.phase = READY
            self._ready.append(probe)

    # The clock

    def _arm(self, now: float) -> None:
        """Have the timer ring when there is something to do, and not before."""
        room = self._in_flight < self._at_once and self._held_until <= now
        if self._backlog.orders or (self._ready and room) or self._sockets.behind:
            at: float | None = now  # a slice of time was over; others have their turn, then it goes on
        elif self._fresh or self._ready or self._results or self._sockets.pending:
            at = now + TICK_S
        else:
            at = self._wheel.next_at()
        if self._timer is not None:
            if at is not None and self._planned <= at:
                return
            self._timer.cancel()
            self._timer = None
        if at is not None:
            assert self._loop is not None
            self._planned = at
            self._timer = self._loop.call_later(max(at - now, 0.0), self._tick)

    def _tick(self) -> None:
        self._timer = None
        now = self._clock()
        try:
            self._turn(now)
        finally:  # whatever happened, the next tick comes
            if self._loop is not None:
                self._arm(self._clock())

    def _turn(self, now: float) -> None:
        late_s = now - self._planned
        self._stall_s = max(self._stall_s, late_s)
        if late_s > TICK_S:
            self._sockets.read()  # what came in time, though we look at it late
        if late_s > STALLED_S:
            self._forgive(late_s)
        self._sockets.sweep(now)
        self._wake(now)
        self._backlog.carry_out(now + SLICE_S)
        self._release(now)
        self._start_ready()
        if self._results:
            results, self._results = self._results, []
            self._report(results)

    def _readable(self) -> None:
        """Something happened on a socket."""
        self._sockets.read()
        self._arm(self._clock())

    def _forgive(self, late_s: float) -> None:
        """This process stood still: that time is nobody's fault but ours, nor is the next moment."""
        more_s = late_s + STALLED_S
        for probe in self._sockets.asking():
            probe.deadline += more_s
            probe.latest += more_s
        for probe in self._asked.asking():
            probe.deadline += more_s

    def _wake(self, now: float) -> None:
        """See to all whose time has come: the next probe, or the deadline of this one."""
        for slot, probes in self._wheel.passed(now):
            for probe in probes:
                if probe.slot != slot:
                    continue  # it waits for something else by now
                if probe.phase == IDLE:
                    probe.phase = READY
                    self._ready.append(probe)
                elif probe.phase in (CONNECTING, TALKING, ASKED):
                    if probe.deadline > now:
                        probe.slot = self._wheel.put(probe, probe.deadline)
                    else:
                        by = self._asked if probe.phase == ASKED else self._sockets
                        self._finish(probe, by.expire(probe))

    def _release(self, now: float) -> None:
        """Let some of those that were never asked into the queue."""
        most = int(min(now - self._released, 2 * TICK_S) * STARTS_PER_S)
        if not most:
            return
        self._released = now
        while self._fresh and most:
            probe = self._fresh.popleft()
            if probe.phase == FRESH:
                probe.phase = READY
                probe.due = probe.base = now
                self._ready.append(probe)
                most -= 1

    def _start_ready(self) -> None:
        """Start what is due, in order, as far as there is room and time."""
        now = self._clock()
        until = now + SLICE_S
        ready = self._ready
        while ready and self._in_flight < self._at_once and self._held_until <= now <= until:
            probe = ready.popleft()
            if probe.phase == READY:
                self._start(probe, now)
                if not self._serial % 4:
                    now = self._clock()

    # One probe

    def _start(self, probe: Probe, now: float) -> None:
        late_s = now - probe.due
        if late_s >= 0:  # else it was asked for off its schedule, which stays
            probe.base = probe.due
            self._late_s = max(self._late_s, late_s)
        self._serial = probe.serial = self._serial + 1
        probe.started = now
        self._in_flight += 1
        target = probe.target
        if probe.sockaddr is None and type(target.check) is not Connect:
            kind = type(target.check)
            asker = self._askers.get(kind)
            if asker is not None and (kind is not Load or target.check.words):  # type: ignore[union-attr]
                self._asked.start(probe, asker, now)
                return
            try:
                probe.talk = self._talk_for(target)
            except Exception as fault:  # noqa: BLE001  one target's fault is not all targets'
                self._finish(probe, unable(kind, fault))
                return
            if probe.talk is None and not needs_no_talk(target):
                self._finish(probe, unable(kind))
                return
        try:
            answer = self._sockets.start(probe, now)
        except ExhaustedError as fault:
            self._in_flight -= 1
            probe.phase = READY
            self._ready.appendleft(probe)
            self._held_until = now + HOLD_S
            self._complain(probe, fault.answer, now)
            return
        if answer is not None:
            self._finish(probe, answer)

    def _slow(self, probe: Probe) -> None:
        """Its deadline is one to keep an eye on."""
        probe.slot = self._wheel.put(probe, probe.deadline)

    def _heard(self, probe: Probe, answer: Answer) -> None:
        """An asker has answered."""
        self._finish(probe, answer)
        self._arm(self._clock())

    def _finish(self, probe: Probe, answer: Answer) -> None:
        """Remember a result, tell it if it can change anything, and plan the next probe."""
        now = self._clock()
        self._in_flight -= 1
        probe.phase = IDLE
        if answer is probe.answer and probe.streak > probe.most and not probe.loud:
            # The very same once more, as nearly all are: nobody is to hear of it.
            probe.streak += 1
            probe.at = now
            probe.took_s = now - probe.started
            due = probe.base + probe.period_s
            probe.due = due = max(now, due)
            probe.slot = self._wheel.put(probe, due)
            return
        target = probe.target
        if answer.reason is LOCAL_FAULT:
            if probe.answer is None and not probe.faulty:
                probe.faulty = True  # who waits for a first answer is told that there is none
                self._results.append(Finished(target, answer, now, now - probe.started))
            else:
                self._complain(probe, answer, now)
            probe.due = now + min(RETRY_S, target.pace.interval_s)
            probe.slot = self._wheel.put(probe, probe.due)
            return
        before = probe.answer
        if target.path is not None:
            text = f"{answer.text} (by VIP {target.path.vip}, mark {target.path.mark}, of {target.address})"
            answer = msgspec.structs.replace(answer, text=text)
        probe.answer = answer
        probe.at = now
        probe.took_s = now - probe.started
        if before is not None and before.ok == answer.ok:
            probe.streak += 1
            other = before.reason is not answer.reason or before.value != answer.value
            told = other or probe.streak <= probe.most
        else:
            probe.streak = 1
            told = True
        if probe.loud:
            probe.loud -= 1
            told = True
        if told:
            self._results.append(Finished(target, answer, now, probe.took_s))
        pace = target.pace
        interval_s = pace.interval_s
        if not answer.ok and probe.streak >= probe.fall and pace.down_interval_s is not None:
            interval_s = pace.down_interval_s
        probe.period_s = interval_s
        if before is None:
            probe.due = probe.base = probe.started
            interval_s *= self._random.random()
        due = probe.base + interval_s
        probe.due = due = max(due, now)
        probe.slot = self._wheel.put(probe, due)

    def _complain(self, probe: Probe, answer: Answer, now: float) -> None:
        """Tell a fault of this director, once in a while: it has no news of the real server."""
        if now - self._fault_at >= RETRY_S:
            self._fault_at = now
            self._results.append(Finished(probe.target, answer, now, now - probe.started))
