"""Two couriers, letter by letter, and behind one of them the real receiver with a real update."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

import strategies
from lvs import courier
from lvs.begin import ConfigFile
from lvs.courier import Courier, CourierError
from lvs.io import notes, updates
from lvs.io.updates import Places
from lvs.letters import Frames, Letter, frame, letter
from lvs.model import Role
from lvs.pair import Pairing, Seat
from lvs.state import State
from lvs.updating.letters import PIECE, UpdateData, UpdateSide
from lvs.updating.note import Note, Pending, Stage
from lvs.updating.rolling import Side
from updating.packing import allowed, key, pack, places

pytestmark = pytest.mark.native

RECEIVER = """
import os, sys
import msgspec
from pathlib import Path
from lvs import update
from lvs.errors import LvsError
from lvs.io import trial
from lvs.io.updates import Places
from lvs.subcommands import parser
update.JOURNAL = Path("/nowhere")
trial.reboot = lambda: True
places = msgspec.json.decode(sys.argv[1], type=Places, dec_hook=lambda kind, value: Path(value))
try:
    update.run(parser(["update"]).parse_args(["update", "--from-peer"]), places)
except LvsError as fault:
    print(f"lvsd: {fault}")
"""


class Stand:
    """What the daemon is to its courier, and the wire to the other one."""

    def __init__(self, machine: Places, receiver: Path) -> None:
        pairing = Pairing(seat=Seat.BACKUP, role=Role.ACTIVE, holding=True)
        self.state = State(config=strategies.config(), pairing=pairing)
        self.file = ConfigFile(machine.directory / "lvs.toml", None)
        self.same, self.wire, self.sent = True, True, 0
        self.other: Stand | None = None
        self.courier = Courier(self, self.send, lambda: self.same, places=machine, receiver=receiver)

    def send(self, what: Letter) -> bool:
        if not self.wire or self.other is None:
            return False
        frames = Frames()
        frames.longest = 1 << 20
        (body,) = frames.cut(frame(what))
        read: Any = letter(body)
        assert read == what
        asyncio.get_running_loop().call_soon(self.other.courier.heard, read)
        self.sent += isinstance(what, UpdateData)
        return True


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("made")
    release = key(directory, "release")
    allowed(directory / "signers", release)
    pack(directory, "0.2.0", release)
    return directory


def take(listening: socket.socket, machine: Places) -> None:
    """What systemd does for lvs-receive.socket: a process for each connection, which is all that it has."""
    encoded = msgspec.json.encode(machine, enc_hook=str).decode()
    while True:
        try:
            connection, _ = listening.accept()
        except OSError:
            return
        with connection:
            command = (sys.executable, "-c", RECEIVER, encoded)
            end = connection.fileno()
            subprocess.run(command, stdin=end, stdout=end, stderr=end, check=False)


@asynccontextmanager
async def two(
    made: Path, tmp_path: Path, *, receives: bool = True
) -> AsyncIterator[tuple[Stand, Stand, Places]]:
    """Two directors; the second one takes updates as systemd would have it."""
    machine = places(tmp_path / "there", made / "signers")
    receiver = tmp_path / "receive.sock"
    here = Stand(places(tmp_path / "here", made / "signers"), tmp_path / "nobody")
    there = Stand(machine, receiver)
    here.other, there.other = there, here

    listening = socket.socket(socket.AF_UNIX)
    if receives:
        listening.bind(str(receiver))
        listening.listen()
        threading.Thread(target=take, args=(listening, machine), daemon=True).start()
    tasks = [asyncio.ensure_future(task) for one in (here, there) for task in one.courier.tasks()]
    try:
        async with asyncio.timeout(30):
            yield here, there, machine
    finally:
        for task in tasks:
            task.cancel()
        listening.close()


async def sent(one: Stand, content: bytes, version: str = "0.2.0") -> tuple[str, ...]:
    await one.courier.offer(version)
    for at in range(0, len(content), PIECE):
        await one.courier.piece(content[at : at + PIECE])
    return await one.courier.piece(b"")


def test_it_is_installed_there_and_started(made: Path, tmp_path: Path) -> None:
    async def run() -> None:
        async with two(made, tmp_path) as (here, _, machine):
            said = await sent(here, (made / "lvs-0.2.0.update").read_bytes())
            assert "signed by release" in said[0]
            assert here.sent > 2
            pending = notes.load(machine.directory).pending
            assert pending is not None
            assert pending.stage is Stage.LAID
            other = await here.courier.other()
            assert other is not None
            assert (other.version, other.laid, other.trial) == ("0.1.0", "0.2.0", False)
            await here.courier.start("0.2.0")
            with pytest.raises(CourierError, match=r"0\.3\.0 is not installed there"):
                await here.courier.start("0.3.0")

    asyncio.run(run())


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda whole: whole[:100_000], "truncated"),
        (lambda _: b"nothing" * 100_000, "no update"),
        (lambda whole: whole.replace(b"SSH SIGNATURE", b"XSH SIGNATURE"), "not signed by anybody who may"),
    ],
)
def test_what_the_receiver_refuses_is_told(made: Path, tmp_path: Path, spoil: Any, said: str) -> None:
    async def run() -> None:
        async with two(made, tmp_path) as (here, _, machine):
            with pytest.raises(CourierError, match=said):
                await sent(here, spoil((made / "lvs-0.2.0.update").read_bytes()))
            assert [one.version for one in updates.found(machine, "lvs")] == ["0.1.0"]
            with pytest.raises(CourierError, match="no update is being sent"):
                await here.courier.piece(b"more")
            await sent(here, (made / "lvs-0.2.0.update").read_bytes())

    asyncio.run(run())


def test_a_connection_that_is_lost(made: Path, tmp_path: Path) -> None:
    async def run() -> None:
        async with two(made, tmp_path) as (here, there, machine):
            await here.courier.offer("0.2.0")
            await here.courier.piece((made / "lvs-0.2.0.update").read_bytes()[:PIECE])
            here.courier.lost()
            there.courier.lost()
            with pytest.raises(CourierError, match="no update is being sent"):
                await here.courier.piece(b"x")
            await sent(here, (made / "lvs-0.2.0.update").read_bytes())  # and another one can come
            assert updates.found(machine, "lvs")[0].version == "0.2.0"
            here.wire = False
            assert await here.courier.other() is None
            with pytest.raises(CourierError, match="not connected"):
                await here.courier.offer("0.2.0")

    asyncio.run(run())


def test_it_may_hang_up_on_its_way_down(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        async with two(made, tmp_path) as (here, there, _):
            loop = asyncio.get_running_loop()
            monkeypatch.setattr(there.courier, "heard", lambda _: loop.call_soon(here.courier.lost))
            await here.courier.start("0.2.0")
            with pytest.raises(CourierError, match="connection with the other director was lost"):
                await here.courier.offer("0.2.0")

    asyncio.run(run())


def test_a_director_without_a_receiver(made: Path, tmp_path: Path) -> None:
    async def run() -> None:
        async with two(made, tmp_path, receives=False) as (here, _, _machine):
            with pytest.raises(CourierError, match="nobody who takes updates"):
                await here.courier.offer("0.2.0")
            with pytest.raises(CourierError, match="nobody who takes updates"):
                await here.courier.start("0.2.0")

    asyncio.run(run())


def test_one_that_does_not_answer(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        async with two(made, tmp_path) as (here, there, _):
            monkeypatch.setattr(courier, "ANSWER_S", 0.01)
            monkeypatch.setattr(there.courier, "heard", lambda _: None)
            assert await here.courier.other() is None
            with pytest.raises(CourierError, match="may be of an older lvsd"):
                await here.courier.offer("0.2.0")
            here.courier.heard(UpdateSide(99, Side("1")))  # an answer that nobody waits for

    asyncio.run(run())


def test_how_a_director_stands(made: Path, tmp_path: Path) -> None:
    async def run() -> None:
        async with two(made, tmp_path) as (here, _, _machine):
            directory = tmp_path / "here/updates"
            assert here.courier.side() == Side("0.1.0", "active", synced=True)
            here.same = False
            pending = Pending("0.1.0", "0.0.9", "boot", "release", 1.0, Stage.LAID)
            notes.save(directory, Note(pending))
            standing = here.courier.side()
            assert (standing.trial, standing.laid, standing.synced) == (True, "", False)
            (tmp_path / "here/os-release").unlink()
            here.state = msgspec.structs.replace(here.state, config=None)
            here.file.path.touch()
            standing = here.courier.side()
            assert standing.version == ""
            assert "has problems" in standing.unhealthy

    asyncio.run(run())
