"""`make run`: the deployment at work, on a real Linux IPVS.

Two real servers with CUPS, OpenLDAP and BIND, a client, and a director that runs lvsd on the
deployment's own lvs.cf. Every line that is run is printed. LAB_SHELL=1 stays for a person.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from .channel import LabError
from .clients import ask_directory, ask_names, ask_printing, print_lpd
from .deployment import Deployment, deployment
from .lab import Lab
from .machine import Machine, Process

CONFIG = Path(__file__).parents[1] / "fixtures" / "deployment.cf"
LVSD = str(Path(sys.executable).parent / "lvsd")
FILE = "/etc/lvs/lvs.cf"
ASKED = 3
LONGEST_S = 60.0


def main() -> int:
    """Show it; 0 if every service answered through its VIP."""
    began = time.monotonic()

    bold, plain = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "")

    def step(text: str) -> None:
        print(f"\n{bold}[{time.monotonic() - began:5.1f} s] {text}{plain}", flush=True)

    step("Starting a kernel with IPVS (the first time, its packages are fetched; about two minutes)")
    with Lab.start() as lab:
        step(
            f"Network: a director, two real servers with CUPS, OpenLDAP and BIND, a client ({lab.mode} mode)"
        )
        network = deployment(lab)
        director = network.director
        step(f"Starting lvsd on {director.name} with the deployment's lvs.cf")
        director.write(FILE, CONFIG.read_text())
        daemon = director.spawn(LVSD, "run", "--config", FILE)
        daemon.expect(" applied: ", LONGEST_S)
        print(daemon.output().rstrip())
        step(
            "The client uses each service through its VIP (persistence: one client stays with one real server)"
        )
        whole = drive(network)
        step("The table, by lvsd status")
        show(director, LVSD, "status")
        step("An edit of the file: real1 of ipp gets weight 3, and serial_no counts up")
        edit(director, daemon)
        show(director, LVSD, "status")
        if os.environ.get("LAB_SHELL"):
            step("You are inside; an empty line leaves")
            console(lab, director.name)
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


def edit(director: Machine, daemon: Process) -> None:
    """Save the file with another weight, and say what lvsd made of it."""
    old = director.read(FILE)
    new = old.replace("serial_no = 1", "serial_no = 2").replace("weight = 1", "weight = 3", 1)
    said = len(daemon.output())
    director.write(FILE, new)
    deadline = time.monotonic() + LONGEST_S
    while " applied: serial 2" not in daemon.output() and time.monotonic() < deadline:
        time.sleep(0.02)
    print(daemon.output()[said:].rstrip())


def show(machine: Machine, *argv: str) -> None:
    """Run a command and print it with what it says."""
    result = machine.run(*argv, check=False)
    print(f"{machine.name}# {' '.join([Path(argv[0]).name, *argv[1:]])}")
    print((result.out + result.err).rstrip(), flush=True)


def console(lab: Lab, name: str) -> None:
    """A prompt on the machines: `@client dig ...` goes to another one, or changes to it."""
    print(f"Machines: {', '.join(sorted(name for name in lab.machines if not name.startswith('segment')))}.")
    print(
        "Commands run on the machine at the prompt; `@client` goes to another, `@client COMMAND` runs there."
    )
    bin_directory = str(Path(LVSD).parent)
    while True:
        try:
            line = input(f"{name}# ").strip()
        except (EOFError, KeyboardInterrupt):
            return
        if not line:
            return
        at, words = name, line
        if line.startswith("@"):
            at, _, words = line[1:].partition(" ")
            if at not in lab.machines:
                print(f"no machine {at}")
                continue
            if not words:
                name = at
                continue
        run_line(lab.machines[at], words, bin_directory)


def run_line(machine: Machine, line: str, bin_directory: str) -> None:
    """One line of the prompt: in the director's own files, with the lab's programs behind."""
    path = f"{bin_directory}:/usr/sbin:/usr/bin:/sbin:/bin"
    program = line.split(maxsplit=1)[0]
    known = machine.run("sh", "-c", 'command -v "$1"', "sh", program, env={"PATH": path}, check=False).rc == 0
    try:
        result = machine.run(
            "sh", "-c", line, root=None if known else "tree", env={"PATH": path}, check=False
        )
        print((result.out + result.err).rstrip())
    except LabError as problem:
        print(problem)


if __name__ == "__main__":
    sys.exit(main())
