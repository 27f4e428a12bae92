"""This director as one of two: which one it is, what its pulse says, and what the pulse must know.

Pure, a part of `lvs.director`. Which of the two a director is, its own addresses tell, as in Piranha:
one file serves both. Who of them is active the pulse decides (`lvs.pulse.machine`); here its word becomes
the role by which the kernel's state is desired, and an event with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum

import msgspec

from lvs import events
from lvs.checks import Answer, Icmp, Pace, Reason, Rows, Target
from lvs.commands import Ask, Command, Report, RunHook, TellPulse, Unwire, Wire
from lvs.events import Event
from lvs.health.verdict import Verdict, fold
from lvs.health.ward import Hook
from lvs.model import Config, Pair, Role
from lvs.pulse.line import (
    FromPulse,
    Privileges,
    Seen,
    Strangers,
    Unusable,
    Way,
)
from lvs.pulse.tables import Tables, Trend
from lvs.pulse.wire import Bad
from lvs.pulse.words import (
    Fault,
    FaultsChanged,
    Grade,
    HoldingChanged,
    Left,
    Notice,
    Reannounce,
    SwitchoverEnded,
    TakeRole,
    Tell,
    Terms,
    Vitals,
)

LATE_S = 60.0  # for which it is remembered how late the pulse was
# A witness is asked once a second; three answers that did not come are a fault.
_WITNESS_PACE, _WITNESS_ROWS = Pace(1.0, 1.0, 1.0), Rows(rise=1, fall=3)


class Seat(StrEnum):
    """Which director of the configuration this machine is."""

    ALONE = "alone"  # there is no other
    PRIMARY = "primary"
    BACKUP = "backup"
    ASIDE = "aside"  # the backup, and backup_active is off or there is no backup any more
    NOBODY = "nobody"  # it has the addresses of neither
    UNKNOWN = "unknown"  # its addresses were not read yet


PAIRED = frozenset({Seat.PRIMARY, Seat.BACKUP})


class Pairing(msgspec.Struct, frozen=True):
    """What the director knows of the pair."""

    seat: Seat = Seat.ALONE
    role: Role = Role.ACTIVE
    reason: str = "there is no other director"
    term: int = 0
    since: float | None = None  # when it took this role
    own: Mapping[str, str] | None = None  # address -> device; None: not read yet
    linked: Mapping[str, bool] = {}  # device -> has a link
    wire: Wire | None = None  # as the pulse was wired
    faults: tuple[Fault, ...] = ()
    witnesses: Mapping[Target, Verdict] = {}
    holding: bool = False  # the kernel holds what an active director holds, and the neighbours were told
    vitals: Vitals = Vitals()
    connections: int = 0  # established ones, of services that both directors have
    growth: tuple[Trend, Trend] = (Trend(), Trend())  # of them here, and there
    tables: Tables = Tables()  # how they compare with the other's
    alive_since: float | None = None  # when the other was heard again
    telling: int = 0  # the start of the other whose kernel is being told of all connections ...
    told: int = 0  # ... and was
    told_since: float | None = None  # when the other had told us of all
    caught_up: bool = False  # its connections are known here
    seen: Seen | None = None  # of the other director
    seen_at: float = 0.0  # when the pulse said so
    late: tuple[tuple[float, float], ...] = ()  # when the pulse was how late, the most first
    unusable: Mapping[str, str] = {}  # path -> why
    strangers: Mapping[str, int] = {}  # kind of a datagram that is no heartbeat -> how many came
    lost: str = ""  # why there is no pulse: told already
    refused: str = ""  # why the other did not take over: told already, until a role changes or somebody asks


Step = tuple[Pairing, tuple[Command, ...]]


def situated(pairing: Pairing, config: Config, *, starts: bool = False) -> Step:
    """The pairing for a configuration on this machine: seat, wiring, whom to ask.

    Shape: `starts` with the daemon's first configuration: whether this director was active is not known yet.
    """
    before, pair = pairing, config.pair
    seat = _seat(pairing, pair)
    if starts and seat is Seat.UNKNOWN:
        pairing = msgspec.structs.replace(pairing, role=Role.STANDBY)
    if seat is Seat.NOBODY and pairing.seat in PAIRED and _is(pairing.seat, pair, pairing.wire):
        seat = pairing.seat  # its address went away for now; that is a fault, and no other seat
    commands: list[Command] = []
    if seat is not pairing.seat:
        pairing = _seated(pairing, seat, config)
    wire = _wire(seat, config) if seat in PAIRED else None
    if wire != pairing.wire:
        pairing = msgspec.structs.replace(pairing, wire=wire, lost="")
        commands.append(Unwire() if wire is None else wire)
    targets = {
        Target(address, 0, Icmp(), _WITNESS_PACE) for address in (pair.witness if wire is not None else ())
    }
    if targets != pairing.witnesses.keys():
        fresh = Verdict(up=True, since=0.0, reason=Reason.NOT_CHECKED_YET, text="not asked yet")
        held = {target: pairing.witnesses.get(target, fresh) for target in sorted(targets, key=str)}
        follow = tuple(target for target in held if target not in pairing.witnesses)
        forget = tuple(target for target in pairing.witnesses if target not in held)
        commands.append(Ask(follow, forget, (), dict.fromkeys(follow, _WITNESS_ROWS)))
        pairing = msgspec.structs.replace(pairing, witnesses=held)
    return pairing, (*commands, *_told_role(before, pairing, config))


def _seat(pairing: Pairing, pair: Pair) -> Seat:
    own = pairing.own
    if pair.backup is None or pair.primary is None:
        # Where a pair is dissolved it is the primary that stays, or both would serve.
        dismissed = pairing.seat in (Seat.BACKUP, Seat.ASIDE) and pair.primary is not None
        return Seat.ASIDE if dismissed and str(pair.primary) not in (own or ()) else Seat.ALONE
    if own is None:
        return Seat.UNKNOWN
    if str(pair.primary) in own:
        return Seat.PRIMARY if pair.backup_active else Seat.ALONE
    if str(pair.backup) in own:
        return Seat.BACKUP if pair.backup_active else Seat.ASIDE
    return Seat.NOBODY


def _is(seat: Seat, pair: Pair, wire: Wire | None) -> bool:
    """Whether the seat's address is still that by which the pulse was wired."""
    ours = pair.primary if seat is Seat.PRIMARY else pair.backup
    return pair.backup_active and wire is not None and wire.ways[0].ours == str(ours)


