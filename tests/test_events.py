"""Events as an operator reads them; ids and fields are held by the house rules."""

from __future__ import annotations

import pytest

from lvs import events
from lvs.events import Event


def samples(event: type[Event]) -> Event:
    """An event with a value that is easily told in every field."""
    values = {name: 2 if kind in (int, "int") else f"<{name}>" for name, kind in kinds(event).items()}
    return event(**values)


def kinds(event: type[Event]) -> dict[str, object]:
    return {name: event.__annotations__[name] for name in event.__struct_fields__}


@pytest.mark.parametrize("event", events.ALL, ids=lambda event: event.__name__)
def test_a_line_of_text(event: type[Event]) -> None:
    said = samples(event).text()
    assert said
    assert "\n" not in said
    assert "None" not in said


@pytest.mark.parametrize("event", events.ALL, ids=lambda event: event.__name__)
def test_the_reason_is_told_unchanged(event: type[Event]) -> None:
    if "reason" in event.__struct_fields__:
        assert "<reason>" in samples(event).text()


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (events.Started("1.0", "lvs.toml"), "lvsd 1.0 manages IPVS by lvs.toml"),
        (
            events.ConfigApplied("a", 7, "d", 3, 9, 12, 0, 5),
            "a applied: serial 7, 3 virtual servers, 9 real servers, 12 changes, 5 ms",
        ),
        (events.ConfigRefused("a", 1, "serial 7 goes on"), "a refused: 1 problem; serial 7 goes on"),
        (events.ConfigRefused("a", 2, "serial 7 goes on"), "a refused: 2 problems; serial 7 goes on"),
        (
            events.Drifted(1, "ipvsadm -A"),
            "the kernel had drifted from the configuration, put right with 1 change: ipvsadm -A",
        ),
        (
            events.RealServerRemoved("web", "real1", "10.0.0.1:80", "ipvsadm -d", "configuration"),
            "real server real1 of web removed (configuration): ipvsadm -d",
        ),
    ],
)
def test_texts(event: Event, said: str) -> None:
    assert event.text() == said


def test_without_a_text_it_is_no_event() -> None:
    with pytest.raises(NotImplementedError):
        Event().text()
