"""Asks real servers over sockets: connections and datagrams, all of them on one epoll.

What a check costs is system calls, so there are few. A connection that only has to be accepted is
created, connected, waited for once (EPOLLONESHOT), and shut down. It is closed a tick later, when
what the server said first has been read away: closing with unread bytes, or before the server has
closed its end, would answer it with a reset, and fill its log. A conversation is edge-triggered,
so that it is registered once; hence every event is read to the end.

Nothing is a task, a timer or a future: the engine calls `read` when the epoll has something, `expire`
when a deadline passes, and `sweep` once a tick.
"""

from __future__ import annotations

import errno
import os
import select
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from socket import SocketType

from lvs.checks import Address, Answer, Connect, Dns, Exchange, Radius, Reason, Sip, Target
from lvs.probes.talk import LONGEST, Talk, down, quoted, up

# Phases of a probe
FRESH = 0  # followed, and never asked
IDLE = 1  # waits for its time
READY = 2  # its time has come, and it stands in the queue
CONNECTING = 3
TALKING = 4
ASKED = 5  # something else than a socket asks
GONE = 6  # nobody follows it

CHUNK = 8192  # bytes of one read
EVENTS = 8  # taken from the epoll at once; a TLS handshake in each is not yet too long
SLICE_S = 0.008  # after which `read` lets the loop do something else
QUIET_S = 1.0  # longest wait for the refusal of a datagram that asks for no answer

SO_MARK = 36  # include/uapi/asm-generic/socket.h; not in Python's socket before 3.13
IP_BIND_ADDRESS_NO_PORT = 24  # include/uapi/linux/in.h

FAILED = select.EPOLLERR | select.EPOLLHUP
ACCEPTED_ONLY = select.EPOLLOUT | select.EPOLLONESHOT
CONVERSATION = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET

ACCEPTED = up("connection accepted")
SENT = up("connection accepted, text sent")
NOT_REFUSED = up("datagram sent and not refused")

STREAM = socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
DATAGRAM = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
STREAM_4 = (int(socket.AF_INET), int(STREAM), int(socket.IPPROTO_TCP))
# (IPv6, datagrams, SCTP) -> family, type, protocol; shared, for there are thousands of probes
_KINDS = {
    (False, False, False): STREAM_4,
    (False, False, True): (int(socket.AF_INET), int(STREAM), int(socket.IPPROTO_SCTP)),
    (False, True, False): (int(socket.AF_INET), int(DATAGRAM), 0),
    (True, False, False): (int(socket.AF_INET6), int(STREAM), int(socket.IPPROTO_TCP)),
    (True, False, True): (int(socket.AF_INET6), int(STREAM), int(socket.IPPROTO_SCTP)),
    (True, True, False): (int(socket.AF_INET6), int(DATAGRAM), 0),
}

# Whatever the real server does, these are said by this host of itself.
EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
OURS = EXHAUSTED | {
    errno.EPERM,  # the packet filter's OUTPUT, or no right to set a mark
    errno.EACCES,  # a prohibiting route, or a security module
    errno.EADDRNOTAVAIL,  # no ephemeral port is left
    errno.EAGAIN,  # the same, or a full queue
    errno.EAFNOSUPPORT,  # IPv6 is switched off
    errno.EPROTONOSUPPORT,  # no SCTP in this kernel
    errno.ESOCKTNOSUPPORT,
}


