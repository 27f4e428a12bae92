"""Firewall marks of checks through the VIP: one for each way that such a check goes."""

from __future__ import annotations

from itertools import count

from lvs.health.roster import Roster
from lvs.model import Address, CheckPath, Config, Forwarding, RealServer, Tunnel, VirtualServer

# The way that a check through the VIP goes: VIP, RIP, forwarding method and tunnel.
Way = tuple[Address, Address, Forwarding, Tunnel]
FIRST_MARK = 0x4C560000  # "LV": of marks that no configuration is likely to use


class Marks:
    """Firewall marks, one for each way: kept as long as lvsd runs, none that the configuration uses."""

    def __init__(self, known: dict[Way, int], config: Config) -> None:
        self.known = known
        self._used = {virtual_server.fwmark for virtual_server in config.virtual_servers}

    def taken_from(self, roster: Roster) -> bool:
        """Whether the configuration has come to use a mark by which some real server is checked."""
        if roster.virtual_server.checking.path is not CheckPath.VIP:
            return False
        return any(member.mark in self._used for member in roster.members if member.mark)

    def of(self, virtual_server: VirtualServer, real_server: RealServer) -> int:
        if virtual_server.checking.path is not CheckPath.VIP or virtual_server.address is None:
            return 0
        way = (virtual_server.address, real_server.address, virtual_server.forwarding, virtual_server.tunnel)
        mark = self.known.get(way, 0)
        if not mark or mark in self._used:
            taken = self._used.union(self.known.values())
            mark = next(mark for mark in count(FIRST_MARK) if mark not in taken)
            self.known = {**self.known, way: mark}
        return mark
