"""The topology of the kernel's own IPVS self-test: client, director, real servers, two segments.

After ipvs.sh in the kernel's tools/testing/selftests, for both families, TCP and UDP, and more than
one real server. The client and the director share the outer segment, the director and the real
servers the inner one. The VIP lies behind the director, so the client reaches it by a route.

- nat: real servers are on the inner segment only, and answer through the director.
- dr, tunnel: real servers are on both, hold the VIP where it is not announced, and answer the
  client directly.

What the product would do on the director is left out (services, the VIP); what the operator's
network does is all there (forwarding, routes, the real servers' side of the forwarding method).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from .machine import Machine, Process
from .peers import begin_echo
from .segment import Segment, begin_ip

if TYPE_CHECKING:
    from .lab import Lab

Method = Literal["nat", "dr", "tunnel"]
Family = Literal[4, 6]

PORT = 8000


@dataclass(frozen=True)
class Plan:
    """Addresses of one family; a real server's number is added to a prefix."""

    outer: str
    inner: str
    length: int
    host_length: int
    vip: str

    def outside(self, host: int) -> str:
        """A host's address on the outer segment."""
        return f"{self.outer}{host}"

    def inside(self, host: int) -> str:
        """A host's address on the inner segment."""
        return f"{self.inner}{host}"


PLANS: dict[Family, Plan] = {
    4: Plan("10.0.0.", "172.16.0.", 24, 32, "203.0.113.110"),
    6: Plan("fd00:10::", "fd00:172::", 64, 128, "2001:db8:113::110"),
}

DIRECTOR, CLIENT, FIRST_REAL_SERVER = 1, 2, 3


@dataclass
class KernelTopology:
    """The machines; each real server answers with its name at its inner address."""

    family: Family
    method: Method
    client: Machine
    director: Machine
    real_servers: list[Machine]
    addresses: list[str]  # of the real servers, as the director knows them
    vip: str
    port: int
    outer: Segment
    inner: Segment
    echoes: list[Process]

    @property
    def ipvsadm_method(self) -> str:
        """The option of ipvsadm that names the forwarding method."""
        return {"nat": "-m", "dr": "-g", "tunnel": "-i"}[self.method]


def kernel_topology(
    lab: Lab, family: Family = 4, method: Method = "nat", *, real_servers: int = 2, port: int = PORT
) -> KernelTopology:
    """Build it, with an echo server on TCP and UDP ``port`` of each real server."""
    plan = PLANS[family]
    names = [f"real{number + 1}" for number in range(real_servers)]
    hosts = {name: FIRST_REAL_SERVER + number for number, name in enumerate(names)}
    outside = {"client": CLIENT, "director": DIRECTOR} | (hosts if method != "nat" else {})
    inside = {"director": DIRECTOR} | hosts
    outer = lab.segment("outer", {name: f"{plan.outside(it)}/{plan.length}" for name, it in outside.items()})
    gateway = plan.inside(DIRECTOR) if method == "nat" else None
    members = {name: f"{plan.inside(it)}/{plan.length}" for name, it in inside.items()}
    inner = lab.segment("inner", members, gateway=gateway)
    client, director = lab.machine("client"), lab.machine("director")
    machines = [lab.machine(name) for name in names]
    pending = [begin_ip(client, [f"route add {plan.vip}/{plan.host_length} via {plan.outside(DIRECTOR)}"])]
    pending.append(director.begin("sh", stdin=FORWARDING[family]))
    if method != "nat":
        pending += [machine.begin("sh", stdin=holding_vip(plan, family, method)) for machine in machines]
    echoes = [begin_echo(machine, tcp=[port], udp=[port]) for machine in machines]
    for it in pending:
        it.result()
    for process in echoes:
        process.expect("serving")
    addresses = [plan.inside(host) for host in hosts.values()]
    return KernelTopology(
        family, method, client, director, machines, addresses, plan.vip, port, outer, inner, echoes
    )


FORWARDING: dict[Family, str] = {
    4: "echo 1 >/proc/sys/net/ipv4/ip_forward; echo 0 >/proc/sys/net/ipv4/conf/all/rp_filter",
    6: "echo 1 >/proc/sys/net/ipv6/conf/all/forwarding",
}


def holding_vip(plan: Plan, family: Family, method: Method) -> str:
    """The commands that make a real server take packets for the VIP without ever announcing it.

    For tunnelling the VIP is on the decapsulating device, where packets for it come out; rp_filter
    would drop them, for the route back to the client is another device's. Settings come before the
    address: an announcement made in between would stay in the neighbours' tables.
    """
    lines, device = ["set -e"], "lo"
    if method == "tunnel":
        module, device = {4: ("ipip", "tunl0"), 6: ("ip6_tunnel", "ip6tnl0")}[family]
        lines += [f"modprobe {module}", f"ip link set {device} up"]
    if family == 4:
        lines.append("cd /proc/sys/net/ipv4/conf")
        lines.append("for all in */rp_filter; do echo 0 >$all; done")
        lines.append("echo 1 >all/arp_ignore; echo 2 >all/arp_announce")
    nodad = " nodad" if family == 6 else ""
    lines.append(f"ip address add {plan.vip}/{plan.host_length} dev {device}{nodad}")
    return "\n".join(lines) + "\n"
