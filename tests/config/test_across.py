"""Virtual servers judged together; the rules as operators meet them are in test_build.py."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lvs.config.across import Facts, across, twice
from lvs.config.located import Note, Severity

VIPS = st.none() | st.tuples(
    st.integers(1, 3),
    st.sampled_from(["eth0", "eth1"]),
    st.none() | st.just("eth0:1"),
    st.none() | st.just(24),
)
FACTS = st.builds(
    Facts,
    name=st.sampled_from("abc"),
    masquerading=st.booleans(),
    identity=st.integers(0, 3),
    vip=VIPS,
    mark=st.integers(0, 2),
    agreement=st.just(("IPv4", "wlc", frozenset(), None, "nat", None))
    | st.just(("IPv4", "rr", frozenset(), None, "nat", None)),
    mixed=st.booleans(),
)


@given(st.lists(FACTS, max_size=5), st.booleans())
def test_against_a_dumb_twin(facts: list[Facts], syncdaemon: bool) -> None:
    notes: list[Note] = []
    across(facts, syncdaemon=syncdaemon, notes=notes)
    expected = set()
    for index, fact in enumerate(facts):
        before = facts[:index]
        if any(other.name == fact.name for other in before):
            expected.add((index, "", Severity.WARNING))
        if fact.identity and any(other.identity == fact.identity for other in before):
            expected.add((index, "address", Severity.ERROR))
        same_vip = [other.vip for other in before if other.vip and fact.vip and other.vip[0] == fact.vip[0]]
        if same_vip and same_vip[0] != fact.vip:
            expected.add((index, "address", Severity.WARNING))
        same_mark = [other for other in before if other.mark == fact.mark != 0]
        if same_mark and same_mark[0].agreement != fact.agreement:
            expected.add((index, "scheduler", Severity.ERROR))
        if syncdaemon and fact.mixed:
            expected.add((index, "", Severity.ERROR))
    assert {(note.place.block, note.place.key, note.severity) for note in notes} == expected


def test_twice() -> None:
    assert list(twice(["a", "b", "a", "", "", None, None, "a"])) == [(2, 0), (7, 0)]
