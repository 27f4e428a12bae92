"""`lvsd status`, `plan`, `reload`, `switchover`: what a daemon is asked, and what is printed of its reply."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lvs import cli
from lvs.errors import Exit
from lvs.protocol import PlanRequest, ReloadRequest, Reply, StatusRequest, SwitchoverRequest
from lvs.status import Status
from typed import BOTH, VALID, Asked, Standard


@pytest.fixture
def valid(tmp_path: Path) -> Path:
    path = tmp_path / "lvs.toml"
    path.write_text(VALID)
    return path


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Callable[[Reply], Asked]:
    def answering(reply: Reply) -> Asked:
        asked = Asked(reply)
        monkeypatch.setattr("lvs.io.control.ask", asked)
        return asked

    return answering


def test_plan_of_standard_input(
    daemon: Callable[[Reply], Asked], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The name that goes with it tells the daemon its language."""
    asked = daemon(Reply())
    for language in ("toml", "cf"):
        monkeypatch.setattr(sys, "stdin", Standard(BOTH))
        assert cli.main(["plan", "--format", language, "-"]) == Exit.OK
    assert [request for _, request in asked.requests] == [
        PlanRequest("stdin.toml", BOTH),
        PlanRequest("stdin.cf", BOTH),
    ]
    assert cli.main(["plan", "--format", "cf"]) == Exit.PROBLEMS
    assert "--format is for standard input" in capsys.readouterr().err


def test_plan(valid: Path, daemon: Callable[[Reply], Asked], capsys: pytest.CaptureFixture[str]) -> None:
    asked = daemon(Reply(out=("# nothing to change",), err=("a warning",)))
    assert cli.main(["plan", str(valid)]) == Exit.OK
    assert cli.main(["plan", "--run-dir", "/elsewhere"]) == Exit.OK
    assert asked.requests == [
        (Path("/run/lvs/lvsd.sock"), PlanRequest(str(valid), VALID.encode())),
        (Path("/elsewhere/lvsd.sock"), PlanRequest()),
    ]
    said = capsys.readouterr()
    assert said.out == "# nothing to change\n" * 2
    assert said.err == "a warning\n" * 2


STATUS = Status("1.0", "lvs.toml", 7, "d", "serving", (), (), ())


def test_status(daemon: Callable[[Reply], Asked], capsys: pytest.CaptureFixture[str]) -> None:
    asked = daemon(Reply(status=STATUS))
    assert cli.main(["status"]) == Exit.OK
    assert capsys.readouterr().out.startswith("lvsd 1.0: serving, serial 7, lvs.toml\n")
    assert cli.main(["status", "--json"]) == Exit.OK
    assert json.loads(capsys.readouterr().out)["serial_no"] == 7
    assert [request for _, request in asked.requests] == [StatusRequest()] * 2


def test_status_that_failed_has_no_json(
    daemon: Callable[[Reply], Asked], capsys: pytest.CaptureFixture[str]
) -> None:
    daemon(Reply(Exit.RIGHTS, err=("not permitted",)))
    assert cli.main(["status", "--json"]) == Exit.RIGHTS
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "not permitted\n")


def test_reload(daemon: Callable[[Reply], Asked], capsys: pytest.CaptureFixture[str]) -> None:
    asked = daemon(Reply(Exit.PROBLEMS, err=("lvs.toml:3: wrong",)))
    assert cli.main(["reload"]) == Exit.PROBLEMS
    assert capsys.readouterr().err == "lvs.toml:3: wrong\n"
    assert [request for _, request in asked.requests] == [ReloadRequest()]


def test_switchover(daemon: Callable[[Reply], Asked], capsys: pytest.CaptureFixture[str]) -> None:
    asked = daemon(Reply(out=("the other one serves",)))
    assert cli.main(["switchover"]) == Exit.OK
    assert capsys.readouterr().out == "the other one serves\n"
    assert [request for _, request in asked.requests] == [SwitchoverRequest()]
