"""What concerns several virtual servers: they are judged together, at every load.

Each virtual server contributes its `Facts`, values that compare fast; the clean case, which is
nearly every load, is decided by comparing sizes of sets, so that a thousand virtual servers cost
well under a millisecond.
"""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import TYPE_CHECKING

import msgspec

from lvs.config.located import Note, Place, Severity
from lvs.config.needs import Needed
from lvs.model import Forwarding, VirtualServer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lvs.model import Address, Config, RealServer


MOST_PORTS_SAID = 8  # in one message
Held = tuple[int, str, str | None, int | None]  # an address as a number: device, label, prefix


class Facts(msgspec.Struct, frozen=True, gc=False):
    """What `across` needs to know of one virtual server, in values that compare fast."""

    name: str
    masquerading: bool  # and active
    identity: int = 0  # mark, VIP, protocol and port as one number; 0: inactive
    vip: Held | None = None
    mark: int = 0
    agreement: tuple[object, ...] = ()  # what virtual servers of one mark share, one kernel service
    mixed: bool = False  # some real server is of another family than the VIP
    marked: VirtualServer | None = None  # if it has a mark
    needs: tuple[Needed, ...] = ()  # on this machine; none if it is inactive


def number(address: Address) -> int:
    """Return `address` as a number that no address of the other family shares."""
    return int(address) if type(address) is IPv4Address else int(address) + (1 << 128)


def twice(keys: Sequence[object]) -> Iterator[tuple[int, int]]:
    """Yield the index of every key that was there before, and where it was first."""
    first: dict[object, int] = {}
    for index, key in enumerate(keys):
        other = first.setdefault(key, index)
        if key and other != index:
            yield index, other


class Together(msgspec.Struct, frozen=True):
    """What is to be said of virtual servers together: a pure function of `facts` and `syncdaemon`."""

    facts: tuple[Facts, ...] = ()
    syncdaemon: bool = False
    notes: tuple[Note, ...] = ()  # places count through the whole file
    masquerading: bool = False  # some active virtual server is
    vips: frozenset[int] = frozenset()


NOTHING = Together()


def across(facts: tuple[Facts, ...], *, syncdaemon: bool, before: Together = NOTHING) -> Together:
    """Judge virtual servers together; most edits leave the facts as they were `before`.

    The clean case, which is nearly every load, is decided by comparing sizes of sets.
    """
    if before.facts == facts and before.syncdaemon == syncdaemon:
        return before
    notes: list[Note] = []
    names = [fact.name for fact in facts]
    if len(set(names)) != len(names):
        for index, other in twice(names):
            message = f"the name {names[index]} is also that of virtual[{other}]; both are served"
            notes.append(Note(Place("", index), message, Severity.WARNING))
    identities = [fact.identity for fact in facts if fact.identity]
    if len(set(identities)) != len(identities):
        for index, other in twice([fact.identity for fact in facts]):
            same = "protocol, port and fwmark" if facts[index].mark else "protocol and port"
            message = f"virtual[{other}] ({names[other]}) has this VIP, {same} already"
            notes.append(Note(Place("address", index), message))
    held = {fact.vip for fact in facts if fact.vip is not None}
    vips = frozenset([vip[0] for vip in held])
    if len(vips) != len(held):
        _vips_apart(facts, notes)
    marks = [fact.mark for fact in facts if fact.mark]
    if len(set(marks)) != len(marks):
        _marks_agree(facts, notes)
    if syncdaemon and any([fact.mixed for fact in facts]):  # noqa: C419
        for index, fact in enumerate(facts):
            if fact.mixed:
                message = (
                    "the kernel refuses syncdaemon beside real servers of another family than their VIP; "
                    "turn off syncdaemon, or use one family"
                )
                notes.append(Note(Place("", index), message))
    masquerading = any([fact.masquerading for fact in facts])  # noqa: C419  a list is faster
    return Together(facts, syncdaemon, tuple(notes), masquerading, vips)


def _vips_apart(facts: Sequence[Facts], notes: list[Note]) -> None:
    first: dict[int, int] = {}
    for index, fact in enumerate(facts):
        if fact.vip is None:
            continue
        other = first.setdefault(fact.vip[0], index)
        seen = facts[other].vip
        if seen is not None and seen != fact.vip:
            message = (
                f"virtual[{other}] ({facts[other].name}) puts this VIP on {_on(seen)}; "
                "it is held there, as the first block says"
            )
            notes.append(Note(Place("address", index), message, Severity.WARNING))


_AGREEMENT = (
    ("address", "address family"),
    ("scheduler", "scheduler"),
    ("scheduler_flags", "scheduler flags"),
    ("persistent", "persistence"),
    ("forwarding", "forwarding method"),
    ("tunnel", "tunnel"),
)


