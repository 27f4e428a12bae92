"""B28 to B35 on real kernels: two directors that act as one, seen by a client."""

from __future__ import annotations

import pytest

from lab import Lab

from . import pair as pairs

pytestmark = pytest.mark.netns


@pytest.fixture
def pair(lab: Lab) -> pairs.Pair:
    return pairs.build(lab)


def test_a_pair_serves_and_switches_over_without_a_gap(pair: pairs.Pair) -> None:
    pair.start()
    try:
        before = pair.active
        client = pairs.traffic(pair.client, "tcp", pairs.VIP, pairs.PORT, period_s=0.01)
        print(before.lvsd("status"))
        print(before.lvsd("switchover"))
        after = pair.settled()
        assert after is not before
        tally = client.stop()
        print(tally)
        print(after.lvsd("status"))
    finally:
        print(pair.said())
    assert tally.failed == 0
