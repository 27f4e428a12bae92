"""IPVS's table as getsockopt(2) gives it: C structures, IPv4 only; no socket.

It costs the kernel a fraction of a netlink dump, and tells all of a destination but how it is tunnelled.
What it cannot tell is told apart here, so that netlink can be asked: tunnels, destinations of another
family than their service's (the kernel leaves these out), and what changes while it is read.

A question is as long as its answer, which the kernel writes over it; what it had no entry for stays zero.
Source: struct ip_vs_get_services, ip_vs_get_dests and their entries, include/uapi/linux/ip_vs.h, laid out as
this machine's C compiler does; do_ip_vs_get_ctl, net/netfilter/ipvs/ip_vs_ctl.c.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from struct import Struct, calcsize

from lvs.kernel.decode import Counted
from lvs.kernel.state import TUNNEL, Destination, DestinationKey, ServiceKey

Place = tuple[bytes, int]  # protocol, address and port as they lie in an entry, or none; the firewall mark

GET_SERVICES, GET_DESTINATIONS = 1154, 1156  # IP_VS_SO_GET_SERVICES, IP_VS_SO_GET_DESTS
FORWARDING = 0x7  # IP_VS_CONN_F_FWD_MASK

_STATISTICS = calcsize("@3I2Q5I0Q")  # struct ip_vs_stats_user
_SERVICES = Struct("@I0Q")  # for how many entries there is room; 0Q: padding, as a 64-bit member needs it
_SERVICE = Struct(f"@12sI28xI{_STATISTICS}x")  # place, mark, and how many destinations
_DESTINATIONS = Struct("@H2x4s2s2xII0Q")  # protocol, address, port and mark of the service, and the room
_PLACE = Struct("@H2x4s2s2x")
_COUNTERS = calcsize("@3I0Q") + _STATISTICS
_CONFIGURED = Struct(">4sH2x16s")  # of an entry: address and port, and how it is set
_SET = Struct("@IiII")  # flags, weight, upper and lower threshold
_COUNTED = Struct(f"@24x3I{_COUNTERS - 12}x")  # active, inactive and persistent connections


def place(key: ServiceKey) -> Place:
    """Where an IPv4 service is found."""
    if key.fwmark:
        return b"", key.fwmark
    return _PLACE.pack(key.protocol, key.address, key.port.to_bytes(2, "big")), 0


def ask_services(number: int) -> bytes:
    """The question for so many IPv4 services."""
    return _SERVICES.pack(number + 1) + bytes((number + 1) * _SERVICE.size)


def services(answer: memoryview) -> dict[Place, int]:
    """How many destinations each service has; nothing if there are not as many services as were asked for."""
    *found, behind = _SERVICE.iter_unpack(answer[_SERVICES.size :])
    numbers = {(b"" if mark else where, mark): number for where, mark, number in found}
    blank = bytes(_PLACE.size), 0
    return {} if blank in numbers or behind[:2] != blank else numbers


def ask_destinations(key: ServiceKey, number: int) -> bytes:
    """The question for so many destinations of an IPv4 service."""
    mark, port = key.fwmark, key.port.to_bytes(2, "big")
    head = _DESTINATIONS.pack(key.protocol, key.address or bytes(4), port, mark, number + 1)
    return head + bytes((number + 1) * _COUNTED.size)


_NOWHERE = DestinationKey(bytes(4), 0)  # what no entry was written over


class EntryReader:
    """Decodes destinations, and keeps those of a service by what is configured of them."""

    def __init__(self) -> None:
        self._destinations: dict[bytes, Destination] = {}
        self._seen: dict[bytes, dict[DestinationKey, Destination] | None] = {}

    def destinations(self, answer: memoryview) -> dict[DestinationKey, Destination] | None:
        """The destinations of a service, not to be changed; None if this way cannot tell them."""
        configured = b"".join(_pieces(len(answer))(answer))
        if configured not in self._seen:
            self._seen[configured] = self._decoded(configured)
        return self._seen[configured]

    def counted(self, answer: memoryview) -> tuple[Counted, ...] | None:
        """The same with their connections."""
        known = self.destinations(answer)
        if known is None:
            return None
        counts = _COUNTED.iter_unpack(answer[_DESTINATIONS.size :])
        return tuple([Counted(*one, *count) for one, count in zip(known.items(), counts, strict=False)])

    def _decoded(self, configured: bytes) -> dict[DestinationKey, Destination] | None:
        *entries, behind = _CONFIGURED.iter_unpack(configured)
        known = self._destinations
        found: dict[DestinationKey, Destination] = {}
        for address, port, setting in entries:
            destination = known.get(setting)
            if destination is None:
                flags, weight, upper, lower = _SET.unpack(setting)
                destination = known[setting] = Destination(flags & FORWARDING, weight, upper, lower)
            if destination.forwarding == TUNNEL:
                return None
            found[DestinationKey(address, port)] = destination
        whole = len(found) == len(entries) and _NOWHERE not in found and behind[0] == _NOWHERE.address
        return found if whole else None

    def trim(self, held: int) -> None:
        """Forget everything if more than twice the destinations that are held were kept."""
        kept = sum(len(found or ()) for found in self._seen.values())
        if kept + len(self._seen) + len(self._destinations) > 2 * held + 1000:
            self._seen.clear()
            self._destinations.clear()


@lru_cache(maxsize=256)
def _pieces(length: int) -> Callable[[memoryview], tuple[bytes, ...]]:
    """Cuts the entries of an answer into what is configured of them, without their counters."""
    number = (length - _DESTINATIONS.size) // _COUNTED.size
    return Struct(f"={_DESTINATIONS.size}x" + f"{_CONFIGURED.size}s{_COUNTERS}x" * number).unpack
