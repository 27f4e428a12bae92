"""Random kernel states: small ones, and the whole option space, that a kernel accepts; plain configurations.

The same strategies feed the laws of the diff and a real kernel, so what they make must be what
Linux takes. Rules and their sources (net/netfilter/ipvs/ip_vs_ctl.c, 6.12):

- IPv6 services have a prefix of 1 to 128 (ip_vs_add_service).
- A destination of the other family is for tunnels only (ip_vs_new_dest).
- Upper threshold 0 or not below the lower one, GUE has a port (ip_vs_add_dest).
- Destinations are unicast (ip_vs_new_dest); these are 10/8 and 2001:db8::/32.
- One-packet is for UDP and marks, the persistence engine sip for UDP (ipvsadm(8)).

`states` are drawn from a few keys, so that two of them have much in common and differ in
everything; weights, ports and thresholds come from the whole range and its ends. `small_states`
are picked from ready-made parts, twenty times faster: for laws that ask only what differs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from ipaddress import ip_address
from itertools import chain, combinations, product
from typing import Any, TypeVar

import msgspec
from hypothesis import strategies as st

from lvs.kernel.state import (
    BACKUP,
    CSUM,
    GRE,
    GUE,
    IPIP,
    MASQ,
    MASTER,
    NOCSUM,
    ONE_PACKET,
    PERSISTENT,
    REMCSUM,
    ROUTE,
    SCHED1,
    SCHED2,
    SCTP,
    TCP,
    TUNNEL,
    UDP,
    AddDestination,
    AddService,
    Destination,
    DestinationKey,
    KernelState,
    RemoveDestination,
    RemoveService,
    Service,
    ServiceKey,
    ServiceOptions,
    SetDestination,
    SetService,
    SetTimeouts,
    StartDaemon,
    StopDaemon,
    SyncDaemon,
    TableOp,
    Timeouts,
    Vip,
)
from lvs.model import (
    Checking,
    Config,
    DeviceAddress,
    Forwarding,
    Kernel,
    OnStop,
    Pair,
    Protocol,
    RealServer,
    Scheduler,
    Tunnel,
    Unused,
    VirtualServer,
)

LONGEST_S = 2_147_483  # INT_MAX / HZ at HZ = 1000, ip_vs_set_timeout
MOST_CONNECTIONS = 2**31 - 1  # Linux 6.12 refuses more, as it does weights
ALL_IPV4 = 0xFFFFFFFF

FLAGGED = (Scheduler.SH, Scheduler.MH)
SYSCTLS = (
    "net/ipv4/vs/expire_nodest_conn",
    "net/ipv4/vs/expire_quiescent_template",
    "net/ipv4/vs/conn_reuse_mode",
    "net/ipv4/vs/conntrack",
    "net/ipv4/ip_forward",
)
MODULES = ("ip_vs", *(f"ip_vs_{scheduler}" for scheduler in Scheduler), "ip_vs_pe_sip")


def packed(text: str) -> bytes:
    """An address as the kernel has it."""
    return ip_address(text).packed


# A few of each kind, so that two states meet; VIPs are those of the services.
ADDRESSES = {
    4: (packed("192.0.2.1"), packed("192.0.2.2")),
    6: (packed("2001:db8::1"), packed("2001:db8::2")),
}
REALS = {
    4: tuple(packed(f"10.0.0.{number}") for number in (1, 2, 3)),
    6: tuple(packed(f"2001:db8:1::{number}") for number in (1, 2, 3)),
}
KEYS = tuple(
    ServiceKey(family, protocol, address, port, 0)
    for family, addresses in ADDRESSES.items()
    for address, port in zip(addresses, (80, 65535), strict=True)
    for protocol in (TCP, UDP, SCTP)
)
MARKS = tuple(ServiceKey(family, 0, b"", 0, mark) for family in (4, 6) for mark in (1, 2**32 - 1))

_u16 = st.sampled_from((0, 1, 2, 255, 256, 65535)) | st.integers(0, 65535)
_port = st.sampled_from((1, 80, 255, 256, 65535)) | st.integers(1, 65535)
_count = st.sampled_from((0, 1, 65536, MOST_CONNECTIONS)) | st.integers(0, MOST_CONNECTIONS)
_seconds = st.sampled_from((1, 60, 300, LONGEST_S)) | st.integers(1, LONGEST_S)


def _addresses(family: int) -> st.SearchStrategy[bytes]:
    """Any unicast address of a documentation or private network."""
    if family == 4:
        return st.integers(1, 2**24 - 2).map(lambda number: b"\x0a" + number.to_bytes(3, "big"))
    return st.integers(1, 2**96 - 2).map(lambda number: packed("2001:db8::")[:4] + number.to_bytes(12, "big"))


@st.composite
def service_keys(draw: st.DrawFn) -> ServiceKey:
    """Any service, by address or by mark."""
    family = draw(st.sampled_from((4, 6)))
    if draw(st.booleans()):
        return ServiceKey(family, 0, b"", 0, draw(st.integers(1, 2**32 - 1)))
    protocol = draw(st.sampled_from((TCP, UDP, SCTP)))
    return ServiceKey(family, protocol, draw(_addresses(family)), draw(_port), 0)


@st.composite
def service_options(draw: st.DrawFn, key: ServiceKey) -> ServiceOptions:
    """Options that the kernel takes for this service."""
    scheduler = draw(st.sampled_from(Scheduler))
    flags = draw(st.sampled_from((0, SCHED1, SCHED2, SCHED1 | SCHED2))) if scheduler in FLAGGED else 0
    if (key.protocol == UDP or key.fwmark) and draw(st.booleans()):
        flags |= ONE_PACKET
    timeout_s, prefix, engine = 0, 32 if key.family == 4 else 128, ""
    if draw(st.booleans()):
        flags |= PERSISTENT
        timeout_s = draw(_seconds)
        prefix = draw(st.integers(1, prefix))
        engine = draw(st.sampled_from(("", "sip"))) if key.protocol == UDP else ""
    netmask = prefix if key.family == 6 else ALL_IPV4 << (32 - prefix) & ALL_IPV4
    return ServiceOptions(scheduler.value, flags, timeout_s, netmask, engine)


@st.composite
def described(draw: st.DrawFn) -> tuple[ServiceKey, ServiceOptions]:
    """A service without destinations."""
    key = draw(service_keys())
    return key, draw(service_options(key))


@st.composite
def destinations(draw: st.DrawFn, *, tunneled: bool = False) -> Destination:
    """Options of a real server; `tunneled` if nothing else reaches it."""
    forwarding = TUNNEL if tunneled else draw(st.sampled_from((MASQ, TUNNEL, ROUTE)))
    upper = draw(st.just(0) | _count)
    tunnel_type, port, checksum = IPIP, 0, NOCSUM
    if forwarding == TUNNEL:
        tunnel_type = draw(st.sampled_from((IPIP, GUE, GRE)))
        if tunnel_type == GUE:
            port, checksum = draw(_port), draw(st.sampled_from((NOCSUM, CSUM, REMCSUM)))
        elif tunnel_type == GRE:
            checksum = draw(st.sampled_from((NOCSUM, CSUM)))
    return Destination(
        forwarding=forwarding,
        weight=draw(_u16),
        upper_threshold=upper,
        lower_threshold=draw(st.sampled_from((0, upper)) | st.integers(0, upper)),
        tunnel_type=tunnel_type,
        tunnel_port=port,
        tunnel_flags=checksum,
    )


@st.composite
def destinations_of(
    draw: st.DrawFn, key: ServiceKey, choose: Callable[[int], st.SearchStrategy[bytes]] = _addresses
) -> tuple[DestinationKey, Destination]:
    """A real server of a service; of the other family now and then, by tunnel."""
    other = draw(st.integers(0, 3)) == 3
    family = 10 - key.family if other else key.family
    destination = draw(destinations(tunneled=other))
    # A mark has no port of its own; direct routing and tunnels keep the packet's.
    port = key.port if destination.forwarding != MASQ else draw(_port)
    return DestinationKey(draw(choose(family)), port), destination


@st.composite
def table_ops(draw: st.DrawFn) -> TableOp:
    """Any operation on the table, each with all that it can carry."""
    kind = draw(
        st.sampled_from(
            (
                AddService,
                SetService,
                RemoveService,
                AddDestination,
                SetDestination,
                RemoveDestination,
                SetTimeouts,
                StartDaemon,
                StopDaemon,
            )
        )
    )
    if kind is StartDaemon:
        return StartDaemon(draw(sync_daemons(draw(st.sampled_from((MASTER, BACKUP))))))
    if kind is StopDaemon:
        return StopDaemon(draw(st.sampled_from((MASTER, BACKUP))))
    if kind is SetTimeouts:
        return SetTimeouts(draw(timeouts))
    key = draw(service_keys())
    if kind is RemoveService:
        return RemoveService(key)
    if kind is AddService or kind is SetService:
        return kind(key, draw(service_options(key)))
    destination_key, destination = draw(destinations_of(key))
    if kind is AddDestination or kind is SetDestination:
        return kind(key, destination_key, destination)
    return RemoveDestination(key, destination_key)


timeouts = st.builds(Timeouts, *(st.just(0) | _seconds for _ in range(3)))


GROUPS = tuple(map(packed, ("224.0.0.81", "239.1.2.3", "ff02::81", "ff15::1")))


@st.composite
def sync_daemons(draw: st.DrawFn, state: int, groups: Sequence[bytes] = GROUPS) -> SyncDaemon:
    """With all that the kernel takes and keeps as it is."""
    return SyncDaemon(
        state=state,
        device=draw(st.sampled_from(("eth0", "eth1", "vlan.0123456789"))),
        sync_id=draw(st.integers(0, 255)),
        maxlen=draw(st.integers(1024 if state == BACKUP else 1, 65487)),
        group=draw(st.sampled_from(groups)),
        port=draw(st.integers(1, 65535)),
        ttl=draw(st.integers(1, 255)),
    )


sync_daemon_sets = st.sets(st.sampled_from((MASTER, BACKUP))).flatmap(
    lambda kinds: st.tuples(*map(sync_daemons, sorted(kinds))).map(frozenset)
)


def _few(family: int) -> st.SearchStrategy[bytes]:
    return st.sampled_from(REALS[family])


@st.composite
def services(draw: st.DrawFn, key: ServiceKey) -> Service:
    """A service of few real servers, keys among `REALS`."""
    chosen = draw(st.lists(destinations_of(key, _few), max_size=3))
    return Service(draw(service_options(key)), dict(chosen))


@st.composite
def vips(draw: st.DrawFn, address: bytes, devices: Sequence[str]) -> Vip:
    """An address on a device; labels are IPv4's, and no longer than the kernel keeps them."""
    device = draw(st.sampled_from(devices))
    label = ""
    if len(address) == 4:
        label = draw(st.sampled_from(("", f"{device}:1", f"{device}:web")))
    whole = 8 * len(address)
    return Vip(device, address, draw(st.sampled_from((whole, 24 if whole == 32 else 64))), label)


