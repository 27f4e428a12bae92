"""Options outside all blocks: the pair, forwarding, the kernel, and what is kept for those who convert."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from lvs.config.option import SECONDS_MAX, Kind, Option, Scope, option_of
from lvs.model import PAIR_KEY, SYNC_GROUP, Failback, Format, Forwarding, OnStop


class ServiceKind(StrEnum):
    LVS = "lvs"


class ReservationAction(StrEnum):
    NOTHING = "nothing"
    PREEMPT = "preempt"


def _global(name: str, kind: Kind, text: str, default: Any = None, **more: Any) -> Option:
    return option_of(Scope.GLOBAL, name, kind, text, default, **more)


_TOML = (Format.TOML,)

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
    _global(
        "monitor_links", Kind.SWITCH, "give way when the link of primary, backup or a VIP goes down", False
    ),
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
)
