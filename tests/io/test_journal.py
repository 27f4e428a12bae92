"""Events as systemd's own handler sends them, and as lines on standard error."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from lvs import events
from lvs.events import Event, Priority
from lvs.io import journal
from lvs.io.journal import Journal

EVENT = events.RealServerRemoved("wéb", "real1", "10.0.0.1:80", "ipvsadm -d", "100 %s, 5 %")


class Sent:
    """Takes what the handler sends instead of journald; its socket's path is fixed in libsystemd."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.messages: list[tuple[str, dict[str, Any]]] = []
        self.gate = threading.Event()
        self.gate.set()
        make = journal._journal_handler

        def handler() -> Any:
            made: Any = make()
            made.send = self
            return made

        monkeypatch.setattr(journal, "_journal_handler", handler)

    def __call__(self, text: str, **fields: Any) -> None:
        assert self.gate.wait(5)
        # journald drops what is not an upper-case name, systemd.journal-fields(7)
        self.messages.append((text, {name: value for name, value in fields.items() if name == name.upper()}))


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    return Sent(monkeypatch)


def test_fields(sent: Sent) -> None:
    written = Journal(to_journal=True)
    written.report(EVENT)
    written.close()
    [(text, fields)] = sent.messages
    assert text == EVENT.text()
    wanted = {
        "MESSAGE_ID": EVENT.MESSAGE_ID,
        "PRIORITY": "6",
        "EVENT": "RealServerRemoved",
        "SYSLOG_IDENTIFIER": "lvsd",
        "VIRTUAL_SERVER": "wéb",
        "REAL_SERVER": "real1",
        "ADDRESS": "10.0.0.1:80",
        "OPERATION": "ipvsadm -d",
        "REASON": "100 %s, 5 %",
    }
    assert fields.items() >= wanted.items()


@pytest.mark.parametrize("event", events.ALL, ids=lambda event: event.__name__)
def test_every_event_can_be_sent(event: type[Event], sent: Sent) -> None:
    """No field of ours is one that the handler sets itself: it would be an argument twice."""
    values = {
        name: 2 if event.__annotations__[name] in (int, "int") else "x" for name in event.__struct_fields__
    }
    written = Journal(to_journal=True)
    written.report(event(**values))
    written.close()
    [(_, fields)] = sent.messages
    assert fields["PRIORITY"] == str(int(event.PRIORITY))
    assert {name.upper() for name in event.__struct_fields__} <= fields.keys()


@pytest.mark.parametrize("priority", Priority)
def test_priorities_are_kept(priority: Priority, sent: Sent) -> None:
    class Told(Event, frozen=True):
        PRIORITY = priority

        def text(self) -> str:
            return "told"

    # Not one of events.ALL: that is made once, when the module is read.
    written = Journal(to_journal=True)
    written.report(Told())
    written.close()
    assert sent.messages[0][1]["PRIORITY"] == str(int(priority))


def test_in_order(sent: Sent) -> None:
    written = Journal(to_journal=True)
    for number in range(100):
        written.report(events.ConfigUnchanged("f", number))
    written.close()
    assert [fields["SERIAL"] for _, fields in sent.messages] == [str(number) for number in range(100)]


def test_a_stuck_journal_stops_nobody(sent: Sent, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit in front of it is counted, and told when it goes on."""
    monkeypatch.setattr(journal, "_WAITING", 3)
    sent.gate.clear()
    written = Journal(to_journal=True)
    for number in range(20):
        written.report(events.ConfigUnchanged("f", number))
    sent.gate.set()
    written._queue.join()
    written.report(events.ConfigUnchanged("f", 99))
    written.close()
    texts = [text for text, _ in sent.messages]
    lost = 20 - sum("serial" in text for text in texts[:-2])
    assert texts[-1] == f"{lost} messages were lost: the journal did not take them in time"
    assert sent.messages[-1][1]["PRIORITY"] == "4"


def test_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    written = Journal(to_journal=False)
    written.report(EVENT)
    written.close()
    assert capsys.readouterr().err == f"lvsd: {EVENT.text()}\n"