class ExhaustedError(Exception):
    """No socket could be had, for whatever target; it holds the answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.text)
        self.answer = answer


class Probe:
    """What is known of one target for as long as it is followed; one object, so it is made of slots."""

    __slots__ = (
        "again_s",
        "answer",
        "at",
        "base",
        "datagrams",
        "deadline",
        "due",
        "kind",
        "latest",
        "loud",
        "most",
        "patience_s",
        "phase",
        "serial",
        "slot",
        "sockaddr",
        "socket",
        "started",
        "streak",
        "taken",
        "talk",
        "target",
        "took_s",
        "unsent",
        "users",
    )

    def __init__(self, target: Target, now: float) -> None:
        self.target = target
        self.users = 1
        self.phase = FRESH
        self.slot = 0  # of the engine's wheel; the one that counts
        self.due = now
        self.base = now  # start of the current period
        self.again_s = 0.0  # until the next try, after a fault of ours; 0: as scheduled
        self.started = now
        self.deadline = now  # of the current step
        self.latest = now  # of the whole
        self.serial = 0  # of the current probe, for answers that come too late
        self.socket: SocketType | None = None
        self.kind = STREAM_4  # family, type and protocol of the socket
        self.sockaddr: tuple[str, int] | None = None  # None: not looked at yet, and no more is `kind`
        self.talk: Talk | None = None
        self.datagrams = False
        self.unsent = b""
        self.taken = 0  # bytes received
        # Of the last one that ended
        self.answer: Answer | None = None
        self.at = now
        self.took_s = 0.0
        self.streak = 0
        self.most = max(target.pace.rise, target.pace.fall)
        self.patience_s = min(target.pace.step_s, target.pace.limit_s)  # with connecting
        self.loud = 0  # results that are told even if nothing changed


class Sockets:
    """All sockets of the probes. `done` is called with what a probe found, never from within `start`."""

    def __init__(self, done: Callable[[Probe, Answer], None], clock: Callable[[], float]) -> None:
        self._done = done
        self._clock = clock
        self._epoll = select.epoll()  # close-on-exec by default
        self._asking: dict[int, Probe] = {}  # by descriptor
        self._bin = bytearray(CHUNK)
        self._parting: list[SocketType] = []  # shut down in this tick
        self._parted: list[SocketType] = []  # and in the one before

    def fileno(self) -> int:
        return self._epoll.fileno()

    def close(self) -> None:
        for probe in list(self._asking.values()):
            self.cut(probe)
        self.sweep()
        self.sweep()
        self._epoll.close()

    def asking(self) -> list[Probe]:
        return list(self._asking.values())

    @property
    def parting(self) -> bool:
        """Whether `sweep` has something to do."""
        return bool(self._parting or self._parted)

    def start(self, probe: Probe, now: float) -> Answer | None:
        """Begin; an answer if there is one already, None if it is under way.

        Errors: ExhaustedError if this host has no socket to give.
        """
        target = probe.target
        sock = None
        try:
            sockaddr = probe.sockaddr or _prepare(probe)
            sock = SocketType(*probe.kind)
            if target.path is not None:
                _through(sock, target)
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
        number = sock.fileno()
        self._asking[number] = probe
        if probe.talk is None and not probe.datagrams:
            self._epoll.register(number, ACCEPTED_ONLY)
            return None
        probe.latest = now + target.pace.limit_s
        probe.unsent = b""
        probe.taken = 0
        self._epoll.register(number, CONVERSATION)
        if probe.datagrams:
            return self._ask_by_datagram(probe, sock, now)
        return None

    def read(self) -> None:
        """Take what happened on the sockets, for `SLICE_S` at most: what is left is still readable."""
        poll, asking, clock = self._epoll.poll, self._asking, self._clock
        until = clock() + SLICE_S
        while True:
            events = poll(0, EVENTS)
            for number, what in events:
                probe = asking.get(number)
                if probe is None:
                    continue
                sock = probe.socket
                assert sock is not None
                if probe.phase == CONNECTING:
                    if what & FAILED:
                        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                        if code:
                            self._end(probe, failure(code), closing=True)
                            continue
                    if probe.talk is None:
                        del asking[number]
                        self._part(sock)
                        probe.socket = None
                        self._done(probe, ACCEPTED)
                        continue
                    if not self._connected(probe, probe.talk, sock):
                        continue
                if probe.datagrams:
                    self._datagrams(probe, sock)
                else:
                    self._conversation(probe, sock, what)
            if len(events) < EVENTS or clock() > until:
                return

    def expire(self, probe: Probe) -> Answer:
        """End a probe whose deadline has passed; what to say of it."""
        talk, phase = probe.talk, probe.phase
        self.cut(probe)
        if phase == CONNECTING:
            return down(Reason.TIMED_OUT, f"not connected within {probe.patience_s:g} s")
        if _silence_is_consent(probe):
            return NOT_REFUSED
        assert talk is not None
        seconds = round(probe.deadline - probe.started, 1)
        try:
            waited_for = talk.silent()
        except Exception as fault:  # noqa: BLE001
            waited_for = f"what its check did not say ({type(fault).__name__})"
        return down(Reason.TIMED_OUT, f"timed out after {seconds:g} s, waiting for {waited_for}")

    def cut(self, probe: Probe) -> None:
        """Drop a probe's socket without more words."""
        sock = probe.socket
        if sock is not None:
            probe.socket = None
            del self._asking[sock.fileno()]
            sock.close()

    def sweep(self) -> None:
        """Close what was shut down a tick ago, once what came meanwhile is read away."""
        for sock in self._parted:
            try:  # noqa: SIM105  a context manager costs as much as the system call
                sock.recv_into(self._bin)
            except OSError:
                pass
            sock.close()
        self._parted = self._parting
        self._parting = []

    # One probe

    def _connected(self, probe: Probe, talk: Talk, sock: SocketType) -> bool:
        """Begin to talk; whether the talk goes on."""
        probe.phase = TALKING
        probe.deadline = min(self._clock() + probe.target.pace.step_s, probe.latest)
        try:
            first = talk.begin()
        except Exception as fault:  # noqa: BLE001
            self._end(probe, _broken(fault))
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
                reply = _broken(fault)
            if isinstance(reply, Answer):
                self._end(probe, reply, closing=not data)
                return
            probe.taken += len(data)
            if probe.taken > LONGEST:
                self._end(probe, _endless())
                return
            if reply and not self._say(probe, sock, reply):
                return
            # A short read has emptied the queue (epoll(7), Q9), but says nothing of an end behind it.
            if len(data) < CHUNK and not what & (select.EPOLLRDHUP | FAILED):
                return

    def _ask_by_datagram(self, probe: Probe, sock: SocketType, now: float) -> Answer | None:
        probe.phase = TALKING
        try:
            # Nothing to send still asks whether the port is open: an empty datagram may be refused.
            sock.send(b"" if probe.talk is None else probe.talk.begin())
        except OSError as error:
            self.cut(probe)
            return failure(error.errno or errno.EIO, datagram=True)
        except Exception as fault:  # noqa: BLE001
            self.cut(probe)
            return _broken(fault)
        if _silence_is_consent(probe):
            probe.deadline = min(probe.deadline, now + QUIET_S)
        return None

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
                reply = _broken(fault)
            if isinstance(reply, Answer):
                self._end(probe, reply, closing=True)
                return
            probe.taken += len(data) + 1
            if probe.taken > LONGEST:
                self._end(probe, _endless(), closing=True)
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
        probe.socket = None
        number = sock.fileno()
        del self._asking[number]
        probe.unsent = b""
        if closing:
            sock.close()
        else:
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


