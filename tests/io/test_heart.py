"""Two pulses, real processes with real sockets on loopback: the one takes over from the other."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from lvs.model import Role
from lvs.pulse import wire
from lvs.pulse.line import FromPulse, Privileges, Seen, Strangers, ToPulse, Way, Wiring, encode, from_pulse
from lvs.pulse.wire import decode
from lvs.pulse.words import (
    Beat,
    Fault,
    Grade,
    HoldingChanged,
    LeaveAsked,
    Left,
    SwitchoverAsked,
    SwitchoverEnded,
    TakeRole,
    Terms,
    Vitals,
)

KEY = b"k" * 32
PATIENCE_S = 20.0


class Played:
    """A daemon without a kernel: it holds the VIPs as soon as it is active."""

    def __init__(self, wiring: Wiring) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.line = ours
        self.process = subprocess.Popen(
            (sys.executable, "-m", "lvs.pulsing", str(theirs.fileno())), pass_fds=(theirs.fileno(),)
        )
        theirs.close()
        self.said: list[FromPulse] = []
        self.role = Role.STANDBY
        self.tell(wiring)

    def tell(self, what: ToPulse) -> None:
        self.line.send(encode(what))

    def hear(self) -> None:
        data = self.line.recv(1 << 16)
        assert data, "the pulse has ended"
        what = from_pulse.decode(data)
        self.said.append(what)
        if isinstance(what, TakeRole):
            self.role = what.role
            self.tell(HoldingChanged(what.role is Role.ACTIVE))

    def close(self) -> None:
        self.line.close()
        self.process.wait(10)

    def found(self, kind: type[FromPulse]) -> list[FromPulse]:
        return [one for one in self.said if isinstance(one, kind)]


Both = tuple[Played, Played]


def until(both: Both, good: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not good():
        lines = {one.line: one for one in both if one.line.fileno() >= 0}
        ready, _, _ = select.select(list(lines), [], [], max(0.0, end - time.monotonic()))
        assert ready, [one.said[-5:] for one in both]
        for line in ready:
            lines[line].hear()


def wiring(ours: str, theirs: str, port: int, *, primary: bool, key: bytes = KEY) -> Wiring:
    # A busy machine must not look like a dead one here.
    return Wiring((Way("public", ours, theirs),), port, key, Terms(primary, 0.2, 3.0))


@pytest.fixture
def port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        found: int = one.getsockname()[1]
        return found


@pytest.fixture
def both(port: int) -> Iterator[Both]:
    pair = (
        Played(wiring("127.0.0.1", "127.0.0.2", port, primary=True)),
        Played(wiring("127.0.0.2", "127.0.0.1", port, primary=False)),
    )
    yield pair
    for one in pair:
        one.close()


def settled(both: Both) -> Callable[[], bool]:
    return lambda: (
        {one.role for one in both} == {Role.ACTIVE, Role.STANDBY}
        and all(isinstance(seen[-1], Seen) and seen[-1].alive for one in both if (seen := one.found(Seen)))
    )


def test_the_primary_becomes_active_and_hands_over_when_asked(both: Both) -> None:
    primary, backup = both
    until(both, settled(both))
    assert primary.role is Role.ACTIVE, [one.said for one in both]
    primary.tell(SwitchoverAsked("root"))
    until(both, lambda: primary.found(SwitchoverEnded))
    assert primary.found(SwitchoverEnded) == [SwitchoverEnded()]
    assert (primary.role, backup.role) == (Role.STANDBY, Role.ACTIVE)


def test_a_goodbye_is_heard_at_once_and_a_death_after_deadtime(both: Both) -> None:
    primary, backup = both
    until(both, settled(both))
    primary.tell(LeaveAsked())
    until(both, lambda: primary.found(Left))
    assert backup.role is Role.ACTIVE
    backup.process.kill()
    backup.process.wait()
    again = Played(wiring(*_ends(backup), primary=False))
    try:
        until((again, again), lambda: again.role is Role.ACTIVE)
    finally:
        again.close()


def _ends(_one: Played) -> tuple[str, str, int]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.3", 0))
        return "127.0.0.3", "127.0.0.4", free.getsockname()[1]


def test_strangers_are_counted_and_do_no_harm(both: Both, port: int) -> None:
    primary, backup = both
    until(both, settled(both))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind(("127.0.0.9", 0))
        for data in (b"\xda\xdb\xad\xbd", b"LVSp\x01" + b"\0" * 60, b"", b"x" * 2000) * 50:
            stranger.sendto(data, ("127.0.0.2", port))
        until(both, lambda: backup.found(Strangers))
    counted = backup.found(Strangers)[0]
    assert isinstance(counted, Strangers)
    assert set(counted.counts) == {"address"}
    assert counted.example == "127.0.0.9"
    assert (primary.role, backup.role) == (Role.ACTIVE, Role.STANDBY)


def spent_s(process: subprocess.Popen[bytes]) -> float:
    """Processor time that it has used; proc_pid_stat(5)."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("sender", ["127.0.0.1", "127.0.0.9"])
