"""Operations as the lines an operator would type, and addresses as they are read.

Journal, dry run and tests use this one text. Source: ipvsadm(8), ip-address(8), sysctl(8).
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import assert_never
from zlib import crc32

from lvs.kernel.state import (
    BACKUP,
    CSUM,
    GRE,
    GUE,
    LOCAL,
    MASQ,
    MASTER,
    ONE_PACKET,
    PERSISTENT,
    REMCSUM,
    ROUTE,
    SCHED1,
    SCHED2,
    SCTP,
    SYNC_GROUP,
    SYNC_MAXLEN,
    SYNC_PORT,
    TCP,
    TUNNEL,
    UDP,
    AddDestination,
    AddService,
    Destination,
    DestinationKey,
    DropVip,
    LoadModule,
    Op,
    RemoveDestination,
    RemoveService,
    ServiceKey,
    ServiceOptions,
    SetDestination,
    SetFirewall,
    SetService,
    SetSysctl,
    SetTimeouts,
    StartDaemon,
    StopDaemon,
    SyncDaemon,
    TakeVip,
    Vip,
)

PROTOCOL_OPTION = {TCP: "-t", UDP: "-u", SCTP: "--sctp-service"}
PROTOCOL_NAME = {TCP: "TCP", UDP: "UDP", SCTP: "SCTP"}
FORWARDING_OPTION = {MASQ: "-m", ROUTE: "-g", TUNNEL: "-i", LOCAL: "-g"}
FORWARDING_NAME = {MASQ: "Masq", LOCAL: "Local", TUNNEL: "Tunnel", ROUTE: "Route"}
DAEMON_NAME = {MASTER: "master", BACKUP: "backup"}
TUNNEL_NAME = {GUE: "gue", GRE: "gre"}
ALL_IPV4 = 0xFFFFFFFF
ALL_IPV6 = 128


def line(op: Op) -> str:
    """One operation as a shell line."""
    match op:
        case AddService(key, options):
            return f"ipvsadm -A {service(key)} {service_options(key, options)}"
        case SetService(key, options):
            return f"ipvsadm -E {service(key)} {service_options(key, options)}"
        case RemoveService(key):
            return f"ipvsadm -D {service(key)}"
        case AddDestination(of, key, destination):
            return (
                f"ipvsadm -a {service(of)} -r {endpoint(key.address, key.port)} {_destination(destination)}"
            )
        case SetDestination(of, key, destination):
            return (
                f"ipvsadm -e {service(of)} -r {endpoint(key.address, key.port)} {_destination(destination)}"
            )
        case RemoveDestination(of, key):
            return f"ipvsadm -d {service(of)} -r {endpoint(key.address, key.port)}"
        case SetTimeouts(timeouts):
            return f"ipvsadm --set {timeouts.tcp_s} {timeouts.tcpfin_s} {timeouts.udp_s}"
        case StartDaemon(started):
            return f"ipvsadm --start-daemon {daemon(started)}"
        case StopDaemon(state):
            return f"ipvsadm --stop-daemon {DAEMON_NAME[state]}"
        case SetSysctl(name, value):
            return f"sysctl -w {name}={value}"
        case LoadModule(name):
            return f"modprobe {name}"
        case SetFirewall(""):
            return "nft delete table inet lvs"
        case SetFirewall(rules):
            lines = rules.count("\n")
            return f"lvsd firewall | nft -f -  # table inet lvs, {lines} lines, {crc32(rules.encode()):08x}"
        case TakeVip(held):
            label = f" label {held.label}" if held.label else ""
            return f"ip address add {vip(held)} dev {held.device}{label}"
        case DropVip(held):
            return f"ip address del {vip(held)} dev {held.device}"
        case _:
            assert_never(op)


def address(packed: bytes) -> str:
    """An address as text."""
    # ipaddress takes several times as long, and there may be a thousand VIPs.
    return ".".join(map(str, packed)) if len(packed) == 4 else str(IPv6Address(packed))


def endpoint(packed: bytes, port: int) -> str:
    """`192.0.2.1:80`, `[2001:db8::1]:80`."""
    return f"{address(packed)}:{port}" if len(packed) == 4 else f"[{address(packed)}]:{port}"


def vip(held: Vip) -> str:
    return f"{address(held.address)}/{held.prefix}"


def daemon(one: SyncDaemon) -> str:
    """`master --mcast-interface eth0 --syncid 1`, and what is not as the kernel has it by itself."""
    words = [f"{DAEMON_NAME[one.state]} --mcast-interface {one.device} --syncid {one.sync_id}"]
    if one.maxlen != SYNC_MAXLEN[len(one.group)]:
        words.append(f"--sync-maxlen {one.maxlen}")
    if one.group != SYNC_GROUP:
        words.append(f"--mcast-group {address(one.group)}")
    if one.port != SYNC_PORT:
        words.append(f"--mcast-port {one.port}")
    if one.ttl != 1:
        words.append(f"--mcast-ttl {one.ttl}")
    return " ".join(words)


def service(key: ServiceKey) -> str:
    """ipvsadm's way to name a service: `-t 192.0.2.1:80`, `-f 7 -6`."""
    if key.fwmark:
        return f"-f {key.fwmark} -6" if key.family == 6 else f"-f {key.fwmark}"
    return f"{PROTOCOL_OPTION[key.protocol]} {endpoint(key.address, key.port)}"


