"""The firewall of a configuration, as a script for nft(8): the director's own ports, VIPs, and nothing else.

It is one table, `inet lvs`, replaced as a whole. It goes by the configuration alone, not by who is active
or up: a takeover has nothing to wait for, and a packet for a VIP that is elsewhere does not come.

What passes the director must cost little. IPVS takes packets for a VIP between the filters of LOCAL_IN
and their delivery (ip_vs_core.c, ip_vs_ops: NF_IP_PRI_NAT_SRC - 1), so they pass the chain `input` once;
answers of masqueraded real servers pass `forward`. Neither needs the connection tracking of netfilter,
and with `conntrack` off it is not made: they are marked `notrack` before it would begin. So is all TCP of
the director itself: checks of ten thousand real servers would fill the table of connections. A packet
that is an answer is told by its flags: only a SYN without an ACK begins a connection. UDP of the
director's own is tracked, it is little.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from lvs.errors import UsageError
from lvs.kernel.keys import destination_of
from lvs.model import (
    Address,
    CheckPath,
    Config,
    Forwarding,
    Pair,
    Protocol,
    VirtualServer,
)

TABLE = "inet lvs"
# ip_local_port_range's default, from which sockets get their ports (net/ipv4/ip_output.c, ip-sysctl)
EPHEMERAL = "32768-65535"

_ICMP = "destination-unreachable, time-exceeded, parameter-problem"
_ICMPV6 = "destination-unreachable, packet-too-big, time-exceeded, parameter-problem"
# RFC 4890, section 4.4: what a host cannot do without; its neighbours, routers and multicast groups.
_ND = (
    "nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, "
    "mld-listener-query, mld-listener-report, mld-listener-done, mld2-listener-report"
)


class Port(msgspec.Struct, frozen=True, gc=False, order=True):
    """A port of the director's own that anybody may reach."""

    protocol: Protocol
    number: int  # 1 to 65535


def ports(text: str) -> frozenset[Port]:
    """Ports as an operator writes them: `22`, `22,udp/161`; nothing: none. Errors: UsageError."""
    found = set()
    for word in filter(None, text.replace(" ", "").split(",")):
        protocol, _, number = word.rpartition("/")
        if protocol not in ("", *Protocol) or not number.isascii() or not number.isdigit():
            raise UsageError(f"ports such as 22 or udp/161 are asked for, got {word!r}")
        if not 1 <= int(number) <= 65535:
            raise UsageError(f"a port is 1 to 65535, got {number}")
        found.add(Port(Protocol(protocol or Protocol.TCP), int(number)))
    return frozenset(found)


class _Found(msgspec.Struct):
    """What the virtual servers need, by set; elements as nft writes them."""

    served: set[str] = msgspec.field(default_factory=set)  # VIP . protocol . port
    marks: set[int] = msgspec.field(default_factory=set)
    answers: set[str] = msgspec.field(default_factory=set)  # masqueraded RIP . protocol . port
    anywhere: set[str] = msgspec.field(default_factory=set)  # masqueraded RIP, whose port nobody knows
    masqueraded: set[str] = msgspec.field(default_factory=set)  # RIP
    asked: set[str] = msgspec.field(default_factory=set)  # VIPs through which checks are made


def ruleset(config: Config, open_to_all: frozenset[Port]) -> str:
    """The script that puts the table in the place of the one that is there, in one transaction."""
    families = {4: _Found(), 6: _Found()}
    for virtual_server in config.virtual_servers:
        if virtual_server.active:
            _add(virtual_server, families)
    lines: list[str] = []
    for version, found in families.items():
        for name, elements in (("served", found.served), ("answers", found.answers)):
            lines += _set(f"{name}{version}", f"ipv{version}_addr . inet_proto . inet_service", elements)
        plain = (("anywhere", found.anywhere), ("masqueraded", found.masqueraded), ("asked", found.asked))
        for name, elements in plain:
            lines += _set(f"{name}{version}", f"ipv{version}_addr", elements)
        lines += _set(f"directors{version}", f"ipv{version}_addr", _directors(config.pair, version))
    if not config.kernel.conntrack:
        lines += _chain("untracked", "prerouting", "raw", "accept", _untracked(families))
        lines += _chain("untracked_own", "output", "raw", "accept", ["meta l4proto tcp notrack"])
    lines += _chain("input", "input", "filter", "drop", _input(config, families, open_to_all))
    nat = None if config.nat_router is None else config.nat_router.address.version
    lines += _chain("forward", "forward", "filter", "drop", _forward(families, nat))
    body = "\n".join(lines)
    return f"table {TABLE};\ndelete table {TABLE};\ntable {TABLE} {{\n{body}\n}}\n"


