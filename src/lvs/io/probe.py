"""What is known of one target, and the socket by which it is asked."""

from __future__ import annotations

import errno
import socket
from contextlib import suppress
from socket import SocketType

from lvs.checks import ONCE, Address, Answer, Connect, Dns, Exchange, Radius, Reason, Rows, Sip, Target
from lvs.io.failure import broken, failure
from lvs.io.findings import Last
from lvs.probes.talk import Talk, down, up

# Phases of a probe
FRESH = 0  # followed, and never asked
IDLE = 1  # waits for its time
READY = 2  # its time has come, and it stands in the queue
CONNECTING = 3
TALKING = 4
ASKED = 5  # something else than a socket asks
GONE = 6  # nobody follows it

OVERDUE = 3  # intervals, and the limit, without any result
QUIET_S = 1.0  # longest wait for the refusal of a datagram that asks for no answer
NOT_REFUSED = up("datagram sent and not refused")

SO_MARK = 36  # include/uapi/asm-generic/socket.h; not in Python's socket before 3.13
IP_BIND_ADDRESS_NO_PORT = 24  # include/uapi/linux/in.h

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


class Probe:
    """What is known of one target for as long as it is followed; one object, so it is made of slots."""

    __slots__ = (
        "answer",
        "at",
        "base",
        "datagrams",
        "deadline",
        "due",
        "fall",
        "faulty",
        "heard",
        "kind",
        "latest",
        "loud",
        "most",
        "overdue_s",
        "patience_s",
        "period_s",
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

    def __init__(self, target: Target, now: float, rows: Rows = ONCE) -> None:
        self.target = target
        self.users = 1
        self.phase = FRESH
        self.slot = 0  # of the engine's wheel; the one that counts
        self.due = now
        self.base = now  # start of the current period
        self.period_s = target.pace.interval_s  # from it to the next
        self.started = now
        self.deadline = now  # of the current step
        self.latest = now  # of the whole
        self.serial = 0  # of the current probe, for answers that come too late
        self.socket: SocketType | None = None
        self.heard = False  # the epoll listens to it
        self.kind = STREAM_4  # family, type and protocol of the socket
        self.sockaddr: tuple[str, int] | None = None  # None: not looked at yet, and no more is `kind`
        self.talk: Talk | None = None
        self.datagrams = False
        self.unsent = b""
        self.taken = 0  # bytes received
        # Of the last one that ended
        self.answer: Answer | None = None
        self.faulty = False  # that it could not be asked was told, before there was any answer
        self.at = now
        self.took_s = 0.0
        self.streak = 0
        pace = target.pace
        self.overdue_s = OVERDUE * max(pace.interval_s, pace.down_interval_s or 0.0) + pace.limit_s
        self.most = max(rows.rise, rows.fall)  # equal results that are told
        self.fall = rows.fall
        self.patience_s = min(target.pace.step_s, target.pace.limit_s)  # with connecting
        self.loud = 0  # results that are told even if nothing changed

    def heed(self, rows: Rows) -> None:
        """Tell as many equal results as its one follower wants, or the most patient of several."""
        most = max(rows.rise, rows.fall)
        self.most = most if self.users == 1 else max(self.most, most)
        self.fall = rows.fall if self.users == 1 else max(self.fall, rows.fall)

    def last(self) -> Last:
        """What is to be told of it."""
        next_at = self.due if self.phase <= READY else None
        if self.answer is None:
            return Last(next_at=next_at)
        return Last(self.answer, self.at, self.took_s, next_at, self.streak)


def asks_by_datagram(target: Target) -> bool:
    match target.check:
        case Exchange(udp=True) | Dns(tcp=False) | Radius() | Sip(udp=True):
            return True
    return False


def needs_no_talk(target: Target) -> bool:
    """Whether it is enough to connect, or to send nothing."""
    match target.check:
        case Connect() | Exchange(send=None, expect=None):
            return True
    return False


def silence_is_consent(probe: Probe) -> bool:
    """Whether a datagram that stays without answer, and is not refused, is enough."""
    return probe.datagrams and (probe.talk is None or getattr(probe.talk, "write_only", False))


def ask_by_datagram(probe: Probe, sock: SocketType, now: float) -> Answer | None:
    """Send the question; an answer only if that failed."""
    probe.phase = TALKING
    try:
        # Nothing to send still asks whether the port is open: an empty datagram may be refused.
        sock.send(b"" if probe.talk is None else probe.talk.begin())
    except OSError as error:
        return failure(error.errno or errno.EIO, datagram=True)
    except Exception as fault:  # noqa: BLE001
        return broken(fault)
    if silence_is_consent(probe):
        probe.deadline = min(probe.deadline, now + QUIET_S)
    return None


def timed_out(probe: Probe, phase: int) -> Answer:
    """What to say of one whose deadline passed in a phase."""
    if phase == CONNECTING:
        return down(Reason.TIMED_OUT, f"not connected within {probe.patience_s:g} s")
    if silence_is_consent(probe):
        return NOT_REFUSED
    assert probe.talk is not None
    seconds = round(probe.deadline - probe.started, 1)
    try:
        waited_for = probe.talk.silent()
    except Exception as fault:  # noqa: BLE001
        waited_for = f"what its check did not say ({type(fault).__name__})"
    return down(Reason.TIMED_OUT, f"timed out after {seconds:g} s, waiting for {waited_for}")


def prepare(probe: Probe) -> tuple[str, int]:
    """Find out how a target is asked, once, and not before it is; where to connect to."""
    target = probe.target
    address = target.address if target.path is None else target.path.vip
    probe.datagrams = type(target.check) is not Connect and asks_by_datagram(target)
    probe.kind = _KINDS[address.version == 6, probe.datagrams, target.sctp and not probe.datagrams]
    probe.sockaddr = sockaddr = (str(address), target.port)
    return sockaddr


def go_through_vip(sock: SocketType, target: Target) -> None:
    """Have it go to the VIP as the traffic does, marked.

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
