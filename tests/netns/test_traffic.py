"""B1: every forwarding method carries TCP and UDP, IPv4 and IPv6, by address and by firewall mark.

On the topology of the Linux kernel's own IPVS self-test, which itself tries IPv4 and TCP only.
"""

from __future__ import annotations

import re

import pytest

from lab import Lab
from lab.kernel_topology import Family, KernelTopology, Method, kernel_topology
from lab.more_services import nginx, start_all
from lab.peers import Kind, echo, traffic

from .director import Director

pytestmark = pytest.mark.netns

MARKED = 8001
METHODS: dict[Method, str] = {"nat": "nat", "dr": "direct", "tunnel": "tunnel"}


def configuration(network: KernelTopology) -> str:
    """Three virtual servers: TCP and UDP at the VIP's port, and a mark for another port."""
    blocks = [f'serial_no = 1\nprimary = "10.0.0.1"\nnetwork = "{METHODS[network.method]}"\n']
    # With masquerading one-packet scheduling leaves no connection by which answers find back.
    one_packet = "" if network.method == "nat" else '\nscheduler_flags = ["one-packet"]'
    for name, keys in (
        ("tcp", f'protocol = "tcp"\nport = {network.port}'),
        ("udp", f'protocol = "udp"\nport = {network.port}{one_packet}'),
        ("mark", f"fwmark = 1\nport = {MARKED}"),
    ):
        vip = f'address = "{network.vip}"\ndevice = "eth0"'
        blocks.append(f'[[virtual]]\nname = "{name}"\n{vip}\n{keys}\nscheduler = "rr"\n')
        for number, address in enumerate(network.addresses, 1):
            blocks.append(f'[[virtual.server]]\nname = "real{number}"\naddress = "{address}"\n')
    return "\n".join(blocks)


def marks(family: Family) -> str:
    """What an administrator adds for a firewall mark: the port gets the mark 1."""
    ip = "ip" if family == 4 else "ip6"
    chain = "type filter hook prerouting priority mangle"
    rules = "\n".join(f"{protocol} dport {MARKED} meta mark set 1" for protocol in ("tcp", "udp"))
    return f"table {ip} marks {{\nchain prerouting {{\n{chain}\n{rules}\n}}\n}}\n"


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("method", ["nat", "dr", "tunnel"])
def test_b1_traffic(lab: Lab, family: Family, method: Method) -> None:
    network = kernel_topology(lab, family, method)
    for machine in network.real_servers:
        echo(machine, tcp=[MARKED], udp=[MARKED])
    network.director.run("nft", "-f", "-", root="tree", stdin=marks(family))
    director = Director(network.director)
    director.start(configuration(network))
    assert "refused" not in director.said
    for port in (network.port, MARKED):
        kinds: tuple[Kind, ...] = ("tcp", "udpnew")
        for kind in kinds:
            tally = traffic(network.client, kind, network.vip, port, count=20).tally()
            assert tally.failed == 0, (kind, port, tally, director.table())
            assert tally.by == {"real1": 10, "real2": 10}, (kind, port, tally)


SHORT = """
serial_no = 1
primary = "10.0.0.1"
network = "direct"
[[virtual]]
name = "web"
address = "{vip}"
device = "eth0"
port = 80
scheduler = "rr"
[[virtual.server]]
name = "real1"
address = "{addresses[0]}"
[[virtual.server]]
name = "real2"
address = "{addresses[1]}"
"""


def test_b27_short_connections_from_few_ports_do_not_stall(lab: Lab) -> None:
    """4,000 connections from 20 source ports: an entry of the last one must not hold up the next.

    The client holds no port back after use, as a translating router does not: each comes again
    while IPVS still has its entry.
    """
    network = kernel_topology(lab, 4, "dr")
    start_all([nginx(machine) for machine in network.real_servers])
    network.client.sysctl("net.ipv4.tcp_max_tw_buckets", 0)
    network.client.sysctl("net.ipv4.ip_local_port_range", "40000 40019")
    director = Director(network.director)
    director.start(SHORT.format(vip=network.vip, addresses=network.addresses))
    assert director.machine.sysctl("net.ipv4.vs.conn_reuse_mode") == "1"
    url = f"http://{network.vip}/"
    said = network.client.run("ab", "-q", "-n", "4000", "-c", "4", url, root="tree", timeout=120).out
    assert re.search(r"Complete requests: +4000\n", said), said
    assert re.search(r"Failed requests: +0\n", said), said
    (longest_ms,) = re.findall(r"100% +(\d+) \(longest request\)", said)
    assert int(longest_ms) < 900, said  # a SYN that is lost comes again after a second
    rows = director.status()["virtual_servers"][0]["real_servers"]
    held = sum(row["active_connections"] + row["inactive_connections"] for row in rows)
    assert 0 < held <= 40, "the ports were not few"  # connect() prefers one half of them
