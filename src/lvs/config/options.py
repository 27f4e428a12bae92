"""The one table of every option, for both languages.

The readers, the validator, the renderers, "did you mean" and the reference in
docs/configuration.md all go by it. Its order is the order in which files are written. Options of
checks have a table of their own, `lvs.config.checks`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from lvs.config.option import SECONDS_MAX, option_of
from lvs.config.option import Kind as Kind  # noqa: PLC0414  everything imports it from here
from lvs.config.option import Option as Option  # noqa: PLC0414
from lvs.config.option import Scope as Scope  # noqa: PLC0414
from lvs.model import (
    PAIR_KEY,
    SYNC_GROUP,
    CheckPath,
    Drain,
    Failback,
    Format,
    Forwarding,
    Need,
    OnStop,
    PersistenceEngine,
    Protocol,
    Scheduler,
    SchedulerFlag,
    Start,
    TunnelChecksum,
    TunnelType,
)


class ServiceKind(StrEnum):
    LVS = "lvs"


class ReservationAction(StrEnum):
    NOTHING = "nothing"
    PREEMPT = "preempt"


def _global(name: str, kind: Kind, text: str, default: Any = None, **more: Any) -> Option:
    return option_of(Scope.GLOBAL, name, kind, text, default, **more)


def _virtual(name: str, kind: Kind, text: str, default: Any = None, **more: Any) -> Option:
    return option_of(Scope.VIRTUAL, name, kind, text, default, **more)


def _server(name: str, kind: Kind, text: str, default: Any = None, **more: Any) -> Option:
    return option_of(Scope.SERVER, name, kind, text, default, **more)


WEIGHTS_MAX = 1_000_000_000

_TOML = (Format.TOML,)
_CF = (Format.LVS_CF,)

OPTIONS: tuple[Option, ...] = (
    # The pair
    _global("serial_no", Kind.INTEGER, "number of this version of the file", 0, high=2**32 - 1, always=True),
    _global("primary", Kind.ADDRESS, "public address of the primary director"),
    _global("primary_private", Kind.ADDRESS, "its address on a second heartbeat link"),
    _global("primary_shared", Kind.WORD, "shared disk as the primary sees it; kept, not used"),
    _global("backup", Kind.ADDRESS, "public address of the backup director", zero_is_unset=True),
    _global("backup_private", Kind.ADDRESS, "its address on a second heartbeat link"),
    _global("backup_shared", Kind.WORD, "shared disk as the backup sees it; kept, not used"),
    _global("backup_active", Kind.SWITCH, "use the backup director", False, toml=None),
    _global("heartbeat", Kind.SWITCH, "kept, not used", False),
    _global("heartbeat_port", Kind.PORT, "UDP port of the heartbeat, on both directors", 539),
    _global("keepalive", Kind.SECONDS, "time between two heartbeats", 2.0, toml=0.2, low=0.01),
    _global(
        "deadtime", Kind.SECONDS, "silence after which the other director is dead", 5.0, toml=0.8, low=0.01
    ),
    _global("monitor_links", Kind.SWITCH, "give way when a link of the heartbeat goes down", False),
    _global(
        "witness",
        Kind.ADDRESSES,
        "hosts that answer ping, such as the gateway: a director that reaches none of them gives way",
        frozenset(),
        formats=_TOML,
    ),
    _global(
        "failback",
        Kind.CHOICE,
        "when a primary that is back takes over again; synced: when it knows the connections",
        Failback.NEVER,
        choices=Failback,
        formats=_TOML,
    ),
    _global("syncdaemon", Kind.SWITCH, "share connections with the other director", False),
    _global("syncd_iface", Kind.INTERFACE, "interface for sharing them", "eth0"),
    _global("syncd_id", Kind.INTEGER, "number of the pair on that interface", 0, high=255),
    _global(
        "syncd_group",
        Kind.GROUP,
        "multicast address they are shared at, IPv4 or IPv6",
        SYNC_GROUP,
        formats=_TOML,
    ),
    _global("syncd_port", Kind.PORT, "UDP port they are shared at", 8848, formats=_TOML),
    _global(
        "syncd_ttl",
        Kind.INTEGER,
        "networks they may cross, their own included",
        1,
        low=1,
        high=255,
        formats=_TOML,
    ),
    _global(
        "syncd_maxlen",
        Kind.INTEGER,
        "size of a message at most; not set: what fits 1500 with its headers",
        None,
        low=1,
        high=65507,
        unit="bytes",
        formats=_TOML,
    ),
    _global(
        "announce_every",
        Kind.INTEGER,
        "VIPs are announced again this often while they are held; 0: never",
        60,
        high=SECONDS_MAX,
        unit="s",
        formats=_TOML,
    ),
    _global("active_cmd", Kind.WORD, "command run when this director becomes active"),
    _global("inactive_cmd", Kind.WORD, "command run when it becomes standby"),
    _global(
        "pair_key",
        Kind.WORD,
        "key that the two directors know each other by; the same file on both",
        PAIR_KEY,
        formats=_TOML,
        pattern=r"/[!-~]{1,1000}",
        asked="an absolute path",
    ),
    # Forwarding
    _global("service", Kind.CHOICE, "kind of service; only lvs is left", None, choices=ServiceKind),
    _global(
        "network",
        Kind.CHOICE,
        "forwarding method of every virtual server",
        Forwarding.MASQUERADING,
        choices=Forwarding,
        always=True,
    ),
    _global(
        "nat_router",
        Kind.ADDRESS,
        "the real servers' gateway, held by the active director",
        zero_is_unset=True,
    ),
    _global("nat_router_device", Kind.DEVICE, "device to hold it on", formats=_TOML),
    _global("nat_nmask", Kind.MASK, "its mask"),
    # The kernel
    _global("tcp_timeout", Kind.INTEGER, "idle TCP connections are forgotten after this; 0: as it is", 0),
    _global("tcpfin_timeout", Kind.INTEGER, "closing TCP connections; 0: as it is", 0),
    _global("udp_timeout", Kind.INTEGER, "UDP; 0: as it is", 0),
    _global(
        "expire_nodest_conn",
        Kind.SWITCH,
        "end connections of a removed real server at once",
        True,
        formats=_TOML,
    ),
    _global(
        "expire_quiescent_template",
        Kind.SWITCH,
        "persistent clients leave a real server of weight 0",
        True,
        formats=_TOML,
    ),
    _global(
        "conn_reuse_mode",
        Kind.INTEGER,
        "1: a reused client port is scheduled anew",
        1,
        high=1,
        formats=_TOML,
        unit="",
    ),
    _global("conntrack", Kind.SWITCH, "keep netfilter's connection tracking for IPVS", False, formats=_TOML),
    _global(
        "on_stop",
        Kind.CHOICE,
        "what a clean stop leaves: all in place, or nothing",
        OnStop.KEEP,
        choices=OnStop,
        formats=_TOML,
    ),
    _global(
        "check_user",
        Kind.WORD,
        "user whom check programs run as; lvs-check, or nobody without it, if it is not set",
        formats=_TOML,
        pattern=r"[A-Za-z_][A-Za-z0-9_.-]{0,31}\$?",
        asked="the name of a user",
    ),
    # Read and kept
    _global("sync", Kind.SWITCH, "kept, not used", False),
    _global("rsh_command", Kind.WORD, "command of load_monitor = uptime"),
    _global(
        "reservation_conflict_action",
        Kind.CHOICE,
        "shared disks; kept, not used",
        choices=ReservationAction,
    ),
    _global("debug_level", Kind.WORD, "kept, not used"),
    _global("hard_shutdown", Kind.SWITCH, "kept, not used: one failed check never stops the rest", True),
    _global("ipvsadm", Kind.WORD, "kept, not used: the kernel is spoken to directly"),
    # Virtual servers
    _virtual("active", Kind.SWITCH, "serve it", False, toml=True),
    _virtual("address", Kind.ADDRESS, "VIP", zero_is_unset=True, always=True),
    _virtual(
        "device",
        Kind.DEVICE,
        "device to hold the VIP on; eth0:1 gives it a label",
        formats=_TOML,
        always=True,
    ),
    _virtual("vip_nmask", Kind.MASK, "mask of the VIP on its device"),
    _virtual("sorry_server", Kind.ADDRESS, "server used when no real server is up", zero_is_unset=True),
    _virtual("fwmark", Kind.INTEGER, "firewall mark that replaces VIP and port; 0: none", 0, high=2**32 - 1),
    _virtual(
        "protocol",
        Kind.CHOICE,
        "protocol",
        Protocol.TCP,
        choices=Protocol,
        toml_words=(Protocol.SCTP,),
        always=True,
    ),
    _virtual("port", Kind.PORT, "port", 80, toml=None, always=True),
    _virtual(
        "scheduler",
        Kind.CHOICE,
        "scheduling of new connections",
        Scheduler.WLC,
        choices=Scheduler,
        always=True,
    ),
    _virtual(
        "scheduler_flags",
        Kind.FLAGS,
        "sh-... with sh, mh-... with mh, one-packet with udp",
        frozenset(),
        choices=SchedulerFlag,
        formats=_TOML,
    ),
    _virtual("persistent", Kind.INTEGER, "a client stays with its real server this long; 0: off", 0),
    _virtual("pmask", Kind.MASK, "clients within this mask count as one"),
    _virtual(
        "persistence_engine",
        Kind.CHOICE,
        "what tells clients apart: SIP's Call-ID, instead of the address",
        choices=PersistenceEngine,
        formats=_TOML,
    ),
    _virtual(
        "forwarding", Kind.CHOICE, "forwarding method, instead of network", choices=Forwarding, formats=_TOML
    ),
    _virtual("tunnel", Kind.CHOICE, "kind of tunnel", TunnelType.IPIP, choices=TunnelType, formats=_TOML),
    _virtual("tunnel_port", Kind.PORT, "UDP port of a gue tunnel", formats=_TOML),
    _virtual(
        "tunnel_checksum",
        Kind.CHOICE,
        "outer checksum of a gue or gre tunnel; remcsum: gue only",
        TunnelChecksum.NONE,
        choices=TunnelChecksum,
        formats=_TOML,
    ),
    _virtual("send", Kind.TEXT, "text sent by the check"),
    _virtual("expect", Kind.TEXT, "text the answer begins with; * for any"),
    _virtual("use_regex", Kind.SWITCH, "expect is a regular expression", False),
    _virtual("send_program", Kind.WORD, "program that checks instead; %h is the real server, %p its port"),
    _virtual("timeout", Kind.INTEGER, "time between checks, and limit of each step", 10, toml=6, low=1),
    _virtual(
        "reentry", Kind.INTEGER, "a returned server must answer this long before it is used", 180, toml=15
    ),
    _virtual(
        "check_need",
        Kind.CHOICE,
        "of several checks, how many make a real server up",
        Need.ALL,
        choices=Need,
        formats=_TOML,
    ),
    _virtual(
        "check_interval",
        Kind.SECONDS,
        "time from one check to the next; not set: timeout",
        low=0.1,
        formats=_TOML,
    ),
    _virtual(
        "check_limit",
        Kind.SECONDS,
        "limit of a whole check; not set: timeout for each of its steps",
        low=0.1,
        formats=_TOML,
    ),
    _virtual(
        "check_interval_down",
        Kind.SECONDS,
        "instead of check_interval while the last check failed",
        low=0.1,
        formats=_TOML,
    ),
    _virtual(
        "rise",
        Kind.INTEGER,
        "good checks in a row that make a real server up; not set: reentry / timeout",
        low=1,
        high=1000,
        formats=_TOML,
    ),
    _virtual(
        "fall",
        Kind.INTEGER,
        "failed checks in a row that make it down",
        1,
        low=1,
        high=1000,
        formats=_TOML,
    ),
    _virtual(
        "check_start",
        Kind.CHOICE,
        "what a new real server is until its first check has ended",
        Start.DOWN,
        choices=Start,
        formats=_TOML,
    ),
    _virtual(
        "check_path",
        Kind.CHOICE,
        "check at the real server's own address, or at the VIP, forwarded as clients are; not with nat",
        CheckPath.REAL,
        choices=CheckPath,
        formats=_TOML,
    ),
    _virtual("load_monitor", Kind.WORD, "none, rup, ruptime, uptime, http://%h:PORT/PATH, or a program"),
    _virtual(
        "quorum",
        Kind.INTEGER,
        "weights of the real servers that are up, at least, summed; below, the sorry server serves",
        1,
        low=1,
        high=WEIGHTS_MAX,
        formats=_TOML,
    ),
    _virtual(
        "quorum_hysteresis",
        Kind.INTEGER,
        "lost only when so much is missing, back only with so much more; less than quorum",
        0,
        high=WEIGHTS_MAX,
        formats=_TOML,
    ),
    _virtual("quorum_up_cmd", Kind.WORD, "command run when the quorum is met again", formats=_TOML),
    _virtual("quorum_down_cmd", Kind.WORD, "command run when it is lost", formats=_TOML),
    _virtual("notify_cmd", Kind.WORD, "command run with each change of a real server's state", formats=_TOML),
    _virtual(
        "slow_start",
        Kind.SECONDS,
        "the weight of a returned server grows to its full value over this time",
        0.0,
        formats=_TOML,
    ),
    _virtual(
        "weight_doubling",
        Kind.SWITCH,
        "it grows as Piranha's did: from 1/32, doubled about every 20 s",
        True,
        toml=False,
        formats=_TOML,
    ),
    _virtual(
        "drain",
        Kind.CHOICE,
        "clients bound to a server of weight 0: leave with their next connection, or stay until done",
        Drain.LEAVE,
        choices=Drain,
        formats=_TOML,
    ),
    _virtual("quiesce_server", Kind.SWITCH, "a failed server gets weight 0 and keeps its connections", False),
    _virtual("client_monitor", Kind.WORD, "kept, not used"),
    _virtual("start_cmd", Kind.UNUSED, "failover only", formats=_CF),
    _virtual("stop_cmd", Kind.UNUSED, "failover only", formats=_CF),
    _virtual("master", Kind.UNUSED, "never used", formats=_CF),
    _virtual("dirs", Kind.UNUSED, "never used", formats=_CF),
    # Real servers
    _server("address", Kind.ADDRESS, "RIP", zero_is_unset=True, always=True),
    _server("active", Kind.SWITCH, "use it", False, toml=True),
    _server("port", Kind.PORT, "port, if it is not the virtual server's"),
    _server("weight", Kind.INTEGER, "share of the connections", 1, high=65535, always=True),
    _server(
        "upper_threshold",
        Kind.INTEGER,
        "no new connections from this number on; 0: none",
        0,
        high=1000000000,
        formats=_TOML,
    ),
    _server(
        "lower_threshold",
        Kind.INTEGER,
        "new ones again below this; 0: three quarters of the upper",
        0,
        high=1000000000,
        formats=_TOML,
    ),
)

GLOBAL: dict[str, Option] = {option.name: option for option in OPTIONS if option.scope is Scope.GLOBAL}
VIRTUAL: dict[str, Option] = {option.name: option for option in OPTIONS if option.scope is Scope.VIRTUAL}
SERVER: dict[str, Option] = {option.name: option for option in OPTIONS if option.scope is Scope.SERVER}
BY_SCOPE: dict[Scope, dict[str, Option]] = {
    Scope.GLOBAL: GLOBAL,
    Scope.VIRTUAL: VIRTUAL,
    Scope.SERVER: SERVER,
}

# Keys seen in files that Piranha refuses: what to say instead of "unknown option".
KNOWN_MISTAKES: dict[str, str] = {
    "expect_program": "lvsd never knew it, piranha-gui did: expect is compared with what send_program prints",
    "debug": "write debug_level",
    "name": "the name stands in the opening line: virtual NAME {",
}


def suggestion(word: str, known: list[str], likeness: float = 0.65) -> str:
    """Return `; did you mean "scheduler"?`, or nothing if no known word is close."""
    if len(word) > 40:
        return ""
    import difflib

    close = difflib.get_close_matches(word.lower(), known, 1, likeness)
    return f'; did you mean "{close[0]}"?' if close else ""


_WHERE = {
    Format.LVS_CF: {
        Scope.GLOBAL: "outside all blocks",
        Scope.VIRTUAL: "in a virtual block",
        Scope.SERVER: "in a server block",
    },
    Format.TOML: {
        Scope.GLOBAL: "above the first [[virtual]]",
        Scope.VIRTUAL: "in [[virtual]]",
        Scope.SERVER: "in [[virtual.server]]",
    },
}


def unknown(name: str, scope: Scope, file_format: Format) -> str:
    """Say why `name` is no option here."""
    option = BY_SCOPE[scope].get(name)
    if option is not None:
        if file_format is Format.LVS_CF:
            return "known in lvs.toml only; lvsd convert --to toml writes one from this file"
        return f"{option.help}; not in lvs.toml"
    if file_format is Format.LVS_CF and name in KNOWN_MISTAKES:
        return f"unknown option; {KNOWN_MISTAKES[name]}"
    if file_format is Format.TOML and name == "failover" and scope is Scope.GLOBAL:
        return "unknown option; failover services are not supported, only virtual servers are"
    homes = [
        other for other in Scope if name in BY_SCOPE[other] and file_format in BY_SCOPE[other][name].formats
    ]
    if homes:
        where = _WHERE[file_format][homes[0]]
        return f"unknown option here; it belongs {where}"
    names = [option.name for option in BY_SCOPE[scope].values() if file_format in option.formats]
    return "unknown option" + suggestion(name, names)
