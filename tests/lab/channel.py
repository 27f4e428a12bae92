"""The test's end of the agent's line: requests out, replies matched by id, from any thread."""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
import threading
from concurrent.futures import Future
from typing import Any


class LabError(Exception):
    """The lab itself failed, or was asked for the impossible; not a verdict on the product."""


class Channel:
    """Requests and replies over one socket, many under way at once."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._ids = itertools.count(1)
        self._pending: dict[int, Future[dict[str, Any]]] = {0: Future()}
        self._lock = threading.Lock()
        self._gone = False
        self.ready = self._pending[0]  # the agent's greeting is a reply nobody asked for
        threading.Thread(target=self._read, daemon=True).start()

    def send(self, do: str, **fields: Any) -> tuple[int, Future[dict[str, Any]]]:
        """Send a request; its number and the promise of its reply."""
        number = next(self._ids)
        promise: Future[dict[str, Any]] = Future()
        line = json.dumps({"id": number, "do": do} | fields).encode() + b"\n"
        with self._lock:
            if self._gone:
                raise LabError("the agent is gone")
            self._pending[number] = promise
            try:
                self._sock.sendall(line)
            except OSError as problem:  # sooner than the reader saw that it is
                raise LabError("the agent is gone") from problem
        return number, promise

    def ask(self, do: str, *, timeout: float = 60, **fields: Any) -> dict[str, Any]:
        """Send a request and wait for its reply."""
        _, promise = self.send(do, **fields)
        return promise.result(timeout)

    def send_noise(self, data: bytes) -> None:
        """Send bytes that are no request, to see that the agent survives them."""
        with self._lock:
            self._sock.sendall(data)

    def close(self) -> None:
        """Hang up."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def _read(self) -> None:
        """Hand out replies until the other end is gone; then fail whoever still waits."""
        try:
            with self._sock.makefile("rb") as lines:
                for line in lines:
                    self._deliver(line)
        except (OSError, ValueError):
            pass
        with self._lock:
            self._gone = True
            left, self._pending = list(self._pending.values()), {}
        for promise in left:
            if not promise.done():
                promise.set_exception(LabError("the agent is gone"))
        self._sock.close()

    def _deliver(self, line: bytes) -> None:
        reply = json.loads(line)
        promise = self._pending.pop(reply["id"], None)
        if promise is None:
            return
        if "error" in reply:
            promise.set_exception(LabError(reply["error"]))
        else:
            promise.set_result(reply)
