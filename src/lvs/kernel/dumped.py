"""Services as the kernel dumps them by generic netlink: bytes in, values out.

Source: net/netfilter/ipvs/ip_vs_ctl.c, ip_vs_genl_fill_service, for the order of the attributes.
"""

from __future__ import annotations

import sys
from struct import Struct, error

from lvs.kernel.state import ServiceKey, ServiceOptions
from lvs.kernel.wire import (
    BE16,
    BE32,
    FAMILY_OF_AF,
    KNOWN_FLAGS,
    NLATTR,
    NLMSG_DONE,
    NLMSG_ERROR,
    SVC_ADDR,
    SVC_AF,
    SVC_FLAGS,
    SVC_FWMARK,
    SVC_NETMASK,
    SVC_PE,
    SVC_PORT,
    SVC_PROTOCOL,
    SVC_SCHED,
    SVC_STATS,
    SVC_STATS64,
    SVC_TIMEOUT,
    U16,
    U32,
    Message,
    attributes,
    error_code,
)

Found = tuple[ServiceKey, ServiceOptions]

_HEAD = Struct("=IH2xI").unpack_from  # size, kind, sequence number
_START = 24  # of a service in its message: behind both headers and its own


class ServiceReader:
    """Decodes dumped services, and keeps them by what is configured of them.

    The kernel writes their statistics last, as many bytes of them in each message. So what stands before
    as many bytes as there were last time is looked up; whatever is not found is taken apart.
    """

    def __init__(self) -> None:
        self._seen: dict[bytes, Found] = {}
        self._statistics = 0  # bytes

    def collect(self, data: bytes, family_id: int, sequence: int, into: list[Found]) -> int | None:
        """Add the services of one dumped datagram.

        Shape: the errno that ended the dump (0 is success), None while there is more; as with
        `wire.messages`, a truncated message ends the datagram.
        """
        at, length = 0, len(data)
        seen, statistics = self._seen, self._statistics
        while at + 16 <= length:
            size, kind, number = _HEAD(data, at)
            end = at + size
            if size < 16 or end > length:
                return None
            if number == sequence:
                if kind == family_id:
                    known = seen.get(data[at + _START : end - statistics])
                    if known is None:
                        known = self._decoded(data, at + _START, end)
                        statistics = self._statistics
                    into.append(known)
                elif kind in (NLMSG_DONE, NLMSG_ERROR):
                    return error_code(data, Message(kind, number, at + 16, end))
            at = (end + 3) & ~3
        return None

    def trim(self, held: int) -> None:
        """Forget everything if more than twice the services that are held were kept."""
        if len(self._seen) > 2 * held + 1000:
            self._seen.clear()

    def _decoded(self, data: bytes, start: int, end: int) -> Found:
        usual = _usual(data, start, end)
        if usual is None:
            return _decode(attributes(data, start, end))
        found, at = usual
        self._statistics = end - at
        self._seen[data[start:at]] = found
        return found


def decode_service(buffer: bytes, found: Message) -> Found:
    """The one service of a message."""
    return _decode(attributes(buffer, found.start + 4, found.end))


# Attributes in the order of ip_vs_genl_fill_service, each with its size and number.
_BY_ADDRESS = Struct("=HHH2x HHH2x HH16s HHBB2x HH")  # family, protocol, address, port; the scheduler's head
_BY_ADDRESS_HEADS = (6, SVC_AF, 6, SVC_PROTOCOL, 20, SVC_ADDR, 6, SVC_PORT, SVC_SCHED)
_BY_MARK = Struct("=HHH2x HHI HH")  # family, mark; the scheduler's head
_BY_MARK_HEADS = (6, SVC_AF, 8, SVC_FWMARK, SVC_SCHED)
_SETTINGS = Struct("=HHI4x HHI HH4s HH")  # flags and their mask, timeout, netmask; the statistics' head
_SETTINGS_HEADS = (12, SVC_FLAGS, 8, SVC_TIMEOUT, 8, SVC_NETMASK, SVC_STATS)
_NUMBER = 0x3FFF  # of an attribute, without its flags


def _usual(data: bytes, start: int, end: int) -> tuple[Found, int] | None:
    """A service in the usual order, and where its statistics begin; or None. Cheaper than `_decode`."""
    try:
        if NLATTR.unpack_from(data, start + 8)[1] == SVC_FWMARK:
            n0, k0, af, n1, k1, mark, size, k2 = _BY_MARK.unpack_from(data, start)
            usual = (n0, k0, n1, k1, k2) == _BY_MARK_HEADS
            key = ServiceKey(FAMILY_OF_AF[af], 0, b"", 0, mark)
            at = start + _BY_MARK.size
        else:
            n0, k0, af, n1, k1, protocol, n2, k2, address, n3, k3, high, low, size, k4 = (
                _BY_ADDRESS.unpack_from(data, start)
            )
            usual = (n0, k0, n1, k1, n2, k2, n3, k3, k4) == _BY_ADDRESS_HEADS
            family = FAMILY_OF_AF[af]
            key = ServiceKey(family, protocol, address[:4] if family == 4 else address, high << 8 | low, 0)
            at = start + _BY_ADDRESS.size
        scheduler = data[at : at + size - 4]
        at += (size - 1) & ~3
        engine = b""
        size, kind = NLATTR.unpack_from(data, at)
        if kind == SVC_PE:
            engine = data[at + 4 : at + size]
            at += (size + 3) & ~3
        n0, k0, flags, n1, k1, timeout_s, n2, k2, mask, size, k3 = _SETTINGS.unpack_from(data, at)
        usual = usual and (n0, k0, n1, k1, n2, k2, k3 & _NUMBER) == _SETTINGS_HEADS
        at += _SETTINGS.size - NLATTR.size
        after = at + ((size + 3) & ~3)
        size, kind = NLATTR.unpack_from(data, after)
    except (error, KeyError):
        return None
    if not usual or kind & _NUMBER != SVC_STATS64 or after + size != end:
        return None
    netmask = int.from_bytes(mask, "big" if key.family == 4 else sys.byteorder)
    options = ServiceOptions(_text(scheduler), flags & KNOWN_FLAGS, timeout_s, netmask, _text(engine))
    return (key, options), at


def _decode(values: dict[int, bytes]) -> Found:
    family = FAMILY_OF_AF[U16.unpack(values[SVC_AF])[0]]
    fwmark = U32.unpack(values[SVC_FWMARK])[0] if SVC_FWMARK in values else 0
    size = 4 if family == 4 else 16
    netmask = (BE32 if family == 4 else U32).unpack(values[SVC_NETMASK])[0]
    key = ServiceKey(
        family=family,
        protocol=0 if fwmark else U16.unpack(values[SVC_PROTOCOL])[0],
        address=b"" if fwmark else values[SVC_ADDR][:size],
        port=0 if fwmark else BE16.unpack(values[SVC_PORT])[0],
        fwmark=fwmark,
    )
    options = ServiceOptions(
        scheduler=_text(values[SVC_SCHED]) if SVC_SCHED in values else "",
        flags=U32.unpack_from(values[SVC_FLAGS])[0] & KNOWN_FLAGS,
        timeout_s=U32.unpack(values[SVC_TIMEOUT])[0],
        netmask=netmask,
        engine=_text(values[SVC_PE]) if SVC_PE in values else "",
    )
    return key, options


def _text(value: bytes) -> str:
    return value.rstrip(b"\0").decode("ascii", "replace")