@st.composite
def states(
    draw: st.DrawFn,
    *,
    keys: Sequence[ServiceKey] = KEYS + MARKS,
    devices: Sequence[str] = ("eth0", "eth1"),
    modules: Sequence[str] = MODULES,
    sysctls: Sequence[str] = SYSCTLS,
) -> KernelState:
    """What a kernel can hold; an address is a VIP once, as in a configuration."""
    chosen = draw(st.lists(st.sampled_from(keys), unique=True, max_size=3))
    held = draw(st.sets(st.sampled_from((*ADDRESSES[4], *ADDRESSES[6])), max_size=3)) if devices else set()
    return KernelState(
        services={key: draw(services(key)) for key in chosen},
        vips=frozenset(draw(vips(address, devices)) for address in sorted(held)),
        timeouts=draw(timeouts),
        sysctls=draw(st.dictionaries(st.sampled_from(sysctls), st.sampled_from(("0", "1"))))
        if sysctls
        else {},
        modules=frozenset(draw(st.sets(st.sampled_from(modules), max_size=3))) if modules else frozenset(),
        daemons=draw(sync_daemon_sets),
        firewall=draw(st.sampled_from(("", "one", "other"))) if sysctls else "",
    )


@st.composite
def neighbours(draw: st.DrawFn, state: KernelState) -> KernelState:
    """A state that differs from another in little: what a saved file changes."""
    changed = dict(state.services)
    for key in list(changed):
        match draw(st.integers(0, 4)):
            case 0:
                del changed[key]
            case 1:
                changed[key] = Service(draw(service_options(key)), changed[key].destinations)
            case 2:
                more = dict([draw(destinations_of(key, _few))])
                changed[key] = Service(changed[key].options, changed[key].destinations | more)
            case 3:
                left = list(changed[key].destinations.items())[1:]
                changed[key] = Service(changed[key].options, dict(left))
            case _:
                pass
    return msgspec.structs.replace(state, services=changed)


