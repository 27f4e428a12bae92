"""Starting the lab's own small server and client in machines."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from .machine import Machine, Process
from .paths import LAB, PYTHON

Kind = Literal["tcp", "udp", "udpnew", "stream", "lasting", "steady", "names"]

# No site, no environment: half the start-up time.
SCRIPT = (PYTHON, "-I", "-S")


def echo(machine: Machine, *, tcp: Sequence[int] = (), udp: Sequence[int] = ()) -> Process:
    """Start the echo server, which answers with the machine's name; it serves on return."""
    process = begin_echo(machine, tcp=tcp, udp=udp)
    process.expect("serving")
    return process


def begin_echo(machine: Machine, *, tcp: Sequence[int] = (), udp: Sequence[int] = ()) -> Process:
    """Start the echo server; it says "serving" when it does."""
    ports = ["--tcp", *map(str, tcp), "--udp", *map(str, udp)]
    return machine.spawn(*SCRIPT, str(LAB / "echo.py"), machine.name, *ports)


@dataclass(frozen=True)
class Tally:
    """What became of a client's requests; see traffic.py."""

    sent: int
    answered: int
    failed: int
    refused: int
    reset: int
    slow: int
    by: dict[str, int]
    longest_gap_s: float
    slowest_s: float
    gaps: list[tuple[float, float]]  # (when it began, seconds), on the lab's clock
    failed_at: list[float]  # when each one began that failed, on the lab's clock


class Traffic:
    """A client at work."""

    def __init__(self, process: Process) -> None:
        self.process = process

    def stop(self) -> Tally:
        """End it and count."""
        self.process.signal(signal.SIGTERM)
        return self.tally()

    def tally(self, timeout: float = 120) -> Tally:
        """Wait for its end and count."""
        self.process.wait(timeout)
        return Tally(**json.loads(self.process.result().out.splitlines()[-1]))


def traffic(
    machine: Machine,
    kind: Kind,
    address: str,
    port: int,
    *,
    period_s: float = 0.02,
    count: int = 0,
    source_ports: range = range(0),
) -> Traffic:
    """Start a client; it has begun on return.

    Shape: ``count`` requests, or with 0 until stopped. Under emulation a TCP request takes some
    milliseconds, so a shorter period is not kept.
    """
    source = [str(source_ports.start), str(len(source_ports))]
    numbers = [str(port), str(period_s), str(count), *source]
    process = machine.spawn(*SCRIPT, str(LAB / "traffic.py"), kind, address, *numbers)
    process.expect("started")
    return Traffic(process)


@dataclass(frozen=True)
class Place:
    """A port of a faulty server; see faulty.py."""

    port: int
    mode: str
    right: tuple[bytes, ...] = (b"", b"+OK\r\n")
    wrong: bytes = b"-ERR no\r\n"


class Faulty:
    """A faulty server at work."""

    def __init__(self, process: Process) -> None:
        self.process = process

    def heal(self) -> None:
        """From now on all is well."""
        self._turn(signal.SIGUSR1)

    def relapse(self) -> None:
        """As in the beginning."""
        self._turn(signal.SIGUSR2)

    def _turn(self, number: int) -> None:
        before = len(self.ended("turned"))
        self.process.signal(number)
        deadline = time.monotonic() + 30
        while len(self.ended("turned")) == before:
            assert time.monotonic() < deadline, self.process.output()
            time.sleep(0.1)

    def ended(self, port: int | str) -> list[str]:
        """How the conversations at a port ended, in order."""
        found = [line.split() for line in self.process.result().out.splitlines()]
        return [words[-1] for words in found if words[0] == str(port)]


def faulty(machine: Machine, places: Sequence[Place]) -> Faulty:
    """Start a faulty server; it serves on return."""
    specs = [
        {
            "port": one.port,
            "mode": one.mode,
            "right": [it.hex() for it in one.right],
            "wrong": one.wrong.hex(),
        }
        for one in places
    ]
    process = machine.spawn(*SCRIPT, str(LAB / "faulty.py"), stdin=json.dumps(specs))
    process.expect("serving")
    return Faulty(process)
