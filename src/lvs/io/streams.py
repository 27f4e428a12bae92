"""Asks real servers over sockets: connections and datagrams.

What a check costs is system calls, so there are few. A socket that was just made is left alone for
a tick; one poll(2) then tells of all of that tick. On a network that works they are all connected, or have
been answered, by then, and have cost no more than a share of that call. Only what takes longer is
registered with the epoll, edge-triggered and once; hence every event is read to the end.

A connection that only has to be accepted is shut down then. It is closed a tick later, when what the
server said first has been read away: closing with unread bytes, or before the server has closed its
end, would answer it with a reset, and fill its log.

Nothing is a task, a timer or a future: the engine calls `sweep` once a tick, `read` when the epoll has
something, and `expire` when a deadline passes.
"""

from __future__ import annotations

import errno
import select
import socket
from collections.abc import Callable
from contextlib import suppress
from socket import SocketType

from lvs.checks import Answer
from lvs.io.failure import EXHAUSTED, ExhaustedError, broken, endless, failure
from lvs.io.probe import CONNECTING, TALKING, Probe, ask_by_datagram, go_through_vip, prepare, timed_out
from lvs.probes.talk import LONGEST, Talk, up

CHUNK = 8192  # bytes of one read
EVENTS = 8  # taken from the epoll at once; a TLS handshake in each is not yet too long
SLICE_S = 0.008  # after which `read` and `sweep` let the loop do something else
LULL_S = 0.015  # a young socket is left alone at least so long, usually

# poll(2) and epoll(7) share the bits.
FAILED = select.EPOLLERR | select.EPOLLHUP
ACCEPTED_ONLY = select.EPOLLOUT | select.EPOLLONESHOT
CONVERSATION = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET
ANSWERED = int(select.POLLIN | select.POLLRDHUP)
CONNECTED = int(select.POLLOUT)
CONNECTED_OR_ANSWERED = CONNECTED | ANSWERED

ACCEPTED = up("connection accepted")
SENT = up("connection accepted, text sent")


