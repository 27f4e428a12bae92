"""lvsd on a machine of the lab, as tests use it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from lab import Machine, Process
from lab.paths import LVSD

Seen = TypeVar("Seen")

LATE_S = 1.0  # of what lvsd forgives real servers while it could not hear them, and of this process's clock
SLOWEST_S = 180.0  # an emulated guest is about fifteen times slower than its host, and hosts are busy


STATE = "/var/lib/lvs"  # of the machine alone
SOCKET = "/run/lvs/lvsd.sock"
UNCHECKED = ("--unchecked", "--state-dir", STATE)


class Director:
    """A machine with lvsd, its file, and its kernel's table.

    Unless it is made `checked`, it takes all real servers as up: most tests have others to ask, or none.
    """

    def __init__(self, machine: Machine, file: str = "/etc/lvs/lvs.toml", *, checked: bool = False) -> None:
        self.machine = machine
        self.file = file
        self.options = ("--state-dir", STATE) if checked else UNCHECKED
        self.process: Process | None = None
        self.files: dict[str, str] = {}  # while its power is off
        self.said_before = ""

    def spawn(self, *options: str, env: dict[str, str] | None = None) -> Process:
        """Start lvsd and do not wait for it."""
        words = (LVSD, "run", "--config", self.file, *self.options, *options)
        self.process = self.machine.spawn(*words, env=env)
        return self.process

    def start(self, text: str | bytes | None = None, *options: str) -> None:
        """Start lvsd, with a new file if there is one, and wait until it has applied it."""
        if text is not None:
            self.machine.write(self.file, text)
        process = self.spawn(*options)
        words = (" applied: ", "nothing is changed in the kernel until")
        said = until(process.output, lambda said: any(map(said.__contains__, words)) or not process.alive)
        assert words[0] in said, said

    def stop(self) -> str:
        """Stop lvsd; all that it said."""
        assert self.process is not None
        assert self.process.stop() == 0, self.process.output()
        return self.process.output()

    @property
    def said(self) -> str:
        """All that lvsd has said so far."""
        assert self.process is not None
        return self.process.output()

    def save(self, text: str | bytes) -> str:
        """Save a file as an editor does, by rename over the old one; what lvsd then says of it."""
        before = len(self.said)
        self.machine.write(self.file + ".new", text)
        self.machine.run("mv", self.file + ".new", self.file)
        return self.wait_for(r"( applied: | nothing to change| refused: )[^\n]*\n", before)

    def wait_for(self, pattern: str, since: int = 0) -> str:
        """Wait until lvsd has said something that matches; all of it since then."""
        return until(lambda: self.said[since:], lambda said: re.search(pattern, said) is not None)

    def lvsd(self, *arguments: str, check: bool = True) -> str:
        """A command of lvsd; what it prints."""
        result = self.machine.run(LVSD, *arguments, check=check)
        return result.out + result.err

    def status(self) -> dict[str, Any]:
        """As `lvsd status --json`, without starting it: under emulation that takes two seconds."""
        found: dict[str, Any] = json.loads(self.ask({"type": "status"}))["status"]
        return found

    def too_late(
        self, moved: Iterable[tuple[str, str]], since: float, promised_s: float
    ) -> dict[tuple[str, str], float]:
        """Which real servers came to be as they are later than promised, and after how many seconds.

        By lvsd's own clock, less by how much its checks and its event loop were late themselves within the
        last half minute: that is the machine's fault. What it says to be so many seconds old is at least as
        old here when the answer comes.

        Shape: (virtual server, real server). Units: `since` is this process's monotonic time, when what they
        answer to had happened.
        """
        asked = time.monotonic()
        status = self.status()
        allowed_s = promised_s + status["checks"]["late_s"] + status["checks"]["stall_s"] + LATE_S
        age_s = {
            (one["name"], row["name"]): row["since_s"]
            for one in status["virtual_servers"]
            for row in one["real_servers"]
        }
        took_s = {one: asked - age_s[one] - since for one in moved}
        return {one: round(seconds, 2) for one, seconds in took_s.items() if seconds > allowed_s}

    def ask(self, request: dict[str, Any]) -> str:
        """The daemon's reply to a request, as JSON."""
        return self.machine.ask(SOCKET, json.dumps(request) + "\n", SLOWEST_S)

    def table(self) -> list[str]:
        """The kernel's table, as another program reads it."""
        return sorted(self.machine.run("ipvsadm", "-Sn", root="tree").out.splitlines())

    def mac(self) -> str:
        """Of its first device."""
        return self.machine.read("/sys/class/net/eth0/address").strip()

    def addresses(self) -> set[str]:
        """Addresses with prefix and label of all devices but lo."""
        shown = json.loads(self.machine.run("ip", "-json", "address").out)
        return {
            f"{one['local']}/{one['prefixlen']} {one.get('label', device['ifname'])}"
            for device in shown
            if device["ifname"] != "lo"
            for one in device["addr_info"]
            if one["scope"] == "global"
        }


def until(look: Callable[[], Seen], good: Callable[[Seen], bool], limit_s: float = SLOWEST_S) -> Seen:
    """Look again and again until it is good.

    What is looked at has three quarters of the time for itself: to be asked for its status all the time is
    more than an emulated daemon can do beside its work.
    """
    end = time.monotonic() + limit_s
    while True:
        began = time.monotonic()
        if good(seen := look()):
            return seen
        now = time.monotonic()
        if now > end:
            raise AssertionError(f"not within {limit_s:.0f} s; last seen:\n{seen}")
        time.sleep(min(max(0.05, 3 * (now - began)), 0.5))
