"""`make run`: the deployment at work, on a real Linux IPVS.

Two real servers with CUPS, OpenLDAP and BIND, a client, and two directors that run lvsd on the
deployment's own lvs.cf. Every line that is run is printed. LAB_SHELL=1 lets a person in.
"""

from __future__ import annotations

import os
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from .channel import LabError
from .clients import ask_directory, ask_names, ask_printing, print_lpd
from .console import console
from .deployment import Deployment, deployment
from .lab import Lab
from .machine import Machine, Process

CONFIG = Path(__file__).parents[1] / "fixtures" / "deployment.cf"
CATALOG = Path(__file__).parents[2] / "appliance/usr/lib/systemd/catalog/lvs.catalog"
JOURNALD = "/usr/lib/systemd/systemd-journald"
LVSD = str(Path(sys.executable).parent / "lvsd")
FILE = "/etc/lvs/lvs.cf"
ASKED = 3
LONGEST_S = 60.0
KEY = "/etc/lvs/pair.key"
VIPS = 3
REAL_SERVERS_IN_ALL = 10  # two in each of five virtual servers


def main() -> int:
    """Show it; 0 if every service answered through its VIP."""
    began = time.monotonic()

    bold, plain = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "")

    def step(text: str) -> None:
        print(f"\n{bold}[{time.monotonic() - began:5.1f} s] {text}{plain}", flush=True)

    step("Starting a kernel with IPVS (the first time, its packages are fetched; about two minutes)")
    with Lab.start() as lab:
        step(
            "Network: two directors, two real servers with CUPS, OpenLDAP and BIND, a client "
            f"({lab.mode} mode)"
        )
        network = deployment(lab, standby=True)
        director, other = network.directors
        step("A key that makes them a pair")
        show(director, LVSD, "pair", "init")
        joined = other.run(LVSD, "pair", "join", stdin=director.read(KEY))
        print(f"{other.name}# lvsd pair join < pair.key\n{joined.out.rstrip()}", flush=True)
        step("Starting lvsd on both, with the deployment's lvs.cf")
        for machine in network.directors:
            machine.write(FILE, CONFIG.read_text())
        daemon, standby = (machine.spawn(LVSD, "run", "--config", FILE) for machine in network.directors)
        daemon.expect("this director is active", LONGEST_S)
        await_said(daemon, " is up: ", REAL_SERVERS_IN_ALL)
        await_said(daemon, "taken on eth0", VIPS)
        print(daemon.output().rstrip())
        step("The client uses each service through its VIP (persistent: it stays with one real server)")
        whole = drive(network)
        step("The table, by lvsd status")
        show(director, LVSD, "status")
        step("An edit of the file: real1 of ipp gets weight 3, serial_no counts up; both directors apply it")
        edit(director, daemon, standby)
        show(director, LVSD, "status")
        step("Printing of real1 dies: its check sees it within 6 s, and real2 prints")
        lose(network, daemon)
        show(director, LVSD, "explain", "real1", "--virtual", "ipp")
        step("real2 is drained for maintenance, and enabled again")
        show(director, LVSD, "drain", "real2", "--virtual", "dns", "--no-wait")
        show(director, LVSD, "status")
        show(director, LVSD, "enable", "real2", "--virtual", "dns")
        step("The other director takes over, and the client goes on as if nothing had happened")
        show(director, LVSD, "switchover")
        print(standby.output().rstrip().rsplit("\n", 5)[-1])
        whole = drive(network) and whole
        show(other, LVSD, "status")
        if os.environ.get("LAB_SHELL"):
            show(other, LVSD, "switchover")
            step("You are inside")
            enter(lab, director, daemon)
        step("Stopping")
    return 0 if whole else 1


