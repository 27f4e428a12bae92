"""What the operator means, as frozen values.

Everything in here has passed `lvs.config.build`; nothing checks again. The comment behind
a field says what is guaranteed. Values are msgspec structs: equality and hashing are
generated, and a configuration of 10,000 real servers is built seven times faster and held
in half the memory of frozen dataclasses (`gc=False`: no value here can be part of a cycle).

Addresses are `ipaddress` objects, masks are prefix lengths, durations carry their unit in
the name. Words that an operator writes are the values of the enumerations.
"""

from __future__ import annotations

from enum import StrEnum
from ipaddress import IPv4Address

import msgspec

from lvs.checks import Address as Address  # noqa: PLC0414  everything imports it from here
from lvs.checks import Check


class Format(StrEnum):
    """The two configuration languages; their defaults differ (see `lvs.config.options`)."""

    LVS_CF = "cf"
    TOML = "toml"


class Forwarding(StrEnum):
    """Forwarding method, by the words of lvs.cf's `network`."""

    MASQUERADING = "nat"
    DIRECT_ROUTING = "direct"
    TUNNELING = "tunnel"


class Protocol(StrEnum):
    TCP = "tcp"
    UDP = "udp"
    SCTP = "sctp"


class Scheduler(StrEnum):
    """Schedulers of Linux 6.12, by the kernel's own names (net/netfilter/ipvs/Kconfig)."""

    RR = "rr"
    WRR = "wrr"
    LC = "lc"
    WLC = "wlc"
    LBLC = "lblc"
    LBLCR = "lblcr"
    DH = "dh"
    SH = "sh"
    SED = "sed"
    NQ = "nq"
    FO = "fo"
    OVF = "ovf"
    MH = "mh"
    TWOS = "twos"


class SchedulerFlag(StrEnum):
    """Flags of a virtual server's scheduling, by ipvsadm's names.

    The first two belong to `sh`, the next two to `mh`; `one-packet` to UDP with any scheduler.
    """

    SH_FALLBACK = "sh-fallback"
    SH_PORT = "sh-port"
    MH_FALLBACK = "mh-fallback"
    MH_PORT = "mh-port"
    ONE_PACKET = "one-packet"


class PersistenceEngine(StrEnum):
    SIP = "sip"


class TunnelType(StrEnum):
    IPIP = "ipip"
    GUE = "gue"
    GRE = "gre"


class TunnelChecksum(StrEnum):
    """Outer checksum of a GUE or GRE tunnel: none, full, or remote offload (GUE only)."""

    NONE = "none"
    FULL = "csum"
    REMOTE = "remcsum"


class OnStop(StrEnum):
    """What a clean stop of the daemon leaves behind."""

    KEEP = "keep"  # table and VIPs go on serving
    EMPTY = "empty"  # our services and VIPs are removed, sysctls put back


class Failback(StrEnum):
    """When the primary takes the service back from a backup that serves."""

    NEVER = "never"
    IMMEDIATE = "immediate"
    SYNCED = "synced"  # when it knows the connections of the other


class DeviceAddress(msgspec.Struct, frozen=True, gc=False):
    """An address to hold on a network device: a VIP, or the NAT router's inside address."""

    address: Address
    prefix: int | None  # prefix length; None: the address alone (32 or 128)
    device: str  # the device's own name, without a label
    label: str | None  # IPv4 only, `device:suffix`, at most 15 characters


class Tunnel(msgspec.Struct, frozen=True, gc=False):
    type: TunnelType = TunnelType.IPIP
    port: int = 0  # GUE: 1 to 65535; else 0
    checksum: TunnelChecksum = TunnelChecksum.NONE  # never REMOTE for GRE, always NONE for IPIP


class Persistence(msgspec.Struct, frozen=True, gc=False):
    timeout_s: int  # at least 1
    prefix: int | None = None  # clients within this prefix are one; None: each address is its own
    engine: PersistenceEngine | None = None  # SIP: UDP only


class Need(StrEnum):
    """How several checks of a real server combine."""

    ALL = "all"
    ANY = "any"


class Start(StrEnum):
    """What a real server is until its first check has an answer, if the kernel does not know it yet."""

    DOWN = "down"
    UP = "up"


class CheckPath(StrEnum):
    """Which way a check goes."""

    REAL = "real"  # to the real server's own address
    VIP = "vip"  # to the VIP, forwarded as traffic is; not with masquerading


class Drain(StrEnum):
    """What clients do that are bound to a real server of weight 0, by persistence or by a flow of UDP."""

    LEAVE = "leave"  # their next connection or datagram goes elsewhere
    STAY = "stay"  # they may go on until they are done


class Checking(msgspec.Struct, frozen=True, gc=False):
    """How the real servers of a virtual server are checked; the first seven in lvs.cf's terms.

    `lvs.health.roster.checks` and `pace` say what follows from all of it.
    """

    send: str | None  # escapes decoded
    expect: str | None  # escapes decoded, except where `use_regex` needs them
    use_regex: bool
    send_program: str | None  # command line, split at blanks, no shell
    timeout_s: int  # at least 1: interval, and time limit of each step
    reentry_s: int  # at least 0
    load_monitor: str | None  # none, rup, ruptime, uptime, http://..., a program; None: not set
    checks: tuple[Check, ...] = ()  # [[virtual.check]]: instead of send, expect and send_program
    need: Need = Need.ALL
    interval_s: float | None = None  # at least 0.1; None: timeout_s
    limit_s: float | None = (
        None  # of the whole probe; None: timeout_s for each of its two steps, interval_s at most
    )
    rise: int | None = None  # at least 1; None: reentry_s / timeout_s
    fall: int = 1
    down_interval_s: float | None = None
    start: Start = Start.DOWN
    path: CheckPath = CheckPath.REAL


