"""The ready-made topologies carry traffic before any product is in them."""

from __future__ import annotations

import pytest

from .clients import ask_directory, ask_names, ask_printing, jobs, print_ipp, print_lpd
from .deployment import REAL_SERVERS, VIP_DIRECTORY, VIP_NAMES, VIP_PRINTING, deployment
from .kernel_topology import Family, Method, kernel_topology
from .lab import Lab
from .peers import traffic

pytestmark = pytest.mark.netns


def test_the_deployments_services_answer(lab: Lab) -> None:
    built = deployment(lab, standby=True)
    client = built.client
    for name, address in REAL_SERVERS.items():
        assert ask_names(client, address) == name
        assert ask_names(client, address, tcp=True) == name
        assert ask_directory(client, address) == name
        assert ask_printing(client, address) == name
        print_ipp(client, address)
        print_lpd(client, address)
    assert [jobs(machine) for machine in built.real_servers] == [2, 2]
    check = "/root/scripts/checkdns"
    assert built.director.run(check, "10.0.0.3").out == "OK\n"
    assert built.director.run(check, "10.0.0.100").out == "FAIL\n"
    # A real server takes what is sent to a VIP, as a director would send it: by its own address.
    routes = "".join(f"route add {vip}/32 via 10.0.0.4\n" for vip in (VIP_PRINTING, VIP_DIRECTORY, VIP_NAMES))
    client.run("ip", "-batch", "-", stdin=routes)
    assert ask_names(client, VIP_NAMES) == "real2"
    assert ask_directory(client, VIP_DIRECTORY) == "real2"
    assert ask_printing(client, VIP_PRINTING) == "real2"


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("method", ["nat", "dr", "tunnel"])
def test_the_kernel_topology_carries_traffic(lab: Lab, family: Family, method: Method) -> None:
    built = kernel_topology(lab, family, method)
    bracket = "[{}]" if family == 6 else "{}"
    rules = []
    for protocol in ("-t", "-u"):
        service = f"{protocol} {bracket.format(built.vip)}:{built.port}"
        reals = [f"-r {bracket.format(address)}:{built.port}" for address in built.addresses]
        rules += [f"-A {service} -s rr", *(f"-a {service} {real} {built.ipvsadm_method}" for real in reals)]
    nodad = ["nodad"] if family == 6 else []
    built.director.run("ip", "address", "add", built.vip, "dev", "eth0", *nodad)
    built.director.run("ipvsadm", "-R", root="tree", stdin="\n".join(rules) + "\n")
    clients = [traffic(built.client, kind, built.vip, built.port, count=10) for kind in ("tcp", "udpnew")]
    clients.append(traffic(built.client, "stream", built.vip, built.port, count=10))
    for client in clients:
        tally = client.tally()
        assert (tally.answered, tally.failed) == (10, 0)
        assert len(tally.by) == (2 if client is not clients[-1] else 1)
