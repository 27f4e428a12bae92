"""B16 to B20, B22, B23: what checks make of real servers that work, fail in every way, and come back.

Times are those that the configuration promises: down within the interval and the limit, up within the
interval. An emulated machine adds its own, which lvsd measures; nothing here waits longer than it must.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import pytest

from lab import Lab, Machine
from lab.more_services import AUTHORITY, CERTIFIED, nginx, postfix, postgresql, redis, start_all
from lab.peers import Place, faulty
from lab.services import QUEUE, ZONE, await_services, begin_services

from .director import Director, until

pytestmark = pytest.mark.netns

DIRECTOR, REAL1, REAL2, VIP = "10.0.0.1", "10.0.0.3", "10.0.0.4", "10.0.0.5"
INTERVAL_S, LIMIT_S = 2.0, 1.0
HEAD = 'serial_no = 1\nprimary = "10.0.0.1"\nnetwork = "direct"\n'
PACE = f"check_interval = {INTERVAL_S}\ncheck_limit = {LIMIT_S}\nrise = 1\nfall = 1\n"


def virtual(
    name: str,
    port: int,
    check: str = "",
    *,
    more: str = PACE,
    real: tuple[str, ...] = (REAL1,),
    vip: str = VIP,
) -> str:
    """A virtual server, with the lines of a [[virtual.check]] if there are any."""
    lines = [f'\n[[virtual]]\nname = "{name}"\naddress = "{vip}"\ndevice = "eth0:1"\nport = {port}\n{more}']
    if check:
        lines.append(f"[[virtual.check]]\n{check}\n")
    for number, address in enumerate(real, 1):
        lines.append(f'[[virtual.server]]\nname = "real{number}"\naddress = "{address}"\n')
    return "\n".join(lines)


def states(director: Director) -> dict[str, str]:
    """Code of the first real server of each virtual server."""
    return {one["name"]: one["real_servers"][0]["state"] for one in director.status()["virtual_servers"]}


def rows(director: Director) -> dict[str, dict[str, Any]]:
    """The first real server of each virtual server."""
    return {one["name"]: one["real_servers"][0] for one in director.status()["virtual_servers"]}


def awaited(director: Director, wanted: Mapping[str, str], limit_s: float = 60.0) -> None:
    """Wait until these have these codes; what differs is shown, with its sentence.

    Shape: a code, or several with "/" between them where two parties race.
    """

    def differing() -> dict[str, str]:
        found = rows(director)
        return {
            name: f"{found[name]['state']}, not {code}: {found[name]['reason']}"
            for name, code in wanted.items()
            if found[name]["state"] not in code.split("/")
        }

    until(differing, lambda left: not left, limit_s)


def moved_within(director: Director, names: Iterable[str], since: float, promised_s: float) -> None:
    """Hold the moments at which the first real servers of these moved to a promise; `Director.too_late`."""
    late = director.too_late([(name, "real1") for name in names], since, promised_s)
    assert not late, f"promised within {promised_s} s"


@pytest.fixture
def director(lab: Lab) -> Director:
    lab.segment("lan", {"d1": f"{DIRECTOR}/24", "real1": f"{REAL1}/24", "real2": f"{REAL2}/24"})
    lab.machine("real1")
    return Director(lab.machine("d1"), checked=True)


class Spoken(NamedTuple):
    """A type of check, and what a real server says that is well, and one that is not."""

    check: str
    right: tuple[bytes, ...]
    wrong: bytes = b"-ERR no\r\n"
    but: Mapping[str, str] = {}  # codes that differ from FAULTS


# What each fault is by name. A black hole drops the packets.
FAULTS = {
    "refuses": "refused",
    "hole": "timed_out",
    "silent": "timed_out",
    "drip": "timed_out",
    "closes": "closed",
    "resets": "reset",
    "endless": "too_long",
    "garbage": "garbled",
    "wrong": "wrong_answer",
    "cut": "closed",
}

_PAGE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwell\n"
_ACCEPTED = dict.fromkeys(FAULTS, "answered") | {
    "refuses": "refused",
    "hole": "timed_out",
    "resets": "reset/answered",
}

SPOKEN = {
    # Connecting is all that it asks for; a reset may come before that is seen.
    "connect": Spoken('type = "connect"', (b"", b""), but=_ACCEPTED),
    # It has no protocol of its own: bytes are other bytes than expected.
    "exchange": Spoken(
        'type = "exchange"\nsend = "hello"\nexpect = "+OK ready"',
        (b"", b"+OK ready\r\n"),
        but={"garbage": "wrong_answer", "endless": "answered"},
    ),
    "regex": Spoken(
        'type = "exchange"\nsend = "hello"\nexpect = "r[e]ady\\n"\nuse_regex = true',
        (b"", b"+OK ready\n"),
        but={"garbage": "timed_out", "wrong": "timed_out", "endless": "answered", "cut": "wrong_answer"},
    ),
    "http": Spoken(
        'type = "http"\npath = "/health"\nexpect = "well"',
        (b"", _PAGE),
        b"HTTP/1.1 503 no\r\nContent-Length: 0\r\n\r\n",
        {"endless": "answered"},
    ),
    "pages": Spoken(
        'type = "http"\nexpect = "never"',
        (b"", b"HTTP/1.1 200 OK\r\nX: "),
        b"HTTP/1.1 404 no\r\nContent-Length: 0\r\n\r\n",
    ),
    # What came may be only the beginning, so another answer than expected is waited out.
    "redis": Spoken(
        'type = "dialogue"\nsteps = [{send = "PING\\r\\n"}, {expect = "[+]PONG"}]',
        (b"", b"+PONG\r\n"),
        but={"endless": "answered", "garbage": "timed_out", "wrong": "timed_out"},
    ),
    "smtp": Spoken(
        'type = "dialogue"\nsteps = [{expect = "^220 ", send = "EHLO lvs\\r\\n"}, {expect = "(^|\\n)250 "}]',
        (b"220 well\r\n", b"250-well\r\n250 HELP\r\n"),
        but={"endless": "answered", "garbage": "timed_out", "wrong": "timed_out"},
    ),
    # Its answer is text for people, of which the first line is enough.
    "lpd": Spoken(
        f'type = "lpd"\nqueue = "{QUEUE}"',
        (b"", b"no entries\n"),
        b"\1\n",
        {"endless": "answered", "cut": "answered"},
    ),
    "ldap": Spoken(
        'type = "ldap"',
        (b"", bytes.fromhex("300c02010161070a010004000400")),
        bytes.fromhex("300c02010161070a013504000400"),  # unwillingToPerform
        {"endless": "answered"},
    ),
    "postgresql": Spoken(
        'type = "postgresql"',
        (b"", bytes.fromhex("520000000800000003")),
        b"E\0\0\0\x17SFATAL\0C3D000\0Mno\0\0",
        {"endless": "answered"},
    ),
}


def port_of(kind: str, fault: str) -> int:
    return 2000 + 100 * list(SPOKEN).index(kind) + list(FAULTS).index(fault)


def hole(machine: Machine, ports: list[int]) -> None:
    """Drop what is sent to these ports, without a word; none: let everything pass."""
    rules = "add table inet hole\ndelete table inet hole\n"
    if ports:
        which = ", ".join(map(str, ports))
        rules += "table inet hole {\nchain input {\ntype filter hook input priority -300\n"
        rules += f"tcp dport {{ {which} }} drop\nudp dport {{ {which} }} drop\n}}\n}}\n"
    machine.run("nft", "-f", "-", root="tree", stdin=rules)


def test_b16_faults_over_tcp(lab: Lab, director: Director) -> None:
    """Every fault of every type of check is told by its code; all come back, and all go again, in time."""
    real1 = lab.machine("real1")
    cases = [(f"{kind} {fault}", port_of(kind, fault), kind, fault) for kind in SPOKEN for fault in FAULTS]
    wanted = {name: SPOKEN[kind].but.get(fault, FAULTS[fault]) for name, _, kind, fault in cases}
    places = [
        Place(port, "right" if fault == "hole" else fault, SPOKEN[kind].right, SPOKEN[kind].wrong)
        for _, port, kind, fault in cases
    ]
    server = faulty(real1, places)
    holes = [port for _, port, _, fault in cases if fault == "hole"]
    hole(real1, holes)
    director.start(HEAD + "".join(virtual(name, port, SPOKEN[kind].check) for name, port, kind, _ in cases))
    awaited(director, wanted)
    told = director.status()["virtual_servers"]
    assert all(row["reason"] and row["since_s"] is not None for one in told for row in one["real_servers"])
    server.heal()
    hole(real1, [])
    since = time.monotonic()
    healed = {name for name, _, kind, _ in cases if kind != "pages"}  # it asks for what never comes
    awaited(director, dict.fromkeys(healed, "answered"))
    moved = {name for name in healed if "answered" not in wanted[name]}
    moved_within(director, moved, since, INTERVAL_S + LIMIT_S)  # one that is under way may have to end
    server.relapse()
    hole(real1, holes)
    since = time.monotonic()
    # A verdict keeps the answer that made it; of what stays down, a later one is in `explain`.
    awaited(director, {name: wanted[name] for name in moved})
    moved_within(director, moved, since, INTERVAL_S + LIMIT_S)


@pytest.fixture
def real_services(lab: Lab, director: Director) -> Director:
    """The real programs on real1, and the authority of their certificates on the director."""
    serve_all(lab.machine("real1"))
    director.machine.write("/etc/lvs/ca.pem", AUTHORITY.read_bytes())
    director.machine.write("/etc/lvs/up", "up\n")
    director.machine.write("/etc/lvs/down", "down for repair\n")
    return director


def serve_all(machine: Machine) -> None:
    """Start all services of a real server, or start them again after they were killed."""
    deployed = begin_services(machine)
    start_all([make(machine) for make in (nginx, postfix, postgresql, redis)])
    await_services([deployed])


_TLS = f'server_name = "{CERTIFIED}"\nca_file = "/etc/lvs/ca.pem"'
_EHLO = 'steps = [{expect = "^220 ", send = "EHLO lvs\\r\\n"}, {expect = "(^|\\n)250 ", send = "'
_AGAIN = '{expect = "^220 "}, {send = "EHLO lvs\\r\\n"}, {expect = "(^|\\n)250 "}'

# Name: port, the check, and what it finds when all is well.
SERVICES: dict[str, tuple[int, str, str]] = {
    "http": (80, 'type = "http"\npath = "/health"\nexpect = "well"', "answered"),
    "http moved": (80, 'type = "http"\npath = "/old"\nstatus = ["200"]', "wrong_answer"),
    "https": (443, f'type = "https"\n{_TLS}', "answered"),
    "https expired": (8443, f'type = "https"\n{_TLS}', "certificate"),
    "https unverified": (8443, 'type = "https"\nverify = false', "answered"),
    "https other name": (
        443,
        'type = "https"\nserver_name = "other.example"\nca_file = "/etc/lvs/ca.pem"',
        "certificate",
    ),
    "https unknown authority": (443, f'type = "https"\nserver_name = "{CERTIFIED}"', "certificate"),
    "https of plain": (80, f'type = "https"\n{_TLS}', "tls"),
    "smtp": (25, f'type = "dialogue"\n{_EHLO}QUIT\\r\\n"}}, {{expect = "^221 "}}]', "answered"),
    "smtp starttls": (
        25,
        f'type = "dialogue"\n{_EHLO}STARTTLS\\r\\n"}}, {_AGAIN}]\nstarttls_after = 3\n{_TLS}',
        "answered",
    ),
    "redis": (6379, SPOKEN["redis"].check, "answered"),
    "postgresql": (5432, 'type = "postgresql"\nuser = "postgres"', "answered"),
    "ipp": (631, f'type = "ipp"\npath = "/printers/{QUEUE}"', "answered"),
    "ipp no printer": (631, 'type = "ipp"\npath = "/printers/none"', "wrong_answer"),
    "lpd": (515, f'type = "lpd"\nqueue = "{QUEUE}"', "answered"),
    "ldap": (389, 'type = "ldap"\nbase = "dc=lab,dc=example"', "answered"),
    "ldap starttls": (389, f'type = "ldap"\nstarttls = true\n{_TLS}', "answered"),
    "ldaps": (636, f'type = "ldaps"\nbase = "dc=lab,dc=example"\n{_TLS}', "answered"),
    "ldaps unknown authority": (636, f'type = "ldaps"\nserver_name = "{CERTIFIED}"', "certificate"),
    "ldap no entry": (389, 'type = "ldap"\nbase = "dc=none"', "wrong_answer"),
    "dns": (53, f'type = "dns"\nname = "{ZONE}"', "answered"),
    "dns tcp": (53, f'type = "dns"\nname = "{ZONE}"\ntcp = true', "answered"),
    "dns no zone": (53, 'type = "dns"\nname = "other.example"', "wrong_answer"),
    "icmp": (9, 'type = "icmp"', "answered"),
    "neighbour": (9, 'type = "neighbour"', "answered"),
    "file up": (9, 'type = "file"\npath = "/etc/lvs/up"', "answered"),
    "file down": (9, 'type = "file"\npath = "/etc/lvs/down"', "wrong_answer"),
    "program": (9, 'type = "program"\nprogram = "/bin/true"', "answered"),
    "program failed": (9, 'type = "program"\nprogram = "/bin/false"', "program_failed"),
}
LOCAL = ("file up", "file down", "program", "program failed")  # they ask no machine
DEAD = {"icmp": "answered", "neighbour": "answered"}  # no service, but a machine
RATHER_S = 4.0  # handshakes of TLS and a database, all on one emulated processor


def test_b16_real_services(lab: Lab, real_services: Director) -> None:
    """Real programs are found well; dead, refused; without a network, timed out; and well again."""
    director, real1 = real_services, lab.machine("real1")
    more = f"check_interval = {RATHER_S}\ncheck_limit = {RATHER_S - 0.5}\nrise = 1\n"
    blocks = [
        virtual(name, 7000 + number, f"{check}{_port(check, port)}", more=more + _transport(check))
        for number, (name, (port, check, _)) in enumerate(SERVICES.items())
    ]
    director.start(HEAD + "".join(blocks))
    awaited(director, {name: code for name, (_, _, code) in SERVICES.items()})
    unit = {name for name, (_, _, code) in SERVICES.items() if code == "answered"} - set(LOCAL)
    explained = director.lvsd("explain", "real1")
    assert explained.count("  state    ") == len(SERVICES)
    assert explained.count("  answer   ") == len(SERVICES)
    real1.kill()
    since = time.monotonic()
    # One that was under way when it died was cut.
    awaited(director, {name: DEAD.get(name, "refused/reset/closed/tls") for name in unit})
    moved_within(director, unit - set(DEAD), since, 2 * RATHER_S)
    switch = lab.machine("segment-lan")
    switch.run("ip", "link", "set", "dev", "real1", "down")
    since = time.monotonic()
    until(
        lambda: {name: code for name, code in states(director).items() if name in DEAD},
        lambda found: set(found.values()) <= {"timed_out", "unreachable"},
    )
    moved_within(director, set(DEAD), since, 2 * RATHER_S)
    switch.run("ip", "link", "set", "dev", "real1", "up")
    serve_all(real1)
    since = time.monotonic()
    awaited(director, dict.fromkeys(unit, "answered"))
    moved_within(director, unit, since, 2 * RATHER_S)


def _port(check: str, port: int) -> str:
    return (
        ""
        if any(one in check for one in ('"icmp"', '"neighbour"', '"file"', '"program"'))
        else f"\nport = {port}"
    )


def _transport(check: str) -> str:
    return 'protocol = "udp"\n' if '"dns"' in check and "tcp = true" not in check else ""


UDP = {
    "right": "answered",
    "refuses": "refused",
    "hole": "timed_out",
    "silent": "timed_out",
    "wrong": "wrong_answer",
    "garbage": "wrong_answer",
    "endless": "wrong_answer",
}


def test_b16_faults_over_udp(lab: Lab, director: Director) -> None:
    real1 = lab.machine("real1")
    ports = {fault: 3000 + number for number, fault in enumerate(UDP)}
    places = [Place(port, "right" if fault == "hole" else fault) for fault, port in ports.items()]
    places[-1] = Place(ports["endless"], "endless", (b"", b"no\r\n"))
    server = faulty(real1, places)
    hole(real1, [ports["hole"]])
    more = PACE + 'protocol = "udp"\nsend = "hello"\nexpect = "+OK"\n'
    director.start(HEAD + "".join(virtual(fault, port, more=more) for fault, port in ports.items()))
    awaited(director, UDP)
    server.heal()
    hole(real1, [])
    moved = {fault for fault in UDP if fault not in ("right", "endless")}
    since = time.monotonic()
    awaited(director, dict.fromkeys(moved, "answered"))
    moved_within(director, moved - {"right"}, since, INTERVAL_S + LIMIT_S)


HANG = "#!/bin/sh\ntrap '' TERM INT HUP\nsleep 4242 & sleep 4242 & sleep 4242\n"
CHATTER = "#!/bin/sh\nhead -c 10000000 /dev/zero\n"
FORK = "#!/bin/sh\n(sleep 4242 &)\nexit 0\n"
# A program is three that are started one after the other, to be another user.
SLOWLY_S = 8.0
SLOWLY = f"check_interval = {SLOWLY_S}\ncheck_limit = 7\nrise = 1\n"
PROGRAMS = {
    "hang": (HANG, "program_timed_out"),
    "chatter": (CHATTER, "wrong_answer/program_failed/program_timed_out"),
    "fork": (FORK, "answered"),
    "gone": ("#!/bin/sh\n", "program_missing"),
}


def test_b17_programs_that_misbehave_leave_nothing(lab: Lab, director: Director) -> None:
    """Two real servers and each kind of program: never more processes than are under way."""
    machine, real = director.machine, (REAL1, REAL2)
    for name, (script, _) in PROGRAMS.items():
        machine.write(f"/etc/lvs/{name}", script, 0o755)
    program = 'type = "program"\nprogram = "/etc/lvs/{} %h"'
    blocks = [
        virtual(name, 4000 + number, program.format(name) + expect, real=real, more=SLOWLY)
        for number, name in enumerate(PROGRAMS)
        for expect in ('\nexpect = "OK"' if name == "chatter" else "",)
    ]
    director.start(HEAD + "".join(blocks))
    awaited(director, {"gone": "answered"})
    machine.run("rm", "/etc/lvs/gone")  # a file is not loaded without its programs
    awaited(director, {name: code for name, (_, code) in PROGRAMS.items()})
    counts = []
    end = time.monotonic() + 2 * SLOWLY_S
    while time.monotonic() < end:
        counts.append(int(machine.run("pgrep", "-c", "-x", "sleep", root="tree", check=False).out))
    # A shell that hangs has three of them, one that forks leaves one until it is ended with it.
    assert max(counts) <= len(real) * 4, counts
    director.stop()
    left = machine.run("pgrep", "-c", "-x", "sleep", root="tree", check=False).out.strip()
    assert left == "0"


def test_b18_vanished_is_down_at_the_deadline_of_the_clock(lab: Lab, director: Director) -> None:
    """A plug is pulled: no packet tells of it."""
    faulty(lab.machine("real1"), [Place(80, "right")])
    faulty(lab.machine("real2"), [Place(80, "right")])
    director.start(HEAD + virtual("web", 80, 'type = "connect"', real=(REAL1, REAL2)))
    awaited(director, {"web": "answered"})
    assert len(until(director.table, lambda table: len(table) == 3)) == 3
    lab.machine("segment-lan").run("ip", "link", "set", "dev", "real1", "down")
    since = time.monotonic()
    until(director.table, lambda table: not any(REAL1 in line for line in table), 60)
    awaited(director, {"web": "timed_out"})
    moved_within(director, {"web"}, since, INTERVAL_S + LIMIT_S)
    assert "no answer" in rows(director)["web"]["reason"] or "within 1 s" in rows(director)["web"]["reason"]


def test_b19_checks_that_cannot_be_made_are_told_and_change_nothing(lab: Lab, director: Director) -> None:
    """This director's own fault: it has no file descriptor left."""
    faulty(lab.machine("real1"), [Place(80, "right")])
    director.start(
        HEAD + virtual("web", 80, 'type = "connect"', more="check_interval = 0.5\ncheck_limit = 0.5\n")
    )
    awaited(director, {"web": "answered"})
    assert director.process is not None
    pid = str(director.process.pid)
    usual = director.machine.run("prlimit", "--pid", pid, "--nofile", "--noheadings", "--output=SOFT,HARD")
    since = len(director.said)
    director.machine.run("prlimit", "--pid", pid, "--nofile=8:")
    said = director.wait_for(r"check overdue: .*\n", since)
    assert said.count("cannot check 10.0.0.3: ") == 1, said
    assert "what is known of it stays" in said
    director.machine.run("prlimit", "--pid", pid, f"--nofile={':'.join(usual.out.split())}")
    director.wait_for("checks are in time again", since)
    assert " is down" not in director.said[since:]
    assert states(director) == {"web": "answered"}


