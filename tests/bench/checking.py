"""Figures of the checks, from the guest that counts instructions: 10,000 real servers every 6 s.

The real servers are addresses of the machine's own, so what the kernel does for both ends of a
connection is charged to who checks, ours and the peer's alike. Ours is all of the daemon.
"""

from __future__ import annotations

import json
import subprocess
from functools import cache, partial
from pathlib import Path
from typing import Any

import big
from bench.emulated import KEEPALIVED_CONF, SERVERS, guest
from bench.guest import PYTHON, TREE_IN_GUEST
from bench.measured import Figure, Measured
from lab.paths import CHECKOUT

REAL_SERVERS = 10_000
INTERVAL_S = 6.0  # big.py's
PORT = 8000  # at port 80 lvs.cf means a page by itself (lvs.cf section 4.3)
CF, TOML = "/etc/lvs/lvs.cf", "/etc/lvs/lvs.toml"
SOCKET = "/run/lvs/lvsd.sock"
TCP_CHECK = "        TCP_CHECK {\n            connect_timeout 6\n        }"
HTTP_GET = """\
        HTTP_GET {
            connect_timeout 6
            url {
                path /
                status_code 200
            }
        }"""


def lvs_cf(weight: int = 1) -> str:
    """big.py's services, checked by connecting."""
    text = big.lvs_cf(REAL_SERVERS // SERVERS, SERVERS, weight=lambda _service, _server: weight)
    text = text.replace('    expect = "OK"\n', "").replace("    port = 80\n", f"    port = {PORT}\n")
    return "".join(line for line in text.splitlines(keepends=True) if "send_program" not in line)


def lvs_toml() -> str:
    """big.py's services, checked by a page."""
    lines = big.lvs_toml(REAL_SERVERS // SERVERS, SERVERS).splitlines(keepends=True)
    text = "".join(
        line for line in lines if not line.startswith(("expect =", "send_program =", "use_regex ="))
    )
    page = '[[virtual.check]]\ntype = "http"\nstatus = "200"\n\n[[virtual.server]]\nname = "real1"\n'
    return text.replace('[[virtual.server]]\nname = "real1"\n', page).replace(
        "port = 80\n", f"port = {PORT}\n"
    )


def keepalived_conf(kind: str) -> str:
    text = big.keepalived_conf(REAL_SERVERS // SERVERS, SERVERS)
    text = text.replace(" 80 {", f" {PORT} {{")
    return text.replace(TCP_CHECK, HTTP_GET) if kind == "http" else text


@cache
def answering() -> bytes:
    """The real servers, as a program that needs nothing."""
    built = CHECKOUT / "build" / "answering"
    source = Path(__file__).with_name("answering.c")
    subprocess.run(("gcc", "-O2", "-static", "-o", built, source), check=True)
    return built.read_bytes()


@cache
def run(who: str, kind: str) -> Any:
    machine = guest().machine()
    machine.write("/tmp/answering", answering(), mode=0o755)
    machine.run("sh", "-c", "ip link set lo up; ip route add local 172.16.0.0/12 dev lo")
    spec: dict[str, Any] = {
        "answering": "/tmp/answering",
        "kind": kind,
        "port": PORT,
        "interval_s": INTERVAL_S,
        "calm_s": 30,
        "measured_s": 2 * INTERVAL_S,
    }
    if who == "lvsd":
        file, text = (CF, lvs_cf()) if kind == "tcp" else (TOML, lvs_toml())
        machine.write(file, text)
        argv = [PYTHON, "-m", "lvs.cli", "run", "--config", file, "--log", "stderr"]
        spec |= {"argv": argv, "root": ""}
        if kind == "tcp":
            machine.write("/tmp/edited", lvs_cf(weight=2))
            spec |= {"settled_s": 6, "file": file, "edited": "/tmp/edited", "socket": SOCKET}
    else:
        machine.write(KEEPALIVED_CONF, keepalived_conf(kind), root="tree")
        argv = ["/usr/sbin/keepalived", "--dont-fork", "--no-syslog", "--check"]
        spec |= {"argv": argv, "root": TREE_IN_GUEST}
    answer = guest().measure(machine, "checks", json.dumps(spec), timeout=1200)
    guest().forget()
    assert answer["servers"] == REAL_SERVERS, answer
    return answer


def cpu(kind: str) -> Measured:
    """CPU time of a check, all that the daemon does meanwhile included."""
    ours, peer = (run(who, kind) for who in ("lvsd", "keepalived"))
    return Measured([ours["cpu_s"] / ours["checks"] * 1e6], [peer["cpu_s"] / peer["checks"] * 1e6], "us each")


def lateness() -> Measured:
    """By how much the time between two starts misses the interval at worst, as the real servers see it."""
    ours, peer = (run(who, "tcp") for who in ("lvsd", "keepalived"))
    calm, best, theirs = (
        seconds / INTERVAL_S for seconds in (ours["late_s"], ours["late_99_s"], peer["late_s"])
    )
    remark = f"without the reload {calm:.4f}, 99 % {best:.4f}; keepalived {theirs:.4f}"
    return Measured([ours["late_all_s"] / INTERVAL_S], [], remark)


def rss() -> Measured:
    ours, peer = (run(who, "tcp") for who in ("lvsd", "keepalived"))
    remark = (
        f"after the reload {ours['rss_reloaded_kib'] / 1024:.1f}; keepalived {peer['rss_kib'] / 1024:.1f}"
    )
    return Measured([max(ours["rss_kib"], ours["rss_reloaded_kib"]) / 1024], [], remark)


def stall() -> Measured:
    """The longest stall that the daemon has seen of its loop, while it checks and reloads everything."""
    found = run("lvsd", "tcp")
    remark = f"before the reload {found['calm']['stall_s'] * 1e3:.1f}"
    return Measured([found["reloaded"]["stall_s"] * 1e3], [], remark)


FIGURES = (
    Figure("check_tcp_cpu_vs_keepalived", 0.5, "of TCP_CHECK", partial(cpu, "tcp")),
    Figure("check_http_cpu_vs_keepalived", 0.5, "of HTTP_GET", partial(cpu, "http")),
    Figure("check_lateness", 0.02, "of the interval", lateness),
    Figure("rss_checked_10k_mib", 80, "MiB", rss),
    Figure("loop_stall_ms", 50, "ms", stall),
)