class Quorum(msgspec.Struct, frozen=True, gc=False):
    """How many real servers must serve, and what is run when they no longer do, and do again."""

    least: int = 1  # sum of configured weights of those that are up
    hysteresis: int = 0  # lost below least - hysteresis, back at least + hysteresis; below `least`
    up_cmd: str | None = None
    down_cmd: str | None = None


class RealServer(msgspec.Struct, frozen=True, gc=False):
    name: str
    address: Address  # RIP; of the VIP's family, except with tunneling; inactive: 0.0.0.0 or :: is none
    port: int  # 1 to 65535; the virtual server's, unless masquerading
    check_port: int  # 1 to 65535; the port as configured
    active: bool
    weight: int  # 0 to 65535
    upper_threshold: int  # connections; 0: none
    lower_threshold: int  # connections; 0: the kernel's three quarters of the upper


class VirtualServer(msgspec.Struct, frozen=True, gc=False):
    name: str
    active: bool
    address: Address | None  # VIP; None only on an inactive virtual server
    vip: DeviceAddress | None  # the VIP on its device; None: not ours to bring up
    fwmark: int  # 1 to 2**32-1 replaces VIP and port in the kernel; 0: none
    protocol: Protocol
    port: int  # 1 to 65535
    scheduler: Scheduler
    scheduler_flags: frozenset[SchedulerFlag]  # only those its scheduler and protocol know
    persistence: Persistence | None
    forwarding: Forwarding
    tunnel: Tunnel  # meaningful with tunneling only
    checking: Checking
    quiesce_server: bool
    sorry_server: Address | None
    client_monitor: str | None  # read for its own sake: nothing runs it
    real_servers: tuple[RealServer, ...]
    quorum: Quorum = Quorum()
    slow_start_s: float = 0.0  # the weight grows over this time
    weight_doubling: bool = False  # it grows as nanny's did, from 1/32 (lvs.cf section 4.6)
    drain: Drain = Drain.LEAVE
    notify_cmd: str | None = None  # run with each change of a real server's state


class VirtualKey(msgspec.Struct, frozen=True, gc=False, order=True, cache_hash=True):
    """A virtual server's identity: what it has in common with itself before an edit."""

    address: bytes  # VIP, packed; empty: inactive without one
    protocol: Protocol
    port: int
    fwmark: int


def key_of(virtual_server: VirtualServer) -> VirtualKey:
    address = b"" if virtual_server.address is None else virtual_server.address.packed
    return VirtualKey(address, virtual_server.protocol, virtual_server.port, virtual_server.fwmark)


class Serving(msgspec.Struct, frozen=True, gc=False):
    """Who serves: what the kernel is to hold of a virtual server's real servers."""

    weights: tuple[int | None, ...]  # of each, in the configuration's order; None: not in the kernel
    sorry: bool = False  # the sorry server takes all
    marks: tuple[int, ...] = ()  # firewall marks by which each is checked through the VIP; 0: it is not


class Role(StrEnum):
    """What a director is to the other one."""

    ACTIVE = "active"  # holds the VIPs
    STANDBY = "standby"  # holds the table, and could take them at once
    FAULT = "fault"  # as standby, and could not


SYNC_GROUP = IPv4Address("224.0.0.81")
PAIR_KEY = "/etc/lvs/pair.key"


class Pair(msgspec.Struct, frozen=True, gc=False):
    """The two directors, their heartbeat and connection sync."""

    primary: Address | None
    primary_private: Address | None  # primary, if there is one link
    backup: Address | None
    backup_private: Address | None
    backup_active: bool
    heartbeat_port: int
    keepalive_s: float  # above 0, below deadtime_s
    deadtime_s: float
    monitor_links: bool
    syncdaemon: bool
    syncd_iface: str
    syncd_id: int  # 0 to 255
    active_cmd: str | None
    inactive_cmd: str | None
    syncd_group: Address = SYNC_GROUP  # multicast
    syncd_port: int = 8848
    syncd_ttl: int = 1  # 1 to 255
    syncd_maxlen: int | None = None  # 1 to 65507 bytes; None: what fits a frame of 1500
    pair_key: str = PAIR_KEY  # absolute path
    witness: frozenset[Address] = frozenset()
    failback: Failback = Failback.NEVER


class Kernel(msgspec.Struct, frozen=True, gc=False):
    """Settings of IPVS as a whole."""

    tcp_timeout_s: int  # 0: left alone
    tcpfin_timeout_s: int
    udp_timeout_s: int
    expire_nodest_conn: bool
    expire_quiescent_template: bool
    conn_reuse_mode: int  # 0, 1
    conntrack: bool


class Unused(msgspec.Struct, frozen=True, gc=False):
    """Global options of Piranha that nothing reads any more; kept so that conversion loses none."""

    primary_shared: str | None = None
    backup_shared: str | None = None
    heartbeat: bool = False
    sync: bool = False
    rsh_command: str | None = None
    reservation_conflict_action: str | None = None
    debug_level: str | None = None
    hard_shutdown: bool = True
    ipvsadm: str | None = None


class Config(msgspec.Struct, frozen=True):
    serial_no: int
    pair: Pair
    network: Forwarding  # of every virtual server that names none of its own
    nat_router: DeviceAddress | None
    kernel: Kernel
    on_stop: OnStop
    unused: Unused
    virtual_servers: tuple[VirtualServer, ...]  # in the file's order
    check_user: str | None = None  # whom check programs run as; None: lvs-check, or nobody without it
    announce_every_s: int = 60  # VIPs are announced again this often while they are held; 0: never
