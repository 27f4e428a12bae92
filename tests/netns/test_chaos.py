"""A minute of chaos; `make chaos` runs for as long as you like."""

from __future__ import annotations

import random

import pytest

from lab import Lab

from . import pair as pairs
from .chaos import Chaos

pytestmark = pytest.mark.netns

SECONDS, SEED = 60.0, 4


def test_one_director_serves_whatever_befalls_the_other(lab: Lab) -> None:
    pair = pairs.build(lab)
    pair.start()
    chaos = Chaos(pair, random.Random(SEED))
    try:
        print(chaos.run(SECONDS))
    finally:
        print(pair.said())
    assert chaos.injected
