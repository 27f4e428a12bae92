"""Random configurations, and random edits of texts."""

from __future__ import annotations

import os
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import msgspec
from hypothesis import strategies as st

from config.check_strategies import CHECKS
from lvs.config.checking import NANNY_EXPECT, NANNY_SEND, grows, said_nothing
from lvs.config.checks import BESIDE_THE_VIP, type_of
from lvs.model import (
    Address,
    Checking,
    CheckPath,
    Config,
    DeviceAddress,
    Drain,
    Forwarding,
    Kernel,
    Need,
    OnStop,
    Pair,
    Persistence,
    PersistenceEngine,
    Protocol,
    Quorum,
    RealServer,
    Scheduler,
    SchedulerFlag,
    Start,
    Tunnel,
    TunnelChecksum,
    TunnelType,
    Unused,
    VirtualServer,
)

EXAMPLES = int(os.environ.get("LVS_EXAMPLES", "15"))  # of the slower laws; `make test` has more

PRINTABLE = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=6)
NAMES = st.one_of(st.sampled_from(["a", "b c", "#", "}", '"', "it's", "x=y"]), PRINTABLE.filter(bool))
WORDS = st.none() | NAMES.filter(str.strip)
TEXTS = (
    st.none()
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
    | st.sampled_from(["\\", '"', "\\x", "a\\"])
)
EXPRESSIONS = st.none() | st.sampled_from(["HTTP/1.[01] 200", "^OK$", "a|b", "[[:digit:]]+", "x{2,3}"])
MONITORS = st.none() | st.sampled_from(["none", "rup", "uptime", "http://%h:8080/load", "/bin/load -1"])
PACES = st.floats(0.1, 2147483)
IPV4 = st.integers(0x01000000, 0xBFFFFFFF).map(IPv4Address)
IPV6 = st.integers(0x2000 << 112, (0x3000 << 112) - 1).map(IPv6Address)
# Directors and NAT router have addresses that nothing else has
OWN4 = st.integers(0xC0000000, 0xCFFFFFFF).map(IPv4Address)
OWN6 = st.integers(0x3000 << 112, (0x3800 << 112) - 1).map(IPv6Address)
ROUTER4 = st.integers(0xD0000000, 0xDFFFFFFF).map(IPv4Address)
ROUTER6 = st.integers(0x3800 << 112, (0x4000 << 112) - 1).map(IPv6Address)
SECONDS = st.integers(0, 2147483)
DEVICES = st.sampled_from(["eth0", "bond0.12", "br-lan.7"])


def labels(device: str) -> st.SearchStrategy[str | None]:
    return st.none() | st.sampled_from([f"{device}:1", f"{device}:web", f"{device}:0:1"])


@st.composite
def held(draw: Any, address: Address) -> DeviceAddress:
    four = isinstance(address, IPv4Address)
    device = draw(DEVICES)
    prefix = draw(st.none() | st.integers(1, 32 if four else 128))
    return DeviceAddress(address, prefix, device, draw(labels(device)) if four else None)


@st.composite
def tunnels(draw: Any) -> Tunnel:
    kind = draw(st.sampled_from(TunnelType))
    checksums = {
        TunnelType.IPIP: [TunnelChecksum.NONE],
        TunnelType.GRE: [TunnelChecksum.NONE, TunnelChecksum.FULL],
        TunnelType.GUE: list(TunnelChecksum),
    }[kind]
    port = draw(st.integers(1, 65535)) if kind is TunnelType.GUE else 0
    return Tunnel(kind, port, draw(st.sampled_from(checksums)))


@st.composite
def checkings(draw: Any, *, plain: bool, masquerading: bool) -> Checking:
    """How real servers are checked; `plain`: lvs.cf can say it."""
    use_regex = draw(st.booleans())
    basic = Checking(
        draw(TEXTS),
        draw(EXPRESSIONS if use_regex else TEXTS),
        use_regex,
        draw(WORDS),
        draw(st.integers(1, 2147483)),
        draw(SECONDS),
        draw(MONITORS),
    )
    if plain:
        return basic
    if draw(st.booleans()):
        basic = msgspec.structs.replace(basic, send=None, expect=None, use_regex=False, send_program=None)
        basic = msgspec.structs.replace(basic, checks=tuple(draw(st.lists(CHECKS, min_size=1, max_size=3))))
    by_vip = not masquerading and (
        basic.send_program is None
        if not basic.checks
        else any(type_of(check) not in BESIDE_THE_VIP for check in basic.checks)
    )
    return msgspec.structs.replace(
        basic,
        need=draw(st.sampled_from(Need)),
        interval_s=draw(st.none() | PACES),
        limit_s=draw(st.none() | PACES),
        rise=draw(st.none() | st.integers(1, 1000)),
        fall=draw(st.integers(1, 1000)),
        down_interval_s=draw(st.none() | PACES),
        start=draw(st.sampled_from(Start)),
        path=draw(st.sampled_from(CheckPath)) if by_vip else CheckPath.REAL,
    )


