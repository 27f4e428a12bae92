"""Cases: drawn by a seed, written as text and read again, made smaller, and told as a transcript.

As text a case is a line of what differs from its defaults and a line for each disturbance, with its time:

    pair keepalive=0.2 deadtime=0.8 skew=1000 lasts=20
      4 cut backup public for 3.5
      6.25 crash primary for 2 by -40

Two values with a comma between are the primary's and the backup's.
"""

from __future__ import annotations

import random
import re

import msgspec

from lvs.model import Failback
from lvs.pulse.words import Grade
from pulse.simulator import NAMES, PATHS, Act, Case, Disturbance, Simulation, Timing

# The deployment's values, Piranha's, ours, and faster ones; slow ones cost less for each second.
TIMINGS = [Timing(*pair) for pair in ((0.1, 0.4), (0.2, 0.8), (0.5, 1.5), (2.0, 5.0), *[(6.0, 18.0)] * 8)]
FORM = re.compile(
    r"(?P<at>\S+) (?P<act>\S+) (?P<subject>\S+)(?P<detail> (?!for |by )\S+)?"
    r"( for (?P<lasts>\S+))?( by (?P<amount>\S+))?"
)
LOSSES = ((0.5, 0.5), (0.8, 0.8), (0.9, 0.9), (1.0, 0.9), (0.9, 1.0))  # of either director's beats
REPLAYS = 10  # at a time, of the whole record
NAMED = {"late": "late_s", "delay": "delay_s", "skew": "skew_s", "lasts": "lasts", "seed": "seed"}
PLAIN = Case((TIMINGS[0], TIMINGS[0]))


def drawn(seed: int, deadtimes: int = 400) -> Case:
    """A case by its seed."""
    chance = random.Random(seed)
    timings = chance.choice(TIMINGS), chance.choice(TIMINGS)
    if chance.random() < 0.8:
        timings = timings[0], timings[0]
    deadtime_s = max(timing.deadtime_s for timing in timings)
    lasts = deadtime_s * (deadtimes if timings[0] == timings[1] else deadtimes / 4)
    rate = chance.choice((2, 5, 10, 40))  # deadtimes between two disturbances
    disturbances: list[Disturbance] = []
    at = 0.0
    while (at := at + chance.expovariate(1 / (rate * deadtime_s))) < lasts:
        disturbances += _drawn(chance, round(at, 3), deadtime_s)
    return Case(
        timings,
        chance.choice(list(Failback)),
        seed,
        chance.choice((0.0, 0.1, 0.5)),
        chance.choice((0.0005, 0.005, deadtime_s / 100)),
        chance.choice((0.0, 0.0, 3.0, 1000.0)),
        lasts,
        tuple(sorted(disturbances)),
    )


def _drawn(chance: random.Random, at: float, deadtime_s: float) -> list[Disturbance]:
    spread = chance.choice((0.1, 0.5, 0.9, 1.0, 1.1, 1.5, 3, 20)) * chance.uniform(0.9, 1.1)
    lasts = round(deadtime_s * spread, 3)
    name = chance.choice(NAMES)
    match chance.choice((*Act, Act.CUT, Act.CUT, Act.PAUSE)):
        case Act.CUT:
            which = chance.randrange(4)
            paths = PATHS if which else (chance.choice(PATHS),)
            senders = NAMES if which > 1 else (name,)
            longer = dict(zip(NAMES, chance.choice(((1, 1), (1, 1), (1, 5), (5, 1))), strict=True))
            return [
                Disturbance(at, Act.CUT, sender, path, round(lasts * longer[sender], 3))
                for path in paths
                for sender in senders
            ]
        case Act.LOSE:
            shares = dict(zip(NAMES, chance.choice(LOSSES), strict=True))
            return [
                Disturbance(at, Act.LOSE, sender, path, lasts, shares[sender])
                for path in PATHS
                for sender in NAMES
            ]
        case Act.FAULT:
            grade = str(chance.choice(list(Grade)))
            names = NAMES if chance.random() < 0.2 else (name,)
            return [Disturbance(at, Act.FAULT, one, grade, lasts) for one in names]
        case Act.CRASH:
            return [
                Disturbance(at, Act.CRASH, name, "", lasts, chance.choice((0.0, 0.0, 0.0, -3.0, 2.0, -900.0)))
            ]
        case Act.RELOAD:
            timing = chance.choice(TIMINGS)
            text, lag = f"{timing.keepalive_s:g}/{timing.deadtime_s:g}", chance.choice((0.1, 1.0, 4.0))
            return [Disturbance(at, Act.RELOAD, name, text, lag)]
        case Act.REPLAY:
            back = sorted(round(chance.random(), 2) for _ in range(REPLAYS))
            sender = chance.choice(NAMES)
            return [Disturbance(at, Act.REPLAY, name, sender, 0.0, amount) for amount in back]
        case act:
            return [Disturbance(at, act, name, "", lasts)]


