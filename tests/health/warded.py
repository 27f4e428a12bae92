"""Virtual servers for tests of the ward, by their port and the indices of their real servers."""

from __future__ import annotations

from ipaddress import ip_address

from lvs.model import Checking, VirtualServer
from strategies import real_server, virtual_server

PLAIN = Checking(None, None, False, None, 6, 12, None)
SERVERS = tuple(real_server(f"r{n}", f"10.0.0.{n}", weight) for n, weight in ((1, 1), (2, 4), (3, 0)))


def servers(port: int, *indices: int, checking: Checking = PLAIN) -> VirtualServer:
    chosen = [SERVERS[index] for index in indices]
    return virtual_server(
        f"v{port}",
        "192.0.2.1",
        *chosen,
        port=port,
        checking=checking,
        sorry_server=ip_address("10.0.0.99") if port % 2 else None,
        slow_start_s=30.0 if port == 1 else 0.0,
    )
