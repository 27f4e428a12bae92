"""Identities in the kernel of what a configuration names."""

from __future__ import annotations

from lvs.kernel import state
from lvs.kernel.state import DestinationKey, ServiceKey
from lvs.model import Forwarding, Protocol, RealServer, VirtualServer

PROTOCOL = {Protocol.TCP: state.TCP, Protocol.UDP: state.UDP, Protocol.SCTP: state.SCTP}


def service_key(virtual_server: VirtualServer) -> ServiceKey:
    """The identity in the kernel of an active virtual server."""
    address = virtual_server.address
    family = 6 if address is not None and address.version == 6 else 4
    if virtual_server.fwmark or address is None:
        return ServiceKey(family, 0, b"", 0, virtual_server.fwmark)
    return ServiceKey(family, PROTOCOL[virtual_server.protocol], address.packed, virtual_server.port, 0)


def destination_of(virtual_server: VirtualServer, real_server: RealServer) -> DestinationKey:
    """A real server's identity within its service.

    A firewall mark has no port of its own: port 0 keeps each packet's, unless masquerading is
    told another one (`ip_vs_conn_new` takes dport from the destination, or the packet's if 0).
    """
    port = real_server.port
    translated = virtual_server.forwarding is Forwarding.MASQUERADING and port != virtual_server.port
    if virtual_server.fwmark and not translated:
        port = 0
    return DestinationKey(real_server.address.packed, port)