@st.composite
def two_states(draw: st.DrawFn) -> tuple[KernelState, KernelState]:
    """What is, and what should be: close to each other, or not at all."""
    one = draw(states())
    return one, draw(st.one_of(neighbours(one), states()))


def _pool() -> Iterator[Service]:
    """Every set of three real servers, one of them in two ways, under two sets of options."""
    one, two, three = (DestinationKey(address, 80) for address in REALS[4])
    parts = (
        (one, Destination(MASQ, 1)),
        (two, Destination(ROUTE, 1)),
        (three, Destination(TUNNEL, 0)),
        (two, Destination(ROUTE, 1, 9)),
    )
    chosen = chain.from_iterable(combinations(parts, size) for size in range(4))
    options = (ServiceOptions("wlc", 0, 0, ALL_IPV4, ""), ServiceOptions("sh", SCHED1, 0, ALL_IPV4, ""))
    for some, option in product(chosen, options):
        yield Service(option, dict(some))


_VIPS = (
    Vip("eth0", ADDRESSES[4][0], 24, "eth0:1"),
    Vip("eth1", ADDRESSES[4][0], 24, ""),
    Vip("eth0", ADDRESSES[6][0], 64, ""),
)
_SYNCING = (
    SyncDaemon(MASTER, "eth0", 0, 1472, GROUPS[0], 8848, 1),
    SyncDaemon(BACKUP, "eth0", 0, 1472, GROUPS[0], 8848, 1),
    SyncDaemon(BACKUP, "eth0", 7, 1452, GROUPS[2], 8848, 1),
)
_SMALL_KEYS = (KEYS[0], KEYS[1], KEYS[6], MARKS[0])


