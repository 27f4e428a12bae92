"""Figures from the guest that counts instructions: a second of its clocks is 10^9 of them."""

from __future__ import annotations

import atexit
import json
from collections.abc import Callable
from functools import cache
from typing import Any

import big
from bench import native
from bench.guest import PYTHON, TREE_IN_GUEST, Guest
from bench.measured import Figure, Measured

LOADS = 3  # of each side; the first start of each is not counted
EDITS = 5
CF, TOML = "/etc/lvs/lvs.cf", "/etc/lvs/lvs.toml"
KEEPALIVED_CONF = "/etc/keepalived/keepalived.conf"
SAVED = "/tmp/saved"
PROGRAM = "/tmp/lvsd"
SERVERS = 10  # of each service


@cache
def guest() -> Guest:
    running = Guest()
    atexit.register(running.close)
    machine = running.machine()
    machine.run("ipvsadm", "--restore", root="tree", stdin=text(big.ipvsadm_save, 10_000), timeout=120)
    running.forget()  # from here on the kernel has memory at hand, as one that runs for a while
    return running


def text(make: Callable[..., str], real_servers: int, **options: bool) -> str:
    return make(real_servers // SERVERS, SERVERS, **options)


@cache
def apply() -> Measured:
    """Cold apply of the whole table, alternately, each in a fresh namespace."""
    runs: dict[str, list[float]] = {"ours": [], "peer": []}
    for _ in range(LOADS):
        for arguments in ((CF, "", ""), (CF, SAVED, TREE_IN_GUEST)):
            machine = guest().machine()
            machine.write(CF, text(big.lvs_cf, 10_000))
            machine.write(SAVED, text(big.ipvsadm_save, 10_000))
            for who, spent in guest().measure(machine, "table", "apply", *arguments).items():
                runs[who] += spent
            guest().forget()
    return Measured(runs["ours"], runs["peer"])


@cache
def dumps() -> dict[str, list[float]]:
    machine = guest().machine()
    machine.write(SAVED, text(big.ipvsadm_save, 10_000))
    spent: dict[str, list[float]] = guest().measure(machine, "table", "dump", CF, SAVED, TREE_IN_GUEST)
    guest().forget()
    return spent


def dump() -> Measured:
    """The read that the daemon repeats; the first one decodes everything."""
    spent = dumps()
    return Measured(spent["again"], spent["peer"], f"first read {spent['first'][0]:.3f}")


def ours(file: str, content: str, edits: int, *, frozen: bool = False) -> Any:
    command = (PROGRAM,) if frozen else (PYTHON, "-m", "lvs.cli")
    spec: dict[str, Any] = {
        "argv": [*command, "run", "--unchecked", "--config", file, "--log", "stderr"],
        "root": "",
    }
    spec |= {"file": file, "old": "weight = 1\n", "hangup": False, "settled": " applied: ", "edits": edits}
    return _load(spec, content, None)


def keepalived(real_servers: int, edits: int) -> Any:
    # Without checks, hence at its fastest: only the checker process, logging nothing.
    argv = ["/usr/sbin/keepalived", "--dont-fork", "--no-syslog", "--check"]
    spec: dict[str, Any] = {"argv": argv, "root": TREE_IN_GUEST, "file": TREE_IN_GUEST + KEEPALIVED_CONF}
    spec |= {"old": "weight 1\n", "hangup": True, "settled": "", "edits": edits}
    return _load(spec, text(big.keepalived_conf, real_servers, checks=False), "tree")


def _load(spec: dict[str, Any], content: str, root: Any) -> Any:
    machine = guest().machine()
    machine.write(KEEPALIVED_CONF if root else spec["file"], content, root=root)
    if spec["argv"][0] == PROGRAM:
        machine.write(PROGRAM, native.BINARY.read_bytes(), mode=0o755)
    answer = guest().measure(machine, "load", json.dumps(spec), timeout=600)
    guest().forget()
    expected = content.count("weight") // (2 if "weight_" in content else 1)
    services = expected // SERVERS
    assert answer["writes"] == expected + services, f"{answer['writes']} writes\n{answer['said']}"
    for edit in answer.get("edits", ()):
        assert edit["writes"] == 1, f"{edit['writes']} writes for one weight\n{answer['said']}"
    return answer


def start() -> Measured:
    """Exec to the last write; ours from the virtual environment, the frozen binary beside it."""
    content = text(big.lvs_cf, 10_000)
    our_s = [ours(CF, content, 0)["last_s"] for _ in range(LOADS)][1:]
    peer_s = [keepalived(10_000, 0)["last_s"] for _ in range(LOADS)][1:]
    if not native.BINARY.exists():
        return Measured(our_s, peer_s, "frozen: no dist/lvsd")
    frozen_s = ours(CF, content, 0, frozen=True)["last_s"]
    return Measured(our_s, peer_s, f"frozen {frozen_s:.3f}, ratio {frozen_s / peer_s[0]:.2f}")


@cache
def keepalived_reloads() -> Any:
    return keepalived(10_000, EDITS)["edits"]


@cache
def our_reloads(file: str, real_servers: int) -> Any:
    make = big.lvs_toml if file.endswith(".toml") else big.lvs_cf
    return ours(file, text(make, real_servers), EDITS)


def reload(file: str) -> Measured:
    """Latency from close to the write, or CPU time of all that the change caused: the worse ratio."""
    return _worse(our_reloads(file, 10_000)["edits"], keepalived_reloads())


def reload_growth() -> Measured:
    return _worse(our_reloads(CF, 40_000)["edits"], our_reloads(CF, 10_000)["edits"])


def _worse(one: list[dict[str, float]], other: list[dict[str, float]]) -> Measured:
    latency = Measured([edit["latency_s"] for edit in one], [edit["latency_s"] for edit in other])
    cpu = Measured([edit["cpu_s"] for edit in one], [edit["cpu_s"] for edit in other])
    if latency.value >= cpu.value:
        return latency._replace(remark=f"latency; CPU {cpu.value:.2f}")
    return cpu._replace(remark=f"CPU; latency {latency.value:.2f}")


def ready() -> Measured:
    """READY of the frozen binary on this host, by the guest's count of instructions.

    No daemon gets ready on a host without IPVS. So `--version` is timed on the host, and both are
    counted in the guest.
    """
    on_host = native.binary("--version")
    machine = guest().machine()
    machine.write(PROGRAM, native.BINARY.read_bytes(), mode=0o755)
    machine.write(TOML, native.EXAMPLE.read_text())
    counted = guest().measure(machine, "ready", PROGRAM, TOML)
    guest().forget()
    times = counted["ready_s"] / counted["version_s"]
    remark = f"{times:.2f} times --version"
    return Measured([seconds * times for seconds in on_host.ours], [], remark)


def rss() -> Measured:
    found = our_reloads(CF, 10_000)
    return Measured([found["rss_kib"] / 1024], [], f"after start {found['rss_start_kib'] / 1024:.1f}")


FIGURES = (
    Figure("apply_10k_vs_ipvsadm_restore", 0.12, "of ipvsadm --restore", apply),
    Figure("start_10k_vs_keepalived", 0.5, "of keepalived", start),
    Figure("reload_cf_10k_vs_keepalived", 0.25, "of keepalived", lambda: reload(CF)),
    Figure("reload_toml_10k_vs_keepalived", 0.25, "of keepalived", lambda: reload(TOML)),
    Figure("reload_40k_over_10k", 4.4, "of 10,000", reload_growth),
    Figure("dump_10k_vs_ipvsadm", 0.3, "of ipvsadm -Sn", dump),
    Figure("rss_10k_mib", 64, "MiB", rss),
    Figure("ready_s", 1, "s", ready),
)
