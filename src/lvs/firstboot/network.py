"""Files for systemd-networkd that leave the VIPs to lvsd (systemd.network(5)).

A VIP in such a file would be up on both directors at once. And networkd takes addresses away that are not
its own when it starts, unless told to keep them: a director would lose its VIPs with every restart of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_interface
from typing import TYPE_CHECKING

from lvs.config.located import Problem, Severity

if TYPE_CHECKING:
    from lvs.model import Address, Config

SUFFIXES = (".network", ".netdev", ".link")
# One component of a path, and nothing that a shell or systemd could take for something else.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@:-]{0,99}\.(network|netdev|link)")
KEEP = "KeepConfiguration=static"


def vips(config: Config | None) -> dict[Address, str]:
    """Every VIP, and the name of the first virtual server that has it."""
    found: dict[Address, str] = {}
    for server in config.virtual_servers if config is not None else ():
        if server.address is not None and server.active:
            found.setdefault(server.address, server.name)
    return found


def judge(content: bytes, name: str, where: str, held: dict[Address, str]) -> tuple[Problem, ...]:
    """What is wrong with a file for networkd; `held` are the VIPs."""
    if not NAME.fullmatch(name):
        asked = "a name of letters, digits, dots and dashes that ends in " + ", ".join(SUFFIXES)
        return (Problem(where, 0, "", f"{asked} is asked for"),)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return (Problem(where, 0, "", "is no text"),)
    problems: list[Problem] = []
    sections: set[str] = set()
    kept = False
    for number, section, key, value in _settings(text):
        sections.add(section)
        if not key:
            problems.append(
                Problem(where, number, "", f"is neither [Section], Key=value nor a comment: {value}")
            )
        if key == "Address" and section in ("Network", "Address"):
            problems += _address(value, Problem(where, number, f"{section}.Address", ""), held)
        kept = kept or (key == "KeepConfiguration" and value in ("static", "yes"))
    needed = {"network": "Match", "netdev": "NetDev", "link": "Match"}[name.rsplit(".", 1)[1]]
    if needed not in sections:
        problems.append(Problem(where, 0, "", f"has no section [{needed}]: networkd would not use it"))
    if name.endswith(".network") and not kept:
        message = f"write {KEEP} below [Network], or networkd takes the VIPs away when it restarts"
        problems.append(Problem(where, 0, "", message, Severity.WARNING))
    return tuple(problems)


def _settings(text: str) -> Iterator[tuple[int, str, str, str]]:
    """Line, section, key and value of each setting (systemd.syntax(7)); no key: a line that is none."""
    section = ""
    number = begun = 0
    joined = ""
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not joined and (not stripped or stripped[0] in "#;"):
            continue
        if joined and stripped[:1] in ("#", ";"):
            continue
        begun = begun or number
        if stripped.endswith("\\"):
            joined += stripped[:-1] + " "
            continue
        whole, at, joined, begun = joined + stripped, begun, "", 0
        if whole.startswith("[") and whole.endswith("]"):
            section = whole[1:-1]
            yield at, section, "[", ""
        elif "=" in whole and section:
            key, value = whole.split("=", 1)
            yield at, section, key.strip(), value.strip()
        else:
            yield at, section, "", whole[:40]


def _address(value: str, at: Problem, held: dict[Address, str]) -> Iterator[Problem]:
    try:
        address = ip_interface(value).ip
    except ValueError:
        if value:  # empty takes back what was said before; templates such as 0.0.0.0/24 are addresses
            yield Problem(at.file, at.line, at.path, f"an address with its prefix length, got {value[:40]}")
        return
    if address in held:
        message = (
            f"{address} is the VIP of {held[address]}: lvsd puts it on its device, on the active director "
            "only; leave it out here"
        )
        yield Problem(at.file, at.line, at.path, message)
