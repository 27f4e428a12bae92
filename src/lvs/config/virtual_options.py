"""Options of virtual servers and of their real servers; checks have a table of their own."""

from __future__ import annotations

from typing import Any

from lvs.config.option import Kind, Option, Scope, option_of
from lvs.model import (
    CheckPath,
    Drain,
    Format,
    Forwarding,
    Need,
    PersistenceEngine,
    Protocol,
    Scheduler,
    SchedulerFlag,
    Start,
    TunnelChecksum,
    TunnelType,
)


def _virtual(name: str, kind: Kind, text: str, default: Any = None, **more: Any) -> Option:
    return option_of(Scope.VIRTUAL, name, kind, text, default, **more)


def _server(name: str, kind: Kind, text: str, default: Any = None, **more: Any) -> Option:
    return option_of(Scope.SERVER, name, kind, text, default, **more)


WEIGHTS_MAX = 1_000_000_000

_TOML = (Format.TOML,)
_CF = (Format.LVS_CF,)

OPTIONS: tuple[Option, ...] = (
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
        "limit of a whole check; not set: timeout for each of its steps, check_interval at most",
        low=0.1,
        formats=_TOML,
    ),
    _virtual(
        "check_interval_down",
        Kind.SECONDS,
        "instead of check_interval while it is down",
        low=0.1,
        formats=_TOML,
    ),
    _virtual(
        "rise",
        Kind.INTEGER,
        "good checks in a row that make a real server up; not set: reentry / check_interval",
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
