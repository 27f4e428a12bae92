"""Whatever may befall one of two directors, again and again, while a client counts.

    python -m netns.chaos SECONDS SEED

One fault at a time: the pair promises to outlive one. Each is drawn at random, lasts as long as is drawn,
and is undone; before the next one director is active, the other on standby, and just the active one holds the
VIP. Half of the faults find a new configuration being saved meanwhile. It ends with equal configurations and
equal tables, and every time without an answer has to begin under a fault, or as it is undone, and to be
over within the promise. Shorter ones that began under none are counted, and told at the end.
"""

from __future__ import annotations

import os
import random
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from lab import Lab
from lab.peers import Tally

from . import pair as pairs
from .director import Director, until
from .pair import DEADTIME_S, DIRECTORS, SLACK_S, TIMES, Client, Pair

PROMISE_S = DEADTIME_S + SLACK_S
CLOCK_S = 0.2  # between what was ordered and what the clock said
HICCUP_S = 1.0  # an emulated guest answers nobody now and then for that long, and nothing was done to it
AGREE_S = 60.0  # for both to run the newest configuration; an emulated guest takes seconds for each


@dataclass(frozen=True)
class Injected:
    """A fault, and when it was there, on the lab's clock."""

    name: str
    began: float
    ended: float
    limit_s: float  # of a time without an answer


@dataclass
class Chaos:
    """A pair at work, and what was done to it."""

    pair: Pair
    draw: random.Random
    log: Callable[[str], None] = print
    injected: list[Injected] = field(default_factory=list)
    weight: int = 1

    def run(self, seconds: float) -> Tally:
        """Inject for so long, and judge; what the client saw. Errors: AssertionError says what is wrong."""
        with Client(self.pair) as client:
            end = self.pair.clock() + seconds
            while self.pair.clock() < end:
                self.inject()
            self.agreed()
        self.judge(client.tally)
        return client.tally

    def inject(self) -> None:
        """One fault, from the whole pair to the whole pair."""
        name = self.draw.choice(sorted(FAULTS))
        victim = self.draw.choice(self.pair.directors)
        kind = pairs.role(victim)
        lasts_s = self.draw.choice((0.0, DEADTIME_S / 2, DEADTIME_S, 2 * DEADTIME_S))
        edits = self.draw.random() < 0.5 and self.same_file()
        began = self.pair.clock()
        self.log(f"{began:8.2f} {name} of {victim.machine.name} ({kind}) for {lasts_s} s")
        undo = FAULTS[name](self, victim)
        if edits:
            self.edit(self.pair.other(victim))
        until(self.pair.clock, lambda now: now - began >= lasts_s)
        undo()
        limit_s = PROMISE_S if kind == "active" and name not in PLANNED else SLACK_S
        done = Injected(f"{name} of {victim.machine.name} ({kind})", began, self.pair.clock(), limit_s)
        self.injected.append(done)
        active = self.pair.settled()
        self.log(f"{self.pair.clock():8.2f} {active.machine.name} is active")

    def edit(self, director: Director) -> None:
        """Save a file with a higher number, and another weight."""
        self.pair.serial += 1
        self.weight = self.weight % 9 + 1
        content = pairs.text(TIMES, self.pair.serial).replace("weight = 1", f"weight = {self.weight}")
        director.machine.write(director.file + ".new", content)
        director.machine.run("mv", director.file + ".new", director.file)
        self.log(f"         serial {self.pair.serial} is saved on {director.machine.name}")

    def same_file(self) -> bool:
        """Whether the last edit has arrived: two of them, one on each, would be a conflict."""
        one, other = [it.machine.run("cat", it.file).out for it in self.pair.directors]
        return one == other

    def agreed(self) -> None:
        """Wait until both hold the same, and it is what was saved last."""
        active, standby = self.pair.settled(), self.pair.standby

        def look() -> tuple[list[str], list[str], list[str]]:
            return (
                [one.machine.run("cat", one.file).out for one in (active, standby)],
                active.table(),
                standby.table(),
            )

        def good(seen: tuple[list[str], list[str], list[str]]) -> bool:
            (here, there), ours, theirs = seen
            newest = f"serial_no = {self.pair.serial}\n"
            weighed = all(line.endswith(f"-w {self.weight}") for line in ours if " -r " in line)
            return here == there and newest in here and ours == theirs and weighed

        until(look, good, AGREE_S)
        assert self.pair.settled() is active, "nothing was done to it"

    def judge(self, tally: Tally) -> None:
        """Whether each time without an answer is explained, or no longer than an emulated guest's own."""
        unexplained = list[float]()
        for began, lasted in tally.gaps:
            near = [one for one in self.injected if one.began - CLOCK_S <= began <= one.ended + PROMISE_S]
            said = f"no answer for {lasted} s from {began} on, near {near}"
            assert lasted < max([HICCUP_S, *(one.limit_s for one in near)]), said
            unexplained += [] if near else [lasted]
        longest = f", the longest {max(unexplained):.2f} s" if unexplained else ""
        self.log(f"{len(unexplained)} of {len(tally.gaps)} gaps began under no fault{longest}")


