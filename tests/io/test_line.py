"""A line: what two of them make of a socket pair; strangers are in test_peer.py."""

from __future__ import annotations

import asyncio
import socket

import pytest

from lvs.io import pairkey
from lvs.io.line import Line, PeerError
from lvs.letters import LONGEST, Ping, frame, letter


def test_frames_pass_and_an_end_is_told() -> None:
    key = pairkey.make()

    async def run() -> None:
        left, right = socket.socketpair()
        here = Line(await asyncio.open_connection(sock=left), key, server=True)
        there = Line(await asyncio.open_connection(sock=right), key, server=False)
        await asyncio.gather(here.handshake(), there.handshake())
        there.frames.longest = LONGEST
        await here.send(frame(Ping()) * 3)
        found: list[bytes] = []
        while len(found) < 3:
            found += list(await there.receive())
        assert [letter(body) for body in found] == [Ping()] * 3
        here.close()
        with pytest.raises((PeerError, OSError)):
            await there.receive()
        there.close()

    asyncio.run(run())
