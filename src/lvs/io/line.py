"""One connection between the two directors: frames within TLS 1.3 over an asyncio stream.

ssl works on memory here, for asyncio's own TLS is not in the frozen binary (image/lvsd.py).
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import suppress

from lvs.io.pairkey import PairKey
from lvs.letters import Frames

# image/lvsd.py keeps ssl from asyncio, which has no use for it; this has.
if sys.modules.get("ssl", sys) is None:
    del sys.modules["ssl"]
import ssl

CHUNK = 1 << 16


class PeerError(Exception):
    """The connection cannot be used; the text says why."""


class TurnedAwayError(PeerError):
    """This is not the other director."""


class Line:
    """One connection: TLS over an asyncio stream. asyncio's own TLS is not in the frozen binary."""

    def __init__(
        self, streams: tuple[asyncio.StreamReader, asyncio.StreamWriter], key: PairKey, *, server: bool
    ) -> None:
        self._reader, self._writer = streams
        self._key = key
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = key.context(server=server).wrap_bio(self._in, self._out, server_side=server)
        self.frames = Frames()

    async def handshake(self) -> None:
        """Errors: TurnedAwayError if the other end has another key, or none, or speaks no TLS 1.3."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._fill()
                continue
            except ssl.SSLError as fault:
                with suppress(OSError):
                    await self._flush()  # the alert that says why
                raise TurnedAwayError(_meant(fault)) from fault
            break
        await self._flush()
        if self._tls.getpeercert(binary_form=True) != self._key.certificate:
            raise TurnedAwayError("it has another pair key")

    async def receive(self) -> Iterator[bytes]:
        """What came next: the frames that are complete with it. Errors: PeerError, OSError, FrameError."""
        return self.frames.cut(await self._read())

    async def first(self) -> bytes:
        """The first frame; what came along with it waits for `rest`. Errors: as receive."""
        while True:
            body = next(self.frames.cut(await self._read()), None)
            if body is not None:
                return body

    def rest(self) -> Iterator[bytes]:
        """Frames that are complete already. Errors: FrameError."""
        return self.frames.cut(b"")

    async def _read(self) -> bytes:
        while True:
            try:
                data = self._tls.read(CHUNK)
            except ssl.SSLWantReadError:
                await self._fill()
                continue
            except ssl.SSLError as fault:
                # With TLS 1.3 a client is through before the server has judged its certificate.
                raise TurnedAwayError(_meant(fault)) from fault
            if self._out.pending:
                await self._flush()
            if not data:
                raise PeerError("it ended the connection")
            return data

    async def send(self, data: bytes) -> None:
        for at in range(0, len(data), CHUNK):
            try:
                self._tls.write(data[at : at + CHUNK])
            except ssl.SSLError as fault:
                raise PeerError(_meant(fault)) from fault
            await self._flush()

    async def _fill(self) -> None:
        data = await self._reader.read(CHUNK)
        if not data:
            raise PeerError("it ended the connection")
        self._in.write(data)

    async def _flush(self) -> None:
        if self._out.pending:
            self._writer.write(self._out.read())
            await self._writer.drain()

    def close(self) -> None:
        self._writer.transport.abort()


def _meant(fault: ssl.SSLError) -> str:
    reason = fault.reason or "unknown"
    if reason in ("CERTIFICATE_VERIFY_FAILED", "TLSV1_ALERT_UNKNOWN_CA", "SSLV3_ALERT_BAD_CERTIFICATE"):
        return "it has another pair key"
    if reason in ("PEER_DID_NOT_RETURN_A_CERTIFICATE", "TLSV13_ALERT_CERTIFICATE_REQUIRED"):
        return "it has no pair key"
    if reason in ("UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION"):
        return "it speaks no TLS 1.3"
    if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "UNEXPECTED_MESSAGE"):
        return "it speaks no TLS"
    return f"TLS: {reason.lower().replace('_', ' ')}"
