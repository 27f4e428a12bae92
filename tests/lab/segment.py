"""Segments: a bridge in a namespace of its own, and a cable to each machine.

The bridge's end of a cable is named after the machine, and stays reachable for faults: a pulled
plug, or a machine that hears but is not heard.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from .machine import Machine, Pending, Result

if TYPE_CHECKING:
    from .lab import Lab

# A cable is told from the bridge's side; link names have 15 characters.
NAME_LIMIT = 15


class Segment:
    """One broadcast domain. ``interface[machine]`` is its name inside the machine."""

    def __init__(
        self,
        lab: Lab,
        name: str,
        addresses: Mapping[str, str | Sequence[str]],
        *,
        gateway: str | None = None,
    ) -> None:
        self.name, self._lab, self._gateway = name, lab, gateway
        self.switch = lab.machine(f"segment-{name}", bare=True)
        self.interface: dict[str, str] = {}
        # Forwarding starts at once, and no multicast is withheld until a querier shows up.
        lines = ["link add br0 type bridge forward_delay 0 stp_state 0 mcast_snooping 0", "link set br0 up"]
        self._join(addresses, lines)

    def _join(self, addresses: Mapping[str, str | Sequence[str]], lines: list[str]) -> None:
        inside: dict[Machine, list[str]] = {}
        for member, given in addresses.items():
            machine = self._lab.machine(member)
            interface = self.interface.setdefault(member, f"eth{machine.interfaces}")
            # A machine that was made anew has its interface back, and has counted none.
            machine.interfaces = max(machine.interfaces, int(interface.removeprefix("eth")) + 1)
            lines.append(f"link add name {_cable(member)} type veth peer name {interface} netns {member}")
            lines.append(f"link set dev {_cable(member)} master br0 up")
            inside[machine] = _addressing(interface, given, self._gateway)
        ip_batch(self.switch, lines)
        for pending in [begin_ip(machine, batch) for machine, batch in inside.items()]:
            pending.result()

    def remove(self, machine: str) -> None:
        """Take a machine's interface away, with all that is on it."""
        self.switch.run("ip", "link", "del", "dev", _cable(machine))

    def join(self, machine: str, addresses: str | Sequence[str]) -> None:
        """Give a machine its interface back, under the same name: a new one."""
        self._join({machine: addresses}, [])

    def cut(self, machine: str) -> None:
        """Pull a machine's plug: it loses its carrier."""
        self.switch.run("ip", "link", "set", "dev", _cable(machine), "down")

    def mend(self, machine: str) -> None:
        """Undo every fault of a machine's cable."""
        self.switch.run("tc", "qdisc", "del", "dev", _cable(machine), "clsact", check=False)
        self.switch.run("ip", "link", "set", "dev", _cable(machine), "up")

    def mute(self, machine: str) -> None:
        """Lose all that a machine sends; it keeps its carrier and hears everything."""
        self._drop(machine, "ingress")

    def deafen(self, machine: str) -> None:
        """Lose all that is sent to a machine; what it sends arrives."""
        self._drop(machine, "egress")

    def isolate(self, machine: str) -> None:
        """Lose all that a machine sends and all that is sent to it; it keeps its carrier."""
        self._drop(machine, "ingress", "egress")

    def _drop(self, machine: str, *directions: str) -> None:
        device = ["dev", _cable(machine)]
        self.switch.run("tc", "qdisc", "replace", *device, "clsact")
        for direction in directions:
            self.switch.run("tc", "filter", "add", *device, direction, "matchall", "action", "drop")


def ip_batch(machine: Machine, lines: Sequence[str]) -> Result:
    """Run several ip commands as one program."""
    return begin_ip(machine, lines).result()


def begin_ip(machine: Machine, lines: Sequence[str]) -> Pending:
    """The same without waiting. Its error names the line by number."""
    return machine.begin("ip", "-batch", "-", stdin="\n".join(lines) + "\n")


def _cable(machine: str) -> str:
    return machine[:NAME_LIMIT]


def _addressing(interface: str, given: str | Sequence[str], gateway: str | None) -> list[str]:
    """The commands that give an interface its addresses and the default route."""
    mine = [given] if isinstance(given, str) else list(given)
    lines = [f"link set {interface} up"]
    for address in mine:
        # Duplicate detection would hold an IPv6 address back for a second.
        nodad = " nodad" if ":" in address else ""
        lines.append(f"address add {address} dev {interface}{nodad}")
    addresses = [ipaddress.ip_interface(address) for address in mine]
    if gateway and any(
        ipaddress.ip_address(gateway) in it.network and str(it.ip) != gateway for it in addresses
    ):
        lines.append(f"route add default via {gateway} dev {interface}")
    return lines
