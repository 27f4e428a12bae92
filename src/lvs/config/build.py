"""Located tree -> Config, or every Problem found.

The one validator behind both readers and every door of the product. What stands in one virtual
server is judged by `virtual_server`, its checks in `checking`, what concerns several in `across`, the global
options in `whole`. Nothing is repaired in silence: what is taken otherwise than it is written comes with a
warning.

Only what is active must be complete and must not clash: piranha-gui writes new entries inactive
and half empty, and Piranha set up nothing that is inactive.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from sys import intern
from typing import TYPE_CHECKING, Any

from lvs.config import checking
from lvs.config.across import Facts, number, twice
from lvs.config.judge import DEFAULTS, Judge, family, held, prefix_of
from lvs.config.located import Severity
from lvs.config.option import Scope
from lvs.model import (
    Address,
    Format,
    Forwarding,
    Persistence,
    Protocol,
    RealServer,
    Scheduler,
    SchedulerFlag,
    Tunnel,
    TunnelChecksum,
    TunnelType,
    VirtualServer,
)

if TYPE_CHECKING:
    from lvs.config.addresses import Mask
    from lvs.config.located import Note, Virtual

_NOWHERE = (IPv4Address(0), IPv6Address(0))
_PROTOCOLS = {Protocol.TCP: 0, Protocol.UDP: 1, Protocol.SCTP: 2}


def _across_families(judge: Judge, option: str, address: Address, vip: Address, server: int = -1) -> None:
    message = f"{family(address)}, but the VIP is {family(vip)}; only tunnel forwarding joins the two"
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
    on_device = held(judge, vip, values, "device", "vip_nmask")
    if flags:
        _check_flags(judge, flags, scheduler, protocol)
    forwarding: Forwarding = get("forwarding") or network
    values["forwarding"] = forwarding
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

    checked = checking.built(judge, block, values, file_format, real_servers)
    masquerading = active and forwarding is Forwarding.MASQUERADING
    if (
        block.bad
        or any([entry.bad for entry in block.servers])  # noqa: C419  a list is faster
        or any([entry.bad for entry in block.checks])  # noqa: C419
        or (len(notes) > before and any(note.severity is Severity.ERROR for note in notes[before:]))
    ):
        return None, Facts(block.name, masquerading)
    built = VirtualServer(
        block.name,
        active,
        vip,
        on_device,
        fwmark,
        protocol,
        port,
        scheduler,
        flags,
        persistence,
        forwarding,
        tunnel,
        checked.checking,
        get("quiesce_server"),
        sorry,
        get("client_monitor"),
        real_servers,
        *checked.rest,
    )
    if not active or vip is None:
        return built, Facts(block.name, masquerading)
    whole = number(vip)
    return built, Facts(
        block.name,
        masquerading,
        fwmark << 152 | whole << 20 | _PROTOCOLS[protocol] << 16 | port,
        None if on_device is None else (whole, on_device.device, on_device.label, on_device.prefix),
        fwmark,
        (family(vip), scheduler, flags, persistence, forwarding, tunnel) if fwmark else (),
        mixed,
        built if fwmark else None,
        checked.needs,
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
        name = intern(entry.name)  # the same ten in a thousand virtual servers
        built.append(RealServer(name, address, target, check_port, active, get("weight", 1), upper, lower))
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
    prefix = prefix_of(judge, "pmask", mask, vip) if judge.sound("address") else None
    full = 128 if type(vip) is IPv6Address else 32
    return Persistence(timeout, None if prefix == full else prefix, engine)
