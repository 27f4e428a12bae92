"""Two directors with lvsd, two real servers behind them, and a client; as tests use them."""

from __future__ import annotations

import json
import re
import signal
from dataclasses import dataclass
from functools import cache
from typing import Self

from lab import Lab, Machine
from lab.peers import Tally, Traffic, begin_echo, traffic
from lab.segment import Segment
from lvs.io import pairkey

from .director import STATE, Director, until

VIP, PORT = "10.0.0.5", 80
DIRECTORS = {"director1": "10.0.0.1", "director2": "10.0.0.2"}
KEY, MEMORY = "/etc/lvs/pair.key", f"{STATE}/pair.json"

# Some seven times what lvs.toml's defaults are: an emulated guest is fifteen times slower than its host.
KEEPALIVE_S, DEADTIME_S = 0.3, 1.5
# What the other director may take beside deadtime, and a guest's processor be away for: to take the role,
# write an address and announce it. On real machines these are milliseconds.
SLACK_S = 1.5
TICK_S = 0.02  # between two requests of the client

TIMES = f"keepalive = {KEEPALIVE_S}\ndeadtime = {DEADTIME_S}\nmonitor_links = true\nsyncdaemon = true\n"
FILE = """
serial_no = {serial}
primary = "10.0.0.1"
backup = "10.0.0.2"
network = "direct"
{more}
"""
VIRTUAL = """
[[virtual]]
name = "{protocol}"
protocol = "{protocol}"
address = "10.0.0.5"
device = "eth0:1"
vip_nmask = 24
port = 80
scheduler = "rr"

[[virtual.server]]
name = "real1"
address = "10.0.0.3"
weight = 1

[[virtual.server]]
name = "real2"
address = "10.0.0.4"
weight = 1
"""
# Heartbeats that come to a director, at one device or at all, are lost; all else arrives.
DEAF = """\
table inet deaf {
    chain in { type filter hook input priority -300; MATCH udp dport 539 drop; }
}
"""
_WORDS = {"is active": "active", "is on standby": "standby", "cannot serve": "fault"}
_HEARD = re.compile(r"the other director is (heard|not heard)|(no heartbeat): ")
_ROLE = re.compile(f"this director ({'|'.join(_WORDS)})")
_PULSE = re.compile(
    f"this director (?:{'|'.join(_WORDS)}).*|the other director is (?:not )?heard.*|one-way heartbeat.*"
    "|lvsd could not run for .*|no heartbeat.*|both directors are active.*|neither director was active.*"
)


def text(more: str = TIMES, serial: int = 1) -> str:
    """The file of both directors, with further global options."""
    whole = FILE.replace("{more}", more).replace("{serial}", str(serial))
    return whole + "".join(VIRTUAL.replace("{protocol}", one) for one in ("tcp", "udp"))


@cache
def key() -> bytes:
    return pairkey.make().text


