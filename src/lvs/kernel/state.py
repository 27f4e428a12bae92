"""What the kernel holds, as a value, and the operations that change it.

Identity is a type: maps are keyed by `ServiceKey` and `DestinationKey`. Addresses are packed
bytes in network order here and nowhere else: they are what the wire carries, hash four times
faster than `ipaddress` objects, and 10,000 of them are compared on every look at the table.

`apply` is the fake kernel of the tests, and the truth that the diff is held to; a test on a
real kernel holds `apply` to that (tests/netns/test_model.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

import msgspec

# Protocol numbers, RFC 5237 (IANA); IPVS takes these three.
TCP, UDP, SCTP = 6, 17, 132

# IP_VS_SVC_F_*, include/uapi/linux/ip_vs.h. HASHED (0x2) is the kernel's own mark.
PERSISTENT, ONE_PACKET, SCHED1, SCHED2 = 0x1, 0x4, 0x8, 0x10

# IP_VS_CONN_F_FWD_MASK's values, include/uapi/linux/ip_vs.h. LOCALNODE (1) is set by hand only.
MASQ, LOCAL, TUNNEL, ROUTE = 0, 1, 2, 3

# IP_VS_CONN_F_TUNNEL_TYPE_* and IP_VS_TUNNEL_ENCAP_FLAG_*, include/uapi/linux/ip_vs.h
IPIP, GUE, GRE = 0, 1, 2
NOCSUM, CSUM, REMCSUM = 0, 1, 2

# IP_VS_STATE_*, include/uapi/linux/ip_vs.h: a sync daemon that sends connections, one that receives them.
MASTER, BACKUP = 1, 2

# What start_sync_thread (ip_vs_sync.c) takes if it is not told: 224.0.0.81, and what fits 1500 bytes.
SYNC_GROUP, SYNC_PORT = bytes((224, 0, 0, 81)), 8848
SYNC_MAXLEN = {4: 1472, 16: 1452}  # by the length of the group's address


class ServiceKey(msgspec.Struct, frozen=True, gc=False, order=True, cache_hash=True):
    """A service: protocol, address and port, or a firewall mark and a family."""

    family: int  # 4 or 6
    protocol: int  # TCP, UDP, SCTP; 0 with a mark
    address: bytes  # 4 or 16 bytes; empty with a mark
    port: int
    fwmark: int  # 0: none


class ServiceOptions(msgspec.Struct, frozen=True, gc=False):
    scheduler: str
    flags: int  # PERSISTENT, ONE_PACKET, SCHED1, SCHED2
    timeout_s: int  # persistence; 0 without it
    netmask: int  # IPv4: the mask as a number, IPv6: the prefix length
    engine: str  # persistence engine, "" for none


class DestinationKey(msgspec.Struct, frozen=True, gc=False, order=True):
    """A destination of a service; its family is told by the address's length."""

    address: bytes
    port: int


class Destination(msgspec.Struct, frozen=True, gc=False):
    forwarding: int  # MASQ, TUNNEL, ROUTE
    weight: int
    upper_threshold: int = 0
    lower_threshold: int = 0
    tunnel_type: int = IPIP
    tunnel_port: int = 0
    tunnel_flags: int = NOCSUM


class Service(msgspec.Struct, frozen=True):
    options: ServiceOptions
    destinations: dict[DestinationKey, Destination]  # never changed once made


class Vip(msgspec.Struct, frozen=True, gc=False, order=True, cache_hash=True):
    """An address on a device."""

    device: str
    address: bytes
    prefix: int
    label: str  # "" for none


class Timeouts(msgspec.Struct, frozen=True, gc=False):
    """IPVS connection timeouts in seconds; 0 means "leave alone" in what is desired."""

    tcp_s: int
    tcpfin_s: int
    udp_s: int


class SyncDaemon(msgspec.Struct, frozen=True, gc=False, order=True):
    """A thread of the kernel that shares connections; it runs at most one of each state."""

    state: int  # MASTER, BACKUP
    device: str  # "": started on one that is gone, and deaf since
    sync_id: int  # 0 to 255
    maxlen: int  # bytes of a message
    group: bytes  # multicast address, 4 or 16 bytes
    port: int
    ttl: int


class KernelState(msgspec.Struct, frozen=True):
    services: dict[ServiceKey, Service] = {}
    vips: frozenset[Vip] = frozenset()
    timeouts: Timeouts = Timeouts(0, 0, 0)
    sysctls: dict[str, str] = {}  # by sysctl(8) name with slashes
    modules: frozenset[str] = frozenset()
    daemons: frozenset[SyncDaemon] = frozenset()  # of each state one
    # Of what is desired: must not be held, whoever put it there and with whatever mask and label.
    barred: frozenset[Vip] = frozenset()
    firewall: str = ""  # our nftables table as a script (kernel/firewall.py); none of ours


class AddService(msgspec.Struct, frozen=True, gc=False):
    key: ServiceKey
    options: ServiceOptions


class SetService(msgspec.Struct, frozen=True, gc=False):
    key: ServiceKey
    options: ServiceOptions


class RemoveService(msgspec.Struct, frozen=True, gc=False):
    key: ServiceKey


