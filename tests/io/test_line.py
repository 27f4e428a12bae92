"""A line: what two of them make of a socket pair; strangers are in test_peer.py."""

from __future__ import annotations

import asyncio
import re
import socket
import subprocess
from tempfile import NamedTemporaryFile

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


def expired() -> pairkey.PairKey:
    """A key whose certificate was good for no time at all."""
    made = pairkey.make()
    private = re.search(rb"-----BEGIN PRIVATE KEY-----.*-----END PRIVATE KEY-----\n", made.text, re.DOTALL)
    block = re.search(rb"-----BEGIN LVS HEARTBEAT KEY-----.*", made.text, re.DOTALL)
    assert private is not None
    assert block is not None

    def openssl(*words: str, given: bytes) -> bytes:
        return subprocess.run(("openssl", *words), input=given, capture_output=True, check=True).stdout

    request = openssl("req", "-new", "-key", "/dev/stdin", "-subj", "/CN=x", given=private[0])
    words = ("x509", "-req", "-signkey", "/dev/stdin", "-days", "0", "-in")
    with NamedTemporaryFile() as file:
        file.write(request)
        file.flush()
        certificate = openssl(*words, file.name, given=private[0])
    return pairkey.parse(private[0] + certificate + block[0], "expired")


@pytest.mark.parametrize("trusting", [True, False])
def test_a_clock_that_is_wrong_keeps_nobody_out(trusting: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """And without our word for it, it would."""
    if not trusting:
        monkeypatch.setattr(pairkey, "_NO_CHECK_TIME", 0)
    key = expired()

    async def run() -> None:
        left, right = socket.socketpair()
        here = Line(await asyncio.open_connection(sock=left), key, server=True)
        there = Line(await asyncio.open_connection(sock=right), key, server=False)
        async with asyncio.timeout(10.0):
            results = await asyncio.gather(here.handshake(), there.handshake(), return_exceptions=True)
        assert (
            list(results) == [None, None] if trusting else any(isinstance(one, PeerError) for one in results)
        )
        here.close()
        there.close()

    asyncio.run(run())
