"""How often the standby takes over while it should not: both directors have as much to do as can be.

For ten minutes all processors burn, each director checks 10,000 real servers, and a reload in which every
weight changes follows the one before. BURN_S is another time, in seconds.

An emulated processor is some fifteen times slower than its host, and both directors share it with those who
burn: there they are a tenth as many, and a standby has no answer to most configurations in time.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any

import big
from bench.checking import PORT, REAL_SERVERS, answering
from bench.emulated import SERVERS
from bench.measured import Figure, Measured
from bench.pairing import tool
from lab import Lab
from lab.guest import TCG, acceleration
from lab.segment import Segment
from netns import pair as pairs
from netns.director import STATE, Director, until
from netns.pair import DIRECTORS, KEY, Pair

BURN_S = 600.0
BURNERS = 2
CHECK = '[[virtual.check]]\ntype = "connect"\n\n'
EMULATED = REAL_SERVERS // 10
WEIGHTS = {"one": 1, "other": 2}  # of all real servers, in turn
PREPARED = "/etc/lvs/{}.toml"
AGAIN = "sed 's/^serial_no = .*/serial_no = {serial}/' {prepared} > {file}.new && mv {file}.new {file}"
SLOWEST_S = 300.0


def lvs_toml(weight: int, real_servers: int) -> str:
    """big.py's services, checked by connecting; heartbeats as lvs.toml's defaults are."""
    text = big.lvs_toml(real_servers // SERVERS, SERVERS, weight=lambda _service, _server: weight)
    text = text.replace("backup_active = false", "backup_active = true")
    unwanted = ("expect =", "send_program =", "use_regex =", "keepalive =", "deadtime =")
    lines = [line for line in text.splitlines(keepends=True) if not line.startswith(unwanted)]
    text = "".join(lines).replace("port = 80\n", f"port = {PORT}\n")
    first = '[[virtual.server]]\nname = "real1"\n'
    return text.replace(first, CHECK + first)


def agreed(director: Director) -> int:
    """The serial number of what both ran last, as this one knows."""
    found = director.machine.run("cat", f"{STATE}/pair.json", check=False).out
    return int(json.loads(found)["agreed"]["version"]["serial"]) if found else 0


def build(lab: Lab, real_servers: int) -> Pair:
    """Two directors that are their own real servers, and somebody who burns."""
    members = {name: f"{address}/8" for name, address in DIRECTORS.items()}
    lan: Segment = lab.segment("lan", members)
    directors = [Director(lab.machine(name), checked=True) for name in DIRECTORS]
    for one in directors:
        machine = one.machine
        machine.run("sh", "-c", "ip link set lo up; ip route add local 172.16.0.0/12 dev lo")
        machine.write("/tmp/answering", answering(), mode=0o755)
        machine.spawn("sh", "-c", f"tail -f /dev/null | /tmp/answering tcp {PORT}").expect("ready")
        machine.write(KEY, pairs.key(), 0o600)
        for name, weight in WEIGHTS.items():
            machine.write(PREPARED.format(name), lvs_toml(weight, real_servers))
        machine.write(one.file, lvs_toml(WEIGHTS["one"], real_servers))
    return Pair(lab, lan, directors, lab.machine("client"))


def reload(pair: Pair) -> bool:
    """Another weight for all, on the active director; whether both run it, when that is settled."""
    pair.serial += 1
    active = pair.active
    before = len(active.said)
    prepared = PREPARED.format(list(WEIGHTS)[pair.serial % 2 == 0])
    active.machine.run("sh", "-c", AGAIN.format(serial=pair.serial, prepared=prepared, file=active.file))

    def ended() -> tuple[bool, bool]:
        both = {agreed(one) for one in pair.directors} == {pair.serial}
        return both, "is refused by the other director" in active.said[before:]

    return until(ended, any, SLOWEST_S)[0]


def takeovers() -> Measured:
    """How many directors became active since the first one did."""
    lasts_s = float(os.environ.get("BURN_S", BURN_S))
    reloads = [0, 0]
    with Lab.start() as lab:
        emulated = lab.mode == "guest" and acceleration() == TCG
        real_servers = EMULATED if emulated else REAL_SERVERS
        pair = build(lab, real_servers)
        try:
            for one in pair.directors:
                one.spawn()
            until(lambda: sorted(pair.roles()), lambda seen: seen == ["active", "standby"], SLOWEST_S)
            until(lambda: [agreed(one) for one in pair.directors], lambda seen: set(seen) == {1}, SLOWEST_S)
            for _ in range(BURNERS):
                tool(pair.client, "", "burn")
            marks = [len(one.said) for one in pair.directors]
            checked = checks(pair)
            end = time.monotonic() + lasts_s
            while time.monotonic() < end:
                reloads[reload(pair)] += 1
            checked = checks(pair) - checked
            said = [one.said[mark:] for one, mark in zip(pair.directors, marks, strict=True)]
        except BaseException:
            print(pair.said())
            raise
    found = sum(text.count("this director is active") for text in said)
    slept = sum(text.count("it listens before it says anything") for text in said)
    remark = f"{reloads[True]} reloads of {real_servers} real servers, {reloads[False]} refused"
    remark += f"; {checked} checks; {slept} pauses of a pulse"
    if lasts_s != BURN_S:
        remark = f"in {lasts_s:.0f} s only; {remark}"
    return Measured([float(found)], [], remark)


def checks(pair: Pair) -> int:
    """How many both have made so far."""
    states: list[dict[str, Any]] = [one.status() for one in pair.directors]
    return sum(int(state["checks"]["started"]) for state in states)


FIGURES = (Figure("false_takeovers", 0, "takeovers", takeovers),)
