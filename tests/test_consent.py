"""What the other director says of a configuration; asked over a real channel in test_commits.py."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from lvs import consent
from lvs.consent import Consent, highest_serial
from lvs.letters import Letter
from lvs.sync.messages import Review, Reviewed, Standing
from lvs.sync.state import Leading, Phase, State
from lvs.sync.version import Agreed, Text, Version

ONE, TWO = (Text(Version(serial, str(serial)), b"", "toml") for serial in (1, 2))
BOTH = State(mine=ONE, connected=True, theirs=Standing(ONE.version))


class Coupling:
    """What is sent, and where both stand."""

    paired, peer = True, "lb2"

    def __init__(self, state: State = BOTH) -> None:
        self.state = state
        self.sent: list[Letter] = []

    def send(self, letter: Letter) -> None:
        self.sent.append(letter)

    def refused(self, version: Version) -> tuple[str, ...]:
        return ("no",) if version == TWO.version else ()


def test_an_answer_is_waited_for() -> None:
    async def run() -> None:
        coupling = Coupling()
        asks = Consent(coupling, lambda _text: ())
        asked = asyncio.ensure_future(asks.reviewed(TWO))
        await asyncio.sleep(0)
        (review,) = coupling.sent
        assert isinstance(review, Review)
        asks.heard(Reviewed(review.id + 1, ("of another",)))
        asks.heard(Reviewed(review.id, ("no such program",)))
        asks.heard(Reviewed(review.id))
        assert await asked == ("no such program",)

    asyncio.run(run())


def test_who_cannot_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consent, "REVIEW_S", 0.0)
    asks = Consent(Coupling(), lambda _text: ())
    assert asyncio.run(asks.reviewed(TWO)) is None  # it does not answer
    asks = Consent(Coupling(State(mine=ONE)), lambda _text: ())
    assert asyncio.run(asks.reviewed(TWO)) is None


def test_opinions() -> None:
    for state, text, problems in (
        (BOTH, TWO, ("it lacks something",)),
        (BOTH, ONE, ()),
        (State(mine=ONE, bad=True), TWO, ("its file was edited, and what it holds does not run",)),
    ):
        coupling = Coupling(state)
        asyncio.run(Consent(coupling, lambda _text: ("it lacks something",)).opinion(Review(7, text)))
        assert coupling.sent == [Reviewed(7, problems)]


def test_where_both_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    def told(state: State, text: Text = ONE) -> consent.Shared:
        return asyncio.run(Consent(Coupling(state), lambda _text: ()).shared(text.version))

    assert told(BOTH).text == "lb2 runs it, too"
    assert told(State(mine=ONE)).text.startswith("pending: ")
    assert told(BOTH, TWO).refused == ("no",)
    conflict = msgspec.structs.replace(BOTH, theirs=Standing(TWO.version), conflict="both were changed")
    assert told(conflict).text == "lb2 does not run it: both were changed"
    monkeypatch.setattr(consent, "SHARED_S", 0.02)
    leading = Leading(1, ONE, Phase.OFFERED, 9.0, fresh=True)
    assert "did not say in time" in told(msgspec.structs.replace(BOTH, leading=leading)).text
    alone = Coupling(State(mine=ONE))
    alone.paired = False
    assert asyncio.run(Consent(alone, lambda _text: ()).shared(ONE.version)).text == ""


def test_the_highest_serial_of_all() -> None:
    assert highest_serial(State()) == 0
    nine = Version(9, "9")
    for state in (
        State(mine=Text(nine, b"", "toml")),
        State(mine=ONE, agreed=Agreed(1, nine)),
        State(mine=ONE, file=Text(nine, b"", "toml")),
        State(mine=ONE, theirs=Standing(ONE.version, nine)),
        State(mine=ONE, theirs=Standing(nine)),
    ):
        assert highest_serial(state) == 9