# As text


def parsed(lines: list[str]) -> Case:
    """The case of a text."""
    verb, *words = lines[0].split()
    assert verb == "pair", lines[0]
    given = dict(word.split("=") for word in words)
    keepalives, deadtimes = (given.pop(name).split(",") for name in ("keepalive", "deadtime"))
    primary, backup = (Timing(float(keepalives[one]), float(deadtimes[one])) for one in (0, -1))
    failback = Failback(given.pop("failback", "never"))
    disturbances = []
    for line in lines[1:]:
        found = FORM.fullmatch(line.strip())
        assert found is not None, line
        detail = (found["detail"] or "").strip()
        lasts, amount = float(found["lasts"] or 0), float(found["amount"] or 0)
        disturbances.append(
            Disturbance(float(found["at"]), Act(found["act"]), found["subject"], detail, lasts, amount)
        )
    return Case(
        (primary, backup),
        failback,
        int(given.pop("seed", "0")),
        disturbances=tuple(disturbances),
        **{NAMED[name]: float(value) for name, value in given.items()},
    )


def written(case: Case) -> list[str]:
    """The text of a case."""
    words = ["pair"]
    for name in ("keepalive", "deadtime"):
        values = [f"{getattr(timing, f'{name}_s'):g}" for timing in case.timings]
        words.append(f"{name}={','.join(dict.fromkeys(values))}")
    words += [f"failback={case.failback}"] if case.failback is not Failback.NEVER else []
    for name, field in NAMED.items():
        if (value := getattr(case, field)) != getattr(PLAIN, field):
            words.append(f"{name}={value:.10g}")
    return [" ".join(words), *(f"  {_written(one)}" for one in case.disturbances)]


def _written(one: Disturbance) -> str:
    words = [f"{one.at:.10g}", one.act, one.subject, one.detail]
    words += [f"for {one.lasts:.10g}" if one.lasts else "", f"by {one.amount:.10g}" if one.amount else ""]
    return " ".join(filter(None, words))


def told(case: Case) -> list[str]:
    """What happens in a case, a line each; and how it ends."""
    log: list[str] = []
    simulation = Simulation(case, log=log)
    simulation.run()
    for node in simulation.nodes.values():
        role = "not running" if node.pulse is None else f"{node.pulse.role}, term {node.pulse.term}"
        log.append(f"{case.lasts:9.3f} {node.name} is {role}{', holds the VIPs' if node.holds else ''}")
    return log


# Made smaller


def shrunk(case: Case) -> Case:
    """A case with as few disturbances as violate the same rule."""
    first = Simulation(case).run()
    assert first is not None

    def fails(smaller: Case) -> bool:
        found = Simulation(smaller).run()
        return found is not None and found.rule == first.rule

    early = tuple(one for one in case.disturbances if one.at <= first.at)
    sooner = msgspec.structs.replace(case, lasts=round(first.at + 1), disturbances=early)
    case = sooner if fails(sooner) else case
    size = max(1, len(case.disturbances) // 2)
    while True:
        index = 0
        while index < len(case.disturbances):
            rest = case.disturbances[:index] + case.disturbances[index + size :]
            smaller = msgspec.structs.replace(case, disturbances=rest)
            if fails(smaller):
                case = smaller
            else:
                index += size
        if size == 1:
            return case
        size //= 2
