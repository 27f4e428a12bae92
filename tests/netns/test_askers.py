"""Echoes and neighbours on a real link; needs root, but no IPVS. `a` asks, `b` is asked."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from lvs.checks import Icmp, Neighbour, Pace, Target
from lvs.io.echo import Echo
from lvs.io.engine import Engine
from lvs.io.findings import Finished
from lvs.io.neighbour import Neighbours

pytestmark = [
    pytest.mark.native,
    pytest.mark.skipif(os.geteuid() != 0 or shutil.which("ip") is None, reason="needs root and ip(8)"),
]

SETUP = """
ip link add v0 netns {a} type veth peer name v0 netns {b}
ip -n {a} link set lo up; ip -n {a} link set v0 up; ip -n {b} link set v0 up
ip -n {a} address add 10.9.0.1/24 dev v0; ip -n {a} address add fd09::1/64 dev v0 nodad
ip -n {b} address add 10.9.0.2/24 dev v0; ip -n {b} address add fd09::2/64 dev v0 nodad
ip -n {a} route add 10.10.0.0/16 via 10.9.0.2
ip netns exec {b} sysctl -qw net.ipv4.ip_forward=1
for ns in {a} {b}; do
    until ip -n $ns -6 address show dev v0 scope link | grep -q inet6; do sleep 0.1; done
    while ip -n $ns -6 address show dev v0 | grep -q tentative; do sleep 0.1; done
done
"""


def shell(script: str) -> None:
    subprocess.run(("sh", "-ec", script), check=True, timeout=20)


@pytest.fixture(scope="module")
def namespace() -> Iterator[str]:
    a, b = (f"asker-{os.getpid()}-{name}" for name in "ab")
    shell(f"ip netns add {a}; ip netns add {b}")
    try:
        shell(SETUP.format(a=a, b=b))
        yield a
    finally:
        shell(f"ip netns delete {a}; ip netns delete {b}")


@pytest.mark.parametrize(
    ("kind", "address", "reason", "text"),
    [
        ("icmp", "10.9.0.1", "answered", "echo reply"),
        ("icmp", "10.9.0.2", "answered", "echo reply"),
        ("icmp", "fd09::2", "answered", "echo reply"),
        ("icmp", "10.9.0.77", "timed_out", "no echo reply within 0.5 s"),
        ("icmp", "10.10.0.1", "unreachable", "network unreachable (says 10.9.0.2)"),
        ("icmp", "192.0.2.7", "unreachable", "network is unreachable"),
        ("neighbour", "10.9.0.2", "answered", "answer from "),
        ("neighbour", "fd09::2", "answered", "answer from "),
        ("neighbour", "10.9.0.77", "timed_out", "no answer from the link within 0.5 s"),
        ("neighbour", "fd09::77", "timed_out", "no answer from the link within 0.5 s"),
        ("neighbour", "10.10.0.1", "unreachable", "not a neighbour: behind router 10.9.0.2"),
        ("neighbour", "192.0.2.7", "unreachable", "no route: network is unreachable"),
    ],
)
def test_asked(namespace: str, kind: str, address: str, reason: str, text: str) -> None:
    command = ("ip", "netns", "exec", namespace, sys.executable, __file__, kind, address)
    done = subprocess.run(command, capture_output=True, check=True, timeout=20, text=True)
    said = json.loads(done.stdout)
    assert said[0] == reason
    assert said[1].startswith(text)


def main(kind: str, address: str) -> None:
    """What the process inside does: ask once."""

    async def run() -> Finished:
        loop = asyncio.get_running_loop()
        found: asyncio.Future[Finished] = loop.create_future()
        echo, neighbours = Echo(), Neighbours()
        echo.open(loop)
        neighbours.open(loop)
        engine = Engine(
            lambda results: found.set_result(results[0]),
            lambda _: None,
            {Icmp: echo, Neighbour: neighbours},
        )
        engine.open(loop)
        check = Icmp() if kind == "icmp" else Neighbour()
        engine.follow([Target(ip_address(address), 0, check, Pace(60, 0.5, 0.5))])
        try:
            async with asyncio.timeout(5):
                return await found
        finally:
            engine.close()
            neighbours.close()
            echo.close()

    answer = asyncio.run(run()).answer
    print(json.dumps([answer.reason, answer.text]))


if __name__ == "__main__":
    main(*sys.argv[1:])
