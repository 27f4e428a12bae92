"""The one table of every option, for both languages.

The readers, the validator, the renderers, "did you mean" and the reference in
docs/configuration.md all go by it. Its order is the order in which files are written.

Ranges: what the kernel and the protocols can carry. Seconds end at 2147483, which is
INT_MAX / HZ, the limit of IPVS's own timeouts at HZ = 1000.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from lvs.model import (
    Format,
    Forwarding,
    OnStop,
    PersistenceEngine,
    Protocol,
    Scheduler,
    SchedulerFlag,
    TunnelChecksum,
    TunnelType,
)


class Scope(StrEnum):
    GLOBAL = "global"
    VIRTUAL = "virtual"
    SERVER = "server"


class Kind(StrEnum):
    INTEGER = "whole number"
    SECONDS = "seconds"  # whole in lvs.cf, fractions in lvs.toml
    SWITCH = "switch"
    PORT = "port"  # number, or name of a TCP service
    ADDRESS = "address"
    DEVICE = "device"  # with or without a label
    INTERFACE = "interface"  # without one
    MASK = "mask"
    CHOICE = "choice"
    FLAGS = "list of words"
    WORD = "word"  # device names, commands: taken as they stand
    TEXT = "text"  # sent and expected: lvs.cf's escapes are decoded
    UNUSED = "unused"  # in lvs.cf, and read by nothing: a warning


class ServiceKind(StrEnum):
    LVS = "lvs"


class ReservationAction(StrEnum):
    NOTHING = "nothing"
    PREEMPT = "preempt"


SECONDS_MAX = 2147483
DIRECTOR = "one of the two directors"


class Option(msgspec.Struct, frozen=True):
    name: str
    scope: Scope
    kind: Kind
    help: str
    cf: Any = None  # default in lvs.cf; None: not set
    toml: Any = None  # default in lvs.toml
    low: float = 0
    high: float = 0
    choices: type[StrEnum] | None = None
    formats: tuple[Format, ...] = (Format.LVS_CF, Format.TOML)
    toml_words: tuple[str, ...] = ()  # those of the choices that lvs.cf does not have
    zero_is_unset: bool = False  # 0.0.0.0 is written for "none"; elsewhere it is refused
    always: bool = False  # written to lvs.toml even when it is the default
    unit: str = ""

    def default(self, file_format: Format) -> Any:
        return self.cf if file_format is Format.LVS_CF else self.toml


def _option(scope: Scope, name: str, kind: Kind, text: str, default: Any = None, **more: Any) -> Option:
    more.setdefault("toml", default)
    if kind is Kind.PORT:
        more.update(low=1, high=65535)
    if kind in (Kind.INTEGER, Kind.SECONDS) and "high" not in more:
        more["high"] = SECONDS_MAX
        more["unit"] = "s"
    return Option(name, scope, kind, text, default, **more)


def _global(name: str, kind: Kind, text: str, default: Any = None, **more: Any) -> Option:
    return _option(Scope.GLOBAL, name, kind, text, default, **more)


def _virtual(name: str, kind: Kind, text: str, default: Any = None, **more: Any) -> Option:
    return _option(Scope.VIRTUAL, name, kind, text, default, **more)


def _server(name: str, kind: Kind, text: str, default: Any = None, **more: Any) -> Option:
    return _option(Scope.SERVER, name, kind, text, default, **more)


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
    _global("syncdaemon", Kind.SWITCH, "share connections with the other director", False),
    _global("syncd_iface", Kind.INTERFACE, "interface for sharing them", "eth0"),
    _global("syncd_id", Kind.INTEGER, "number of the pair on that interface", 0, high=255),
    _global("active_cmd", Kind.WORD, "command run when this director becomes active"),
    _global("inactive_cmd", Kind.WORD, "command run when it becomes standby"),
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
    _virtual("load_monitor", Kind.WORD, "none, rup, ruptime, uptime, or a program"),
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