def _add(virtual_server: VirtualServer, families: dict[int, _Found]) -> None:
    address, protocol = virtual_server.address, virtual_server.protocol.value
    found = families[4 if address is None else address.version]
    if virtual_server.fwmark:
        found.marks.add(virtual_server.fwmark)
    elif address is not None:
        found.served.add(f"{address} . {protocol} . {virtual_server.port}")
    if address is not None and virtual_server.checking.path is CheckPath.VIP:
        found.asked.add(str(address))
    if virtual_server.forwarding is not Forwarding.MASQUERADING:
        return
    for real_address, port in _masqueraded(virtual_server):
        inside = families[real_address.version]
        inside.masqueraded.add(str(real_address))
        if port:
            inside.answers.add(f"{real_address} . {protocol} . {port}")
        else:
            inside.anywhere.add(str(real_address))


def _masqueraded(virtual_server: VirtualServer) -> Iterator[tuple[Address, int]]:
    """Addresses and ports that answers come from; 0: a firewall mark keeps each packet's port."""
    for real_server in virtual_server.real_servers:
        if real_server.active:
            yield real_server.address, destination_of(virtual_server, real_server).port
    if virtual_server.sorry_server is not None:
        yield virtual_server.sorry_server, 0 if virtual_server.fwmark else virtual_server.port


def _directors(pair: Pair, version: int) -> Iterable[str]:
    if not pair.backup_active:
        return ()
    addresses = (pair.primary, pair.primary_private, pair.backup, pair.backup_private)
    return {str(one) for one in addresses if one is not None and one.version == version}


def _untracked(families: dict[int, _Found]) -> Iterator[str]:
    for version, found in families.items():
        ip = _ip(version)
        if found.served:
            yield f"{ip} daddr . meta l4proto . th dport @served{version} notrack"
        if found.answers:
            yield f"{ip} saddr . meta l4proto . th sport @answers{version} notrack"
    yield "meta l4proto tcp fib daddr type local notrack"


def _input(config: Config, families: dict[int, _Found], open_to_all: frozenset[Port]) -> Iterator[str]:
    """What is for the director, and what IPVS takes."""
    yield 'iif "lo" accept'
    yield "tcp flags & (syn | ack) != syn accept"
    for version, found in families.items():
        if found.served:
            yield f"{_ip(version)} daddr . meta l4proto . th dport @served{version} accept"
    marks = sorted(families[4].marks | families[6].marks)
    if marks:
        yield f"meta mark {{ {', '.join(map(str, marks))} }} accept"
    yield "ct state established,related accept"
    yield f"icmp type {{ echo-request, echo-reply, {_ICMP} }} accept"
    yield f"icmpv6 type {{ echo-request, echo-reply, {_ICMPV6}, {_ND} }} accept"
    pair = config.pair
    for version in families:
        if _directors(pair, version):
            peers = f"{_ip(version)} saddr @directors{version}"
            yield f"{peers} meta l4proto {{ tcp, udp }} th dport {pair.heartbeat_port} accept"
    if pair.syncdaemon and pair.backup_active:
        yield "meta l4proto igmp accept"
        group = f"{_ip(pair.syncd_group.version)} daddr {pair.syncd_group}"
        yield f'iifname "{pair.syncd_iface}" {group} udp dport {pair.syncd_port} accept'
    for version, found in families.items():
        if found.asked:
            yield f"{_ip(version)} saddr @asked{version} udp dport {EPHEMERAL} accept"
    yield "udp sport 67 udp dport 68 accept"
    yield "ip6 saddr fe80::/10 udp sport 547 udp dport 546 accept"
    for protocol in Protocol:
        ports = sorted(port.number for port in open_to_all if port.protocol is protocol)
        if ports:
            yield f"{protocol.value} dport {{ {', '.join(map(str, ports))} }} accept"
    yield 'counter comment "dropped"'


def _forward(families: dict[int, _Found], nat_router: int | None) -> Iterator[str]:
    """Answers of masqueraded real servers; behind a NAT router, what these begin as well."""
    for version, found in families.items():
        ip, errors = (
            _ip(version),
            f"icmp type {{ {_ICMP} }}" if version == 4 else f"icmpv6 type {{ {_ICMPV6} }}",
        )
        if not found.masqueraded:
            continue
        if version == nat_router:
            yield f"{ip} saddr @masqueraded{version} accept"
            yield f"{ip} daddr @masqueraded{version} ct state established,related accept"
            continue
        if found.answers:
            yield f"{ip} saddr . meta l4proto . th sport @answers{version} accept"
        if found.anywhere:
            yield f"{ip} saddr @anywhere{version} accept"
        yield f"{ip} saddr @masqueraded{version} {errors} accept"
    yield 'counter comment "dropped"'


def _ip(version: int) -> str:
    return "ip" if version == 4 else "ip6"


def _set(name: str, kind: str, elements: Iterable[str]) -> Iterator[str]:
    ordered = sorted(elements)
    if ordered:
        yield f"\tset {name} {{"
        yield f"\t\ttype {kind}; elements = {{"
        yield from (f"\t\t\t{one}," for one in ordered)
        yield "\t\t}"
        yield "\t}"


def _chain(name: str, hook: str, priority: str, policy: str, rules: Iterable[str]) -> Iterator[str]:
    yield f"\tchain {name} {{"
    yield f"\t\ttype filter hook {hook} priority {priority}; policy {policy};"
    yield from (f"\t\t{rule}" for rule in rules)
    yield "\t}"
