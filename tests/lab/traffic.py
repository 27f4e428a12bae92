"""A client that keeps count: requests at a steady pace, or one long stream, and what became of them.

traffic.py KIND ADDRESS PORT PERIOD_S COUNT FIRST_PORT PORTS
  tcp      a connection for each request        udp      a datagram for each request, one socket
  stream   one connection, a line a request     udpnew   a datagram for each request, a new socket
  lasting  the same, with a minute of patience: it outlives a takeover
  steady   a datagram for each request, one socket, and no wait for the answer to the one before
  names    a question over DNS for each request, a new socket: the lab's name servers say who they are
COUNT 0 means until SIGTERM or SIGINT. With PORTS > 0 the source ports are FIRST_PORT and the
PORTS - 1 after it, in turn. The result is one JSON object on standard output:
  sent, answered, failed, refused, reset, by (answers a name), longest_gap_s (between answers),
  slowest_s, slow (answers that took 0.9 s or more: a retransmission),
  failed_at (when each request without an answer began, on the monotonic clock; not of `steady`),
  gaps (each time of 0.2 s or more without an answer: when it began, on the monotonic clock, and seconds).
Runs inside the machine, so it starts light.
"""

from __future__ import annotations

import json
import select
import signal
import socket
import struct
import sys
import time

PATIENCE_S = 1.5  # for one answer; more than one retransmission of a SYN
LASTING_S = 60.0
SLOW_S = 0.9
GAP_S = 0.2
QUESTION = b"\6server\3lab\7example\0\0\x10\0\1"  # its TXT record; see services.py
ANSWER = 12 + len(QUESTION) + 12  # RFC 1035: a header, the question, and what stands before the text


class Count:
    """What became of the requests."""

    def __init__(self) -> None:
        self.sent = self.answered = self.failed = self.refused = self.reset = self.slow = 0
        self.by: dict[str, int] = {}
        self.longest_gap_s = self.slowest_s = 0.0
        self.gaps: list[tuple[float, float]] = []
        self.failed_at: list[float] = []
        self._last = time.monotonic()

    def answer(self, name: str, began: float) -> None:
        """Take note of an answer."""
        now = time.monotonic()
        self.answered += 1
        self.by[name] = self.by.get(name, 0) + 1
        self._gap(now)
        self.slowest_s = max(self.slowest_s, now - began)
        self.slow += now - began >= SLOW_S
        self._last = now

    def _gap(self, now: float) -> None:
        gap_s = now - self._last
        self.longest_gap_s = max(self.longest_gap_s, gap_s)
        if gap_s >= GAP_S:
            self.gaps.append((round(self._last, 3), round(gap_s, 3)))

    def failure(self, problem: OSError, began: float | None = None) -> None:
        """Take note of a request without an answer."""
        self.failed += 1
        if began is not None:
            self.failed_at.append(round(began, 3))
        self.refused += isinstance(problem, ConnectionRefusedError)
        self.reset += isinstance(problem, ConnectionResetError | BrokenPipeError)

    def report(self, ended: float) -> str:
        """All of it, as JSON; requests were made until then."""
        self._gap(ended)
        shown = {key: value for key, value in vars(self).items() if not key.startswith("_")}
        return json.dumps(shown)


