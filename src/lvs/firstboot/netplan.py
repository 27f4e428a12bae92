"""network-config, version 2: a subset of netplan's language -> files for systemd-networkd.

Source: https://netplan.readthedocs.io/en/stable/netplan-yaml/, systemd.network(5).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from ipaddress import ip_address, ip_interface, ip_network

from lvs.config.located import Problem
from lvs.firstboot.document import Node, Reader
from lvs.firstboot.network import KEEP
from lvs.firstboot.values import NETWORK, Offered, Source

TOP = ("version", "renderer", "ethernets")
ETHERNET = (
    *("match", "dhcp4", "dhcp6", "accept-ra", "addresses", "gateway4", "gateway6", "routes"),
    *("nameservers", "mtu", "macaddress", "optional", "dhcp-identifier"),
)
MATCH = {"macaddress": "MACAddress", "name": "Name", "driver": "Driver"}
ROUTE = {"to": "Destination", "via": "Gateway", "metric": "Metric", "from": "PreferredSource"}

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,40}")
_MAC = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}")
_DEVICE = re.compile(r"[A-Za-z0-9*?\[\]!._-]{1,64}")


def read(content: bytes, where: str, origin: str) -> tuple[list[Offered], list[Problem]]:
    """One .network file for each interface that is wholly understood, and all that is to be said."""
    reader = Reader(where)
    root = reader.read(content)
    top = reader.table(root)
    top = reader.table(top["network"]) if "network" in top else top
    offered: list[Offered] = []
    if not top:
        return offered, reader.problems
    if "version" not in top or reader.text(top["version"]) != "2":
        version = top.get("version", Node("", 1, "version"))
        reader.wrong(version, "2 is the version that is read; nothing of this file is taken")
        return offered, reader.problems
    unknown(reader, top, TOP, "only ethernets are; give the rest as network/NAME.netdev and .network")
    if "renderer" in top and reader.text(top["renderer"]) != "networkd":
        reader.odd(top["renderer"], "networkd it is here")
    for name, node in reader.table(top.get("ethernets")).items():
        before = sum(problem.severity == "error" for problem in reader.problems)
        text = _Interface(reader, name, node).text()
        if sum(problem.severity == "error" for problem in reader.problems) == before:
            file = f"{NETWORK}50-{name}.network"
            offered.append(Offered(Source.NOCLOUD, file, text.encode(), f"{where}:ethernets.{name}", origin))
    return offered, reader.problems


def unknown(reader: Reader, table: dict[str, Node], known: tuple[str, ...], hint: str = "") -> None:
    """Say which keys mean nothing here."""
    for name, node in table.items():
        if name not in known:
            close = difflib.get_close_matches(name, known, 1, 0.75)
            meant = f"did you mean {close[0]}?" if close else hint or f"known are {', '.join(known)}"
            reader.odd(node, f"is not read here; {meant}")


class _Interface:
    """One interface as sections of a .network file."""

    def __init__(self, reader: Reader, name: str, node: Node) -> None:
        self.reader = reader
        self.name = name
        self.node = node
        self.given = reader.table(node)

    def text(self) -> str:
        given = self.given
        if not _ID.fullmatch(self.name):
            self.reader.wrong(self.node, "letters, digits, dots and dashes are asked for")
        if "set-name" in given:
            self.reader.wrong(given["set-name"], "devices keep the names that they have; name what is there")
        unknown(self.reader, {key: node for key, node in given.items() if key != "set-name"}, ETHERNET)
        sections = [("Match", self._match()), ("Link", self._link()), ("Network", self._network())]
        sections += [("Route", route) for route in self._routes()]
        if self.reader.text(given.get("dhcp-identifier")) == "mac":
            sections.append(("DHCPv4", ["ClientIdentifier=mac"]))
        return "\n".join("\n".join((f"[{name}]", *lines, "")) for name, lines in sections if lines)

    def _match(self) -> list[str]:
        if "match" not in self.given:
            return [f"Name={self.name}"]
        match = self.reader.table(self.given["match"])
        unknown(self.reader, match, tuple(MATCH))
        lines = []
        for key, word in MATCH.items():
            if key in match:
                pattern = _MAC if key == "macaddress" else _DEVICE
                lines.append(f"{word}={self._fits(match[key], pattern.fullmatch, f'a {key}')}")
        if not lines:
            self.reader.wrong(self.given["match"], f"one of {', '.join(MATCH)} is asked for")
        return lines

    def _link(self) -> list[str]:
        lines = []
        if "mtu" in self.given:
            lines.append(f"MTUBytes={self._fits(self.given['mtu'], str.isdigit, 'a number of bytes')}")
        if "macaddress" in self.given:
            said = self._fits(self.given["macaddress"], _MAC.fullmatch, "a macaddress")
            lines.append(f"MACAddress={said}")
        if self.reader.truth(self.given.get("optional"), default=False):
            lines.append("RequiredForOnline=no")
        return lines

    def _network(self) -> list[str]:
        given, reader = self.given, self.reader
        four = reader.truth(given.get("dhcp4"), default=False)
        six = reader.truth(given.get("dhcp6"), default=False)
        lines = [f"DHCP={'yes' if four and six else 'ipv4' if four else 'ipv6' if six else 'no'}"]
        if "accept-ra" in given:
            accepted = reader.truth(given["accept-ra"], default=True)
            lines.append(f"IPv6AcceptRA={'yes' if accepted else 'no'}")
        lines += [
            f"Address={self._fits(node, _with_prefix, 'an address such as 10.0.0.1/24')}"
            for node in reader.items(given.get("addresses"))
        ]
        lines += [
            f"Gateway={self._fits(given[key], ip_address, 'an address')}"
            for key in ("gateway4", "gateway6")
            if key in given
        ]
        servers = reader.table(given.get("nameservers"))
        unknown(reader, servers, ("addresses", "search"))
        lines += [
            f"DNS={self._fits(node, ip_address, 'an address')}"
            for node in reader.items(servers.get("addresses"))
        ]
        lines += [
            f"Domains={self._fits(node, _DEVICE.fullmatch, 'a domain')}"
            for node in reader.items(servers.get("search"))
        ]
        return [*lines, KEEP]

    def _routes(self) -> list[list[str]]:
        found = []
        for node in self.reader.items(self.given.get("routes")):
            route = self.reader.table(node)
            unknown(self.reader, route, (*ROUTE, "on-link"))
            lines = []
            if "to" not in route:
                self.reader.wrong(node, "to is missing: a network, or default")
            for key, word in ROUTE.items():
                if key in route:
                    lines += self._route(route[key], key, word)
            if self.reader.truth(route.get("on-link"), default=False):
                lines.append("GatewayOnLink=yes")
            found.append(lines)
        return found

    def _route(self, node: Node, key: str, word: str) -> list[str]:
        if key == "to":
            if self.reader.text(node) == "default":
                return []  # a route without Destination= is one
            return [f"{word}={self._fits(node, ip_network, 'a network such as 10.0.0.0/8, or default')}"]
        if key == "metric":
            return [f"{word}={self._fits(node, str.isdigit, 'a number')}"]
        return [f"{word}={self._fits(node, ip_address, 'an address')}"]

    def _fits(self, node: Node, judge: Callable[[str], object], asked: str) -> str:
        """A text that can stand in a file for networkd; else what was asked for is said."""
        said = self.reader.text(node)
        try:
            if said.isascii() and judge(said):
                return said
        except ValueError:
            pass
        if isinstance(node.value, str):
            self.reader.wrong(node, f"{asked} is asked for, got {said[:40]!r}")
        return ""


def _with_prefix(said: str) -> bool:
    ip_interface(said)
    return "/" in said