# Faults: each returns how it is undone


Undo = Callable[[], None]


def _power(chaos: Chaos, victim: Director) -> Undo:
    chaos.pair.power_off(victim)

    def undo() -> None:
        chaos.pair.power_on(victim)
        victim.spawn()

    return undo


def _kill(chaos: Chaos, victim: Director) -> Undo:
    chaos.pair.kill(victim)
    return partial(_start, victim)


def _kill_pulse(chaos: Chaos, victim: Director) -> Undo:
    """The process beside the daemon, which starts it again."""
    assert victim.process is not None
    pid = victim.process.pid
    script = f"kill -9 $(cat /proc/{pid}/task/{pid}/children)"
    victim.machine.run("sh", "-c", script)
    return lambda: None


def _stop(chaos: Chaos, victim: Director) -> Undo:
    victim.stop()
    return partial(_start, victim)


def _start(victim: Director) -> None:
    victim.spawn()


def _pause(chaos: Chaos, victim: Director) -> Undo:
    victim.machine.pause()
    return victim.machine.resume


def _cut(chaos: Chaos, victim: Director) -> Undo:
    chaos.pair.lan.cut(victim.machine.name)
    return lambda: chaos.pair.lan.mend(victim.machine.name)


def _isolate(chaos: Chaos, victim: Director) -> Undo:
    """All is lost, and it has its carrier."""
    chaos.pair.lan.isolate(victim.machine.name)
    return lambda: chaos.pair.lan.mend(victim.machine.name)


def _mute(chaos: Chaos, victim: Director) -> Undo:
    """All that it sends is lost."""
    chaos.pair.lan.mute(victim.machine.name)
    return lambda: chaos.pair.lan.mend(victim.machine.name)


def _deafen(chaos: Chaos, victim: Director) -> Undo:
    chaos.pair.deafen(victim)
    return lambda: chaos.pair.undeafen(victim)


def _deafen_both(chaos: Chaos, victim: Director) -> Undo:
    undo = [_deafen(chaos, one) for one in chaos.pair.directors]

    def undone() -> None:
        for one in undo:
            one()

    return undone


def _flush(chaos: Chaos, victim: Director) -> Undo:
    victim.machine.run("ip", "address", "flush", "dev", "eth0")
    own = f"{DIRECTORS[victim.machine.name]}/24"

    def undo() -> None:
        victim.machine.run("ip", "address", "add", own, "dev", "eth0")

    return undo


def _replug(chaos: Chaos, victim: Director) -> Undo:
    name = victim.machine.name
    chaos.pair.lan.remove(name)
    return lambda: chaos.pair.lan.join(name, f"{DIRECTORS[name]}/24")


def _switch(chaos: Chaos, victim: Director) -> Undo:
    chaos.pair.switch()
    return lambda: None


FAULTS: dict[str, Callable[[Chaos, Director], Undo]] = {
    "power off": _power,
    "daemon killed": _kill,
    "pulse killed": _kill_pulse,
    "daemon stopped": _stop,
    "pause": _pause,
    "link down": _cut,
    "isolation": _isolate,
    "mute": _mute,
    "deaf to heartbeats": _deafen,
    "no heartbeats": _deafen_both,
    "addresses flushed": _flush,
    "interface made again": _replug,
    "switchover": _switch,
}


PLANNED = {"daemon stopped", "pulse killed", "switchover"}  # or nobody else has to take over


def main() -> None:
    """SECONDS SEED; the seed is drawn if there is none."""
    seconds = float(sys.argv[1])
    seed = int(sys.argv[2]) if len(sys.argv) > 2 and sys.argv[2] else int.from_bytes(os.urandom(3), "big")
    print(f"chaos: {seconds:.0f} s, seed {seed}", flush=True)
    with Lab.start() as lab:
        pair = pairs.build(lab)
        pair.start()
        chaos = Chaos(pair, random.Random(seed), lambda line: print(line, flush=True))
        try:
            tally = chaos.run(seconds)
        except BaseException:
            print(lab.console())
            print(pair.said())
            raise
    kinds = Counter(one.name.partition(" of ")[0] for one in chaos.injected)
    print("\n".join(f"{number:4} {name}" for name, number in sorted(kinds.items())))
    longest = max((lasted for _, lasted in tally.gaps), default=0.0)
    print(f"{len(chaos.injected)} faults; {tally.sent} requests, {tally.failed} unanswered")
    print(f"{len(tally.gaps)} gaps, the longest {longest:.2f} s; promised are {PROMISE_S} s")


if __name__ == "__main__":
    main()
