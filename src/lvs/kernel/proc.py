"""What /proc/net/ip_vs says of connections.

A fifth of the time of a netlink dump (half, where one service has 10,000 real servers), and no turn on
the socket that a reload may be using: a heartbeat that carries the number must not wait for one.

Source: ip_vs_info_seq_show, net/netfilter/ipvs/ip_vs_ctl.c.
"""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import IPv6Address

from lvs.kernel.state import ServiceKey
from lvs.kernel.text import PROTOCOL_NAME


def established(text: bytes, without: Collection[ServiceKey] = ()) -> int:
    """Established connections of all services but these: the sum of ActiveConn.

    Shape: `without` are services that only one director has; two of one firewall mark, one of each
    family, are not told apart here.
    """
    left_out = {_head(key) for key in without}
    total, counts = 0, True
    for line in text.splitlines()[3:]:  # behind the headings
        if line.startswith(b"  ->"):
            if counts:
                total += int(line.rsplit(None, 2)[1])
        elif left_out:
            counts = tuple(line.split(None, 2)[:2]) not in left_out
    return total


def _head(key: ServiceKey) -> tuple[bytes, bytes]:
    """The first two words of a service's line."""
    if key.fwmark:
        return b"FWM", b"%08X" % key.fwmark
    address = key.address.hex().upper()
    if key.family == 6:
        address = f"[{IPv6Address(key.address).exploded}]"
    return PROTOCOL_NAME[key.protocol].encode(), f"{address}:{key.port:04X}".encode()
