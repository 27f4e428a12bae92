"""The deployment that deployment/lvs.cf describes, as machines: directors, real servers, a client.

Real servers use the redirect method: no VIP configured, one REDIRECT rule for each VIP, protocol
and port.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .machine import Machine
from .segment import Segment
from .services import CHECKDNS, Services, await_services, begin_services

if TYPE_CHECKING:
    from .lab import Lab

VIP_PRINTING, VIP_DIRECTORY, VIP_NAMES = "10.0.0.5", "10.0.0.6", "10.0.0.7"

GATEWAY = "10.0.0.254"
DIRECTORS = {"director1": "10.0.0.1", "director2": "10.0.0.2"}
REAL_SERVERS = {"real1": "10.0.0.3", "real2": "10.0.0.4"}
OTHERS = {"client": "10.0.0.100", "gateway": GATEWAY}

# (VIP, protocol, port): the five virtual servers.
VIRTUAL_SERVERS = (
    (VIP_PRINTING, "tcp", 631),
    (VIP_PRINTING, "tcp", 515),
    (VIP_NAMES, "udp", 53),
    (VIP_NAMES, "tcp", 53),
    (VIP_DIRECTORY, "tcp", 389),
)


@dataclass
class Deployment:
    """The machines, up and answering at their own addresses."""

    lab: Lab
    lan: Segment
    directors: list[Machine]
    real_servers: list[Machine]
    client: Machine
    gateway: Machine
    services: dict[str, Services] = field(default_factory=dict)

    @property
    def director(self) -> Machine:
        """The active director, when there is nothing to choose."""
        return self.directors[0]


def deployment(lab: Lab, *, standby: bool = False, services: bool = True) -> Deployment:
    """Build it; with ``services`` it returns when all of them can be asked.

    Shape: directors have /root/scripts/checkdns, forwarding as a fresh system has it, no VIP.
    """
    names = list(DIRECTORS)[: 2 if standby else 1]
    directors = [lab.machine(name, overlaid=("/root",)) for name in names]
    members = {name: DIRECTORS[name] for name in names} | REAL_SERVERS | OTHERS
    lan = lab.segment("lan", {name: f"{it}/24" for name, it in members.items()}, gateway=GATEWAY)
    real_servers = [lab.machine(name) for name in REAL_SERVERS]
    built = Deployment(lab, lan, directors, real_servers, lab.machine("client"), lab.machine("gateway"))
    if services:
        built.services = {machine.name: begin_services(machine) for machine in real_servers}
    rules = redirect_rules()
    redirects = [machine.begin("nft", "-f", "-", root="tree", stdin=rules) for machine in real_servers]
    for director in directors:
        director.write("/root/scripts/checkdns", CHECKDNS, 0o755)
    built.gateway.sysctl("net.ipv4.ip_forward", 1)
    for pending in redirects:
        pending.result()
    await_services(built.services.values())
    return built


def redirect_rules() -> str:
    """A real server's rules: what is sent to a VIP's port is taken as its own."""
    rules = [f"ip daddr {vip} {protocol} dport {port} redirect" for vip, protocol, port in VIRTUAL_SERVERS]
    chain = "type nat hook prerouting priority dstnat"
    return "table ip lab {\nchain prerouting {\n" + "\n".join([chain, *rules]) + "\n}\n}\n"
