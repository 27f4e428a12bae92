"""Checks that go as the traffic goes: to the VIP, forwarded to the one real server that is meant."""

from __future__ import annotations

from typing import Any

import pytest

from lab import Lab
from lab.peers import echo

from .director import Director, until

pytestmark = pytest.mark.netns

VIP = "10.0.0.5"
FILE = """
serial_no = 1
primary = "10.0.0.1"
network = "{method}"

[[virtual]]
name = "web"
address = "10.0.0.5"
device = "eth0:1"
port = 80
check_interval = 1
check_limit = 3
rise = 1
check_path = "vip"

[[virtual.server]]
name = "whole"
address = "10.0.0.3"

[[virtual.server]]
name = "bare"
address = "10.0.0.4"
"""


def states(director: Director) -> dict[str, tuple[str, str]]:
    """Reason code and sentence of each real server of web."""
    web: dict[str, Any] = next(one for one in director.status()["virtual_servers"] if one["name"] == "web")
    return {row["name"]: (row["state"], row["reason"]) for row in web["real_servers"]}


@pytest.mark.parametrize("method", ["direct", "tunnel"])
def test_a_real_server_without_the_vip_is_down_though_it_answers_itself(lab: Lab, method: str) -> None:
    lab.segment("lan", {"director1": "10.0.0.1/24", "real1": "10.0.0.3/24", "real2": "10.0.0.4/24"})
    for name in ("real1", "real2"):
        machine = lab.machine(name)
        machine.run("ip", "link", "set", "lo", "up")
        if method == "tunnel":
            machine.run("modprobe", "ipip", check=False)
            machine.run("ip", "link", "set", "tunl0", "up")
            machine.sysctl("net.ipv4.conf.tunl0.rp_filter", "0")
            machine.sysctl("net.ipv4.conf.all.rp_filter", "0")
        echo(machine, tcp=[80])
    lab.machine("real1").run("ip", "address", "add", f"{VIP}/32", "dev", "lo")
    director = Director(lab.machine("director1"), checked=True)
    director.start(FILE.format(method=method))

    found = until(
        lambda: states(director),
        lambda rows: {code for code, _ in rows.values()} == {"answered", "timed_out"},
    )
    assert found["whole"][0] == "answered"
    assert found["bare"][0] == "timed_out"
    assert f"by VIP {VIP}" in found["bare"][1]
    [served] = [line for line in director.table() if line.startswith("-a -t")]
    assert served.startswith(f"-a -t {VIP}:80 -r 10.0.0.3:80 -{'g' if method == 'direct' else 'i'} -w 1")

    lab.machine("real2").run("ip", "address", "add", f"{VIP}/32", "dev", "lo")
    until(lambda: states(director)["bare"][0], lambda code: code == "answered")
    director.stop()
    assert director.machine.sysctl("net.ipv4.conf.eth0.accept_local") == "1"
