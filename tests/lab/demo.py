"""`make run`: the appliance at work, on a real Linux IPVS.

The image, booted twice as a pair, in front of two real servers with CUPS, OpenLDAP and BIND; configured as
an operator does it, by files on a flashed disk and by git push. Every line that is run is printed.
LAB_SHELL=1 lets a person in.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Callable

from .appliance import Appliance
from .appliances import Site, given, introduce, risen, site
from .channel import LabError
from .clients import ask_directory, ask_names, ask_printing, print_lpd
from .console import console
from .machine import Machine

ASKED = 3
REPOSITORY = "/tmp/config"
TIMED_OUT_S = 300
STRANGER = {"GIT_CONFIG_GLOBAL": "/dev/null"}  # not whoever runs this


def main() -> int:
    """Show it; 0 if every service answered through its VIP, and every push did what it said."""
    began = time.monotonic()
    bold, plain = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "")

    def step(text: str) -> None:
        print(f"\n{bold}[{time.monotonic() - began:5.1f} s] {text}{plain}", flush=True)

    step("Network: two real servers with CUPS, OpenLDAP and BIND, a client; two disks are flashed")
    with site() as built:
        for director in built.directors:
            print(f"{director.name}: LVS-CONFIG has {', '.join(sorted(given(director.name)))}")
        step("Both directors boot (emulated, unless this machine has KVM: then it takes seconds)")
        for director in built.directors:
            print(f"{director.name}: console: socat -,raw,echo=0 UNIX-CONNECT:{director.console_socket}")
        built.power_on()
        introduce(built, built.client)
        active = built.active()
        show(built.client, "ssh", f"root@{active.name}", "lvsd status")
        step("The client uses each service through its VIP (persistent: it stays with one real server)")
        whole = drive(built)
        whole = change(built, step) and whole
        step("Printing of real1 dies: its check sees it, and real2 prints")
        lose(built, active)
        step("The other director takes over, and the client goes on as if nothing had happened")
        show(built.client, "ssh", f"root@{active.name}", "lvsd switchover")
        whole = drive(built) and whole
        show(built.client, "ssh", f"root@{active.name}", "lvsd history; journalctl -u lvs -n 4 -o cat")
        if os.environ.get("LAB_SHELL"):
            step("You are inside")
            enter(built)
        step("Stopping")
    return 0 if whole else 1


def drive(built: Site) -> bool:
    """Ask every service; whether all answered."""
    client = built.client
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


def change(built: Site, step: Callable[[str], None]) -> bool:
    """Push a mistake, then a weight; whether the one was refused and the other taken."""
    client, active = built.client, built.active()
    step("The configuration is a git repository on the directors; a mistake is refused with its line")
    show(client, "git", "clone", "-q", f"lvs@{active.name}:config.git", REPOSITORY)
    text = client.read(f"{REPOSITORY}/lvs.toml")
    commit(client, risen(text).replace("weight = 1", "weight = -1", 1), "a mistake")
    refused = not show(client, "git", "push", "-q", cwd=REPOSITORY)
    show(client, "git", "reset", "-q", "--hard", "origin/main", cwd=REPOSITORY)
    step("real1 of ipp gets weight 3: a push is on both directors, or on neither, and says so")
    commit(client, risen(text).replace("weight = 1", "weight = 3", 1), "printing: real1 takes more")
    taken = show(client, "git", "push", "-q", cwd=REPOSITORY)
    for director in built.directors:
        show(client, "ssh", f"root@{director.name}", "ipvsadm -Ln -t 10.0.0.5:631")
    return refused and taken


def commit(client: Machine, text: str, about: str) -> None:
    """Commit a configuration in the clone."""
    client.write(f"{REPOSITORY}/lvs.toml", text)
    show(client, "git", "commit", "-q", "-a", "-m", about, cwd=REPOSITORY)


def lose(built: Site, active: Appliance) -> None:
    """Kill CUPS on real1, say what lvsd makes of it, and print."""
    built.real_servers["real1"].cupsd.signal(9, group=True)
    active.await_true("journalctl -u lvs -o cat EVENT=RealServerDown | grep -q 'real1 of ipp'", 90)
    show(built.client, "ssh", f"root@{active.name}", "lvsd explain real1 --virtual ipp")
    print(f"  IPP  10.0.0.5:631  lpstat         {ask_printing(built.client, '10.0.0.5')}")


def show(machine: Machine, *argv: str, cwd: str = "/") -> bool:
    """Run a command and print it with what it says; whether it succeeded."""
    result = machine.run(*argv, check=False, cwd=cwd, timeout=TIMED_OUT_S, env=STRANGER)
    print(f"{machine.name}$ {' '.join(argv)}")
    if said := (result.out + result.err).rstrip():
        print(said, flush=True)
    return result.rc == 0


def enter(built: Site) -> None:
    """Let a person in."""
    print(f"A shell on the client; `exit` leaves. The configuration: {REPOSITORY}, edit, commit, `git push`.")
    print("Directors: `ssh root@director1 lvsd status`, `ssh root@director2 journalctl -fu lvs`.")
    print("Machines are commands: `real1` opens a shell there. So are programs: dig, ldapsearch, lpstat.")
    console(built.lab, built.client)


if __name__ == "__main__":
    sys.exit(main())
