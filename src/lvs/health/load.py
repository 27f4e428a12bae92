"""Dynamic weight: what a load monitor's last answer makes of a configured weight.

A pure, clamped function of that answer alone. nanny added to the current weight at every turn, with
the same cube root (lvs.cf section 4.7), and so came to depend on history; keepalived's grew without limit.
Its range is kept: never below the configured weight, never above ten times of it. So is its smallest
step, a quarter of the configured weight, below which nanny left the weight alone: here the answer is
rounded to it, so that no answer is left out for what there was before. A share is the other way
round: never above, and to the number as it is asked for.
"""

from __future__ import annotations

import math

STEPS = 4  # to the configured weight
SCALE = 10  # nanny's --scale: the highest multiple of the configured weight
HEAVIEST = 65535  # the highest weight that can be configured


def weight(configured: int, value: float | None) -> int:
    """The weight to put into the kernel.

    Shape: `value` is an `Answer.value`: a load, or minus a share of the weight; None: nothing is
    known. Weight 0 is the operator's word and stays.
    """
    if not configured or value is None or not math.isfinite(value):
        return configured
    if value < 0:
        return min(configured, _rounded(configured * -value))
    if value >= 1:
        return configured
    times = _rounded(STEPS * (1 + (SCALE - 1) * math.cbrt(1 - value))) / STEPS
    grown = _rounded(configured * times)
    return max(configured, min(grown, SCALE * configured, HEAVIEST))


def _rounded(number: float) -> int:
    """Half up; Python's own rounding makes 0 of 0.5 and 2 of 1.5."""
    return math.floor(number + 0.5)
