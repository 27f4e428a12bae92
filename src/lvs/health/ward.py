"""The state of all real servers, and what happens to it: answers, orders, edits, time.

Pure, as `lvs.director`, whose part it is. Each function gives the next state and what follows:
whom to ask from now on and whom no more, what to tell, which hooks to run. `serving` says who
serves; the Serving of a virtual server for which nothing changed is the identical object.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import msgspec

from lvs import events
from lvs.checks import Answer, Reason, Rows, Target
from lvs.events import Event
from lvs.health.expiry import Expiring, concerns, noted, reworded
from lvs.health.marks import Marks, Way
from lvs.health.orders import Order
from lvs.health.roster import Known, Member, Roster, decisive, enrolled, is_up, nobody_asked, rows_of
from lvs.health.serving import Ground, serving
from lvs.health.shared import Findings, believed
from lvs.health.verdict import fold
from lvs.model import (
    Config,
    Need,
    RealServer,
    Serving,
    VirtualKey,
    VirtualServer,
    key_of,
)

# Who wants to know: virtual server, real server's index, check's index (-1: the load monitor).
Asker = tuple[VirtualKey, int, int]


Held = TypeVar("Held")


class Hook(msgspec.Struct, frozen=True):
    """A program to run because something happened."""

    command: str
    environment: dict[str, str]


class Health(msgspec.Struct, frozen=True):
    rosters: dict[VirtualKey, Roster] = {}
    askers: dict[Target, tuple[Asker, ...]] = {}
    serving: dict[VirtualKey, Serving] = {}
    loads: dict[Target, float] = {}
    orders: tuple[Order, ...] = ()
    next_at: dict[VirtualKey, float] = {}  # when time alone changes who serves
    unchecked: bool = False  # take every real server as up
    expiring: Expiring = frozenset()  # certificates of which it is told
    marks: dict[Way, int] = {}  # firewall marks of checks through the VIP


class Change(msgspec.Struct, frozen=True):
    """What follows from an input."""

    follow: tuple[Target, ...] = ()
    forget: tuple[Target, ...] = ()
    again: tuple[Target, ...] = ()  # asked already, but a newcomer wants to know
    told: tuple[Event, ...] = ()
    hooks: tuple[Hook, ...] = ()
    orders_changed: bool = False


Turn = tuple[Health, Change]


def nothing_known(virtual_server: VirtualServer) -> Known:
    return (None,) * len(virtual_server.real_servers)


def configured(
    health: Health, config: Config, now: float, known: Callable[[VirtualServer], Known] = nothing_known
) -> Turn:
    """With another configuration; `known` tells what the kernel had when the daemon started."""
    rosters: dict[VirtualKey, Roster] = {}
    fresh: list[VirtualKey] = []
    marks = Marks(health.marks, config)
    by_identity = {id(roster.virtual_server): roster for roster in health.rosters.values()}
    for virtual_server in config.virtual_servers:
        if not virtual_server.active:
            continue
        roster = by_identity.get(id(virtual_server))
        if roster is None or marks.taken_from(roster):
            roster = enrolled(
                virtual_server,
                health.rosters.get(key_of(virtual_server)),
                known,
                now,
                rsh_command=config.unused.rsh_command or "rsh",
                unchecked=health.unchecked,
                mark_of=marks.of,
            )
            fresh.append(roster.key)
        rosters[roster.key] = roster
    gone = []
    if rosters.keys() != health.rosters.keys():
        gone = [key for key in health.rosters if key not in rosters]
    askers, asking = _askers(health, rosters, fresh, gone)
    new = msgspec.structs.replace(
        health,
        rosters=rosters,
        askers=askers,
        serving=_without(health.serving, gone),
        next_at=_without(health.next_at, gone),
        loads={target: value for target, value in health.loads.items() if target in askers},
        expiring=frozenset([one for one in health.expiring if _is_asked(askers, *one)]),
        marks=marks.known,
    )
    new, change = served(new, fresh, now)
    return new, msgspec.structs.replace(
        change, follow=asking.follow, forget=asking.forget, again=asking.again
    )


def _without(held: dict[VirtualKey, Held], gone: list[VirtualKey]) -> dict[VirtualKey, Held]:
    if not gone:
        return held
    lost = set(gone)
    return {key: one for key, one in held.items() if key not in lost}


def _wanted(roster: Roster) -> Iterable[tuple[Target, Asker]]:
    if nobody_asked(roster):
        return
    for index, member in enumerate(roster.members):
        for number, target in enumerate(member.targets):
            yield target, (roster.key, index, number)
        if member.load is not None:
            yield member.load, (roster.key, index, -1)


def _askers(
    health: Health, rosters: dict[VirtualKey, Roster], fresh: list[VirtualKey], gone: list[VirtualKey]
) -> tuple[dict[Target, tuple[Asker, ...]], Change]:
    """Who asks for which target now, and what that changes for whoever asks them."""
    if not fresh and not gone:
        return health.askers, Change()
    askers = dict(health.askers)
    lost: dict[Target, None] = {}
    fresh = [key for key in fresh if not _asks_the_same(health.rosters.get(key), rosters[key])]
    for key in (*gone, *fresh):
        if (before := health.rosters.get(key)) is not None:
            for target, _ in _wanted(before):
                askers[target] = tuple([asker for asker in askers[target] if asker[0] != key])
                lost[target] = None
    follow: list[Target] = []
    again: list[Target] = []
    for key in fresh:
        for target, asker in _wanted(rosters[key]):
            others = askers.get(target)
            if others is None:
                follow.append(target)
            else:
                again.append(target)
            askers[target] = (*others, asker) if others else (asker,)
    forget = [target for target in lost if not askers[target]]
    for target in forget:
        del askers[target]
    return askers, Change(tuple(follow), tuple(forget), tuple(again))


def _is_asked(askers: dict[Target, tuple[Asker, ...]], key: VirtualKey, target: Target) -> bool:
    return any(asker[0] == key for asker in askers.get(target, ()))


def _asks_the_same(before: Roster | None, after: Roster) -> bool:
    """Whether nobody is asked anything else, nor for anybody else, nor more often."""
    if before is None or len(before.members) != len(after.members):
        return False
    if rows_of(before.virtual_server) != rows_of(after.virtual_server):
        return False
    pairs = zip(before.members, after.members, strict=True)
    return all([old.targets is new.targets and old.load is new.load for old, new in pairs])  # noqa: C419


def patience(health: Health, target: Target) -> Rows:
    """How many equal answers of a target change anything for somebody who asks for it."""
    wanted = [
        rows_of(health.rosters[key].virtual_server)
        for key, _, number in health.askers.get(target, ())
        if number >= 0
    ]
    if len(wanted) == 1:
        return wanted[0]
    rise, fall = [one.rise for one in wanted], [one.fall for one in wanted]
    return Rows(max(rise, default=1), max(fall, default=1))


def answered(health: Health, answers: Iterable[tuple[Target, Answer]], now: float) -> Turn:
    """With answers of checks and load monitors."""
    members: dict[VirtualKey, dict[int, Member]] = {}
    loads: dict[Target, float] = {}
    touched: dict[VirtualKey, None] = {}
    told: list[Event] = []
    expiring = health.expiring
    for target, answer in answers:
        for key, index, number in health.askers.get(target, ()):
            if number < 0:
                if answer.ok and answer.value is not None:
                    loads[target] = answer.value
                    touched[key] = None
                continue
            changed = members.setdefault(key, {})
            roster = health.rosters[key]
            member = changed.get(index) or roster.members[index]
            before = member.verdicts[number]
            after = fold(before, answer, rows_of(roster.virtual_server), now)
            if concerns(expiring, key, target, answer, after):
                real_server = roster.virtual_server.real_servers[index]
                name = (roster.virtual_server.name, real_server.name, address_of(real_server))
                expiring, news = noted(expiring, key, target, answer, name)
                told += news
                after = reworded(after, answer)
            if after is not before:
                verdicts = (*member.verdicts[:number], after, *member.verdicts[number + 1 :])
                changed[index] = msgspec.structs.replace(member, verdicts=verdicts)
    rosters = dict(health.rosters)
    hooks: list[Hook] = []
    for key, changed in members.items():
        if not changed:
            continue
        roster = rosters[key]
        rows = list(roster.members)
        for index, member in changed.items():
            rows[index], moved, hook = _moved(roster, index, member, now)
            told += moved
            hooks += hook
            touched[key] = None
        rosters[key] = msgspec.structs.replace(roster, members=tuple(rows))
    if not touched and expiring is health.expiring:
        return health, Change()
    new = msgspec.structs.replace(
        health,
        rosters=rosters,
        loads={**health.loads, **loads} if loads else health.loads,
        expiring=expiring,
    )
    new, change = served(new, touched, now)
    return new, msgspec.structs.replace(change, told=(*told, *change.told), hooks=(*hooks, *change.hooks))


def _moved(
    roster: Roster, index: int, member: Member, now: float
) -> tuple[Member, tuple[Event, ...], tuple[Hook, ...]]:
    """A real server with new verdicts: whether it came up or went down, and who is to hear of it."""
    virtual_server = roster.virtual_server
    need = virtual_server.checking.need
    old = roster.members[index]
    up, verdict = is_up(member, need), decisive(member, need)
    if verdict is None or verdict.fresh or (up == is_up(old, need) and (up or not _guessed(old, need))):
        return member, (), ()
    grows = virtual_server.weight_doubling or virtual_server.slow_start_s > 0
    member = msgspec.structs.replace(member, up_from=now if up and grows else None)
    real_server = virtual_server.real_servers[index]
    kind = events.RealServerUp if up else events.RealServerDown
    told = kind(
        virtual_server.name,
        real_server.name,
        address_of(real_server),
        str(verdict.reason),
        verdict.text,
    )
    return member, (told,), _notify(virtual_server, real_server, "up" if up else "down", verdict.text)


def _guessed(member: Member, need: Need) -> bool:
    """Whether it was taken as down without having been asked, or found so in the kernel."""
    verdict = decisive(member, need)
    return verdict is not None and verdict.fresh and verdict.reason is not Reason.ADOPTED


def address_of(real_server: RealServer) -> str:
    """As `text.destination_name`: ADDRESS:PORT, with the port that is checked."""
    address = real_server.address
    return (
        f"[{address}]:{real_server.check_port}"
        if address.version == 6
        else f"{address}:{real_server.check_port}"
    )


def _notify(virtual_server: VirtualServer, real_server: RealServer, state: str, why: str) -> tuple[Hook, ...]:
    if virtual_server.notify_cmd is None:
        return ()
    environment = {
        "LVS_EVENT": state,
        "LVS_VIRTUAL_SERVER": virtual_server.name,
        "LVS_REAL_SERVER": real_server.name,
        "LVS_ADDRESS": str(real_server.address),
        "LVS_PORT": str(real_server.check_port),
        "LVS_REASON": why,
    }
    return (Hook(virtual_server.notify_cmd, environment),)


def served(health: Health, keys: Iterable[VirtualKey], now: float) -> Turn:
    """Who serves in these virtual servers now; a quorum lost or met is told, but not the first."""
    rosters, serves, next_at = dict(health.rosters), dict(health.serving), dict(health.next_at)
    told: list[Event] = []
    hooks: list[Hook] = []
    ground = Ground(health.orders, health.loads, now)
    for key in keys:
        roster = rosters.get(key)
        if roster is None:
            continue
        before = serves.get(key)
        after, serves[key], at = serving(roster, ground, before)
        if at is None:
            next_at.pop(key, None)
        else:
            next_at[key] = at
        if after is not roster:
            rosters[key] = after
        if after is not roster and before is not None:
            virtual_server = after.virtual_server
            sorry = "" if virtual_server.sorry_server is None else str(virtual_server.sorry_server)
            kind = events.QuorumMet if after.quorum else events.QuorumLost
            told.append(kind(virtual_server.name, virtual_server.quorum.least, sorry))
            command = virtual_server.quorum.up_cmd if after.quorum else virtual_server.quorum.down_cmd
            if command is not None:
                word = "quorum_up" if after.quorum else "quorum_down"
                hooks.append(Hook(command, {"LVS_EVENT": word, "LVS_VIRTUAL_SERVER": virtual_server.name}))
    new = msgspec.structs.replace(health, rosters=rosters, serving=serves, next_at=next_at)
    return new, Change(told=tuple(told), hooks=tuple(hooks))


def heard(health: Health, findings: Findings, now: float) -> Turn:
    """With what the other director's checks found."""
    rosters = dict(health.rosters)
    touched = []
    for key, rows in findings.rows:
        roster = rosters.get(key)
        changed = {} if roster is None else believed(roster, rows, now)
        if roster is not None and changed:
            members = tuple([changed.get(index, one) for index, one in enumerate(roster.members)])
            rosters[key] = msgspec.structs.replace(roster, members=members)
            touched.append(key)
    if not touched:
        return health, Change()
    return served(msgspec.structs.replace(health, rosters=rosters), touched, now)


def unserved(health: Health) -> tuple[str, ...]:
    """Names of virtual servers that nobody serves, not even a sorry server."""
    return tuple(
        roster.virtual_server.name
        for key, roster in health.rosters.items()
        if not any(health.serving[key].weights) and not health.serving[key].sorry
    )
