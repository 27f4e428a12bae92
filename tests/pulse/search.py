"""Looks for a case that breaks a promise of the pair: `python tests/pulse/search.py SECONDS [SEED]`.

Draws case after case from SEED on until SECONDS simulated seconds have passed, on all cores. The first case
that breaks one is made smaller and printed as a transcript, which tests/pulse/test_machine.py can keep.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import count, islice
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from pulse.cases import drawn, shrunk, told, written
from pulse.simulator import Simulation

SEEDS = 4  # judged in one go
LAST_LINES = 80  # of what led to it


def judged(seed: int) -> tuple[float, int | None]:
    """Simulated seconds of some cases from a seed on, and the seed of the first that broke a promise."""
    seconds = 0.0
    for one in range(seed, seed + SEEDS):
        case = drawn(one)
        if Simulation(case).run() is not None:
            return seconds, one
        seconds += case.lasts
    return seconds, None


def searched(seconds: float, seed: int) -> Iterator[tuple[float, int | None]]:
    """What `judged` says, in order, until so many seconds were simulated or a promise was broken."""
    with ProcessPoolExecutor() as pool:
        seeds = count(seed, SEEDS)
        running = [pool.submit(judged, one) for one in islice(seeds, 4)]
        done = 0.0
        while running:
            passed, broken = running.pop(0).result()
            yield passed, broken
            done += passed
            if broken is not None:
                pool.shutdown(cancel_futures=True)
                return
            if done < seconds:
                running.append(pool.submit(judged, next(seeds)))


def main() -> int:
    """Search; 1 if a promise was broken."""
    seconds, seed = float(sys.argv[1]), int((sys.argv[2:] or ["0"])[0])
    began = shown = time.monotonic()
    done, broken = 0.0, None
    for passed, broken in searched(seconds, seed):
        done += passed
        took_s = time.monotonic() - began
        if time.monotonic() - shown > 60 or broken is not None:
            shown = time.monotonic()
            print(f"{done:.0f} s simulated in {took_s:.0f} s", flush=True)
    if broken is not None:
        case = shrunk(drawn(broken))
        print(*written(case), "----", *told(case)[-LAST_LINES:], sep="\n")
        return 1
    took_s = time.monotonic() - began
    rate = done / took_s
    print(f"{done:.0f} s simulated from seed {seed} in {took_s:.0f} s, {rate:.0f} times as fast as the clock")
    return 0


if __name__ == "__main__":
    sys.exit(main())
