"""Figures of the checks, from the guest that counts instructions: 10,000 real servers every 6 s.

The real servers are addresses of the machine's own, so what the kernel does for both ends of a
connection is charged to who checks, ours and the peer's alike.
"""

from __future__ import annotations

import json
from functools import cache, partial
from typing import Any

import big
from bench.emulated import KEEPALIVED_CONF, SERVERS, guest
from bench.guest import PYTHON, TREE_IN_GUEST
from bench.measured import Figure, Measured

REAL_SERVERS = 10_000
INTERVAL_S = 6.0  # big.py's
ADDRESSES = "/tmp/real-servers"
TCP_CHECK = "        TCP_CHECK {\n            connect_timeout 6\n        }"
HTTP_GET = """\
        HTTP_GET {
            connect_timeout 6
            url {
                path /
                status_code 200
            }
        }"""


@cache
def run(who: str, kind: str) -> Any:
    machine = guest().machine()
    machine.run("sh", "-c", "ip link set lo up; ip route add local 172.16.0.0/12 dev lo")
    spec: dict[str, Any] = {"kind": kind, "interval_s": INTERVAL_S, "measured_s": 4 * INTERVAL_S}
    if who == "engine":
        machine.write(ADDRESSES, "\n".join(big.rip(number) for number in range(REAL_SERVERS)))
        argv = [PYTHON, "-m", "bench.inside.engine", kind, str(INTERVAL_S), ADDRESSES]
        spec |= {"argv": argv, "root": "", "calm_s": 15, "vitals": True}
    else:
        content = big.keepalived_conf(REAL_SERVERS // SERVERS, SERVERS)
        if kind == "http":
            content = content.replace(TCP_CHECK, HTTP_GET)
        machine.write(KEEPALIVED_CONF, content, root="tree")
        argv = ["/usr/sbin/keepalived", "--dont-fork", "--no-syslog", "--check"]
        spec |= {"argv": argv, "root": TREE_IN_GUEST, "calm_s": 30, "vitals": False}
    answer = guest().measure(machine, "checks", json.dumps(spec), timeout=1200)
    guest().forget()
    assert answer["servers"] == REAL_SERVERS, answer
    assert who != "engine" or not answer["last"]["failed"], answer
    return answer


def cpu(kind: str) -> Measured:
    """CPU time of a check."""
    ours, peer = (run(who, kind) for who in ("engine", "keepalived"))
    return Measured([ours["cpu_s"] / ours["checks"] * 1e6], [peer["cpu_s"] / peer["checks"] * 1e6], "us each")


def lateness() -> Measured:
    """By how much the time between two starts misses the interval at worst, as the real servers see it."""
    ours, peer = (run(who, "tcp") for who in ("engine", "keepalived"))
    remark = f"99 %: {ours['late_99_s']:.3f}; keepalived {peer['late_s']:.3f}, 99 %: {peer['late_99_s']:.3f}"
    return Measured([ours["late_s"]], [], remark)


def rss() -> Measured:
    ours, peer = (run(who, "tcp") for who in ("engine", "keepalived"))
    return Measured([ours["rss_kib"] / 1024], [], f"keepalived {peer['rss_kib'] / 1024:.1f}")


def stall() -> Measured:
    """The latest tick while 10,000 are checked, and while they begin to be."""
    vitals = run("engine", "tcp")
    return Measured([vitals["last"]["stall_s"] * 1e3], [], f"at start {vitals['first']['stall_s'] * 1e3:.1f}")


FIGURES = (
    Figure("check_tcp_cpu_vs_keepalived", 0.6, "of TCP_CHECK", partial(cpu, "tcp")),
    Figure("check_http_cpu_vs_keepalived", 0.6, "of HTTP_GET", partial(cpu, "http")),
    Figure("check_lateness_s", 0.1, "s", lateness),
    Figure("rss_checked_10k_mib", 40, "MiB", rss),
    Figure("loop_stall_ms", 20, "ms", stall),
)