def _seated(pairing: Pairing, seat: Seat, config: Config) -> Pairing:
    """In another seat: who was active stays so in a pair, until the pulse says otherwise."""
    pair = config.pair
    match seat:
        case Seat.ALONE:
            role, reason = Role.ACTIVE, "there is no other director"
        case Seat.ASIDE:
            off = "backup_active is off" if pair.backup else "the configuration has none any more"
            role, reason = Role.STANDBY, f"it is the backup, and {off}"
        case Seat.NOBODY:
            role = Role.FAULT
            reason = (
                f"neither primary ({pair.primary}) nor backup ({pair.backup}) is an address of this machine"
            )
        case Seat.UNKNOWN:
            role, reason = pairing.role, "it is not known yet which director this is"
        case _:
            was_active = pairing.role is Role.ACTIVE
            role = Role.ACTIVE if was_active else Role.STANDBY
            reason = "was active before" if was_active else "listening for the other director"
    return msgspec.structs.replace(pairing, seat=seat, role=role, reason=reason, faults=())


def adopted(pairing: Pairing, config: Config) -> Pairing:
    """As the daemon starts: who holds VIPs already was active before a restart."""
    if pairing.seat is Seat.UNKNOWN and pairing.own is not None:
        vips = {str(one.vip.address) for one in config.virtual_servers if one.active and one.vip is not None}
        if not vips.isdisjoint(pairing.own):
            return msgspec.structs.replace(pairing, role=Role.ACTIVE)
    return pairing


def _wire(seat: Seat, config: Config) -> Wire:
    pair = config.pair
    public, private = (pair.primary, pair.backup), (pair.primary_private, pair.backup_private)
    links = {"public": public}
    if private != public:
        links["private"] = private
    ways = tuple(
        Way(name, *map(str, ends if seat is Seat.PRIMARY else reversed(ends))) for name, ends in links.items()
    )
    terms = Terms(seat is Seat.PRIMARY, pair.keepalive_s, pair.deadtime_s, pair.failback)
    return Wire(ways, pair.heartbeat_port, terms, pair.pair_key)


