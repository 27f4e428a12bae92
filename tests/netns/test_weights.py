"""B21, and what else decides over a weight: slow start, quorum, several checks, rise and fall.

One director with a virtual server for each of these, on real servers whose ports heal and relapse in
groups. What is asserted is the kernel's table.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import Any

import pytest

from lab import Lab
from lab.peers import Faulty, Place, faulty

from .director import Director, until

pytestmark = pytest.mark.netns

VIP, SORRY = "10.0.0.5", "10.0.0.9"
REAL = ("10.0.0.11", "10.0.0.12", "10.0.0.13")  # addresses of one machine
INTERVAL_S, LIMIT_S = 1.0, 0.9
LOOK_S = 30.0  # for what must come
LOAD_EVERY_S = 20.0  # docs/programs.md
SLOWLY_S = 6.0  # a slow start
LATE_S = 60.0  # an interval that the test does not live to see
PATIENT_S = 12.0  # a limit that leaves time to look at the table before

# Ports by the group that heals and relapses together. None of them is right in the beginning.
FIRST, SECOND, AGENT = (101, 102, 103, 104, 105), (201,), 301
LAST = (401, 402, 403)
SILENT = 501

HEAD = 'serial_no = 1\nprimary = "10.0.0.1"\nnetwork = "direct"\n'
PACE = f"check_interval = {INTERVAL_S}\ncheck_limit = {LIMIT_S}\nrise = 1\n"
CONNECT = '[[virtual.check]]\ntype = "connect"\nport = {}\n'
HOOK = '#!/bin/sh\necho "$LVS_EVENT $LVS_VIRTUAL_SERVER" >>/tmp/told\n'
HOOKS = 'quorum_up_cmd = "/etc/lvs/tell"\nquorum_down_cmd = "/etc/lvs/tell"\n'
LOAD = '#!/bin/sh\nexec cat "/tmp/load-$1"\n'


def virtual(port: int, name: str, options: str, servers: Sequence[tuple[int, int | None]]) -> str:
    """A virtual server; its real servers are (weight, port that is checked, if it is one of their own)."""
    # Options of the virtual server end where its first check begins.
    plain, check, checks = options.partition("[[virtual.check]]")
    lines = [f'\n[[virtual]]\nname = "{name}"\naddress = "{VIP}"\ndevice = "eth0:1"\nport = {port}']
    lines += [PACE + plain if "check_interval =" not in plain else plain, check + checks]
    for number, (weight, own) in enumerate(servers):
        lines.append(f'[[virtual.server]]\nname = "{name}{number + 1}"\naddress = "{REAL[number]}"')
        lines.append(f"weight = {weight}" + (f"\nport = {own}" if own else ""))
    return "\n".join(lines) + "\n"


PORTS = {
    name: 1000 + number
    for number, name in enumerate(
        ("program", "agent", "slow", "quorum", "quiesce", "any", "all", "fall", "sooner", "early", "late")
    )
}
QUORUM = f'quorum = 3\nquorum_hysteresis = 1\nsorry_server = "{SORRY}"\n{HOOKS}'
SILENCE = f'[[virtual.check]]\ntype = "exchange"\nsend = "hello"\nexpect = "+OK"\nport = {SILENT}\n'
PATIENTLY = f"check_interval = {PATIENT_S}\ncheck_limit = {PATIENT_S}\nrise = 1\n"
BOTH = CONNECT.format(FIRST[3]) + CONNECT.format(LAST[1])
NEVER = '[[virtual.check]]\ntype = "none"\n'
FILE = HEAD + "".join(
    virtual(PORTS[name], name, options, servers)
    for name, options, servers in (
        ("program", 'load_monitor = "/etc/lvs/load"\n' + NEVER, [(4, None), (6, None)]),
        ("agent", f'load_monitor = "http://%h:{AGENT}/load"\n' + NEVER, [(10, None)]),
        ("slow", f"slow_start = {SLOWLY_S}\n" + CONNECT.format(LAST[0]), [(8, None)]),
        ("quorum", QUORUM, [(2, SECOND[0]), (1, FIRST[0]), (1, FIRST[1])]),
        ("quiesce", "quiesce_server = true\n" + CONNECT.format(FIRST[2]), [(3, None)]),
        ("any", 'check_need = "any"\n' + BOTH, [(2, None)]),
        ("all", 'check_need = "all"\n' + BOTH, [(5, None)]),
        ("fall", "fall = 3\n" + CONNECT.format(FIRST[4]), [(1, None)]),
        (
            "sooner",
            f"check_interval = {LATE_S}\ncheck_limit = 0.9\ncheck_interval_down = 1\nrise = 1\n"
            + CONNECT.format(LAST[2]),
            [(1, None)],
        ),
        ("early", PATIENTLY + 'check_start = "up"\n' + SILENCE, [(7, None)]),
        ("late", PATIENTLY + SILENCE, [(7, None)]),
    )
)
SAYS = b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%s"


def weights(director: Director) -> dict[str, dict[str, int]]:
    """Weights in the kernel, by address, of each virtual server."""
    names = {str(port): name for name, port in PORTS.items()}
    found: dict[str, dict[str, int]] = {name: {} for name in PORTS}
    for line in director.table():
        if row := re.match(rf"-a -t {VIP}:(\d+) -r (\S+):\d+ .*-w (\d+)", line):
            found[names[row[1]]][row[2]] = int(row[3])
    return found


def become(director: Director, limit_s: float = LOOK_S, /, **wanted: Sequence[int | None]) -> None:
    """Wait until the real servers of these have these weights, in order; None is not in the table."""

    def wrong() -> dict[str, dict[str, int]]:
        found = weights(director)
        return {
            name: found[name]
            for name, ones in wanted.items()
            if found[name] != {at: one for at, one in zip(REAL, ones, strict=False) if one is not None}
        }

    until(wrong, lambda left: not left, limit_s)


def first_row(director: Director, name: str) -> dict[str, Any]:
    """The first real server of a virtual server."""
    (found,) = [one["real_servers"][0] for one in director.status()["virtual_servers"] if one["name"] == name]
    row: dict[str, Any] = found
    return row


def since(director: Director, name: str) -> float:
    """When the first real server of a virtual server came to be as it is, or a bit later; monotonic time."""
    age_s: float = first_row(director, name)["since_s"]
    return time.monotonic() - age_s


def group(lab: Lab, ports: Sequence[int], *, healed: bool) -> Faulty:
    """Ports that refuse, or that heal at once and refuse when they relapse."""
    server = faulty(lab.machine("real"), [Place(port, "refuses") for port in ports])
    if healed:
        server.heal()
    return server


def test_b21_what_the_kernel_gets_of_loads_checks_and_quorums(lab: Lab) -> None:
    members = {"d1": "10.0.0.1/24", "real": [f"{address}/24" for address in REAL]}
    lab.segment("lan", members)
    director, machine = Director(lab.machine("d1"), checked=True), lab.machine("d1")
    first, second = group(lab, FIRST, healed=True), group(lab, SECOND, healed=True)
    last = group(lab, LAST, healed=False)
    says = [SAYS % (len(text), text) for text in (b"50%", b"0%")]
    agent = faulty(
        lab.machine("real"),
        [Place(AGENT, "wrong", (b"", says[0]), says[1]), Place(SILENT, "silent", (b"", b""))],
    )
    machine.write("/etc/lvs/tell", HOOK, 0o755)
    machine.write("/etc/lvs/load", LOAD, 0o755)
    machine.write("/tmp/told", "")
    for address, said in zip(REAL, ("75%\n", "0%\n"), strict=False):
        machine.write(f"/tmp/load-{address}", said)

    director.start(FILE)
    start = weights(director)
    assert (start["early"], start["late"]) == ({REAL[0]: 7}, {})
    up: dict[str, list[int | None]] = {"quorum": [2, 1, 1], "quiesce": [3], "any": [2], "fall": [1]}
    become(director, **up, all=[None], program=[3, 0], agent=[0], slow=[None], sooner=[None])

    # A load is asked for every 20 s: what follows happens meanwhile.
    machine.write(f"/tmp/load-{REAL[0]}", " 10:00  up 1 day,  load average: 2.00, 1.00, 0.50\n")
    machine.write(f"/tmp/load-{REAL[1]}", " 10:00  up 1 day,  load average: 0.00, 1.00, 0.50\n")
    agent.heal()

    relapsed = time.monotonic()
    first.relapse()
    become(director, quiesce=[0], any=[None], quorum=[2], fall=[None])
    # It takes three bad ones in a row.
    assert since(director, "fall") >= relapsed + 2 * INTERVAL_S
    assert director.machine.read("/tmp/told") == ""

    second.relapse()
    last.heal()
    seen: list[tuple[float, int]] = []

    def grown() -> int:
        weight = weights(director)["slow"].get(REAL[0], 0)
        seen.append((time.monotonic(), weight))
        return weight

    until(grown, lambda weight: weight == 8, LOOK_S)
    assert [weight for _, weight in seen] == sorted(weight for _, weight in seen)
    partly = [at for at, weight in seen if 0 < weight < 8]
    assert seen[-1][0] - partly[0] > SLOWLY_S / 2, seen
    # `sooner` is back long before its next usual check.
    become(director, sooner=[1], all=[None], any=[2])
    until(lambda: weights(director)["quorum"], lambda found: found == {SORRY: 1}, LOOK_S)
    until(lambda: director.machine.read("/tmp/told"), lambda told: told == "quorum_down quorum\n", LOOK_S)

    # Two of four are back, which is enough to keep a quorum of three, but not to have it again.
    second.heal()
    until(lambda: first_row(director, "quorum")["state"], lambda code: code == "quorum_lost", LOOK_S)
    assert weights(director)["quorum"] == {SORRY: 1}

    first.heal()
    up |= {"all": [5], "sooner": [1], "slow": [8]}
    become(director, **up)
    told = until(lambda: director.machine.read("/tmp/told"), lambda told: told.count("\n") == 2, LOOK_S)
    assert told == "quorum_down quorum\nquorum_up quorum\n"
    # Loads as uptime(1) says them: one that has enough to do, and one that is idle.
    become(director, 2 * LOAD_EVERY_S + LOOK_S, program=[4, 60], agent=[5])
    assert weights(director)["early"] == weights(director)["late"] == {}