class Client:
    """Makes one request after another, in the way its kind says."""

    def __init__(self, kind: str, address: str, port: int, source: tuple[int, int]) -> None:
        self.kind, self.target = kind, (address, port)
        self.first_port, self.ports = source
        self.family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.made = 0
        self.open: socket.socket | None = None

    def request(self) -> str:
        """One request; the name that came back. OSError if none did."""
        if self.open is None:
            self.open = self._connect()
        try:
            if self.kind.startswith("udp"):
                return self._ask_datagram(self.open)
            if self.kind == "names":
                return self._ask_name(self.open)
            self.open.sendall(b"?\n")
            reply = self.open.recv(4096)
            if not reply:
                raise ConnectionResetError
            return reply.decode().split()[0]
        except OSError:
            if self.kind in ("stream", "lasting"):
                self._drop()
            raise
        finally:
            if self.kind in ("tcp", "udpnew", "names"):
                self._drop()

    def _connect(self) -> socket.socket:
        kind = socket.SOCK_STREAM if self.kind in ("tcp", "stream", "lasting") else socket.SOCK_DGRAM
        sock = socket.socket(self.family, kind)
        try:
            if self.ports:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.bind(("", self.first_port + self.made % self.ports))
            self.made += 1
            sock.settimeout(LASTING_S if self.kind == "lasting" else PATIENCE_S)
            sock.connect(self.target)
        except OSError:
            sock.close()
            raise
        return sock

    def _ask_datagram(self, sock: socket.socket) -> str:
        """Ask; answers to earlier questions that came too late are passed over."""
        self.made += 1
        token = str(self.made).encode()
        sock.send(token)
        while True:
            name, _, echoed = sock.recv(4096).partition(b" ")
            if echoed == token:
                return name.decode()

    def _ask_name(self, sock: socket.socket) -> str:
        """Ask over DNS; nobody else answers at this socket."""
        sock.send(struct.pack("!6H", self.made & 0xFFFF, 0, 1, 0, 0, 0) + QUESTION)
        reply = sock.recv(4096)
        if len(reply) <= ANSWER:
            raise ConnectionError("no record in the answer")
        return reply[ANSWER + 1 : ANSWER + 1 + reply[ANSWER]].decode()

    def steady(self, tally: Count, period_s: float, stopped: list[bool], count: int) -> float:
        """Send on, come what may; an answer counts whenever it comes. When it sent no more."""
        sock = self._connect()
        sock.setblocking(False)
        began: dict[bytes, float] = {}
        due = time.monotonic()
        while not stopped and (count == 0 or tally.sent < count):
            tally.sent += 1
            token = str(tally.sent).encode()
            began[token] = time.monotonic()
            try:
                sock.send(token)
            except OSError as problem:  # of this one, or an ICMP answer to one before
                tally.failure(problem)
            due = max(due + period_s, time.monotonic() - 1)
            while (left := due - time.monotonic()) > 0 and not stopped:
                if select.select([sock], [], [], left)[0]:
                    self._hear(sock, tally, began)
        ended = time.monotonic()
        while began and (left := ended + PATIENCE_S - time.monotonic()) > 0:  # what is still on its way
            if select.select([sock], [], [], left)[0]:
                self._hear(sock, tally, began)
        tally.failed = tally.sent - tally.answered
        return ended

    @staticmethod
    def _hear(sock: socket.socket, tally: Count, began: dict[bytes, float]) -> None:
        try:
            name, _, echoed = sock.recv(4096).partition(b" ")
        except OSError as problem:
            tally.failure(problem)
            return
        if (when := began.pop(echoed, None)) is not None:
            tally.answer(name.decode(), when)

    def _drop(self) -> None:
        if self.open is not None:
            self.open.close()
            self.open = None


def main() -> None:
    """Make requests until there were enough, or a signal says stop."""
    kind, address, port, period, count, first_port, ports = sys.argv[1:]
    client = Client(kind, address, int(port), (int(first_port), int(ports)))
    tally, stopped = Count(), []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.append(True))
    print("started", flush=True)
    if kind == "steady":
        ended = client.steady(tally, float(period), stopped, int(count))
        print(tally.report(ended), flush=True)
        return
    due = time.monotonic()
    while not stopped and (int(count) == 0 or tally.sent < int(count)):
        began = time.monotonic()
        tally.sent += 1
        try:
            tally.answer(client.request(), began)
        except OSError as problem:
            tally.failure(problem, began)
        due = max(due + float(period), time.monotonic() - 1)  # a stall is not made up for
        time.sleep(max(0.0, due - time.monotonic()))
    print(tally.report(time.monotonic()), flush=True)


if __name__ == "__main__":
    main()
