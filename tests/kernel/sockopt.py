"""getsockopt(2) as Linux 6.12 answers it for IPVS (do_ip_vs_get_ctl), laid out by ctypes.

tests/netns/test_model.py holds a real kernel's answers to the same tables.
"""

from __future__ import annotations

import ctypes
import errno
import struct
from collections.abc import Mapping, Sequence

from lvs.kernel.state import Destination, DestinationKey, Service, ServiceKey

GET_SERVICES, GET_DESTS = 64 + 1024 + 64 + 2, 64 + 1024 + 64 + 4  # IP_VS_BASE_CTL and so on
NOOUTPUT = 0x100  # IP_VS_CONN_F_NOOUTPUT, one of the flags beside the forwarding method

Services = Mapping[ServiceKey, Service]


class Stats(ctypes.Structure):
    """struct ip_vs_stats_user."""

    _fields_ = (
        *((name, ctypes.c_uint32) for name in ("conns", "inpkts", "outpkts")),
        *((name, ctypes.c_uint64) for name in ("inbytes", "outbytes")),
        *((name, ctypes.c_uint32) for name in ("cps", "inpps", "outpps", "inbps", "outbps")),
    )


class Place(ctypes.Structure):
    """What struct ip_vs_service_entry and struct ip_vs_get_dests begin with."""

    _fields_ = (
        ("protocol", ctypes.c_uint16),
        ("addr", ctypes.c_uint32),
        ("port", ctypes.c_uint16),
        ("fwmark", ctypes.c_uint32),
    )


class ServiceEntry(ctypes.Structure):
    """struct ip_vs_service_entry."""

    _fields_ = (
        ("place", Place),
        ("sched_name", ctypes.c_char * 16),
        *((name, ctypes.c_uint) for name in ("flags", "timeout", "netmask", "num_dests")),
        ("stats", Stats),
    )


class DestEntry(ctypes.Structure):
    """struct ip_vs_dest_entry."""

    _fields_ = (
        ("addr", ctypes.c_uint32),
        ("port", ctypes.c_uint16),
        ("conn_flags", ctypes.c_uint),
        ("weight", ctypes.c_int),
        *((name, ctypes.c_uint32) for name in ("u_threshold", "l_threshold")),
        *((name, ctypes.c_uint32) for name in ("activeconns", "inactconns", "persistconns")),
        ("stats", Stats),
    )


def answered(services: Services, option: int, question: bytes) -> bytes | int:
    """What is in the caller's memory then, or an errno."""
    if option == GET_SERVICES:
        (room,) = struct.unpack_from("=I", question)
        entries = [service_entry(key, service) for key, service in services.items() if key.family == 4]
        return _filled(question, 8, ServiceEntry, entries, room)
    assert option == GET_DESTS
    asked = Place.from_buffer_copy(question)
    (room,) = struct.unpack_from("=I", question, 16)
    for key, service in services.items():
        mark = key.fwmark == asked.fwmark and asked.fwmark
        if key.family == 4 and (mark or bytes(place(key)) == bytes(asked)):
            alike = [one for one in enumerate(service.destinations.items()) if len(one[1][0].address) == 4]
            return _filled(question, 24, DestEntry, [dest_entry(*one, at) for at, one in alike], room)
    return errno.ESRCH


def _filled(
    question: bytes, head: int, kind: type[ctypes.Structure], entries: Sequence[ctypes.Structure], room: int
) -> bytes | int:
    if len(question) != head + room * ctypes.sizeof(kind):
        return errno.EINVAL
    written = b"".join(bytes(one) for one in entries[:room])
    return question[:head] + written + question[head + len(written) :]


def place(key: ServiceKey) -> Place:
    """A service that has a mark is one of TCP's at no address (ip_vs_genl_parse_service)."""
    if key.fwmark:
        return Place(6, 0, 0, key.fwmark)
    return Place(key.protocol, int.from_bytes(key.address, "little"), _port(key.port), 0)


def service_entry(key: ServiceKey, service: Service) -> ServiceEntry:
    """ip_vs_copy_service; HASHED is set."""
    options = service.options
    settings = options.flags | 2, options.timeout_s, options.netmask, len(service.destinations)
    return ServiceEntry(place(key), options.scheduler.encode(), *settings, stats())


def dest_entry(key: DestinationKey, destination: Destination, at: int) -> DestEntry:
    """__ip_vs_get_dest_entries."""
    address = int.from_bytes(key.address, "little")
    settings = destination.weight, destination.upper_threshold, destination.lower_threshold
    flags = destination.forwarding | NOOUTPUT
    return DestEntry(address, _port(key.port), flags, *settings, at, at + 1, 0, stats())


def stats() -> Stats:
    return Stats(*range(0x01010101, 0x0101010B))


def _port(port: int) -> int:
    return int.from_bytes(port.to_bytes(2, "big"), "little")
