"""The deployment with the image itself as its two directors: real servers and client are namespaces."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

from lvs.io import pairkey

from .appliance import PLACE, Appliance, flashed, network_file, public_key
from .deployment import DIRECTORS, GATEWAY, OTHERS, REAL_SERVERS, redirect_rules
from .lab import Lab
from .machine import Machine
from .paths import CHECKOUT
from .segment import Segment
from .services import ZONE, Services, await_services, begin_services

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
    disks = {name: flashed(PLACE / f"{name}-flashed", given(name)) for name in DIRECTORS}
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