def _marks_agree(facts: Sequence[Facts], notes: list[Note]) -> None:
    first: dict[int, int] = {}
    agreed: dict[int, list[tuple[int, VirtualServer]]] = {}
    for index, fact in enumerate(facts):
        if not fact.mark:
            continue
        other = first.setdefault(fact.mark, index)
        if facts[other].agreement == fact.agreement:
            if fact.marked is not None:
                agreed.setdefault(fact.mark, []).append((index, fact.marked))
            continue
        for (option, word), mine, theirs in zip(
            _AGREEMENT, fact.agreement, facts[other].agreement, strict=True
        ):
            if mine != theirs:
                message = (
                    f"another {word} than virtual[{other}] ({facts[other].name}), which has the same fwmark "
                    f"{fact.mark}: to the kernel both are one service"
                )
                notes.append(Note(Place(option, index), message))
    for sharing in agreed.values():
        _real_servers_agree(sharing, notes)


def _real_servers_agree(sharing: Sequence[tuple[int, VirtualServer]], notes: list[Note]) -> None:
    """Judge the real servers of virtual servers that have one mark, given with their indices."""
    first: dict[tuple[Address, int], tuple[str, RealServer]] = {}
    ports: dict[Address, tuple[int, VirtualServer, dict[int, int]]] = {}  # of the first that names it
    for index, virtual in sharing:
        mine: dict[Address, dict[int, int]] = {}  # port to the index of the real server
        for place, real in enumerate(virtual.real_servers):
            if real.active:
                mine.setdefault(real.address, {})[_port(virtual, real)] = place
        for address, here in mine.items():
            other, earlier, there = ports.setdefault(address, (index, virtual, here))
            if here.keys() != there.keys():
                place = next((here[port] for port in here if port not in there), min(here.values()))
                message = (
                    f"virtual[{other}] ({earlier.name}) forwards to {address} at {_ports(there)}, this one "
                    f"at {_ports(here)}; {_one_service(virtual)}, and a connection may go to either"
                )
                notes.append(Note(Place("port", index, place), message))
            for port, place in here.items():
                given = Place("", index, place)
                real = virtual.real_servers[place]
                where, counts = first.setdefault((address, port), (given.path(), real))
                for option, said in _differences(real, counts):
                    message = f"{where} ({counts.name}) gives {address} {said}: {_one_service(virtual)}"
                    notes.append(Note(Place(option, index, place), message, Severity.WARNING))
                if not real.weight:
                    first[address, port] = (given.path(), real)


def _differences(real: RealServer, before: RealServer) -> Iterator[tuple[str, str]]:
    """Yield each option that was given otherwise before, and what counts (`kernel.desired`)."""
    for option in ("weight", "upper_threshold", "lower_threshold"):
        value = getattr(before, option)
        if value != getattr(real, option):
            drained = option == "weight" and not real.weight  # by one of them is by all
            yield option, f"{option} {value}, " + ("but 0 counts" if drained else "which counts")


def _one_service(virtual: VirtualServer) -> str:
    return f"with the same fwmark {virtual.fwmark} both are one service to the kernel"


def _port(virtual: VirtualServer, real: RealServer) -> int:
    """Return where a marked connection is forwarded to; 0: the port it came to (`kernel.desired`)."""
    translated = virtual.forwarding is Forwarding.MASQUERADING and real.port != virtual.port
    return real.port if translated else 0


def _ports(ports: dict[int, int]) -> str:
    if len(ports) > MOST_PORTS_SAID:
        return f"{len(ports)} ports"
    return " and ".join(f"port {port}" if port else "each connection's own port" for port in sorted(ports))


# --- addresses


def addresses(config: Config, together: Together, notes: list[Note]) -> None:
    """Judge what is held, VIPs and NAT router, beside the directors' own addresses.

    Such an address of its own goes with the active director. A lone director may hold one that it
    has anyway: it stays where it is.
    """
    own: dict[int, str] = {}
    for option in ("primary", "primary_private", "backup", "backup_private"):
        address = getattr(config.pair, option)
        if address is not None:
            own.setdefault(number(address), option)
    facts, vips = together.facts, together.vips
    router = config.nat_router
    if router is not None and together.masquerading:
        held = number(router.address)
        if held in own:
            notes.append(_own(config, Place("nat_router"), own[held]))
        if held in vips:
            _router_apart(facts, (held, router.device, router.label, router.prefix), notes)
    if not vips.isdisjoint(own):
        for index, fact in enumerate(facts):
            if fact.vip is not None and fact.vip[0] in own:
                notes.append(_own(config, Place("address", index), own[fact.vip[0]]))


def _own(config: Config, place: Place, option: str) -> Note:
    director = option.removesuffix("_private")
    whose = f"the {director} director's own address ({option})"
    if config.pair.backup_active:
        return Note(place, f"{whose}; one is needed that moves to the director that is active")
    return Note(place, f"{whose}; that does for one director only", Severity.WARNING)


def _router_apart(facts: Sequence[Facts], router: Held, notes: list[Note]) -> None:
    """Refuse a NAT router that would be held a second time; one that is the VIP in all is held once."""
    for index, fact in enumerate(facts):
        if fact.vip is None or fact.vip[0] != router[0]:
            continue
        if fact.vip != router:
            message = (
                f"virtual[{index}] ({fact.name}) holds this address on {_on(fact.vip)}, as its VIP; "
                "it would be held twice"
            )
            notes.append(Note(Place("nat_router"), message))
        return


def _on(held: Held) -> str:
    _, device, label, prefix = held
    return f"{label or device}" if prefix is None else f"{label or device}/{prefix}"