def held(pairing: Pairing) -> Step:
    """With what an active director holds in the kernel, and told to the neighbours.

    The other director, which hands over, keeps its VIPs until both are so: clients have gone here then.
    """
    if pairing.role is not Role.ACTIVE or pairing.holding:
        return pairing, ()
    new = msgspec.structs.replace(pairing, holding=True)
    return new, (TellPulse(HoldingChanged(holding=True)),) if new.seat in PAIRED else ()


def stopped(pairing: Pairing) -> Step:
    """At a stop: VIPs are not left to a kernel without lvsd if the other director is going to take them."""
    seen = pairing.seen
    if pairing.role is not Role.ACTIVE or seen is None or seen.beat is None:
        return pairing, ()
    if pairing.seat not in PAIRED or not (seen.alive and seen.beat.able):
        return pairing, ()
    reason = "lvsd stops, and the other director can serve"
    return msgspec.structs.replace(pairing, role=Role.STANDBY, reason=reason), ()


# What is wrong


def judged(pairing: Pairing, config: Config, *, unavailable: str) -> Step:
    """With the faults that there are now; the pulse is told if they are others."""
    faults = tuple(_faults(pairing, config, unavailable))
    if faults == pairing.faults:
        return pairing, ()
    return msgspec.structs.replace(pairing, faults=faults), (TellPulse(FaultsChanged(faults)),)


def _faults(pairing: Pairing, config: Config, unavailable: str) -> Iterator[Fault]:
    pair = config.pair
    ours = str(pair.primary if pairing.seat is Seat.PRIMARY else pair.backup)
    own = pairing.own or {}
    if ours not in own:
        yield Fault(Grade.CUT, f"{ours} is no address of this machine now")
    if pair.monitor_links:
        # Not those of the private network: a cable between the two that is cut is cut for both.
        held = {one.vip.device for one in config.virtual_servers if one.active and one.vip is not None}
        for device in sorted({own.get(ours, ""), *held} - {""}):
            if device not in pairing.linked:
                yield Fault(Grade.CUT, f"there is no device {device}")
            elif not pairing.linked[device]:
                yield Fault(Grade.CUT, f"{device} has no link")
    if pairing.witnesses and not any(verdict.up for verdict in pairing.witnesses.values()):
        names = ", ".join(str(target.address) for target in pairing.witnesses)
        yield Fault(Grade.ISOLATED, f"no witness answers ({names})")
    if unavailable:
        yield Fault(Grade.POOR, f"the kernel cannot be managed: {unavailable}")


def witnessed(pairing: Pairing, answers: tuple[tuple[Target, Answer], ...], now: float) -> Pairing:
    """With what witnesses answered."""
    changed = {
        target: after
        for target, answer in answers
        if (before := pairing.witnesses.get(target)) is not None
        and (after := fold(before, answer, _WITNESS_ROWS, now)) is not before
    }
    if not changed:
        return pairing
    return msgspec.structs.replace(pairing, witnesses={**pairing.witnesses, **changed})


# What the pulse says


def lost(pairing: Pairing, reason: str, config: Config) -> Step:
    """Without a pulse: who is active goes on, for nobody can tell; told once."""
    if pairing.seat not in PAIRED or reason == pairing.lost:
        return pairing, ()
    told = Report(events.PulseUnavailable(reason))
    new = msgspec.structs.replace(pairing, lost=reason, seen=None)
    if new.role is not Role.ACTIVE:
        new = msgspec.structs.replace(new, role=Role.FAULT, reason=f"no heartbeat: {reason}")
    return new, (told, *_told_role(pairing, new, config))


