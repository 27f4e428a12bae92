"""Global options, located -> Config: the pair, the kernel's settings, the NAT router."""

from __future__ import annotations

from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Any

from lvs.config.judge import DEFAULTS, Judge, family, held
from lvs.config.option import Scope
from lvs.model import Address, Config, Format, Kernel, Pair, Unused, VirtualServer

if TYPE_CHECKING:
    from lvs.config.located import Note
    from lvs.config.values import Device

MAXLEN6 = (
    65535 - 40 - 8
)  # a datagram without its headers (start_sync_thread, net/netfilter/ipvs/ip_vs_sync.c)


def config(
    given: dict[str, Any],
    bad: frozenset[str],
    file_format: Format,
    virtual_servers: tuple[VirtualServer | None, ...],
    *,
    masquerading: bool,
    notes: list[Note],
) -> Config:
    """Build the whole; of no use if there is an error anywhere, as a missing virtual server shows.

    Shape: `masquerading` says whether some active virtual server is.
    """
    judge = Judge(notes, bad)
    values = {**DEFAULTS[file_format, Scope.GLOBAL], **given}
    get = values.__getitem__
    nat_router: Address | None = get("nat_router")
    device: Device | None = get("nat_router_device")
    if nat_router is not None and device is None and judge.sound("nat_router_device"):
        judge.refuse("nat_router_device", "missing; nat_router needs a device to be held on")
    if nat_router is None and judge.sound("nat_router") and file_format is Format.TOML and device is not None:
        judge.refuse("nat_router", "missing beside nat_router_device")
    if nat_router is None and get("nat_nmask") is not None and judge.sound("nat_router"):
        judge.warn("nat_nmask", "ignored without nat_router")
    if nat_router is not None and not masquerading:
        judge.warn("nat_router", "no active virtual server has nat forwarding, so it is not held")
    return Config(
        get("serial_no"),
        _pair(judge, values, given),
        get("network"),
        held(judge, nat_router, values, "nat_router_device", "nat_nmask"),
        Kernel(
            get("tcp_timeout"),
            get("tcpfin_timeout"),
            get("udp_timeout"),
            get("expire_nodest_conn"),
            get("expire_quiescent_template"),
            get("conn_reuse_mode"),
            get("conntrack"),
        ),
        get("on_stop"),
        Unused(**{name: values[name] for name in Unused.__struct_fields__}),
        virtual_servers,  # type: ignore[arg-type]  # None is there beside errors only
        get("check_user"),
        get("announce_every"),
    )


def _pair(judge: Judge, values: dict[str, Any], given: dict[str, Any]) -> Pair:
    get = values.__getitem__
    primary: Address | None = get("primary")
    primary_private: Address | None = get("primary_private")
    backup: Address | None = get("backup")
    backup_private: Address | None = get("backup_private")
    if primary_private is None and backup_private is not None and judge.sound("primary_private"):
        if backup_private != backup:
            judge.warn(
                "backup_private",
                "ignored without primary_private: there is one heartbeat link, the public one",
            )
        backup_private = backup
    primary_private = primary_private or primary
    backup_private = backup_private or backup
    active: bool | None = get("backup_active")
    if active is None:
        active = backup is not None
    if active and judge.sound("primary", "backup"):
        if backup is None:
            judge.warn("backup_active", "there is no backup, so this director runs alone")
            active = False
        elif primary is None:
            judge.refuse("primary", "missing; of two directors the addresses of both are needed")
    links = (("backup", primary, backup), ("backup_private", primary_private, backup_private))
    for option, one, other in links:
        if one is None or other is None or option not in given:
            continue
        if one == other:
            judge.refuse(option, f"{other} is the primary's address; each director has its own")
        elif type(one) is not type(other):
            judge.refuse(option, f"{family(other)}, but the primary's address is {family(one)}")
    keepalive: float = get("keepalive")
    deadtime: float = get("deadtime")
    if keepalive >= deadtime and judge.sound("keepalive", "deadtime"):
        if "keepalive" in given:
            default = "" if "deadtime" in given else ", its default"
            asked = f"less than deadtime is asked for ({deadtime:g}{default})"
            judge.refuse("keepalive", f"{asked}, got {keepalive:g}")
        else:
            asked = f"more than keepalive is asked for ({keepalive:g}, its default)"
            judge.refuse("deadtime", f"{asked}, got {deadtime:g}")
    maxlen: int | None = get("syncd_maxlen")
    if maxlen is not None and maxlen > MAXLEN6 and type(get("syncd_group")) is IPv6Address:
        judge.refuse("syncd_maxlen", f"1 to {MAXLEN6} with an IPv6 group, got {maxlen}")
    return Pair(
        primary,
        primary_private,
        backup,
        backup_private,
        active,
        get("heartbeat_port"),
        keepalive,
        deadtime,
        get("monitor_links"),
        get("syncdaemon"),
        get("syncd_iface"),
        get("syncd_id"),
        get("active_cmd"),
        get("inactive_cmd"),
        get("syncd_group"),
        get("syncd_port"),
        get("syncd_ttl"),
        maxlen,
        get("pair_key"),
        get("witness"),
        get("failback"),
    )