class Sockets:
    """All sockets of the probes.

    `done` is called with what a probe found, never from within `start`; `slow` once for a probe
    that takes long enough for its deadline to matter.
    """

    def __init__(
        self,
        done: Callable[[Probe, Answer], None],
        slow: Callable[[Probe], None],
        clock: Callable[[], float],
    ) -> None:
        self._done = done
        self._slow = slow
        self._clock = clock
        self._epoll = select.epoll()  # close-on-exec by default
        self._asking: dict[int, Probe] = {}  # what the epoll listens to, by descriptor
        self._young: dict[int, Probe] = {}  # what the next sweep looks at
        self._poll = select.poll()  # the same descriptors
        self._swept = 0.0
        self._bin = bytearray(CHUNK)
        self._parting: list[SocketType] = []  # shut down in this tick
        self._parted: list[SocketType] = []  # and in the one before
        self.behind = False  # the last sweep was ended by its slice

    def fileno(self) -> int:
        return self._epoll.fileno()

    def close(self) -> None:
        for probe in self.asking():
            self.cut(probe)
        for sock in (*self._parted, *self._parting):
            self._let_go(sock)
        self._parted, self._parting = [], []
        self._epoll.close()

    def asking(self) -> list[Probe]:
        return [*self._asking.values(), *self._young.values()]

    @property
    def pending(self) -> bool:
        """Whether `sweep` has something to do."""
        return bool(self._young or self._parting or self._parted)

    def start(self, probe: Probe, now: float) -> Answer | None:
        """Begin; an answer if there is one already, None if it is under way.

        Errors: ExhaustedError if this host has no socket to give.
        """
        target = probe.target
        sock = None
        try:
            sockaddr = probe.sockaddr or prepare(probe)
            sock = SocketType(*probe.kind)
            if target.path is not None:
                go_through_vip(sock, target)
            code = sock.connect_ex(sockaddr)
        except OSError as error:
            code = error.errno or errno.EIO
        if sock is None or code not in (errno.EINPROGRESS, 0):
            if sock is not None:
                sock.close()
            if code in EXHAUSTED:
                raise ExhaustedError(failure(code))
            return failure(code)
        probe.deadline = now + probe.patience_s
        probe.phase = CONNECTING
        probe.socket = sock
        probe.heard = False
        number = sock.fileno()
        if probe.talk is None and not probe.datagrams:
            self._young[number] = probe
            self._poll.register(number, CONNECTED)
            return None
        probe.latest = now + target.pace.limit_s
        probe.unsent = b""
        probe.taken = 0
        if probe.datagrams:
            answer = ask_by_datagram(probe, sock, now)
            if answer is not None:
                self.cut(probe)
                return answer
        self._again(number, probe)
        return None

    def sweep(self, now: float) -> None:
        """See what became of the young, and close what was shut down a tick ago."""
        if now - self._swept < LULL_S and not self.behind:
            return
        self._swept, self.behind = now, False
        until = self._clock() + SLICE_S
        while self._parted:
            self._let_go(self._parted.pop())
            if not len(self._parted) % 8 and self._clock() > until:
                self.behind = True
                return
        self._parted, self._parting = self._parting, []
        young, poll = self._young, self._poll
        if not young:
            return
        self._young, self._poll = {}, select.poll()
        done, parting = self._done, self._parting
        events = poll.poll(0)
        for index, (number, what) in enumerate(events):
            probe = young.pop(number)
            if what == CONNECTED and probe.talk is None:  # as most are, so it stands here in full
                sock, probe.socket = probe.socket, None
                assert sock is not None
                try:
                    sock.shutdown(socket.SHUT_WR)
                except OSError:
                    sock.close()
                else:
                    parting.append(sock)
                done(probe, ACCEPTED)
            else:
                self._happened(probe, what)
                if probe.socket is not None and not probe.heard and number not in self._young:
                    self._listen(number, probe)
            if not index % 4 and self._clock() > until:
                self.behind = True
                for other, _ in events[index + 1 :]:
                    self._again(other, young.pop(other))
                break
        for number, probe in young.items():
            self._listen(number, probe)

    def read(self) -> None:
        """Take what happened on the sockets, for `SLICE_S` at most: what is left is still readable."""
        poll, asking, clock = self._epoll.poll, self._asking, self._clock
        until = clock() + SLICE_S
        while True:
            events = poll(0, EVENTS)
            for number, what in events:
                probe = asking.get(number)
                if probe is not None:
                    self._happened(probe, what)
            if len(events) < EVENTS or clock() > until:
                return

    def expire(self, probe: Probe) -> Answer:
        """End a probe whose deadline has passed; what to say of it."""
        phase = probe.phase
        self.cut(probe)
        return timed_out(probe, phase)

    def cut(self, probe: Probe) -> None:
        """Drop a probe's socket without more words."""
        sock = probe.socket
        if sock is not None:
            self._forget(probe, sock.fileno())
            sock.close()

    # One probe

    def _happened(self, probe: Probe, what: int) -> None:
        """There is news of a socket."""
        sock = probe.socket
        assert sock is not None
        if probe.phase == CONNECTING:
            if what & FAILED:
                code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if code:
                    self._end(probe, failure(code), closing=True)
                    return
            if probe.talk is None:
                self._accepted(probe)
                return
            if not self._connected(probe, probe.talk, sock):
                return
            if not probe.heard and not what & ANSWERED:
                if not probe.unsent:
                    self._again(sock.fileno(), probe)
                return
        if probe.datagrams:
            self._datagrams(probe, sock)
        else:
            self._conversation(probe, sock, what)

    def _again(self, number: int, probe: Probe) -> None:
        """Have the next sweep look at it."""
        self._young[number] = probe
        self._poll.register(number, CONNECTED_OR_ANSWERED if probe.phase == CONNECTING else ANSWERED)

    def _listen(self, number: int, probe: Probe) -> None:
        """Have the epoll listen to it: it takes long; or it has taken too long already."""
        if probe.deadline <= self._clock():
            self._done(probe, self.expire(probe))
            return
        probe.heard = True
        self._asking[number] = probe
        only = probe.talk is None and not probe.datagrams
        self._epoll.register(number, ACCEPTED_ONLY if only else CONVERSATION)
        self._slow(probe)

    def _forget(self, probe: Probe, number: int) -> None:
        """Its socket is no probe's any more."""
        probe.socket = None
        if probe.heard:
            del self._asking[number]
        elif self._young.pop(number, None) is not None:
            self._poll.unregister(number)

    def _accepted(self, probe: Probe) -> None:
        """It was connected, and that is enough."""
        sock = probe.socket
        assert sock is not None
        if probe.heard:
            del self._asking[sock.fileno()]
        probe.socket = None
        self._part(sock)
        self._done(probe, ACCEPTED)

    def _connected(self, probe: Probe, talk: Talk, sock: SocketType) -> bool:
        """Begin to talk; whether the talk goes on."""
        probe.phase = TALKING
        probe.deadline = min(self._clock() + probe.target.pace.step_s, probe.latest)
        try:
            first = talk.begin()
        except Exception as fault:  # noqa: BLE001
            self._end(probe, broken(fault))
            return False
        return self._say(probe, sock, first)

    def _say(self, probe: Probe, sock: SocketType, data: bytes) -> bool:
        """Send what is unsent, and `data`; whether the talk goes on."""
        data = probe.unsent + data
        if data:
            try:
                data = data[sock.send(data) :]
            except BlockingIOError:
                pass
            except OSError as error:
                self._end(probe, failure(error.errno or errno.EIO), closing=True)
                return False
            probe.unsent = data
        if not data and probe.phase == TALKING and getattr(probe.talk, "write_only", False):
            self._end(probe, SENT)
            return False
        return True

    def _conversation(self, probe: Probe, sock: SocketType, what: int) -> None:
        """Read to the end of what there is, as an edge-triggered event asks for."""
        talk = probe.talk
        assert talk is not None
        if probe.unsent and not self._say(probe, sock, b""):
            return
        if not what & ~select.EPOLLOUT:
            return
        ended = what & (select.EPOLLRDHUP | FAILED)
        while True:
            try:
                data = sock.recv(CHUNK)
            except BlockingIOError:
                return
            except OSError as error:
                self._end(probe, failure(error.errno or errno.EIO), closing=True)
                return
            try:
                reply = talk.received(data) if data else talk.ended()
            except Exception as fault:  # noqa: BLE001
                reply = broken(fault)
            # A short read has emptied the queue (epoll(7), Q9); with an end behind it that was all.
            emptied = len(data) < CHUNK
            if isinstance(reply, Answer):
                self._end(probe, reply, closing=not data or bool(emptied and ended))
                return
            probe.taken += len(data)
            if probe.taken > LONGEST:
                self._end(probe, endless())
                return
            if reply and not self._say(probe, sock, reply):
                return
            if emptied and not ended:
                return

    def _datagrams(self, probe: Probe, sock: SocketType) -> None:
        while True:
            try:
                data = sock.recv(65536)
            except BlockingIOError:
                return
            except OSError as error:
                self._end(probe, failure(error.errno or errno.EIO, datagram=True), closing=True)
                return
            if probe.talk is None:
                self._end(probe, up("datagram answered"), closing=True)
                return
            try:
                reply = probe.talk.received(data)
            except Exception as fault:  # noqa: BLE001
                reply = broken(fault)
            if isinstance(reply, Answer):
                self._end(probe, reply, closing=True)
                return
            probe.taken += len(data) + 1
            if probe.taken > LONGEST:
                self._end(probe, endless(), closing=True)
                return
            if reply:
                try:
                    sock.send(reply)
                except BlockingIOError:  # as good as lost on the way
                    continue
                except OSError as error:
                    self._end(probe, failure(error.errno or errno.EIO, datagram=True), closing=True)
                    return

    def _end(self, probe: Probe, answer: Answer, *, closing: bool = False) -> None:
        """Hand out an answer; `closing`: the other end is through, or there is none."""
        sock = probe.socket
        assert sock is not None
        number = sock.fileno()
        self._forget(probe, number)
        probe.unsent = b""
        if closing:
            sock.close()
        else:
            if probe.heard:
                self._epoll.unregister(number)  # no event is wanted for the rest
            farewell = getattr(probe.talk, "farewell", None)
            if farewell is not None:
                with suppress(Exception):
                    sock.send(farewell())
            self._part(sock)
        self._done(probe, answer)

    def _part(self, sock: SocketType) -> None:
        """Say that nothing more comes, and leave it to a later tick to close."""
        try:
            sock.shutdown(socket.SHUT_WR)
        except OSError:  # the server has cut it meanwhile
            sock.close()
        else:
            self._parting.append(sock)

    def _let_go(self, sock: SocketType) -> None:
        """Close a socket that was shut down, once what came meanwhile is read away."""
        try:  # noqa: SIM105  a context manager costs as much as the system call
            sock.recv_into(self._bin)
        except OSError:
            pass
        sock.close()