@dataclass
class Pair:
    """The machines; directors are in the order of the configuration, primary first."""

    lab: Lab
    lan: Segment
    directors: list[Director]
    client: Machine
    serial: int = 1
    content: str = text()  # what both run
    port: int = 20000  # of the client's lasting connection

    def start(self, more: str = TIMES) -> None:
        """Start both, and wait until one of them serves."""
        self.content = text(more)
        for one in self.directors:
            one.machine.write(one.file, self.content)
            one.machine.write(KEY, key(), 0o600)
            one.spawn()
        self.settled()

    def reload(self, more: str = TIMES, *, blocks: str = "", on: Director | None = None) -> None:
        """Another file, with further blocks, on the active one or on this one; wait until both run it."""
        self.serial += 1
        self.content = text(more, self.serial) + blocks
        marks = [len(one.said) for one in self.directors]
        edited = self.active if on is None else on
        edited.machine.write(edited.file + ".new", self.content)
        edited.machine.run("mv", edited.file + ".new", edited.file)
        for one, mark in zip(self.directors, marks, strict=True):
            one.wait_for(rf"applied: serial {self.serial}\b", mark)

    def files(self) -> list[str]:
        """The file of each."""
        return [one.machine.read(one.file) for one in self.directors]

    def roles(self) -> list[str]:
        """What each says it is; empty where no daemon runs or has said so."""
        return [role(one) for one in self.directors]

    def told(self) -> list[list[str]]:
        """What each has said of its role, and of heartbeats that were late or did not come."""
        return [_PULSE.findall(one.said) for one in self.directors]

    def holders(self, vip: str = f"{VIP}/24 eth0:1") -> list[str]:
        """Machines on which the VIP is."""
        up = [one for one in self.directors if one.machine.name in self.lab.machines]
        return [one.machine.name for one in up if vip in one.addresses()]

    def settled(self) -> Director:
        """Wait until one is active and holds the VIP alone, and the other on standby; that one."""

        def look() -> tuple[list[str], list[bool], list[str]]:
            return self.roles(), [hears(one) for one in self.directors], self.holders()

        def good(seen: tuple[list[str], list[bool], list[str]]) -> bool:
            roles, hear, holders = seen
            if sorted(roles) != ["active", "standby"] or not all(hear):
                return False
            return holders == [self.directors[roles.index("active")].machine.name]

        roles, _, _ = until(look, good)
        return self.directors[roles.index("active")]

    @property
    def active(self) -> Director:
        return self.directors[self.roles().index("active")]

    @property
    def standby(self) -> Director:
        return self.directors[self.roles().index("standby")]

    def other(self, director: Director) -> Director:
        return self.directors[1 - self.directors.index(director)]

    def became(self, director: Director, wanted: str) -> None:
        """Wait until a director is active, on standby, ..."""
        until(lambda: role(director), lambda seen: seen == wanted)

    def clock(self) -> float:
        """Seconds on the monotonic clock of all machines, to a hundredth."""
        return self.client.clock()

    def prefer(self, director: Director) -> None:
        """Have this one active."""
        if self.active is not director:
            self.switch()
            assert self.settled() is director

    def switch(self) -> None:
        """`lvsd switchover`, without starting it."""
        reply = json.loads(self.active.ask({"type": "switchover"}))
        assert not reply.get("err"), reply

    def lasting(self, period_s: float) -> Traffic:
        """One connection of the client's; the standby's kernel knows it on return."""
        self.port += 1  # one of its own: kernels remember what was there before
        ports = range(self.port, self.port + 1)
        lasting = traffic(self.client, "lasting", VIP, PORT, period_s=period_s, source_ports=ports)
        until(lambda: self.knows(self.standby), bool)
        return lasting

    def knows(self, director: Director) -> bool:
        """Whether its kernel knows the lasting connection that was begun last."""
        lines = director.machine.read("/proc/net/ip_vs_conn").splitlines()
        return any(f" {self.port:04X} " in line and "ESTABLISHED" in line for line in lines)

    # Faults

    def kill(self, director: Director) -> None:
        """The daemon is gone; its machine, with the VIP, is not."""
        assert director.process is not None
        director.process.signal(signal.SIGKILL)
        director.process.wait()

    def repair(self) -> None:
        """Undo whatever a test that failed has left."""
        for one in self.directors:
            if one.machine.name not in self.lab.machines:
                self.power_on(one)
            one.machine.resume()
            self.undeafen(one)
            self.lan.mend(one.machine.name)
            if one.process is None or not one.process.alive:
                one.spawn()
        self.settled()
        if self.content != text(TIMES, self.serial):
            self.reload()

    def deafen(self, director: Director, device: str = "") -> None:
        """Heartbeats to it are lost, those to one device or all."""
        at = f'iifname "{device}"' if device else ""
        director.machine.run("nft", "-f", "-", root="tree", stdin=DEAF.replace("MATCH", at))

    def undeafen(self, director: Director) -> None:
        director.machine.run("nft", "delete", "table", "inet", "deaf", root="tree", check=False)

    def power_off(self, director: Director) -> None:
        """As if its cord was pulled: what was in memory is gone, files stay."""
        machine = director.machine
        self.lan.remove(machine.name)  # first: nobody has heard then of what is not in the files
        # What it remembers of the file it writes down after the file.
        files = {path: machine.run("cat", path, check=False).out for path in (MEMORY, director.file)}
        director.said_before = director.said
        self.lab.remove(machine.name)
        director.process, director.files = None, files

    def power_on(self, director: Director) -> None:
        """It boots; lvsd is not started yet."""
        name = director.machine.name
        machine = director.machine = self.lab.machine(name)
        self.lan.join(name, f"{DIRECTORS[name]}/24")
        machine.write(KEY, key(), 0o600)
        for path, content in director.files.items():
            if content:
                machine.write(path, content)

    def said(self) -> str:
        """All that both have said."""
        return "\n".join(
            f"--- {one.machine.name}\n{one.said if one.process else one.said_before}"
            for one in self.directors
        )


@dataclass
class Client:
    """Requests at a steady pace, and what became of them."""

    pair: Pair

    def __enter__(self) -> Self:
        self._traffic = traffic(self.pair.client, "steady", VIP, PORT, period_s=TICK_S)
        return self

    def __exit__(self, *_: object) -> None:
        self.tally: Tally = self._traffic.stop()
        print(self.tally)


def role(director: Director) -> str:
    """What a director said last that it is: active, standby, fault; empty before it has said so."""
    process = director.process
    if process is None or not process.alive:
        return ""
    found = _ROLE.findall(process.output())
    return _WORDS[found[-1]] if found else ""


def hears(director: Director) -> bool:
    """Whether it said last that the other one is heard."""
    found = _HEARD.findall(director.said) if director.process is not None else []
    return bool(found) and found[-1] == ("heard", "")


def build(lab: Lab) -> Pair:
    """The machines, up; no daemon runs yet."""
    members = DIRECTORS | {"real1": "10.0.0.3", "real2": "10.0.0.4", "client": "10.0.0.100"}
    lan = lab.segment("lan", {name: f"{address}/24" for name, address in members.items()})
    servers = []
    for name in ("real1", "real2"):
        machine = lab.machine(name)
        for setting, value in (("arp_ignore", 1), ("arp_announce", 2)):
            machine.sysctl(f"net.ipv4.conf.all.{setting}", value)
        machine.run("ip", "address", "add", f"{VIP}/32", "dev", "lo")
        servers.append(begin_echo(machine, tcp=[PORT], udp=[PORT]))
    for server in servers:
        server.expect("serving")
    return Pair(lab, lan, [Director(lab.machine(name)) for name in DIRECTORS], lab.machine("client"))


__all__ = ["KEY", "PORT", "VIP", "Client", "Pair", "build", "key", "role", "text", "traffic"]
