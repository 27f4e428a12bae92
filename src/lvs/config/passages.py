"""A virtual server of lvs.cf that is written as nearly all are, read by the passage.

In a file of many virtual servers all but names and addresses repeats. So a block is cut at those: what
stands behind a real server's address is one passage, what stands around the virtual server's address and
below its real servers is another. Each is read by the exact reader when it is first met, with a name and
an address of ours in the places of those written, and is a model for others if there is nothing to tell
of it. Since a line means the same whatever stands around it, an option given twice excepted, which is told
of, the same passage with another clean name and address says the same but for these. Whatever is
otherwise in the least is not for us.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any

from lvs.config.located import LONGEST_NAME, Part, Server, Virtual
from lvs.config.option import Kind, Scope
from lvs.config.options import BY_SCOPE
from lvs.config.refusal import Refused
from lvs.config.values import FROM_WORD

if TYPE_CHECKING:
    from collections.abc import Callable

_NAME = rf"([!#-&(-z|~]{{1,{LONGEST_NAME}}})"  # no blank, mark or brace
_ADDRESS = r"([0-9.]+)"
_VIRTUAL = re.compile(rf"virtual {_NAME} \{{\n(.*?)address = {_ADDRESS} (.*)", re.DOTALL)
# Options of any length would be looked for to the end of the file, once for each block without a brace.
_SERVER = re.compile(rf"server {_NAME} \{{\n[ \t]*address = {_ADDRESS}\n([^}}]{{0,1000}}+\}})\n")
_OURS = "address = 192.0.2.1"
_RIP = BY_SCOPE[Scope.SERVER]["address"]
_OCTETS = {str(octet): octet for octet in range(256)}


class Passages:
    """What each passage says; `read` is the exact reader, of texts that begin at top level."""

    def __init__(self, read: Callable[[str], Part]) -> None:
        self.read = read
        self.frames: dict[tuple[str, str, str], dict[str, Any] | None] = {}
        self.options: dict[str, dict[str, Any] | None] = {}
        self.networks = _Networks()

    def part(self, text: str) -> Part | None:
        """Return what the exact reader makes of `text`, or None: ask that one."""
        # Four to a real server: its name, its address, its options, and what follows up to the next.
        pieces = _SERVER.split(text)
        found = _VIRTUAL.fullmatch(pieces[0])
        if found is None or "".join(pieces[4:-1:4]).strip(" \t"):
            return None
        name, before, vip, after = found.groups()
        last = pieces[-1] if len(pieces) > 1 else ""
        key = before, after, last
        frame = self.frames[key] if key in self.frames else self._frame(key)
        if frame is None:
            return None
        known = self.options
        networks = self.networks
        port = frame.get("port", 80)
        bad: frozenset[str] = frozenset()
        servers = []
        try:
            for server, rip, options in zip(pieces[1::4], pieces[2::4], pieces[3::4], strict=True):
                model = known[options] if options in known else self._options(options)
                if model is None:
                    return None
                values = model.copy()
                network, _, octet = rip.rpartition(".")
                values["address"] = IPv4Address(networks[network] + _OCTETS[octet])
                servers.append(Server(server, values, bad, port))
            values = frame.copy()
            network, _, octet = vip.rpartition(".")
            values["address"] = IPv4Address(networks[network] + _OCTETS[octet])
        except (Refused, KeyError):
            return None
        return Part(virtuals=[Virtual(name, values, bad, servers)])

    def _frame(self, key: tuple[str, str, str]) -> dict[str, Any] | None:
        before, after, last = key
        values = None
        # Cut at beginnings of lines only; behind real servers nothing is set that they inherit.
        whole = _at_beginning(before) and (
            not last or (_at_beginning(after) and last.lstrip(" \t")[:1] == "}")
        )
        if whole:
            part = self.read(f"virtual x {{\n{before}{_OURS} {after}{last}")
            if len(part.virtuals) == 1 and not (part.virtuals[0].servers or part.values or part.notes):
                values = part.virtuals[0].values
        self.frames[key] = values
        return values

    def _options(self, options: str) -> dict[str, Any] | None:
        values = None
        part = self.read(f"virtual x {{\nserver x {{\n{_OURS}\n{options}\n}}\n")
        block = part.virtuals[0]
        if len(part.virtuals) == len(block.servers) == 1 and not (block.values or part.values or part.notes):
            values = block.servers[0].values
        self.options[options] = values
        return values


class _Networks(dict[str, int]):
    """The first address of 256, by the three numbers they share; those only of which each is taken."""

    def __missing__(self, network: str) -> int:
        last, _ = FROM_WORD[Kind.ADDRESS](_RIP, f"{network}.255")  # 0 to 254 are not refused either
        number = self[network] = int(last) - 255
        return number


def _at_beginning(before: str) -> bool:
    """Tell whether what follows `before` begins a line, but for blanks."""
    return before.rstrip(" \t")[-1:] in ("", "\n")