class AddDestination(msgspec.Struct, frozen=True, gc=False):
    service: ServiceKey
    key: DestinationKey
    destination: Destination


class SetDestination(msgspec.Struct, frozen=True, gc=False):
    service: ServiceKey
    key: DestinationKey
    destination: Destination


class RemoveDestination(msgspec.Struct, frozen=True, gc=False):
    service: ServiceKey
    key: DestinationKey


class SetTimeouts(msgspec.Struct, frozen=True, gc=False):
    timeouts: Timeouts


class StartDaemon(msgspec.Struct, frozen=True, gc=False):
    daemon: SyncDaemon


class StopDaemon(msgspec.Struct, frozen=True, gc=False):
    state: int


class SetSysctl(msgspec.Struct, frozen=True, gc=False):
    name: str
    value: str


class SetFirewall(msgspec.Struct, frozen=True, gc=False):
    """Put our nftables table in the place of the one that is there; with no rules it is removed."""

    rules: str


class LoadModule(msgspec.Struct, frozen=True, gc=False):
    """Never undone: a loaded module does no harm, and others may use it by now."""

    name: str


class TakeVip(msgspec.Struct, frozen=True, gc=False):
    vip: Vip


class DropVip(msgspec.Struct, frozen=True, gc=False):
    vip: Vip


ServiceOp = AddService | SetService | RemoveService
DestinationOp = AddDestination | SetDestination | RemoveDestination
DaemonOp = StartDaemon | StopDaemon
TableOp = ServiceOp | DestinationOp | SetTimeouts | DaemonOp
SystemOp = LoadModule | SetSysctl | SetFirewall | TakeVip | DropVip
Op = TableOp | SystemOp


def apply(op: Op, state: KernelState) -> KernelState:
    """The state after one operation, as the kernel would have it.

    Errors: KeyError where the kernel says ENOENT, ValueError where it says EEXIST.
    """
    services = state.services
    match op:
        case AddService(key, options):
            if key in services:
                raise ValueError(f"service exists: {key}")
            return _with(state, services={**services, key: Service(options, {})})
        case SetService(key, options):
            return _with(state, services={**services, key: Service(options, services[key].destinations)})
        case RemoveService(key):
            if key not in services:
                raise KeyError(key)
            return _with(state, services={k: v for k, v in services.items() if k != key})
        case AddDestination(service, key, destination):
            if key in services[service].destinations:
                raise ValueError(f"destination exists: {key}")
            return _set_destination(state, service, key, destination)
        case SetDestination(service, key, destination):
            if key not in services[service].destinations:
                raise KeyError(key)
            return _set_destination(state, service, key, destination)
        case RemoveDestination(service, key):
            if key not in services[service].destinations:
                raise KeyError(key)
            left = {k: v for k, v in services[service].destinations.items() if k != key}
            return _with(state, services={**services, service: Service(services[service].options, left)})
        case SetTimeouts(new):
            # ip_vs_genl_set_config: a zero leaves the value as it is.
            old = state.timeouts
            merged = Timeouts(new.tcp_s or old.tcp_s, new.tcpfin_s or old.tcpfin_s, new.udp_s or old.udp_s)
            return _with(state, timeouts=merged)
        case StartDaemon(daemon):
            if any(daemon.state == one.state for one in state.daemons):
                raise ValueError(f"sync daemon runs: {daemon.state}")
            return _with(state, daemons=state.daemons | {daemon})
        case StopDaemon(which):
            left_running = frozenset(one for one in state.daemons if one.state != which)
            if left_running == state.daemons:
                raise KeyError(which)
            return _with(state, daemons=left_running)
        case SetSysctl(name, value):
            return _with(state, sysctls={**state.sysctls, name: value})
        case LoadModule(name):
            return _with(state, modules=state.modules | {name})
        case SetFirewall(rules):
            return _with(state, firewall=rules)
        case TakeVip(vip):
            return _with(state, vips=state.vips | {vip})
        case DropVip(vip):
            return _with(state, vips=state.vips - {vip})
        case _:
            assert_never(op)


def _set_destination(
    state: KernelState, service: ServiceKey, key: DestinationKey, destination: Destination
) -> KernelState:
    old = state.services[service]
    new = Service(old.options, {**old.destinations, key: destination})
    return _with(state, services={**state.services, service: new})


def _with(
    state: KernelState,
    *,
    services: Mapping[ServiceKey, Service] | None = None,
    vips: frozenset[Vip] | None = None,
    timeouts: Timeouts | None = None,
    sysctls: dict[str, str] | None = None,
    modules: frozenset[str] | None = None,
    daemons: frozenset[SyncDaemon] | None = None,
    firewall: str | None = None,
) -> KernelState:
    return KernelState(
        services=state.services if services is None else dict(services),
        vips=state.vips if vips is None else vips,
        timeouts=state.timeouts if timeouts is None else timeouts,
        sysctls=state.sysctls if sysctls is None else sysctls,
        modules=state.modules if modules is None else modules,
        daemons=state.daemons if daemons is None else daemons,
        barred=state.barred,
        firewall=state.firewall if firewall is None else firewall,
    )
