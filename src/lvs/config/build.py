"""Located tree -> Config, or every Problem found.

The one validator behind both readers and every door of the product. What stands in one virtual
server is judged by `virtual_server`, what concerns several in `across`, the global options by
`config`. Nothing is repaired in silence: what is taken otherwise than it is written comes with a
warning.

Only what is active must be complete and must not clash: piranha-gui writes new entries inactive
and half empty, and Piranha set up nothing that is inactive.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Any

from lvs.config.across import Facts, number, twice
from lvs.config.located import Note, Place, Severity
from lvs.config.options import BY_SCOPE, Scope
from lvs.model import (
    Address,
    Checking,
    Config,
    DeviceAddress,
    Format,
    Forwarding,
    Kernel,
    Pair,
    Persistence,
    Protocol,
    RealServer,
    Scheduler,
    SchedulerFlag,
    Tunnel,
    TunnelChecksum,
    TunnelType,
    Unused,
    VirtualServer,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lvs.config.located import Virtual
    from lvs.config.values import Device, Mask

DEFAULTS: dict[tuple[Format, Scope], dict[str, Any]] = {
    (file_format, scope): {name: option.default(file_format) for name, option in BY_SCOPE[scope].items()}
    for file_format in Format
    for scope in Scope
}
_NOWHERE = (IPv4Address(0), IPv6Address(0))
_PROTOCOLS = {Protocol.TCP: 0, Protocol.UDP: 1, Protocol.SCTP: 2}


class Judge:
    """Collects what is wrong with one block, or with the global options."""

    def __init__(self, notes: list[Note], bad: frozenset[str], index: int = -1) -> None:
        self.notes = notes
        self.bad = bad
        self.index = index

    def sound(self, *options: str) -> bool:
        """Tell whether none of `options` was refused by the reader, so that a rule can go by them."""
        return not self.bad or self.bad.isdisjoint(options)

    def refuse(self, option: str, message: str, server: int = -1) -> None:
        self.notes.append(Note(Place(option, self.index, server), message))

    def warn(self, option: str, message: str, server: int = -1) -> None:
        self.notes.append(Note(Place(option, self.index, server), message, Severity.WARNING))


def _family(address: Address) -> str:
    return "IPv4" if type(address) is IPv4Address else "IPv6"


def _across_families(judge: Judge, option: str, address: Address, vip: Address, server: int = -1) -> None:
    message = f"{_family(address)}, but the VIP is {_family(vip)}; only tunnel forwarding joins the two"
    judge.refuse(option, message, server)


# --- one virtual server


def virtual_server(
    block: Virtual, file_format: Format, network: Forwarding, notes: list[Note]
) -> tuple[VirtualServer | None, Facts]:
    """Build one virtual server, and what is to be known of it when several are judged together.

    Problems are appended to `notes`. The virtual server is None if a value of it was refused, here
    or by the reader.
    """
    before = len(notes)
    judge = Judge(notes, block.bad, block.index)
    values = {**DEFAULTS[file_format, Scope.VIRTUAL], **block.values}
    get = values.__getitem__
    active: bool = get("active")
    vip: Address | None = get("address")
    fwmark: int = get("fwmark")
    protocol: Protocol = get("protocol")
    scheduler: Scheduler = get("scheduler")
    flags: frozenset[SchedulerFlag] = get("scheduler_flags")
    port: int | None = get("port")
    if active:
        if vip is None and judge.sound("address"):
            judge.refuse("address", "missing; an active virtual server needs a VIP")
        if get("device") is None and vip is not None and not fwmark and judge.sound("device", "fwmark"):
            judge.refuse("device", "missing; it may be left out beside fwmark only")
        if port is None and not fwmark and judge.sound("port", "fwmark"):
            judge.refuse("port", "missing; it may be left out beside fwmark only")
    if port is None:
        values["port"] = port = 80
    held = _held(judge, vip, values, "device", "vip_nmask")
    if flags:
        _check_flags(judge, flags, scheduler, protocol)
    forwarding: Forwarding = get("forwarding") or network
    tunnel = _tunnel(judge, values, block.values, forwarding)
    persistence = _persistence(judge, values, vip, protocol)
    if (
        SchedulerFlag.ONE_PACKET in flags
        and protocol is Protocol.UDP
        and forwarding is Forwarding.MASQUERADING
    ):
        _warn_of_lost_answers(judge, persistence)
    real_servers, mixed = _real_servers(judge, block, values, file_format, forwarding)
    sorry: Address | None = get("sorry_server")
    if sorry is not None and vip is not None and type(sorry) is not type(vip):
        mixed = True
        if forwarding is not Forwarding.TUNNELING and judge.sound("forwarding"):
            _across_families(judge, "sorry_server", sorry, vip)

    masquerading = active and forwarding is Forwarding.MASQUERADING
    if block.bad or (len(notes) > before and any(note.severity is Severity.ERROR for note in notes[before:])):
        return None, Facts(block.name, masquerading)
    if any([entry.bad for entry in block.servers]):  # noqa: C419  a list is faster
        return None, Facts(block.name, masquerading)
    checking = Checking(
        get("send"),
        get("expect"),
        get("use_regex"),
        get("send_program"),
        get("timeout"),
        get("reentry"),
        get("load_monitor"),
    )
    built = VirtualServer(
        block.name,
        active,
        vip,
        held,
        fwmark,
        protocol,
        port,
        scheduler,
        flags,
        persistence,
        forwarding,
        tunnel,
        checking,
        get("quiesce_server"),
        sorry,
        get("client_monitor"),
        real_servers,
    )
    if not active or vip is None:
        return built, Facts(block.name, masquerading)
    whole = number(vip)
    return built, Facts(
        block.name,
        masquerading,
        fwmark << 152 | whole << 20 | _PROTOCOLS[protocol] << 16 | port,
        None if held is None else (whole, held.device, held.label, held.prefix),
        fwmark,
        (_family(vip), scheduler, flags, persistence, forwarding, tunnel) if fwmark else (),
        mixed,
        built if fwmark else None,
    )


def _real_servers(
    judge: Judge, block: Virtual, virtual: dict[str, Any], file_format: Format, forwarding: Forwarding
) -> tuple[tuple[RealServer, ...], bool]:
    """Build the real servers; also tell whether one of them is of another family than the VIP."""
    vip: Address | None = virtual["address"]
    port: int = virtual["port"]
    default_active: bool = DEFAULTS[file_format, Scope.SERVER]["active"]
    masquerading = forwarding is Forwarding.MASQUERADING
    kind = type(vip)
    nowhere = _NOWHERE[kind is IPv6Address]
    mixed = False
    built: list[RealServer] = []
    for index, entry in enumerate(block.servers):
        values = entry.values
        get = values.get
        address: Address | None = get("address")
        active: bool = get("active", default_active)
        check_port: int = get("port") or entry.port or port
        target = check_port if masquerading else port
        upper, lower = get("upper_threshold", 0), get("lower_threshold", 0)
        if lower and lower >= upper and entry.bad.isdisjoint(("upper_threshold", "lower_threshold")):
            judge.refuse(
                "lower_threshold", f"less than upper_threshold, which is {upper}; got {lower}", index
            )
        if address is None:
            if active and "address" not in entry.bad:
                judge.refuse("address", "missing; an active real server needs one", index)
            address = nowhere
        elif active and vip is not None and type(address) is not kind:
            mixed = True
            if forwarding is not Forwarding.TUNNELING and judge.sound("forwarding"):
                _across_families(judge, "address", address, vip, index)
        if target != check_port and judge.sound("port", "forwarding"):
            judge.warn(
                "port",
                f"{forwarding} forwarding keeps the port: checked at {check_port}, forwarded to {port}",
                index,
            )
        built.append(
            RealServer(entry.name, address, target, check_port, active, get("weight", 1), upper, lower)
        )
    keys = [int(server.address) << 16 | server.port for server in built if server.active]
    if len(set(keys)) != len(keys) and judge.sound("port", "forwarding"):
        _same_real_servers(judge, built)
    names = [entry.name for entry in block.servers]
    if len(set(names)) != len(names):
        for index, other in twice(names):
            judge.warn("", f"the name {names[index]} is also that of server[{other}]; both are used", index)
    return tuple(built), mixed


def _same_real_servers(judge: Judge, servers: list[RealServer]) -> None:
    keys = [
        (server.address, server.port) if server.active and server.address not in _NOWHERE else None
        for server in servers
    ]
    for index, other in twice(keys):
        twin = servers[other]
        message = f"{twin.address} port {twin.port} is server[{other}] ({twin.name}) already"
        judge.refuse("address", message, index)


def _held(
    judge: Judge, address: Address | None, values: dict[str, Any], device_key: str, mask_key: str
) -> DeviceAddress | None:
    """Put an address on its device; None if there is no address or no device."""
    device: Device | None = values[device_key]
    mask: Mask | None = values[mask_key]
    if address is None:
        return None
    if device is None:
        if mask is not None and judge.sound(device_key):
            judge.warn(mask_key, f"ignored without {device_key}")
        return None
    if device.label is not None and type(address) is not IPv4Address:
        judge.refuse(device_key, f'IPv6 addresses have no labels; write {device_key} = "{device.name}"')
    return DeviceAddress(address, _prefix(judge, mask_key, mask, address), device.name, device.label)


def _prefix(judge: Judge, option: str, mask: Mask | None, address: Address | None) -> int | None:
    if mask is None:
        return None
    if type(address) is IPv6Address and mask.dotted:
        judge.refuse(option, f"an IPv6 mask is a prefix length, such as {option} = 64")
    if type(address) is not IPv6Address and mask.prefix > 32:
        judge.refuse(option, f"a prefix length of 1 to 32 beside an IPv4 address, got {mask.prefix}")
    return mask.prefix


def _check_flags(
    judge: Judge, flags: frozenset[SchedulerFlag], scheduler: Scheduler, protocol: Protocol
) -> None:
    for flag in sorted(flags):
        if flag is SchedulerFlag.ONE_PACKET:
            if protocol is not Protocol.UDP and judge.sound("protocol"):
                judge.refuse(
                    "scheduler_flags", f"{flag} is for protocol udp only, and this one is {protocol}"
                )
        elif flag.partition("-")[0] != scheduler and judge.sound("scheduler"):
            wanted = flag.partition("-")[0]
            judge.refuse(
                "scheduler_flags", f"{flag} is for scheduler {wanted} only, and this one is {scheduler}"
            )


def _warn_of_lost_answers(judge: Judge, persistence: Persistence | None) -> None:
    """One-packet scheduling leaves no connection; only the engine sip makes one for the answer."""
    if judge.sound("forwarding", "persistence_engine") and (
        persistence is None or persistence.engine is None
    ):
        judge.warn("scheduler_flags", "one-packet with nat: answers keep the real server's address")


def _tunnel(judge: Judge, values: dict[str, Any], given: dict[str, Any], forwarding: Forwarding) -> Tunnel:
    if not judge.sound("tunnel", "forwarding"):
        return Tunnel()
    kind: TunnelType = values["tunnel"]
    port: int | None = values["tunnel_port"]
    checksum: TunnelChecksum = values["tunnel_checksum"]
    if forwarding is not Forwarding.TUNNELING:
        for option in ("tunnel", "tunnel_port", "tunnel_checksum"):
            if option in given:
                judge.refuse(option, f"for tunnel forwarding only, and this one is {forwarding}")
        return Tunnel()
    if kind is TunnelType.GUE and port is None and judge.sound("tunnel_port"):
        judge.refuse("tunnel_port", "missing; a gue tunnel needs one")
    if kind is not TunnelType.GUE and port is not None:
        judge.refuse("tunnel_port", f"for gue tunnels only, and this one is {kind}")
    if kind is TunnelType.IPIP and checksum is not TunnelChecksum.NONE:
        judge.refuse("tunnel_checksum", "ipip tunnels have none")
    if kind is TunnelType.GRE and checksum is TunnelChecksum.REMOTE:
        judge.refuse("tunnel_checksum", f"{checksum} is for gue tunnels only, and this one is {kind}")
    return Tunnel(kind, port or 0, checksum)


def _persistence(
    judge: Judge, values: dict[str, Any], vip: Address | None, protocol: Protocol
) -> Persistence | None:
    timeout: int = values["persistent"]
    mask: Mask | None = values["pmask"]
    engine = values["persistence_engine"]
    if not timeout:
        if judge.sound("persistent"):
            if mask is not None:
                judge.warn("pmask", "ignored without persistent")
            if engine is not None:
                judge.refuse("persistence_engine", "persistent is missing")
        return None
    if engine is not None and protocol is not Protocol.UDP and judge.sound("protocol"):
        judge.refuse("persistence_engine", f"{engine} is for protocol udp only, and this one is {protocol}")
    prefix = _prefix(judge, "pmask", mask, vip) if judge.sound("address") else None
    full = 128 if type(vip) is IPv6Address else 32
    return Persistence(timeout, None if prefix == full else prefix, engine)


# --- global options


def config(
    given: dict[str, Any],
    bad: frozenset[str],
    file_format: Format,
    virtual_servers: tuple[VirtualServer | None, ...],
    *,
    facts: Sequence[Facts],
    notes: list[Note],
) -> Config:
    """Build the whole; of no use if there is an error anywhere, as a missing virtual server shows."""
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
    if nat_router is not None and not any([fact.masquerading for fact in facts]):  # noqa: C419
        judge.warn("nat_router", "no active virtual server has nat forwarding, so it is not held")
    return Config(
        get("serial_no"),
        _pair(judge, values, given),
        get("network"),
        _held(judge, nat_router, values, "nat_router_device", "nat_nmask"),
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
            judge.refuse(option, f"{_family(other)}, but the primary's address is {_family(one)}")
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
    )