_One = TypeVar("_One")


def _some(pool: Sequence[_One]) -> st.SearchStrategy[frozenset[_One]]:
    return st.sampled_from([frozenset(c) for n in range(len(pool) + 1) for c in combinations(pool, n)])


small_states: st.SearchStrategy[KernelState] = st.builds(
    KernelState,
    services=st.dictionaries(st.sampled_from(_SMALL_KEYS), st.sampled_from(tuple(_pool())), max_size=3),
    vips=_some(_VIPS),
    timeouts=st.builds(Timeouts, *(st.sampled_from((0, 60, 300)) for _ in range(3))),
    sysctls=st.dictionaries(st.sampled_from(SYSCTLS[:2]), st.sampled_from(("0", "1"))),
    modules=_some(MODULES[:2]),
    daemons=_some(_SYNCING).filter(lambda some: len({one.state for one in some}) == len(some)),
)


# Configurations: plain ones by hand, and random ones made of them


def real_server(name: str, address: str, weight: int = 1, **changes: Any) -> RealServer:
    """A real server on port 80, whatever is not said as `lvs.config` has it by default."""
    plain = RealServer(name, ip_address(address), 80, 80, True, weight, 0, 0)
    return msgspec.structs.replace(plain, **changes)


def virtual_server(name: str, address: str, *real_servers: RealServer, **changes: Any) -> VirtualServer:
    """A virtual server of direct routing on port 80, without a VIP of its own to hold."""
    plain = VirtualServer(
        name=name,
        active=True,
        address=ip_address(address),
        vip=None,
        fwmark=0,
        protocol=Protocol.TCP,
        port=80,
        scheduler=Scheduler.WLC,
        scheduler_flags=frozenset(),
        persistence=None,
        forwarding=Forwarding.DIRECT_ROUTING,
        tunnel=Tunnel(),
        checking=Checking(None, None, False, None, 6, 15, None),
        quiesce_server=False,
        sorry_server=None,
        client_monitor=None,
        real_servers=real_servers,
    )
    return msgspec.structs.replace(plain, **changes)


def config(*virtual_servers: VirtualServer, **changes: Any) -> Config:
    """A configuration of one director."""
    plain = Config(
        serial_no=1,
        pair=Pair(None, None, None, None, False, 539, 6.0, 18.0, False, False, "", 0, None, None),
        network=Forwarding.DIRECT_ROUTING,
        nat_router=None,
        kernel=Kernel(0, 0, 0, False, False, 1, False),
        on_stop=OnStop.KEEP,
        unused=Unused(),
        virtual_servers=virtual_servers,
    )
    return msgspec.structs.replace(plain, **changes)


def on_device(address: str, device: str, prefix: int | None = 24) -> DeviceAddress:
    """An address on a device, given by its own name or as a label."""
    name, colon, _ = device.partition(":")
    return DeviceAddress(ip_address(address), prefix, name, device if colon else None)


@st.composite
def configs(draw: st.DrawFn) -> Config:
    """A small configuration; two of them share some virtual servers, names and addresses."""
    virtual_servers = []
    for number in draw(st.sets(st.integers(1, 3))):
        address = f"192.0.2.{number}"
        real_servers = [
            real_server(f"real{real}", f"10.0.0.{real}", draw(st.integers(0, 2)))
            for real in draw(st.sets(st.integers(1, 3)))
        ]
        vip = draw(st.sampled_from((None, on_device(address, "eth0:1"), on_device(address, "eth1"))))
        virtual_servers.append(
            virtual_server(
                f"web{number}",
                address,
                *real_servers,
                vip=vip,
                scheduler=draw(st.sampled_from((Scheduler.WLC, Scheduler.RR))),
                forwarding=draw(st.sampled_from((Forwarding.DIRECT_ROUTING, Forwarding.MASQUERADING))),
            )
        )
    return config(
        *virtual_servers,
        serial_no=draw(st.integers(1, 3)),
        on_stop=draw(st.sampled_from(OnStop)),
        kernel=Kernel(draw(st.sampled_from((0, 900))), 0, 0, False, False, 1, draw(st.booleans())),
    )
