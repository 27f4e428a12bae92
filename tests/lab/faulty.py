"""A real server that misbehaves, in another way at each port, over TCP and UDP.

Standard input: a JSON list of {port, mode, right, wrong}; `right` is what a good one says, in
hexadecimal, a list: its greeting (which may be empty), then a reply to each thing it hears. Modes:
  right    says it                            wrong    says `wrong` instead of the last of it
  refuses  listens on nothing                 silent   accepts, hears, says nothing
  drip     says it, a byte a second           closes   ends at once, by FIN
  resets   ends at once, by RST               endless  goes on for ever after the last of it
  garbage  bytes without a meaning            cut      half of the last of it, then the end
SIGUSR1 makes all of them `right`, until SIGUSR2 takes that back; `turned` says when that is done. Each
conversation over TCP prints a line at its end: `PORT tcp HEARD HOW`, with the number of bytes and `eof`,
`reset` or `ours`; each datagram `PORT udp HEARD`. What drops packets is no program: see
tests/netns/test_checks.py. Starts light, as `echo.py` does.
"""

from __future__ import annotations

import json
import select
import signal
import socket
import struct
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

GARBAGE = bytes(range(255, 0, -1)) * 4
CHUNK = b"x" * 16384
TICK_S = 0.2  # of what says something by the clock, and between looks at what signals asked for


class Place:
    """A port, and what is said at it."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.port: int = spec["port"]
        self.usual: str = spec["mode"]
        self.mode = self.usual
        self.right = [bytes.fromhex(one) for one in spec["right"]]
        self.wrong = bytes.fromhex(spec.get("wrong", "2d455252206e6f0d0a"))
        self.listener: socket.socket | None = None
        self.endpoint: socket.socket | None = None

    def words(self, number: int, mode: str) -> tuple[bytes, bool]:
        """What is said in a mode after so many things were heard, and whether it is the end."""
        last = len(self.right) - 1
        said = self.right[number] if number <= last else b""
        match mode:
            case "silent":
                return b"", False
            case "wrong":
                return (self.wrong if number == last else said), False
            case "garbage":
                first = number == (0 if self.right[0] else 1)
                return (GARBAGE if first else b""), False
            case "cut" if number == last:
                return said[: len(said) // 2], True
        return said, False


class Talk:
    """One conversation over TCP, which ends in the mode that it began in."""

    def __init__(self, place: Place, stream: socket.socket) -> None:
        self.place, self.stream, self.mode = place, stream, place.mode
        self.heard = self.things = 0
        self.left = b""
        self.ends = False
        self.due = 0.0


class Server:
    """All places and all conversations."""

    def __init__(self, places: list[Place]) -> None:
        self.places = places
        self.epoll = select.epoll()
        self.by_fd: dict[int, Place] = {}
        self.talks: dict[int, Talk] = {}
        self.slow: set[Talk] = set()  # they say something by the clock
        self.turned = True

    def serve(self) -> None:
        """Until killed."""
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, self.turn)
        self.settle()
        print("serving", flush=True)
        while True:
            found = self.epoll.poll(TICK_S)
            self.settle()
            for fd, _ in found:
                if fd in self.talks:
                    self.hear(self.talks[fd])
                elif fd in self.by_fd:
                    self.knocked(fd, self.by_fd[fd])
            for talk in list(self.slow):
                self.speak(talk)

    def turn(self, number: int, _frame: object) -> None:
        """All good, or all as usual."""
        for place in self.places:
            place.mode = "right" if number == signal.SIGUSR1 else place.usual
        self.turned = True

    def settle(self) -> None:
        """Act on a turn."""
        if not self.turned:
            return
        self.turned = False
        self.listen()
        print("turned", flush=True)

    def listen(self) -> None:
        """Listen where the mode is to listen."""
        for place in self.places:
            if place.mode == "refuses" and place.listener is not None and place.endpoint is not None:
                for one in (place.listener, place.endpoint):
                    del self.by_fd[one.fileno()]
                    one.close()
                place.listener = place.endpoint = None
            elif place.mode != "refuses" and place.listener is None:
                at = ("::", place.port)
                place.listener = socket.create_server(
                    at, family=socket.AF_INET6, dualstack_ipv6=True, backlog=512
                )
                place.endpoint = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
                place.endpoint.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
                place.endpoint.bind(at)
                for one in (place.listener, place.endpoint):
                    one.setblocking(False)
                    self.epoll.register(one, select.EPOLLIN)
                    self.by_fd[one.fileno()] = place

    def knocked(self, fd: int, place: Place) -> None:
        """A connection or a datagram."""
        try:
            if place.endpoint is not None and fd == place.endpoint.fileno():
                self.datagram(place, place.endpoint)
            elif place.listener is not None:
                self.begin(place, place.listener.accept()[0])
        except OSError:
            return

    def begin(self, place: Place, stream: socket.socket) -> None:
        stream.setblocking(False)
        talk = Talk(place, stream)
        self.talks[stream.fileno()] = talk
        self.epoll.register(stream, select.EPOLLIN)
        if talk.mode == "resets":
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.end(talk, "ours")
            return
        if talk.mode == "closes":  # and hears to the end: with something unheard it would be a RST
            stream.shutdown(socket.SHUT_WR)
            return
        talk.left, talk.ends = place.words(0, talk.mode)
        self.speak(talk)

    def hear(self, talk: Talk) -> None:
        """Take what comes, and answer."""
        try:
            data = talk.stream.recv(65536)
        except OSError:
            self.end(talk, "reset")
            return
        if not data:
            self.end(talk, "eof")
            return
        talk.heard += len(data)
        if talk.mode == "closes":
            return
        talk.things += 1
        said, talk.ends = talk.place.words(talk.things, talk.mode)
        talk.left += said
        self.speak(talk)

    def speak(self, talk: Talk) -> None:
        """Say what is left, as fast as the mode does."""
        mode, now = talk.mode, time.monotonic()
        if mode == "drip":
            if now < talk.due:
                return
            talk.due = now + 1
        if mode == "endless" and talk.things >= len(talk.place.right) - 1:
            talk.left += CHUNK
        try:
            count = talk.stream.send(talk.left[:1] if mode == "drip" else talk.left) if talk.left else 0
        except BlockingIOError:
            return
        except OSError:
            self.end(talk, "reset")
            return
        talk.left = talk.left[count:]
        if talk.ends and not talk.left:
            self.end(talk, "ours")
        elif mode == "endless" or talk.left:
            self.slow.add(talk)
        else:
            self.slow.discard(talk)

    def end(self, talk: Talk, how: str) -> None:
        """Close, and tell."""
        self.slow.discard(talk)
        del self.talks[talk.stream.fileno()]
        talk.stream.close()
        print(talk.place.port, "tcp", talk.heard, how, flush=True)

    def datagram(self, place: Place, endpoint: socket.socket) -> None:
        """One question over UDP, and what the mode makes of it."""
        data, peer = endpoint.recvfrom(65536)
        print(place.port, "udp", len(data), flush=True)
        if place.mode in ("closes", "resets"):
            return
        said, _ = place.words(1, place.mode)
        if place.mode == "drip":
            said = said[:1]
        for _ in range(50 if place.mode == "endless" else 1):
            if said:
                endpoint.sendto(said, peer)


def main() -> None:
    """Serve until killed."""
    Server([Place(spec) for spec in json.load(sys.stdin)]).serve()


if __name__ == "__main__":
    main()
