"""Tells the other director's kernel of every connection, as the kernel's own sync daemon would.

For a standby that was started while connections were idle, and before a planned switchover.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path

from lvs.errors import KernelError
from lvs.kernel.resync import messages
from lvs.kernel.state import Service, ServiceKey, SyncDaemon

CONNECTIONS = Path("/proc/net/ip_vs_conn")
# The receiver's socket holds about 90 messages by default, and its kernel takes 80 us for one of 40 entries.
BURST, PAUSE_S = 10, 0.005


def tell(services: Mapping[ServiceKey, Service], daemon: SyncDaemon) -> int:
    """Send all connections of these services the way `daemon` goes; how many messages it took.

    Takes its time, 80,000 connections a second: call it in a thread. Errors: KernelError with a sentence.
    """
    try:
        datagrams = messages(CONNECTIONS.read_bytes(), services, daemon)
        with _open(daemon) as sock:
            return _send(sock, datagrams, daemon)
    except OSError as fault:
        why = f"({daemon.device}): {fault.strerror or fault}"
        sentence = f"the other director was not told of all connections {why}"
        raise KernelError(sentence, fault.errno or 0) from fault


def _send(sock: socket.socket, datagrams: Iterable[bytes], daemon: SyncDaemon) -> int:
    group = socket.inet_ntop(sock.family, daemon.group)
    sent, left = 0, iter(datagrams)
    while burst := list(islice(left, BURST)):
        if sent:
            time.sleep(PAUSE_S)
        for datagram in burst:
            sock.sendto(datagram, (group, daemon.port))
        sent += len(burst)
    return sent


def _open(daemon: SyncDaemon) -> socket.socket:
    """A socket that sends as make_send_sock's does. Errors: OSError."""
    family = socket.AF_INET if len(daemon.group) == 4 else socket.AF_INET6
    index = socket.if_nametoindex(daemon.device)
    sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    try:
        if family == socket.AF_INET:
            where = struct.pack("=4s4si", bytes(4), bytes(4), index)  # struct ip_mreqn
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, where)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, daemon.ttl)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
        else:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, daemon.ttl)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 0)
    except OSError:
        sock.close()
        raise
    return sock