def drive(network: Deployment) -> bool:
    """Ask every service; whether all answered."""
    client = network.client
    questions: tuple[tuple[str, Callable[[], str]], ...] = (
        ("IPP  10.0.0.5:631  lpstat", lambda: ask_printing(client, "10.0.0.5")),
        ("LPD  10.0.0.5:515  rlpr", lambda: printed(client)),
        ("LDAP 10.0.0.6:389  ldapsearch", lambda: ask_directory(client, "10.0.0.6")),
        ("DNS  10.0.0.7:53   dig (udp)", lambda: ask_names(client, "10.0.0.7")),
        ("DNS  10.0.0.7:53   dig +tcp", lambda: ask_names(client, "10.0.0.7", tcp=True)),
    )
    whole = True
    for label, question in questions:
        answers: Counter[str] = Counter()
        for _ in range(ASKED):
            try:
                answers[question()] += 1
            except LabError as problem:
                whole = False
                answers[f"failed: {str(problem).splitlines()[0]}"] += 1
        print(f"  {label:<32} {', '.join(f'{who} ({count})' for who, count in answers.items())}", flush=True)
    return whole


def printed(client: Machine) -> str:
    """LPD has no question that names the server: a job is printed."""
    print_lpd(client, "10.0.0.5")
    return "printed"


def edit(director: Machine, daemon: Process, standby: Process) -> None:
    """Save the file with another weight, and say what both lvsd made of it."""
    old = director.read(FILE)
    new = old.replace("serial_no = 1", "serial_no = 2").replace("weight = 1", "weight = 3", 1)
    told = {"the standby": (standby, len(standby.output())), director.name: (daemon, len(daemon.output()))}
    director.write(FILE, new)
    for name, (one, since) in told.items():
        await_said(one, " applied: serial 2", 1, since)
        print(f"{name}:\n{one.output()[since:].rstrip()}")


def await_said(daemon: Process, text: str, times: int, since: int = 0) -> None:
    """Wait until lvsd has said something so many times; a real server is used once its check is good."""
    deadline = time.monotonic() + LONGEST_S
    while daemon.output()[since:].count(text) < times and time.monotonic() < deadline:
        time.sleep(0.02)


def lose(network: Deployment, daemon: Process) -> None:
    """Kill CUPS on real1, say what lvsd makes of it, and print."""
    said = len(daemon.output())
    cupsd = network.services["real1"].cupsd
    cupsd.signal(9, group=True)
    await_said(daemon, "is down: ", 1, said)
    print(daemon.output()[said:].rstrip())
    print(f"  IPP  10.0.0.5:631  lpstat         {ask_printing(network.client, '10.0.0.5')}")


def show(machine: Machine, *argv: str) -> None:
    """Run a command and print it with what it says."""
    result = machine.run(*argv, check=False)
    print(f"{machine.name}# {' '.join([Path(argv[0]).name, *argv[1:]])}")
    print((result.out + result.err).rstrip(), flush=True)


def enter(lab: Lab, director: Machine, daemon: Process) -> None:
    """Let a person in, with the journal if this host has a journald."""
    hear = "journalctl -f"
    if Path(JOURNALD).exists():
        use_journal(director, daemon)
    else:
        hear = f"tail -f /proc/{daemon.pid}/fd/2"
    names = [it.name for it in lab.machines.values() if not it.bare]
    print(f"A shell on {director.name}; `exit` leaves. Try `watch lvsd status`, `vi {FILE}`, `{hear}`.")
    print(f"Machines are commands: {', '.join(names)}. `client` opens a shell, `client dig ...` runs dig.")
    print("So are the lab's programs: ipvsadm, dig, ldapsearch, lpstat, tcpdump, ...", flush=True)
    console(lab, director)


def use_journal(director: Machine, daemon: Process) -> None:
    """Begin a journal, and lvsd anew with it; the table stays as it is meanwhile."""
    director.write("/etc/machine-id", f"{uuid.uuid4().hex}\n")
    catalog = "/run/lab/catalog"
    director.write(f"{catalog}/usr/lib/systemd/catalog/lvs.catalog", CATALOG.read_text())
    director.run("journalctl", f"--root={catalog}", "--update-catalog")
    database = "/var/lib/systemd/catalog/database"
    director.write(database, director.read_bytes(catalog + database))
    director.spawn(JOURNALD)
    director.run("sh", "-c", "until [ -S /run/systemd/journal/socket ]; do sleep 0.1; done")
    daemon.stop()
    director.spawn(LVSD, "run", "--config", FILE, "--log", "journal")
    director.run("sh", "-c", f"until {LVSD} status >/dev/null 2>&1; do sleep 0.1; done")


if __name__ == "__main__":
    sys.exit(main())
