"""A talk driven over a real socket, blocking: for tests against real servers only."""

from __future__ import annotations

import socket
import time
from contextlib import suppress

from lvs.checks import Answer, Reason
from lvs.probes.talk import Talk, down

CHUNK = 1 << 16


def drive(
    talk: Talk, address: str, port: int, *, udp: bool = False, timeout_s: float = 5.0, chunk: int = CHUNK
) -> Answer:
    """What the talk finds; reads at most `chunk` bytes at a time."""
    kind = socket.SOCK_DGRAM if udp else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind) as sock:
        end = time.monotonic() + timeout_s
        sock.settimeout(timeout_s)
        sock.connect((address, port))
        reply: bytes | Answer = talk.begin()
        while not isinstance(reply, Answer):
            if reply:
                sock.sendall(reply)
            sock.settimeout(max(0.01, end - time.monotonic()))
            try:
                data = sock.recv(chunk)
            except TimeoutError:
                return down(Reason.TIMED_OUT, f"waiting for {talk.silent()}")
            reply = talk.received(data) if data or udp else talk.ended()
        farewell = getattr(talk, "farewell", None)
        if farewell is not None:
            with suppress(OSError):
                sock.sendall(farewell())
        return reply
