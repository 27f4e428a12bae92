"""Checks that go as the traffic goes: to the VIP, forwarded to the one real server that is meant."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from lab import Lab
from lab.peers import echo

from .director import Director, until

pytestmark = pytest.mark.netns


class Way(NamedTuple):
    """What is asked through a VIP, and the real servers behind it: a whole one and a bare one."""

    vip: str
    whole: str
    bare: str
    check: str

    @property
    def six(self) -> bool:
        return ":" in self.vip


TCP = 'port = 80\n[[virtual.check]]\ntype = "connect"\n'
UDP = 'protocol = "udp"\nport = 53\n[[virtual.check]]\ntype = "exchange"\nsend = "well?"\nexpect = "real"\n'
WAYS = {
    "web": Way("10.0.0.5", "10.0.0.3", "10.0.0.4", TCP),
    "names": Way("10.0.0.5", "10.0.0.3", "10.0.0.4", UDP),
    "web6": Way("fd00::5", "fd00::3", "fd00::4", TCP),
    "names6": Way("fd00::5", "fd00::3", "fd00::4", UDP),
}
HEAD = 'serial_no = 1\nprimary = "10.0.0.1"\nnetwork = "{method}"\n'
VIRTUAL = """
[[virtual]]
name = "{name}"
address = "{way.vip}"
device = "eth0"
check_interval = 1
check_limit = 3
rise = 1
check_path = "vip"
{way.check}
[[virtual.server]]
name = "whole"
address = "{way.whole}"
[[virtual.server]]
name = "bare"
address = "{way.bare}"
"""
# The device that a tunnel's packets come out of, by its module.
TUNNELS = {"ipip": "tunl0", "ip6_tunnel": "ip6tnl0"}


def states(director: Director) -> dict[str, dict[str, tuple[str, str]]]:
    """Reason code and sentence of each real server of each virtual server."""
    return {
        one["name"]: {row["name"]: (row["state"], row["reason"]) for row in one["real_servers"]}
        for one in director.status()["virtual_servers"]
        if one["name"]
    }


def awaited(director: Director, which: str, *codes: str) -> dict[str, str]:
    """Wait until all virtual servers have this real server so; the sentences."""

    def look() -> dict[str, tuple[str, str]]:
        return {name: rows[which] for name, rows in states(director).items()}

    found = until(look, lambda rows: bool(rows) and all(code in codes for code, _ in rows.values()))
    return {name: text for name, (_, text) in found.items()}


@pytest.mark.parametrize("method", ["direct", "tunnel"])
def test_a_real_server_that_does_not_take_the_vips_packets_is_down_though_it_answers(
    lab: Lab, method: str
) -> None:
    """It lacks the VIP, or drops what comes by the tunnel."""
    hosts = {"director1": 1, "real1": 3, "real2": 4}
    lab.segment("lan", {name: [f"10.0.0.{host}/24", f"fd00::{host}/64"] for name, host in hosts.items()})
    vips = sorted({way.vip for way in WAYS.values()})
    take = "".join(
        f"ip address add {vip}/{128 if ':' in vip else 32} dev lo{' nodad' if ':' in vip else ''}\n"
        for vip in vips
    )
    real1, real2 = lab.machine("real1"), lab.machine("real2")
    for machine in (real1, real2):
        machine.run("ip", "link", "set", "lo", "up")
        if method == "tunnel":
            for module, device in TUNNELS.items():
                machine.run("modprobe", module, check=False)
                machine.run("ip", "link", "set", device, "up")
            machine.run("sh", "-c", "for all in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 >$all; done")
        echo(machine, tcp=[80], udp=[53])
    real1.run("sh", "-ec", take)
    director = Director(lab.machine("director1"), checked=True)
    blocks = [VIRTUAL.format(name=name, way=way) for name, way in WAYS.items()]
    director.start(HEAD.format(method=method) + "".join(blocks))

    awaited(director, "whole", "answered")
    for name, text in awaited(director, "bare", "timed_out").items():
        assert f"by VIP {WAYS[name].vip}" in text, name
    served = [line for line in director.table() if line.startswith(("-a -t", "-a -u"))]
    letter = "g" if method == "direct" else "i"
    assert len(served) == len(WAYS)
    for way in WAYS.values():
        where = "-a -t {}:80 -r {}:80" if way.check is TCP else "-a -u {}:53 -r {}:53"
        vip, whole = (f"[{one}]" if way.six else one for one in (way.vip, way.whole))
        assert any(line.startswith(f"{where.format(vip, whole)} -{letter} -w 1") for line in served), served

    real2.run("sh", "-ec", take)
    awaited(director, "bare", "answered")
    if method == "tunnel":
        for device in TUNNELS.values():
            real2.run("ip", "link", "set", device, "down")
        awaited(director, "bare", "timed_out", "refused", "unreachable")
        awaited(director, "whole", "answered")
        for device in TUNNELS.values():
            real2.run("ip", "link", "set", device, "up")
        awaited(director, "bare", "answered")
    director.stop()
    assert director.machine.sysctl("net.ipv4.conf.eth0.accept_local") == "1"
