"""`lvsd update --pair` against a daemon that plays both directors."""

from __future__ import annotations

import argparse
import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from lvs import rollout, update
from lvs.errors import UsageError
from lvs.io import control, notes, trial
from lvs.io.updates import Places
from lvs.protocol import (
    SOCKET_NAME,
    OfferRequest,
    PieceRequest,
    Reply,
    Request,
    SidesRequest,
    StartRequest,
    SwitchoverRequest,
)
from lvs.subcommands import parser
from lvs.updating.rolling import Plan, Side
from updating.packing import allowed, key, pack, places


class Pair:
    """Both directors as the daemon of this one tells of them."""

    def __init__(self, machine: Places, *, here_active: bool) -> None:
        self.machine = machine
        roles = ("active", "standby") if here_active else ("standby", "active")
        self.here, self.there = (Side("0.1.0", role, synced=True) for role in roles)
        self.got = bytearray()
        self.asked: list[str] = []
        self.refuses = ""
        self.falls_back = False

    async def answer(self, request: Request, _by: str) -> Reply:
        name = type(request).__name__
        if self.asked[-1:] != [name]:
            self.asked.append(name)
        match request:
            case SidesRequest():
                pending = notes.load(self.machine.directory).pending
                if pending is not None:
                    self.here = msgspec.structs.replace(self.here, laid=pending.version)
                return Reply(here=self.here, there=self.there)
            case OfferRequest():
                self.got.clear()
            case PieceRequest(data) if self.refuses and data:
                return Reply(1, err=(self.refuses,))
            case PieceRequest(data):
                self.got += data
                if not data:
                    self.there = msgspec.structs.replace(self.there, laid="0.2.0")
                    return Reply(out=("0.2.0 is installed",))
            case StartRequest(version):
                self.there = (
                    Side("0.1.0", "standby", synced=True, last="0.2.0 was given up for 0.1.0: why")
                    if self.falls_back
                    else Side(version, "standby", synced=True)
                )
            case SwitchoverRequest():
                here, there = self.there.role, self.here.role
                self.here = msgspec.structs.replace(self.here, role=here)
                self.there = msgspec.structs.replace(self.there, role=there)
            case _:
                raise AssertionError(request)
        return Reply()


@contextmanager
def daemon(run_directory: Path, answer: Callable[..., object]) -> Iterator[None]:
    """Its socket, in a thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    serving = asyncio.run_coroutine_threadsafe(control.serve(run_directory / SOCKET_NAME, answer), loop)  # type: ignore[arg-type]
    server = serving.result(10)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("made")
    release = key(directory, "release")
    allowed(directory / "signers", release)
    pack(directory, "0.2.0", release)
    return directory


@pytest.fixture
def machine(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    monkeypatch.setattr(update, "JOURNAL", tmp_path / "no journal")
    monkeypatch.setattr(rollout, "LOOK_EVERY_S", 0.001)
    return places(tmp_path / "machine", made / "signers")


def asked(run_directory: Path, *words: str) -> argparse.Namespace:
    return parser(["update"]).parse_args(["update", "--run-dir", str(run_directory), *words])


def test_from_the_active_director_through_its_own_start(
    made: Path,
    machine: Places,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pair = Pair(machine, here_active=True)
    started: list[bool] = []

    def reboot() -> bool:
        started.append(True)
        return True

    monkeypatch.setattr(trial, "reboot", reboot)
    with daemon(tmp_path, pair.answer):
        assert rollout.run(asked(tmp_path, "--pair", str(made / "lvs-0.2.0.update")), machine) == 0
        assert bytes(pair.got) == (made / "lvs-0.2.0.update").read_bytes()
        assert started
        wanted = ["OfferRequest", "PieceRequest", "StartRequest", "SwitchoverRequest"]
        assert [name for name in pair.asked if name != "SidesRequest"] == wanted
        assert (pair.here.role, pair.there.role) == ("standby", "active")
        assert notes.plan(machine.directory) is not None
        pair.here = Side("0.2.0", "standby", synced=True)
        assert rollout.run(asked(tmp_path, "--resume"), machine) == 0
    assert notes.plan(machine.directory) is None
    said = capsys.readouterr().out
    assert "installing it on the other director" in said
    assert "the standby takes over" in said
    assert "both directors run 0.2.0" in said
    assert rollout.run(asked(tmp_path, "--resume"), machine) == 0  # nothing to go on with


def test_the_other_director_refuses_it(
    made: Path, machine: Places, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pair = Pair(machine, here_active=True)
    pair.refuses = "there is no room"
    with daemon(tmp_path, pair.answer):
        assert rollout.run(asked(tmp_path, "--pair", str(made / "lvs-0.2.0.update")), machine) == 1
    assert "stopped: there is no room" in capsys.readouterr().out
    assert "StartRequest" not in pair.asked
    assert notes.plan(machine.directory) is None


def test_the_other_director_falls_back(
    made: Path, machine: Places, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pair = Pair(machine, here_active=True)
    pair.falls_back = True
    with daemon(tmp_path, pair.answer):
        assert rollout.run(asked(tmp_path, "--pair", str(made / "lvs-0.2.0.update")), machine) == 1
    said = capsys.readouterr().out
    assert "the other director runs 0.1.0 again: 0.2.0 was given up for 0.1.0: why" in said
    assert "SwitchoverRequest" not in pair.asked
    assert pair.here.role == "active"


def test_a_plan_that_was_left_is_not_gone_on_with(
    machine: Places, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    notes.keep(machine.directory, Plan("0.2.0", "lvs.update", since=1.0))
    assert rollout.run(asked(tmp_path, "--resume"), machine) == 1
    assert "too long ago" in capsys.readouterr().out
    assert notes.plan(machine.directory) is None


def test_standard_input_is_not_enough(machine: Places, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="both directors need it"):
        rollout.run(asked(tmp_path, "--pair", "-"), machine)
    with pytest.raises(UsageError, match="name the update"):
        rollout.run(asked(tmp_path, "--pair"), machine)
