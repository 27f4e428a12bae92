"""What the maintenance commands make of their arguments, and the bar; they are run in tests/netns."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from lvs import upkeep
from lvs.errors import Exit, UsageError
from lvs.io import control
from lvs.protocol import DrainRequest, Reply, Request, SessionsRequest
from lvs.upkeep import bar, seconds


@pytest.mark.parametrize(
    ("text", "found"), [("90", 90), ("90s", 90), ("1.5m", 90), ("2 h", 7200), ("1d", 86400), ("5min", 300)]
)
def test_times(text: str, found: float) -> None:
    assert seconds(text) == found


@pytest.mark.parametrize("text", ["", "soon", "-5", "5w", "1e3", "5 m 3"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(UsageError, match="90s, 5m, 2h or 1d"):
        seconds(text)


def test_the_bar_fills() -> None:
    assert bar(8, 8) == f"[{'-' * 40}] 8 sessions left"
    assert bar(1, 4) == f"[{'#' * 30}{'-' * 10}] 1 session left"
    assert bar(0, 0) == f"[{'#' * 40}] 0 sessions left"


def watched(monkeypatch: pytest.MonkeyPatch, *replies: Reply) -> int:
    """`lvsd drain real1`, with what the daemon says as it is asked again and again."""
    left = iter(replies)

    def ask(_: Path, request: Request) -> Reply:
        if isinstance(request, DrainRequest):
            return Reply(out=("real1: draining",))
        assert request == SessionsRequest("real1", None)
        return next(left)

    monkeypatch.setattr(control, "ask", ask)
    monkeypatch.setattr(upkeep, "LOOK_EVERY_S", 0.0)
    parser = argparse.ArgumentParser()
    upkeep.drain_arguments(parser)
    return upkeep.drain(parser.parse_args(["real1"]))


def test_a_drain_is_watched_to_its_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    done = Reply(out=("real1: drained, no session is left",), sessions=0)
    assert watched(monkeypatch, Reply(sessions=2), Reply(sessions=1), done) == Exit.OK
    assert capsys.readouterr().out.splitlines() == [
        "real1: draining",
        "real1: 2 sessions left",
        "real1: drained, no session is left",
    ]


def test_a_drain_that_is_taken_back_meanwhile_is_watched_no_more(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = Reply(Exit.FAILED, err=("real1: no longer draining: the order was taken back",))
    assert watched(monkeypatch, Reply(sessions=2), gone) == Exit.FAILED
    told = capsys.readouterr()
    assert told.err == "real1: no longer draining: the order was taken back\n"
    assert "drained" not in told.out