@st.composite
def rests(draw: Any, grown: bool, *, plain: bool) -> tuple[Any, ...]:
    """The last fields of a virtual server; `grown`: some weight is above 1."""
    if plain:
        return Quorum(), 0.0, grown, Drain.LEAVE, None
    least = draw(st.integers(1, 100))
    quorum = Quorum(least, draw(st.integers(0, least - 1)), draw(WORDS), draw(WORDS))
    slow_start_s = draw(st.just(0.0) | st.floats(0.1, 1000))
    doubling = grown and not slow_start_s and draw(st.booleans())
    return quorum, slow_start_s, doubling, draw(st.sampled_from(Drain)), draw(WORDS)


@st.composite
def virtual_servers(draw: Any, index: int, network: Forwarding, *, plain: bool) -> VirtualServer:
    """One that clashes with no other of another index; `plain`: lvs.cf can say it."""
    active = draw(st.booleans())
    addresses = IPV4 if plain else draw(st.sampled_from([IPV4, IPV6]))
    address = draw(addresses if active else st.none() | addresses)
    fwmark = draw(st.sampled_from([0, index + 1]))
    protocol = draw(st.sampled_from([Protocol.TCP, Protocol.UDP] if plain else list(Protocol)))
    scheduler = draw(st.sampled_from(Scheduler))
    forwarding = network if plain else draw(st.sampled_from(Forwarding))
    flags = [flag for flag in SchedulerFlag if flag.partition("-")[0] == scheduler]
    flags += [SchedulerFlag.ONE_PACKET] if protocol is Protocol.UDP else []
    persistence = None
    if draw(st.booleans()):
        full = 128 if isinstance(address, IPv6Address) else 32
        engine = None
        if not plain and protocol is Protocol.UDP:
            engine = draw(st.none() | st.just(PersistenceEngine.SIP))
        prefix = draw(st.none() | st.integers(1, full - 1))
        persistence = Persistence(draw(st.integers(1, 2147483)), prefix, engine)
    vip = None
    if address is not None:
        vip = draw(held(address))
        if fwmark and not plain and draw(st.booleans()):
            vip = None
    port = draw(st.sampled_from([1000 + index] if index else [1000, 80]))
    real: list[RealServer] = []
    family: st.SearchStrategy[Address] = IPV6 if isinstance(address, IPv6Address) else IPV4
    if forwarding is Forwarding.TUNNELING and not plain and address is not None:
        family = st.one_of(IPV4, IPV6)
    for name in draw(st.lists(NAMES, max_size=3)):
        nobody = IPv6Address(0) if isinstance(address, IPv6Address) else IPv4Address(0)
        server_active = draw(st.booleans())
        rip = draw(family if server_active else st.just(nobody) | family)
        if any(rip == other.address for other in real):
            continue
        check_port = draw(st.sampled_from([port, 80, 8080]))
        upper = 0 if plain else draw(st.integers(0, 1000))
        lower = draw(st.integers(0, upper - 1)) if upper else 0
        target = check_port if forwarding is Forwarding.MASQUERADING else port
        weight = draw(st.integers(0, 65535))
        real.append(RealServer(name, rip, target, check_port, server_active, weight, upper, lower))
    sorry = draw(st.none() | family)
    checking = draw(checkings(plain=plain, masquerading=forwarding is Forwarding.MASQUERADING))
    if plain and port == 80 and protocol is Protocol.TCP and said_nothing(checking):
        checking = msgspec.structs.replace(checking, send=NANNY_SEND, expect=NANNY_EXPECT)
    return VirtualServer(
        draw(NAMES),
        active,
        address,
        vip,
        fwmark,
        protocol,
        port,
        scheduler,
        frozenset() if plain else frozenset(draw(st.sets(st.sampled_from(flags)))) if flags else frozenset(),
        persistence,
        forwarding,
        draw(tunnels()) if forwarding is Forwarding.TUNNELING and not plain else Tunnel(),
        checking,
        draw(st.booleans()),
        sorry,
        draw(WORDS),
        tuple(real),
        *draw(rests(grows(checking.load_monitor, tuple(real)), plain=plain)),
    )


