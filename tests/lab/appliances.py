"""The deployment with the image itself as its two directors: real servers and client are namespaces."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

from lvs.io import pairkey

from .appliance import SSH_OPTIONS, Appliance, flashed, key, network_file, public_key, workplace
from .channel import LabError
from .deployment import DIRECTORS, GATEWAY, OTHERS, REAL_SERVERS, redirect_rules
from .lab import Lab
from .machine import Machine
from .paths import CHECKOUT
from .segment import Segment
from .services import ZONE, Services, await_services, begin_services

SETTLED_S = 120.0
TROUBLE = "lvsd status; lvsd pair status; systemctl --failed list-jobs; journalctl -n 60 -o cat -u 'lvs*'"
EXAMPLE = CHECKOUT / "lvs.toml.example"
# Its names are checked by a program of the site; a fresh machine has the check that is built in.
BY_PROGRAM = re.compile(
    r'^send_program = .*\nexpect = "OK"\n(?P<rest>(?:.*\n)*?)(?=\n?\[\[virtual\]\])', re.MULTILINE
)


@dataclass
class Site:
    """Two appliances, and what they are for."""

    lab: Lab
    lan: Segment
    directors: tuple[Appliance, Appliance]
    client: Machine
    real_servers: dict[str, Services]

    def power_on(self) -> None:
        """Start both, and wait until one serves, the other could, and both can be pushed to."""
        for director in self.directors:
            director.power_on()
        for director in self.directors:
            director.await_up()
        self.await_settled()
        for director in self.directors:
            director.await_true("systemctl is-active lvs-repository")

    def await_settled(self, limit_s: float = SETTLED_S) -> None:
        """Wait until one is active, the other on standby, and both run the same."""
        deadline = time.monotonic() + limit_s
        while sorted(self.roles()) != ["active", "standby"] or not all(map(in_step, self.directors)):
            if time.monotonic() > deadline:
                told = [it.run(TROUBLE, check=False) for it in self.directors]
                raise LabError("\n".join(["not settled:", *(one.out + one.err for one in told)]))
            time.sleep(1)

    def roles(self) -> list[str]:
        """What each director says it is."""
        return [role(director) for director in self.directors]

    def active(self) -> Appliance:
        """The one that serves."""
        return self.directors[self.roles().index("active")]

    def standby(self) -> Appliance:
        """The one that does not."""
        return self.directors[self.roles().index("standby")]


def role(director: Appliance) -> str:
    """`active`, `standby`, `fault`, or nothing if its daemon does not answer."""
    told = director.run("lvsd status --json", check=False)
    return str(json.loads(told.out)["pair"]["role"]) if told.rc == 0 else ""


def in_step(director: Appliance) -> bool:
    """Whether it says that both run the same configuration."""
    told = director.run("lvsd pair status --json", check=False)
    return told.rc == 0 and json.loads(told.out)["state"] == "same"


def configuration(serial: int = 1) -> str:
    """The deployment's lvs.toml, for a machine that is just flashed."""
    text = EXAMPLE.read_text().replace("serial_no = 1\n", f"serial_no = {serial}\n")
    built_in = f'\n[[virtual.check]]\ntype = "dns"\nname = "{ZONE}"\nquery = "SOA"\n'
    changed, count = BY_PROGRAM.subn(lambda found: found["rest"] + built_in, text)
    assert count == 1
    return changed


@cache
def pair_key() -> bytes:
    """The key of the pair, made by `lvsd pair init`'s own hand."""
    return pairkey.make().text


def given(name: str) -> dict[str, bytes]:
    """What one of the two is told at its first boot, on LVS-CONFIG."""
    return {
        "lvs.toml": configuration().encode(),
        "authorized_keys": f"{public_key()}\n".encode(),
        "pair.key": pair_key(),
        "hostname": f"{name}\n".encode(),
        "network/lan.network": network_file(f"{DIRECTORS[name]}/24", GATEWAY),
    }


def build(lab: Lab) -> Site:
    """Lay it all out, with real services; both directors are flashed and off."""
    members = REAL_SERVERS | OTHERS
    lan = lab.segment("lan", {name: f"{it}/24" for name, it in members.items()}, gateway=GATEWAY)
    services = {name: begin_services(lab.machine(name)) for name in REAL_SERVERS}
    for name in REAL_SERVERS:
        lab.machine(name).run("nft", "-f", "-", root="tree", stdin=redirect_rules())
    lab.machine("gateway").sysctl("net.ipv4.ip_forward", 1)
    disks = {name: flashed(workplace() / f"{name}-flashed", given(name)) for name in DIRECTORS}
    first, second = (Appliance(lan, name, address, disk=disks[name]) for name, address in DIRECTORS.items())
    await_services(services.values())
    return Site(lab, lan, (first, second), lab.machine("client"), services)


@contextmanager
def site() -> Iterator[Site]:
    """The same, with a lab of its own, and gone afterwards."""
    with Lab.start("local") as lab:
        built = build(lab)
        try:
            yield built
        finally:
            for director in built.directors:
                director.close()


def introduce(built: Site, machine: Machine) -> None:
    """Make the directors known by name on a machine, to one who may log in and push."""
    names = "".join(f"{address} {name}\n" for name, address in DIRECTORS.items())
    machine.write("/etc/hosts", f"127.0.0.1 localhost\n{names}")
    options = [option for option in SSH_OPTIONS if option != "-o"]
    settings = [it.replace("=", " ", 1) for it in options]
    hosts = " ".join([*DIRECTORS, *DIRECTORS.values()])
    lines = [f"Host {hosts}", f"IdentityFile {key()}", "User root", *settings]
    machine.write("/etc/ssh/ssh_config.d/lab.conf", "\n".join(lines) + "\n")
    machine.write("/etc/gitconfig", "[user]\nname = Operator\nemail = operator@lab.example\n")


def risen(text: str) -> str:
    """The same configuration with the next serial number."""
    return re.sub(r"(?m)^serial_no = (\d+)", lambda found: f"serial_no = {int(found[1]) + 1}", text)
