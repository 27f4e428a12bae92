"""What each active virtual server means for all but its own service: its VIP, modules, settings.

Hardly an edit of a virtual server changes its outline; and while all outlines are the same ones as before,
so is what they ask of the kernel in common.
"""

from __future__ import annotations

from ipaddress import IPv4Address
from itertools import chain

import msgspec

from lvs.kernel.keys import service_key
from lvs.kernel.state import ServiceKey, Vip
from lvs.model import (
    Address,
    CheckPath,
    Config,
    DeviceAddress,
    Drain,
    Forwarding,
    Pair,
    VirtualKey,
    VirtualServer,
    key_of,
)


class Outline(msgspec.Struct, frozen=True):
    """What one active virtual server means for all but its own service; hardly an edit changes it."""

    identity: VirtualKey
    key: ServiceKey
    vip: Vip | None
    modules: tuple[str, ...]
    masqueraded: int | None  # the family whose packets are, 0 if a firewall mark does not tell
    through_vip: bool  # its real servers are checked that way
    drain: Drain
    alone: bool  # only the active director has it: a director is among its real servers


class Part(msgspec.Struct, frozen=True):
    """What one active virtual server adds to the whole."""

    virtual_server: VirtualServer
    outline: Outline
    real_servers: int  # those that are active


class Common(msgspec.Struct, frozen=True):
    """What all outlines together ask of the kernel."""

    vips: frozenset[Vip] = frozenset()
    modules: frozenset[str] = frozenset()
    masqueraded: frozenset[int] = frozenset()  # families whose packets are
    through_vip: bool = False  # some virtual server is checked that way
    checked_on: frozenset[str] = frozenset()  # devices with VIPs that are
    some_stay: bool = False  # clients of some virtual server stay while it drains
    alone: frozenset[ServiceKey] = frozenset()  # services that only the active director has


def own_addresses(pair: Pair) -> frozenset[int]:
    """The addresses of two directors as numbers; none of one that runs alone."""
    addresses = (pair.primary, pair.primary_private, pair.backup, pair.backup_private)
    return frozenset(_number(one) for one in addresses if one is not None and pair.backup_active)


def _number(address: Address) -> int:
    """An address as a number that no address of the other family shares; hashed faster than itself."""
    return int(address) if type(address) is IPv4Address else int(address) + (1 << 128)


def outlined(
    config: Config, own: frozenset[int], before: tuple[Part, ...], own_before: frozenset[int]
) -> tuple[Part, ...]:
    """One for each active virtual server; of one that is the identical object, the identical part.

    The outline is the identical object, too, if it is equal to that in the same place `before`.
    """
    known = {id(part.virtual_server): part for part in before} if own == own_before else {}
    active = [virtual_server for virtual_server in config.virtual_servers if virtual_server.active]
    parts = [known.get(id(virtual_server)) for virtual_server in active]
    return tuple(
        [
            part or _part(virtual_server, own, before[index] if index < len(before) else None)
            for index, (part, virtual_server) in enumerate(zip(parts, active, strict=True))
        ]
    )


def _part(virtual_server: VirtualServer, own: frozenset[int], before: Part | None) -> Part:
    names = ["ip_vs", f"ip_vs_{virtual_server.scheduler.value}"]
    if virtual_server.persistence is not None and virtual_server.persistence.engine is not None:
        names.append(f"ip_vs_pe_{virtual_server.persistence.engine.value}")
    vip = None if virtual_server.vip is None else vip_of(virtual_server.vip)
    masqueraded = None
    if virtual_server.forwarding is Forwarding.MASQUERADING:
        masqueraded = 0 if virtual_server.address is None else virtual_server.address.version
    outline = Outline(
        key_of(virtual_server),
        service_key(virtual_server),
        vip,
        tuple(names),
        masqueraded,
        virtual_server.checking.path is CheckPath.VIP,
        virtual_server.drain,
        bool(own) and _forwards_to(virtual_server, own),
    )
    if before is not None and before.outline == outline:
        outline = before.outline
    return Part(virtual_server, outline, sum([one.active for one in virtual_server.real_servers]))


def _forwards_to(virtual_server: VirtualServer, own: frozenset[int]) -> bool:
    """Whether one of these addresses gets its packets as they are; masquerading changes the VIP."""
    if virtual_server.forwarding is Forwarding.MASQUERADING:
        return False
    sorry = virtual_server.sorry_server
    return (sorry is not None and _number(sorry) in own) or any(
        [one.active and _number(one.address) in own for one in virtual_server.real_servers]  # noqa: C419
    )


def in_common(parts: tuple[Part, ...]) -> Common:
    """What all of them ask of the kernel."""
    outlines = [part.outline for part in parts]
    vips: dict[bytes, Vip] = {}  # each VIP once, as the first active virtual server has it
    for one in outlines:
        if one.vip is not None:
            vips.setdefault(one.vip.address, one.vip)
    return Common(
        vips=frozenset(vips.values()),
        modules=frozenset(chain.from_iterable([one.modules for one in outlines])),
        masqueraded=frozenset([one.masqueraded for one in outlines if one.masqueraded is not None]),
        through_vip=any([one.through_vip for one in outlines]),  # noqa: C419  a list is faster
        checked_on=frozenset([one.vip.device for one in outlines if one.through_vip and one.vip is not None]),
        alone=frozenset([one.key for one in outlines if one.alone]),
        some_stay=any([one.drain is Drain.STAY for one in outlines]),  # noqa: C419
    )


def vip_of(held: DeviceAddress) -> Vip:
    """An address on a device, as the kernel has it."""
    whole = 32 if held.address.version == 4 else 128
    prefix = whole if held.prefix is None else held.prefix
    return Vip(held.device, held.address.packed, prefix, held.label or "")