def test_a_flood_does_not_take_a_processor(both: Both, port: int, sender: str) -> None:
    """Neither of the other director's address nor of others; it has priority before all else."""
    until(both, settled(both))
    pulse, junk = both[1].process, b"LVSp\x01" + b"\0" * 300
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flood:
        flood.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        flood.bind((sender, port))
        before, began = spent_s(pulse), time.monotonic()
        while time.monotonic() < began + 1.0:
            for _ in range(100):
                flood.sendto(junk, ("127.0.0.2", port))
        share = (spent_s(pulse) - before) / (time.monotonic() - began)
    until(both, lambda: both[1].found(Strangers))
    assert share < 0.45
    assert [one.role for one in both] == [Role.ACTIVE, Role.STANDBY]


def test_an_authentic_beat_that_counts_for_nothing_is_counted(both: Both, port: int) -> None:
    until(both, settled(both))
    odd = wire.encode(Beat(boot=9, number=1, deadtime_s=1e9), KEY)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as usurper:
        usurper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        usurper.bind(("127.0.0.1", port))
        for _ in range(3):
            usurper.sendto(odd, ("127.0.0.2", port))
        until(both, lambda: both[1].found(Strangers))
    counted = both[1].found(Strangers)[0]
    assert isinstance(counted, Strangers)
    assert counted.counts.keys() == {"garbled"}
    assert counted.example == "127.0.0.1"


def test_it_says_what_it_was_refused(both: Both) -> None:
    until(both, lambda: all(one.found(Privileges) for one in both))


def test_another_key_is_another_pair(port: int) -> None:
    pair = (
        Played(wiring("127.0.0.1", "127.0.0.2", port, primary=True)),
        Played(wiring("127.0.0.2", "127.0.0.1", port, primary=False, key=b"o" * 32)),
    )
    try:
        until(pair, lambda: all(one.role is Role.ACTIVE for one in pair) and pair[0].found(Strangers))
        counted = pair[0].found(Strangers)[0]
        assert isinstance(counted, Strangers)
        assert counted.counts.keys() == {"forged"}
    finally:
        for one in pair:
            one.close()


def test_a_role_that_the_daemon_had_no_room_for_is_said_again(port: int) -> None:
    """It hung, and its line filled up: it must not go on with the role that it had."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with ours, other:
        other.bind(("127.0.0.2", port))
        other.settimeout(PATIENCE_S)
        theirs.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while theirs.send(b"full"):
                pass
        ours.recv(8)  # room for its first word
        command = (sys.executable, "-m", "lvs.pulsing", str(theirs.fileno()))
        process = subprocess.Popen(command, pass_fds=(theirs.fileno(),))
        theirs.close()
        ours.send(encode(wiring("127.0.0.1", "127.0.0.2", port, primary=True)))
        while True:
            beat = decode(other.recv(2048), KEY)
            assert isinstance(beat, Beat)
            if beat.role is Role.ACTIVE:
                break
        ours.settimeout(PATIENCE_S)
        said = list[FromPulse]()
        while not any(isinstance(one, TakeRole) for one in said):
            data = ours.recv(1 << 16)
            if data != b"full":
                said.append(from_pulse.decode(data))
            assert len(said) < 10, said
        assert said[-1] == TakeRole(Role.ACTIVE, beat.term, beat.reason)
    process.wait(10)


def test_the_first_beat_says_what_is_so(port: int) -> None:
    """Not that this director could serve, and the fault with the second one."""
    fault = Fault(Grade.CUT, "eth0 has no link")
    told = wiring("127.0.0.1", "127.0.0.2", port, primary=True)
    told = msgspec.structs.replace(told, faults=(fault,), vitals=Vitals(serial_no=7, version="9"))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.2", port))
        other.settimeout(PATIENCE_S)
        one = Played(told)
        beat = decode(other.recv(2048), KEY)
        one.close()
    assert isinstance(beat, Beat)
    assert (beat.number, beat.able, beat.serial_no, beat.version) == (1, False, 7, "9")