def asks_by_datagram(target: Target) -> bool:
    check = target.check
    kind = type(check)
    if kind is Connect:
        return False
    match check:
        case Exchange(udp=True) | Dns(tcp=False) | Radius() | Sip(udp=True):
            return True
    return False


def needs_no_talk(target: Target) -> bool:
    """Whether it is enough to connect, or to send nothing."""
    match target.check:
        case Connect() | Exchange(send=None, expect=None):
            return True
    return False


def _silence_is_consent(probe: Probe) -> bool:
    """Whether a datagram that stays without answer, and is not refused, is enough."""
    return probe.datagrams and (probe.talk is None or getattr(probe.talk, "write_only", False))


def _prepare(probe: Probe) -> tuple[str, int]:
    """Find out how a target is asked, once, and not before it is; where to connect to."""
    target = probe.target
    address = target.address if target.path is None else target.path.vip
    probe.datagrams = asks_by_datagram(target)
    probe.kind = _KINDS[address.version == 6, probe.datagrams, target.sctp and not probe.datagrams]
    probe.sockaddr = sockaddr = (str(address), target.port)
    return sockaddr


def _through(sock: SocketType, target: Target) -> None:
    """Go to the VIP as the traffic does, marked.

    The VIP is an address of this host while it is active, and would be taken for the source as well;
    so the source is what this host would use towards the real server. Errors: OSError.
    """
    assert target.path is not None
    sock.setsockopt(socket.SOL_SOCKET, SO_MARK, target.path.mark)
    with suppress(OSError):
        sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
    sock.bind((source_towards(target.address), 0))


def source_towards(address: Address) -> str:
    """The source address of this host's packets to an address. Errors: OSError, no route above all."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    asker = SocketType(family, DATAGRAM, 0)
    try:
        asker.connect((str(address), 9))  # no packet: a datagram socket only looks up the route
        return str(asker.getsockname()[0])
    finally:
        asker.close()


@cache
def failure(code: int, *, datagram: bool = False) -> Answer:
    """What an errno of a socket means for the real server, or for this director."""
    said = os.strerror(code)
    said = said[0].lower() + said[1:]
    match code:
        case errno.ECONNREFUSED:
            return down(Reason.REFUSED, "port unreachable" if datagram else "connection refused")
        case errno.ECONNRESET | errno.EPIPE | errno.ECONNABORTED:
            return down(Reason.RESET, "connection reset")
        case errno.ETIMEDOUT:
            return down(Reason.TIMED_OUT, "connection timed out in the kernel")
        case _ if code in OURS:
            return down(Reason.LOCAL_FAULT, f"this director could not ask: {said}")
        case _:
            return down(Reason.UNREACHABLE, said)


def _endless() -> Answer:
    return down(Reason.TOO_LONG, f"no end of the answer after {LONGEST // 1024} KiB")


def _broken(fault: Exception) -> Answer:
    """A protocol's code is not to raise, whatever comes; if it does, the answer was not understood."""
    return down(Reason.GARBLED, f"answer not understood: {type(fault).__name__} {quoted(str(fault))}")