@st.composite
def pairs(draw: Any, *, plain: bool) -> Pair:
    addresses = OWN4 if plain else draw(st.sampled_from([OWN4, OWN6]))
    four = draw(st.lists(addresses, min_size=4, max_size=4, unique=True))
    primary = draw(st.none() | st.just(four[0]))
    backup = draw(st.none() | st.just(four[1]))
    private = draw(st.none() | st.just(four[2]))
    other = draw(st.none() | st.just(four[3])) if private is not None else None
    active = primary is not None and backup is not None and draw(st.booleans())
    if plain:
        keepalive = float(draw(st.integers(1, 100)))
        deadtime = keepalive + draw(st.integers(1, 100))
    else:
        keepalive = draw(st.floats(0.01, 100, exclude_min=True))
        deadtime = keepalive + draw(st.floats(0.01, 100))
    return Pair(
        primary,
        private or primary,
        backup,
        other or backup,
        active,
        draw(st.integers(1, 65535)),
        keepalive,
        deadtime,
        draw(st.booleans()),
        False,
        draw(DEVICES),
        draw(st.integers(0, 255)),
        draw(WORDS),
        draw(WORDS),
        *(() if plain else draw(sharing)),
    )


sharing = st.tuples(
    st.sampled_from([ip_address("224.0.0.81"), ip_address("239.9.9.9"), ip_address("ff15::9")]),
    st.integers(1, 65535),
    st.integers(1, 255),
    st.none() | st.integers(1, 65487),
)


@st.composite
def configs(draw: Any, *, plain: bool = False) -> Config:
    """Any that loads without an error; `plain`: lvs.cf can say it."""
    network = draw(st.sampled_from(Forwarding))
    router = draw(st.none() | (ROUTER4 if plain else st.one_of(ROUTER4, ROUTER6)))
    kernel = Kernel(draw(SECONDS), draw(SECONDS), draw(SECONDS), True, True, 1, False)
    if not plain:
        bits = [draw(st.booleans()) for _ in range(3)]
        kernel = Kernel(1, 2, 3, bits[0], bits[1], draw(st.integers(0, 1)), bits[2])
    unused = Unused(
        draw(WORDS),
        draw(WORDS),
        draw(st.booleans()),
        draw(st.booleans()),
        draw(WORDS),
        draw(st.sampled_from([None, "nothing", "preempt"])),
        draw(WORDS),
        draw(st.booleans()),
        draw(WORDS),
    )
    count = draw(st.integers(0, 3))
    return Config(
        draw(st.integers(0, 2**32 - 1)),
        draw(pairs(plain=plain)),
        network,
        None if router is None else draw(held(router)),
        kernel,
        OnStop.KEEP if plain else draw(st.sampled_from(OnStop)),
        unused,
        tuple(draw(virtual_servers(index, network, plain=plain)) for index in range(count)),
        None if plain else draw(st.sampled_from([None, "lvs-check", "nobody"])),
    )


@st.composite
def edits(draw: Any, text: str, pieces: list[str]) -> str:
    """Return `text` with some stretches of it moved, removed or replaced by one of `pieces`."""
    lines = text.split("\n")
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(lines)))
        until = draw(st.integers(at, min(at + draw(st.sampled_from([0, 1, 1, 8])), len(lines))))
        match draw(st.integers(0, 3)):
            case 0:
                lines[at:until] = draw(st.sampled_from(pieces)).split("\n")
            case 1:
                lines[at:until] = []
            case 2:  # joins two lines
                lines[at : at + 2] = ["".join(lines[at : at + 2])]
            case _:
                moved = lines[at:until]
                lines[at:until] = []
                to = draw(st.integers(0, len(lines)))
                lines[to:to] = moved
    return "\n".join(lines)