def test_b20_one_probe_a_period_for_fifty_virtual_servers(lab: Lab, director: Director) -> None:
    server = faulty(lab.machine("real1"), [Place(80, "right")])
    blocks = [virtual(f"v{number}", 5000 + number, 'type = "connect"\nport = 80') for number in range(50)]
    director.start(HEAD + "".join(blocks))
    awaited(director, {f"v{number}": "answered" for number in range(50)})
    before, began = len(server.ended(80)), time.monotonic()
    time.sleep(5 * INTERVAL_S)
    asked, took_s = len(server.ended(80)) - before, time.monotonic() - began
    assert 3 <= asked <= took_s / INTERVAL_S + 2
    assert len(director.table()) == 100


def test_b22_why_since_when_and_what_it_last_answered(lab: Lab, director: Director) -> None:
    """One sentence for it, in status, journal and explain."""
    faulty(lab.machine("real2"), [Place(80, "right")])
    director.start(HEAD + virtual("web", 80, 'type = "connect"', real=(REAL1, REAL2)))
    awaited(director, {"web": "refused"})
    row = rows(director)["web"]
    why = re.escape("connection refused")
    assert re.fullmatch(rf"down \d+ s: {why}", row["reason"])
    assert row["since_s"] >= 0
    director.wait_for(rf"real server real1 of web \(10\.0\.0\.3:80\) is down: {why}\n")
    explained = director.lvsd("explain", "real1")
    assert re.search(rf"\n  state    down \d+ s: {why} \[refused\], since \d{{4}}-\d\d-\d\d ", explained), (
        explained
    )
    assert re.search(rf"\n  answer   \d+ s ago: {why} \[refused\]", explained), explained
    assert re.search(r"\n  again    in \d\.\d s", explained), explained
    assert "\n  kernel   not in the table\n" in explained
    answered = director.lvsd("explain", "real2")
    assert re.search(r"\n  state    up \d+ s: connection accepted \[answered\], since ", answered), answered
    assert "Checks: 2, none overdue" in director.lvsd("status")


