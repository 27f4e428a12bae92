"""Two directors with lvsd, two real servers behind them, and a client; as tests use them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from lab import Lab, Machine
from lab.peers import begin_echo, traffic
from lab.segment import Segment
from lvs.io import pairkey

from .director import Director, until

VIP, PORT = "10.0.0.5", 80
DIRECTORS = {"director1": "10.0.0.1", "director2": "10.0.0.2"}
KEY = "/etc/lvs/pair.key"

FILE = """
serial_no = 1
primary = "10.0.0.1"
backup = "10.0.0.2"
network = "direct"
{more}

[[virtual]]
name = "web"
address = "10.0.0.5"
device = "eth0:1"
vip_nmask = 24
port = 80
scheduler = "rr"

[[virtual.server]]
name = "real1"
address = "10.0.0.3"

[[virtual.server]]
name = "real2"
address = "10.0.0.4"
"""


def text(more: str = "") -> str:
    """The file of both directors, with further global options."""
    return FILE.replace("{more}", more)


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

    def start(self, more: str = "") -> None:
        """Start both, and wait until one of them serves."""
        for one in self.directors:
            one.machine.write(one.file, text(more))
            one.machine.write(KEY, key(), 0o600)
            one.spawn()
        until(self.roles, lambda roles: sorted(roles) == ["active", "standby"])
        self.settled()

    def roles(self) -> list[str]:
        """What each says it is; empty where no daemon answers."""
        return [role(one) for one in self.directors]

    def holders(self) -> list[str]:
        """Machines on which the VIP is."""
        return [one.machine.name for one in self.directors if f"{VIP}/24 eth0:1" in one.addresses()]

    def settled(self) -> Director:
        """Wait until one is active and just this one holds the VIP; that one."""
        until(
            lambda: (self.roles(), self.holders()),
            lambda seen: (
                seen[0].count("active") == 1
                and seen[1] == [self.directors[seen[0].index("active")].machine.name]
            ),
        )
        return self.active

    @property
    def active(self) -> Director:
        return self.directors[self.roles().index("active")]

    @property
    def standby(self) -> Director:
        return self.directors[self.roles().index("standby")]

    def said(self) -> str:
        """All that both have said."""
        return "\n".join(f"--- {one.machine.name}\n{one.said}" for one in self.directors if one.process)


def role(director: Director) -> str:
    """What a director says it is."""
    if director.process is None or not director.process.alive:
        return ""
    try:
        return str(director.status()["pair"]["role"])
    except Exception:  # noqa: BLE001  its socket is not there yet
        return ""


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


__all__ = ["KEY", "PORT", "VIP", "Pair", "build", "key", "role", "text", "traffic"]
