"""The Ethernet frames that tell neighbours where a VIP is now. Bytes out, no socket.

A neighbour that knows a VIP keeps sending to the director that held it until its table says
otherwise. IPv4 is told by gratuitous ARP, IPv6 by unsolicited neighbour advertisements. Both
forms of gratuitous ARP are wanted: Piranha's send_arp sent replies only, and some routers
believed requests only (RFC 5227 section 3 favours the request, RFC 5944 section 4.6 allows both).
"""

from __future__ import annotations

import struct
from functools import lru_cache

MAC_LENGTH = 6
IPV4_LENGTH = 4

BROADCAST = b"\xff" * MAC_LENGTH
ETHERTYPE_ARP = 0x0806
ETHERTYPE_IPV6 = 0x86DD

# Operations of RFC 826.
ARP_REQUEST, ARP_REPLY = 1, 2
ARP_ETHERNET = 1  # hardware type, RFC 826
ETHERTYPE_IPV4 = 0x0800  # the protocol that is resolved

# An Ethernet frame has at least 64 octets, four of them the checksum: IEEE 802.3. Network cards
# pad shorter ones themselves; virtual ones may hand them on as they are, and send_arp padded, too.
SHORTEST_FRAME = 60

ALL_NODES = bytes.fromhex("ff020000000000000000000000000001")  # ff02::1, RFC 4291 section 2.7.1
ALL_NODES_MAC = bytes.fromhex("333300000001")  # RFC 2464 section 7
ICMPV6 = 58
NEIGHBOUR_ADVERTISEMENT = 136  # RFC 4861 section 4.4
FLAG_ROUTER, FLAG_OVERRIDE = 0x80000000, 0x20000000
TARGET_LINK_LAYER_ADDRESS = 2  # RFC 4861 section 4.6.1
HOP_LIMIT = 255  # RFC 4861 section 7.1.2: receivers drop anything less, as it came through a router


def garp(address: bytes, mac: bytes, *, reply: bool) -> bytes:
    """A gratuitous ARP: `address` is at `mac`, told to everyone on the wire.

    Shape: `address` 4 bytes, `mac` 6; a request or, with `reply`, a reply. Sender and target
    protocol address are the same. A request leaves the target's hardware address zero (RFC 5227
    section 2.3), a reply repeats the sender's, as RFC 5944 section 4.6 asks and send_arp did.
    Errors: ValueError for other lengths, a programmer's mistake.
    """
    _require(address, IPV4_LENGTH, mac)
    operation, target = (ARP_REPLY, mac) if reply else (ARP_REQUEST, bytes(MAC_LENGTH))
    ethernet = BROADCAST + mac + struct.pack("!H", ETHERTYPE_ARP)
    head = struct.pack("!HHBBH", ARP_ETHERNET, ETHERTYPE_IPV4, MAC_LENGTH, IPV4_LENGTH, operation)
    return (ethernet + head + mac + address + target + address).ljust(SHORTEST_FRAME, b"\0")


def unsolicited_na(address: bytes, mac: bytes, *, router: bool) -> bytes:
    """An unsolicited neighbour advertisement: `address` is at `mac`, told to all nodes.

    Shape: `address` 16 bytes, `mac` 6. The override flag is set, or tables keep the old MAC
    (RFC 4861 section 7.2.5). `router` must say whether this host forwards IPv6: a neighbour that
    sees the flag cleared drops its default route through us (same section). The source is the
    address itself, which the sender holds.
    Errors: ValueError for other lengths, a programmer's mistake.
    Source: RFC 4861 sections 4.4 and 7.2.6.
    """
    _require(address, len(ALL_NODES), mac)
    flags = FLAG_OVERRIDE | (FLAG_ROUTER if router else 0)
    option = struct.pack("!BB", TARGET_LINK_LAYER_ADDRESS, 1) + mac  # length in units of 8 octets
    body = struct.pack("!I", flags) + address + option
    length = 4 + len(body)  # type, code and checksum before it
    pseudo = address + ALL_NODES + struct.pack("!II", length, ICMPV6)  # RFC 8200 section 8.1
    kind = struct.pack("!BB", NEIGHBOUR_ADVERTISEMENT, 0)
    checksum = struct.pack("!H", internet_checksum(pseudo + kind + b"\0\0" + body))
    ethernet = ALL_NODES_MAC + mac + struct.pack("!H", ETHERTYPE_IPV6)
    header = struct.pack("!IHBB", 6 << 28, length, ICMPV6, HOP_LIMIT) + address + ALL_NODES
    return ethernet + header + kind + checksum + body


@lru_cache(maxsize=4096)  # announcements are repeated: 1,000 VIPs and both forms fit easily
def announcement(address: bytes, mac: bytes, router: bool) -> tuple[bytes, ...]:  # noqa: FBT001
    """The frames that announce one VIP: two for IPv4, one for IPv6."""
    if len(address) == IPV4_LENGTH:
        return garp(address, mac, reply=False), garp(address, mac, reply=True)
    return (unsolicited_na(address, mac, router=router),)


def internet_checksum(data: bytes) -> int:
    """The ones' complement sum of 16-bit words, complemented (RFC 1071)."""
    padded = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _require(address: bytes, length: int, mac: bytes) -> None:
    if len(address) != length or len(mac) != MAC_LENGTH:
        raise ValueError(f"want an address of {length} and a MAC of {MAC_LENGTH} bytes: {address!r}, {mac!r}")