def heard(pairing: Pairing, what: FromPulse, config: Config, now: float) -> Step:
    """With a word of the pulse."""
    if pairing.seat not in PAIRED:
        return pairing, ()  # of one that is being ended
    match what:
        case TakeRole():
            return _role(pairing, what, config, now)
        case Seen():
            since = (pairing.alive_since or now) if what.alive else None
            told_since = (pairing.told_since or now) if what.alive and what.told else None
            later = [one for one in pairing.late if now - one[0] < LATE_S and one[1] > what.late_s]
            new = msgspec.structs.replace(pairing, seen=what, seen_at=now, alive_since=since, lost="")
            return msgspec.structs.replace(new, late=(*later, (now, what.late_s)), told_since=told_since), ()
        case Tell(notice, text):
            if notice is Notice.PEER_HEARD:  # what was told while it was away is lost
                pairing = msgspec.structs.replace(pairing, telling=0, told=0)
            return pairing, (Report(_NOTICES[notice](text)),)
        case Unusable(way, reason):
            unusable = {name: why for name, why in pairing.unusable.items() if name != way}
            if reason:
                unusable[way] = reason
            told = (Report(events.HeartbeatUnusable(way, reason)),) if reason else ()
            return msgspec.structs.replace(pairing, unusable=unusable), told
        case Strangers(counts, example):
            known = {kind: pairing.strangers.get(kind, 0) + number for kind, number in counts.items()}
            new = msgspec.structs.replace(pairing, strangers={**pairing.strangers, **known})
            return new, tuple(map(Report, _strangers(dict(counts), example)))
        case Privileges(refused):
            return pairing, tuple(Report(events.PulseUnprivileged(one)) for one in refused)
        case SwitchoverEnded(refused):
            told = (
                (Report(events.SwitchoverRefused(refused)),) if refused not in ("", pairing.refused) else ()
            )
            return msgspec.structs.replace(pairing, refused=refused), told
        case Left() | Reannounce():
            return pairing, ()  # the director's: it knows whether it stops, and what is held


def _strangers(counts: dict[str, int], example: str) -> Iterator[Event]:
    if unfit := counts.pop(Bad.PROTOCOL, 0):  # with the pair's key: it is the other director
        yield events.HeartbeatUnfit(unfit, example)
    if counts:
        shown = ", ".join(f"{number} {kind}" for kind, number in sorted(counts.items()))
        yield events.HeartbeatStrangers(shown, example)


def _role(pairing: Pairing, what: TakeRole, config: Config, now: float) -> Step:
    same = what.role is pairing.role
    new = msgspec.structs.replace(
        pairing,
        role=what.role,
        term=what.term,
        reason=what.reason,
        since=pairing.since if same else now,
        holding=pairing.holding and what.role is Role.ACTIVE,
        telling=pairing.telling if same else 0,
        told=pairing.told if same else 0,
        refused="",
    )
    return new, _told_role(pairing, new, config)


def _told_role(before: Pairing, after: Pairing, config: Config) -> tuple[Command, ...]:
    """Events and commands of the operator for a change of role; nothing is told where there is no pair."""
    if after.seat is Seat.UNKNOWN or (after.seat is Seat.ALONE and before.seat is Seat.ALONE):
        return ()
    if (before.role, before.seat) == (after.role, after.seat) or (
        before.role is after.role and before.seat is not Seat.UNKNOWN
    ):
        return ()
    kinds = {
        Role.ACTIVE: events.BecameActive,
        Role.STANDBY: events.BecameStandby,
        Role.FAULT: events.BecameFaulty,
    }
    told: list[Command] = [Report(kinds[after.role](after.term, after.reason))]
    command = config.pair.active_cmd if after.role is Role.ACTIVE else config.pair.inactive_cmd
    was_active = before.role is Role.ACTIVE and before.seat is not Seat.UNKNOWN
    if command is not None and (after.role is Role.ACTIVE) != was_active:
        told.append(RunHook(Hook(command, {"LVS_EVENT": str(after.role), "LVS_REASON": after.reason})))
    return tuple(told)


_NOTICES: dict[Notice, Callable[[str], Event]] = {
    Notice.PEER_HEARD: events.PeerHeard,
    Notice.PEER_SILENT: events.PeerSilent,
    Notice.PEER_LEFT: events.PeerSilent,
    Notice.PATH_HEARD: events.PathHeard,
    Notice.PATH_SILENT: events.PathSilent,
    Notice.NOT_HEARD: events.PeerDeaf,
    Notice.BOTH_ACTIVE: events.BothActive,
    Notice.NONE_ACTIVE: events.NoneActive,
    Notice.SETTLED: events.PairSettled,
    Notice.OVERSLEPT: events.PulseOverslept,
    Notice.REPLAYED: events.HeartbeatSuspect,
    Notice.CLOCKS_APART: events.HeartbeatSuspect,
}