def service_name(key: ServiceKey) -> str:
    """As in the table of `ipvsadm -Ln`: `TCP  192.0.2.1:80`, `FWM  7`."""
    if key.fwmark:
        return f"FWM  {key.fwmark}{' IPv6' if key.family == 6 else ''}"
    # Through netlink the kernel takes any protocol; what others put there is shown, too.
    protocol = PROTOCOL_NAME.get(key.protocol, str(key.protocol))
    return f"{protocol:<4} {endpoint(key.address, key.port)}"


def destination_name(key: DestinationKey) -> str:
    return endpoint(key.address, key.port)


def scheduler_flags(options: ServiceOptions) -> tuple[str, ...]:
    """Names of the scheduler's two flags; those of `sh` and `mh` are the known ones."""
    known = options.scheduler if options.scheduler in ("sh", "mh") else "flag"
    names = {
        "sh": ("sh-fallback", "sh-port"),
        "mh": ("mh-fallback", "mh-port"),
        "flag": ("flag-1", "flag-2"),
    }[known]
    return tuple(name for name, bit in zip(names, (SCHED1, SCHED2), strict=True) if options.flags & bit)


def netmask(key: ServiceKey, options: ServiceOptions) -> str:
    """The persistence mask as ipvsadm writes it: `255.255.255.0`, or IPv6's prefix length."""
    return str(IPv4Address(options.netmask)) if key.family == 4 else str(options.netmask)


def service_options(key: ServiceKey, options: ServiceOptions) -> str:
    """`-s wlc -p 60 -M 255.255.255.0`."""
    words = [f"-s {options.scheduler}"]
    if flags := scheduler_flags(options):
        words.append(f"-b {','.join(flags)}")
    if options.flags & PERSISTENT:
        words.append(f"-p {options.timeout_s}")
        if options.netmask != (ALL_IPV4 if key.family == 4 else ALL_IPV6):
            words.append(f"-M {netmask(key, options)}")
    if options.engine:
        words.append(f"--pe {options.engine}")
    if options.flags & ONE_PACKET:
        words.append("-o")
    return " ".join(words)


def _destination(destination: Destination) -> str:
    words = [FORWARDING_OPTION[destination.forwarding]]
    if destination.forwarding == TUNNEL and destination.tunnel_type in TUNNEL_NAME:
        words.append(f"--tun-type {TUNNEL_NAME[destination.tunnel_type]}")
        if destination.tunnel_type == GUE:
            words.append(f"--tun-port {destination.tunnel_port}")
        checksum = {CSUM: "--tun-csum", REMCSUM: "--tun-remcsum"}.get(destination.tunnel_flags)
        words.append(checksum or "--tun-nocsum")
    words.append(f"-w {destination.weight}")
    if destination.upper_threshold or destination.lower_threshold:
        words.append(f"-x {destination.upper_threshold} -y {destination.lower_threshold}")
    return " ".join(words)