def test_b23_a_check_parts_with_fin(lab: Lab, director: Director) -> None:
    """No RST from the director, also to a server that speaks first: its log would fill with them."""
    real1 = lab.machine("real1")
    greeting = (b"220 hello\r\n", b"+OK\r\n")
    server = faulty(real1, [Place(81, "right"), Place(82, "right", greeting), Place(83, "right", greeting)])
    rules = f"ip saddr {DIRECTOR} tcp flags & {{flag}} == {{flag}} counter\n"
    chain = "type filter hook input priority 0\n" + rules.format(flag="rst") + rules.format(flag="fin")
    real1.run("nft", "-f", "-", root="tree", stdin=f"table ip seen {{\nchain input {{\n{chain}}}\n}}\n")
    exchange = 'type = "exchange"\nsend = "hello"\nexpect = "{}"'
    director.start(
        HEAD
        + virtual("quiet", 81, 'type = "connect"')
        + virtual("first", 82, 'type = "connect"')
        + virtual("talk", 81, exchange.format("+OK"), vip="10.0.0.6")
        + virtual("both", 83, exchange.format("220"))
    )
    awaited(director, dict.fromkeys(("quiet", "first", "talk", "both"), "answered"))
    until(lambda: [len(server.ended(port)) for port in (81, 82, 83)], lambda found: min(found) >= 4)
    assert {how for port in (81, 82, 83) for how in server.ended(port)} == {"eof"}
    shown = json.loads(real1.run("nft", "--json", "list", "table", "ip", "seen", root="tree").out)
    found = [
        part["counter"]["packets"]
        for item in shown["nftables"]
        for part in item.get("rule", {}).get("expr", [])
        if "counter" in part
    ]
    assert found[0] == 0, "RST from the director"
    assert found[1] >= 12
