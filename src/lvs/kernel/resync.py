"""The whole table of connections as messages of the kernel's sync protocol; no socket.

The kernel tells of a connection when a packet of it passes, and keeps what it has to tell for up to 3 s.
So a standby that was restarted never hears of connections that are idle, and a planned switchover would lose
the newest. lvsd tells the standby's kernel itself, in the kernel's own words, of all that is established
and of persistence templates.

Source: net/netfilter/ipvs/ip_vs_sync.c, version 1 of the protocol; ip_vs_conn_seq_show, ip_vs_conn.c.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv6Address
from struct import Struct

from lvs.kernel.state import (
    TCP,
    UDP,
    DestinationKey,
    Service,
    ServiceKey,
    SyncDaemon,
)

VERSION = 1  # SYNC_PROTO_VER
INET6 = 1  # STYPE_F_INET6
TEMPLATE = 0x1000  # IP_VS_CONN_F_TEMPLATE; the forwarding method is in the lowest bits
ESTABLISHED = 1  # IP_VS_TCP_S_ESTABLISHED
ASSURED = 1  # IP_VS_CTPL_S_ASSURED
MOST = 255  # connections of a message: their number is one byte

_HEADER = Struct(">BBHBbH").pack  # reserved, sync id, size, connections, version, spare
_CONNECTION = Struct(">BBHIHHHHII").pack  # type, protocol, size, flags, state, ports, mark, timeout
_PROTOCOLS = {b"TCP": TCP, b"UDP": UDP, b"IP": 0}


class Finder:
    """Finds the service and forwarding method of a connection, which /proc does not say."""

    def __init__(self, services: Mapping[ServiceKey, Service]) -> None:
        self._services = services
        self._marks: dict[tuple[int, DestinationKey], ServiceKey | None] = {}  # None: of several
        for key, service in services.items():
            if key.fwmark:
                for place in service.destinations:
                    one = (key.family, place)
                    self._marks[one] = None if one in self._marks else key

    def find(
        self, family: int, protocol: int, address: bytes, port: int, real: DestinationKey
    ) -> ServiceKey | None:
        """The service that forwards from this VIP to this real server; None: none, or one cannot tell."""
        if protocol == 0:  # a template of a firewall mark has it as its VIP (ip_vs_sched_persist)
            key = ServiceKey(family, 0, b"", 0, int.from_bytes(address[:4]))
            return key if key in self._services else None
        key = ServiceKey(family, protocol, address, port, 0)
        service = self._services.get(key)
        if service is not None:
            return key if real in service.destinations else None
        marked = self._marks.get
        return marked((family, real)) or marked((family, DestinationKey(real.address, 0)))

    def forwarding(self, key: ServiceKey, real: DestinationKey) -> int | None:
        places = self._services[key].destinations
        found = places.get(real) or places.get(DestinationKey(real.address, 0))
        return None if found is None else found.forwarding


def messages(
    connections: bytes, services: Mapping[ServiceKey, Service], daemon: SyncDaemon
) -> Iterator[bytes]:
    """Datagrams for the other director's sync daemon, no larger than `daemon` says.

    Shape: `connections` as in /proc/net/ip_vs_conn, `services` what both directors should hold. Left out is
    what the kernel does not share either, what belongs to none of the services, what a persistence
    engine tells apart, and SCTP.
    """
    for entries in _packed(_entries(connections, Finder(services)), max(daemon.maxlen - 8, 72)):
        size = 8 + sum(map(len, entries))
        yield _HEADER(0, daemon.sync_id, size, len(entries), VERSION, 0) + b"".join(entries)


def _packed(entries: Iterable[bytes], most: int) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    size = 0
    for entry in entries:
        if batch and (size + len(entry) > most or len(batch) == MOST):
            yield batch
            batch, size = [], 0
        batch.append(entry)
        size += len(entry)
    if batch:
        yield batch


def _entries(connections: bytes, finder: Finder) -> Iterator[bytes]:
    for line in connections.splitlines()[1:]:  # behind the heading
        words = line.split()
        if len(words) != 9 or words[0] not in _PROTOCOLS:  # more words: a persistence engine's
            continue
        protocol, client_port = _PROTOCOLS[words[0]], int(words[2], 16)
        state, flags = ESTABLISHED, 0
        if client_port == 0:
            state, flags = ASSURED if words[7] == b"ASSURED" else 0, TEMPLATE
        elif words[7] != b"ESTABLISHED":
            continue
        client, vip, real = _address(words[1]), _address(words[3]), _address(words[5])
        family = 4 if len(client) == 4 else 6
        if len(vip) != len(client) or len(real) != len(client):
            continue
        port, real_port = int(words[4], 16), int(words[6], 16)
        place = DestinationKey(real, real_port)
        key = finder.find(family, protocol, vip, port, place)
        method = None if key is None else finder.forwarding(key, place)
        if key is None or method is None:
            continue
        size = 24 + 3 * len(client)
        head = _CONNECTION(
            INET6 if family == 6 else 0,
            protocol,
            size,
            flags | method,
            state,
            client_port,
            port,
            real_port,
            key.fwmark,
            max(1, int(words[8])),
        )
        yield head + client + vip + real


def _address(word: bytes) -> bytes:
    """`C0000201`, or IPv6 in full."""
    return bytes.fromhex(word.decode()) if len(word) == 8 else IPv6Address(word.decode()).packed
