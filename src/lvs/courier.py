"""Updates between the two directors, through their channel: asked for, sent, taken, started.

The daemon only carries: it may write no partition and start no machine. What comes from the other director
goes on to `lvs-receive.socket`, behind which systemd runs `lvsd update --from-peer` as root; that one trusts
nothing but the signature. One piece is on its way at a time: letters of other kinds pass between two.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Protocol, assert_never

from lvs.begin import ConfigFile
from lvs.errors import SystemFault
from lvs.fitness import unhealthy
from lvs.io import notes, updates
from lvs.letters import Letter
from lvs.model import Role
from lvs.pair import PAIRED
from lvs.state import State
from lvs.updating.letters import (
    Missive,
    UpdateData,
    UpdateEnded,
    UpdateGot,
    UpdateOffered,
    UpdateQuery,
    UpdateSide,
    UpdateStart,
)
from lvs.updating.note import Stage
from lvs.updating.rolling import Side

RECEIVER = Path("/run/lvs-receive.sock")  # of lvs-receive.socket
ANSWER_S = 5.0  # for a word of the other director
PIECE_S = 60.0  # for it to take a piece: its disk is slow, or it verifies
INSTALL_S = 900.0  # for it to write and read back its slot
START_S = 30.0  # for it to begin its way down

_NOBODY = "the other director has nobody who takes updates"

Question = UpdateQuery | UpdateOffered | UpdateData | UpdateStart


class CourierError(Exception):
    """The other director did not do what was asked; the text says why."""


class _LostError(CourierError):
    """The connection ended before it answered."""

    def __init__(self) -> None:
        super().__init__("the connection with the other director was lost")


class Director(Protocol):
    """What it needs of the daemon."""

    state: State
    file: ConfigFile


class Courier:
    """Both ends of it: this director asks the other one, and is asked by it."""

    def __init__(
        self,
        director: Director,
        send: Callable[[Letter], bool],
        same: Callable[[], bool],
        *,
        places: updates.Places | None = None,
        receiver: Path = RECEIVER,
    ) -> None:
        """`send` is whether a letter can go; `same`, whether both run one configuration."""
        self._director, self._send, self._same = director, send, same
        self._places = places or updates.Places()
        self._receiver = receiver
        self._number = 0
        self._answers: dict[int, asyncio.Queue[Missive | None]] = {}  # None: it will not come
        self._sending = 0  # number of the update that is being sent
        self._incoming: asyncio.Queue[Missive] = asyncio.Queue()
        self._taking = 0  # number of the update that comes

    def tasks(self) -> tuple[Coroutine[None, None, None], ...]:
        """What the daemon's task group is to run."""
        return (self._receiving(),)

    # This director, as it stands

    def side(self) -> Side:
        """This director, as the other one is to see it."""
        state = self._director.state
        pairing = state.pairing
        try:
            version = updates.machine(self._places).version
        except SystemFault:
            version = ""
        note = notes.load(self._places.directory)
        pending = note.pending
        laid = pending is not None and pending.stage is Stage.LAID and pending.version != version
        configured = self._director.file.path.exists()
        shares = state.config is not None and state.config.pair.syncdaemon
        standby = pairing.role is Role.STANDBY
        return Side(
            version=version,
            role=str(pairing.role) if pairing.seat in PAIRED else "",
            laid=pending.version if pending is not None and laid else "",
            trial=pending is not None and pending.version == version,
            unhealthy="; ".join(unhealthy(state, configured=configured)),
            synced=self._same() and (pairing.caught_up or not shares or not standby),
            last="" if note.last is None else note.last.text(),
        )

    # This director asks

    async def other(self) -> Side | None:
        """The other director; None if it does not answer."""
        with suppress(CourierError):
            answer = await self._asked(UpdateQuery(self._new()), ANSWER_S)
            return answer.side if isinstance(answer, UpdateSide) else None
        return None

    async def offer(self, version: str) -> None:
        """Begin to send an update; `piece` goes on. Errors: CourierError."""
        self._sending = 0
        number = self._new()
        await self._asked(UpdateOffered(number, version), ANSWER_S)
        self._sending = number

    async def piece(self, data: bytes) -> tuple[str, ...]:
        """Send a piece; with the last one, which is empty, what the other director says.

        Errors: CourierError; nothing more is to be sent then.
        """
        number, self._sending = self._sending, 0
        if not number:
            raise CourierError("no update is being sent")
        answer = await self._asked(UpdateData(number, data), PIECE_S if data else INSTALL_S)
        self._sending = number if data else 0
        return answer.said if isinstance(answer, UpdateEnded) else ()

    async def start(self, version: str) -> None:
        """Have the other director start what it has installed. Errors: CourierError.

        Shape: on its way down it may hang up before it answers; whether it went is seen when it is back.
        """
        with suppress(_LostError):
            await self._asked(UpdateStart(self._new(), version), START_S)

    def _new(self) -> int:
        self._number += 1
        return self._number

    async def _asked(self, letter: Question, limit_s: float) -> Missive:
        """The answer to a letter. Errors: CourierError if there is none, or it is a refusal."""
        answers = self._answers[letter.number] = asyncio.Queue()
        try:
            if not self._send(letter):
                raise CourierError("the other director is not connected")
            async with asyncio.timeout(limit_s):
                answer = await answers.get()
        except TimeoutError:
            raise CourierError("the other director does not answer; it may be of an older lvsd") from None
        finally:
            del self._answers[letter.number]
        if answer is None:
            raise _LostError
        if isinstance(answer, UpdateEnded) and answer.refused:
            raise CourierError(answer.refused)
        return answer

    # The channel tells

    def heard(self, letter: Missive) -> None:
        match letter:
            case UpdateQuery(number):
                self._send(UpdateSide(number, self.side()))
            case UpdateSide(number) | UpdateGot(number) | UpdateEnded(number):
                if (waiting := self._answers.get(number)) is not None:
                    waiting.put_nowait(letter)
            case UpdateOffered() | UpdateStart() | UpdateData():
                self._incoming.put_nowait(letter)
            case _:
                assert_never(letter)

    def lost(self) -> None:
        """The connection ended: nothing that was begun goes on."""
        self._sending = 0
        for waiting in self._answers.values():
            waiting.put_nowait(None)
        self._incoming.put_nowait(UpdateEnded(self._taking, "lost"))

    # This director is asked

    async def _receiving(self) -> None:
        while True:
            letter = await self._incoming.get()
            match letter:
                case UpdateOffered(number):
                    await self._take(number)
                case UpdateStart(number, version):
                    said, refused = await self._told(f"start {version}\n".encode())
                    self._send(UpdateEnded(number, refused, said))
                case _:
                    pass  # of an update that was given up

    async def _told(self, line: bytes) -> tuple[tuple[str, ...], str]:
        """What the receiver says to a line of its own, and why not."""
        try:
            reader, writer = await asyncio.open_unix_connection(str(self._receiver))
        except OSError as fault:
            return (), f"{_NOBODY}: {self._receiver}: {fault.strerror}"
        try:
            writer.write(line)
            await writer.drain()
            return _outcome(await _said(reader))
        except OSError as fault:
            return (), f"{_NOBODY}: {fault.strerror}"
        finally:
            writer.close()

    async def _take(self, number: int) -> None:
        """Hand an update on to the receiver, piece by piece, and tell what became of it."""
        self._taking = number
        try:
            reader, writer = await asyncio.open_unix_connection(str(self._receiver))
        except OSError as fault:
            self._send(UpdateEnded(number, f"{_NOBODY}: {self._receiver}: {fault.strerror}"))
            return
        said = asyncio.ensure_future(_said(reader))
        try:
            writer.write(b"install\n")
            self._send(UpdateGot(number))
            while (data := await self._next(number)) is not None:
                if not data:
                    writer.write_eof()
                    break
                writer.write(data)
                await writer.drain()
                self._send(UpdateGot(number))
            if data is not None:
                lines, refused = _outcome(await said)
                self._send(UpdateEnded(number, refused, lines))
        except OSError:  # the receiver has refused it, and says why
            lines, refused = _outcome(await said)
            self._send(UpdateEnded(number, refused or "it was not taken", lines))
        finally:
            said.cancel()
            writer.close()

    async def _next(self, number: int) -> bytes | None:
        """The next piece; None if there will be none."""
        while True:
            try:
                async with asyncio.timeout(PIECE_S):
                    letter = await self._incoming.get()
            except TimeoutError:
                return None
            match letter:
                case UpdateData(of, data) if of == number:
                    return data
                case UpdateOffered() | UpdateStart():
                    self._incoming.put_nowait(letter)
                    return None
                case UpdateEnded():
                    return None
                case _:
                    pass


async def _said(reader: asyncio.StreamReader) -> bytes:
    """All that the receiver says; one that ends with something unread resets the connection."""
    held = b""
    with suppress(OSError):
        while data := await reader.read(1 << 16):
            held += data
    return held


def _outcome(said: bytes) -> tuple[tuple[str, ...], str]:
    """What the receiver said, and why it did not do it; its last line is `done` when it did."""
    lines = said.decode(errors="replace").splitlines()
    if lines[-1:] == ["done"]:
        return tuple(lines[:-1]), ""
    return tuple(lines), lines[-1].removeprefix("lvsd: ") if lines else "it ended without a word"
