"""Whom to ask what: the checks of a virtual server's real servers, with what is held of each.

A roster belongs to one virtual server and is carried over an edit: a real server that was down
stays down until a check says otherwise, whatever else was edited.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import msgspec

from lvs.checks import (
    Check,
    Connect,
    Exchange,
    File,
    Icmp,
    Load,
    Neighbour,
    Pace,
    Path,
    Program,
    Reason,
    Rows,
    Target,
    Unchecked,
)
from lvs.health.verdict import Verdict, guess
from lvs.model import Need, Protocol, RealServer, Start, VirtualKey, VirtualServer, key_of

LOAD_EVERY_S = 20.0  # as nanny adjusted weights (lvs.cf section 4.6)
_NO_REENTRY_S = 180  # what nanny took for reentry = 0 (lvs.cf section 4.1)

# What the kernel had of each real server when the daemon started: in use, not, or no such service.
Known = tuple[bool | None, ...]


class Member(msgspec.Struct, frozen=True, gc=False):
    """A real server as its checks see it."""

    targets: tuple[Target, ...] = ()  # none: it is not checked
    verdicts: tuple[Verdict, ...] = ()  # one for each target
    load: Target | None = None
    up_from: float | None = None  # when a check brought it up: where a slow start begins; None: full
    mark: int = 0  # by which it is checked through the VIP; 0: it is not


class Roster(msgspec.Struct, frozen=True):
    """A virtual server with what is held of its real servers."""

    key: VirtualKey
    virtual_server: VirtualServer
    members: tuple[Member, ...]  # one for each real server, in the configuration's order
    quorum: bool = True  # enough of them serve
    quorum_since: float | None = None  # monotonic seconds; None: it never changed


def checks(virtual_server: VirtualServer) -> tuple[Check, ...]:
    """The checks that a virtual server's options ask for; lvs.cf section 4.3, 4.5, 4.8."""
    checking = virtual_server.checking
    if checking.checks:
        return checking.checks
    if checking.send_program is not None:
        return (Program(tuple(checking.send_program.split()), checking.expect),)
    udp = virtual_server.protocol is Protocol.UDP
    if udp and checking.expect is None:
        return (Unchecked(),)  # nothing would answer: there is no connection to accept
    if checking.send is None and checking.expect is None:
        return (Connect(),)
    send = None if checking.send is None else checking.send.encode()
    expect = None if checking.expect is None else checking.expect.encode()
    return (Exchange(send, expect, checking.use_regex, udp),)


@lru_cache(maxsize=256)
def _pace(
    timeout_s: float,
    interval_s: float | None,
    limit_s: float | None,
    down_interval_s: float | None,
    *,
    steps: int,
) -> Pace:
    most_s = interval_s or math.inf
    return Pace(
        interval_s=interval_s or float(timeout_s),
        step_s=limit_s or min(float(timeout_s), most_s),
        limit_s=limit_s or min(float(timeout_s * steps), most_s),
        down_interval_s=down_interval_s,
    )


def pace(virtual_server: VirtualServer, check: Check) -> Pace:
    """How often and how patiently; nanny's timeout where nothing else is set.

    Without a limit of its own a check has ended when the next one is due, if that is set.
    nanny allowed it for connecting and as much for the answer (lvs.cf section 4.3).
    """
    c = virtual_server.checking
    steps = 1 if isinstance(check, Connect | Program | Icmp | Neighbour) else 2
    return _pace(c.timeout_s, c.interval_s, c.limit_s, c.down_interval_s, steps=steps)


def rows_of(virtual_server: VirtualServer) -> Rows:
    """How many answers in a row change what is held of its real servers; from nanny's reentry, if need be.

    Where there is an interval, reentry is counted in it: as long as before, not as often.
    """
    c = virtual_server.checking
    return _rows(c.rise, c.fall, c.reentry_s, c.interval_s or float(c.timeout_s))


@lru_cache(maxsize=256)
def _rows(rise: int | None, fall: int, reentry_s: float, every_s: float) -> Rows:
    if rise is None:
        rise = max(1, int((reentry_s or _NO_REENTRY_S) / every_s + 1e-6))  # 0.3 / 0.1 is less than 3
    return Rows(rise, fall)


def load_check(virtual_server: VirtualServer, rsh_command: str) -> Load | None:
    """The load monitor, by Piranha's words (lvs.cf section 4.7)."""
    match virtual_server.checking.load_monitor:
        case None | "none" | "":
            return None
        case "rup" | "ruptime" as program:
            return Load((program, "%h"))
        case "uptime":
            return Load((*rsh_command.split(), "%h", "uptime"))
        case url if url.startswith("http://"):
            return Load(url=url)
        case program:
            words = program.split()
            return Load(tuple(words) if "%h" in words else (*words, "%h"))


def no_mark(_virtual_server: VirtualServer, _real_server: RealServer) -> int:
    """Nothing is checked through the VIP."""
    return 0


def enrolled(
    virtual_server: VirtualServer,
    before: Roster | None,
    known: Callable[[VirtualServer], Known],
    now: float,
    *,
    rsh_command: str = "rsh",
    unchecked: bool = False,
    mark_of: Callable[[VirtualServer, RealServer], int] = no_mark,
) -> Roster:
    """The roster of an active virtual server, with what was held `before` an edit.

    Targets that are the same as before are the identical objects.
    """
    asked = () if unchecked else tuple(c for c in checks(virtual_server) if not isinstance(c, Unchecked))
    paces = tuple(pace(virtual_server, check) for check in asked)
    load = None if unchecked else load_check(virtual_server, rsh_command)
    if not asked and load is None and (before is None or nobody_asked(before)):
        nobody = (NOBODY,) * len(virtual_server.real_servers)
        return Roster(key_of(virtual_server), virtual_server, nobody, *_quorum(before))
    sctp = virtual_server.protocol is Protocol.SCTP
    held = {} if before is None else _held(before)
    found: Known = (None,) * len(virtual_server.real_servers) if held else known(virtual_server)
    guesses = _guesses(now, virtual_server.checking.start, len(asked))
    members = []
    for one, in_use in zip(virtual_server.real_servers, found, strict=True):
        if not one.active:
            members.append(NOBODY)
            continue
        mark = mark_of(virtual_server, one) if asked else 0
        path = Path(virtual_server.address, mark) if mark and virtual_server.address else None
        targets = tuple(
            [_target(one, check, rhythm, path, sctp=sctp) for check, rhythm in zip(asked, paces, strict=True)]
        )
        watched = None if load is None else _watched(one, load)
        old = held.get((int(one.address), one.check_port))
        if old is not None:
            if old.targets == targets and old.load == watched and old.mark == mark:
                members.append(old)
                continue
            verdicts = _carried(old, targets, before, now)
        else:
            verdicts = guesses[in_use]
        members.append(Member(targets, verdicts, watched, old.up_from if old else None, mark))
    return Roster(key_of(virtual_server), virtual_server, tuple(members), *_quorum(before))


def _quorum(before: Roster | None) -> tuple[bool, float | None]:
    """What was held of the quorum, and since when."""
    return (True, None) if before is None else (before.quorum, before.quorum_since)


def nobody_asked(roster: Roster) -> bool:
    """Whether no real server is asked anything, nor was ever."""
    return all([member is NOBODY for member in roster.members])  # noqa: C419  a list is faster


def _guesses(now: float, start: Start, count: int) -> dict[bool | None, tuple[Verdict, ...]]:
    """What is held of a newcomer by `count` checks, by what the kernel had of it."""
    return {
        True: (guess(now, Reason.ADOPTED, "in use when lvsd started", up=True),) * count,
        False: (guess(now, Reason.ADOPTED, "not in use when lvsd started", up=False),) * count,
        None: (guess(now, Reason.NOT_CHECKED_YET, "not checked yet", up=start is Start.UP),) * count,
    }


def _held(before: Roster) -> dict[tuple[int, int], Member]:
    """What was held of each active real server, by address and port."""
    return {
        (int(one.address), one.check_port): member
        for one, member in zip(before.virtual_server.real_servers, before.members, strict=True)
        if one.active
    }


NOBODY = Member()  # the one real server that is not checked: they are all alike
_LOAD_PACE = Pace(LOAD_EVERY_S, LOAD_EVERY_S / 2, LOAD_EVERY_S / 2)


def _target(real_server: RealServer, check: Check, rhythm: Pace, path: Path | None, *, sctp: bool) -> Target:
    if isinstance(check, Icmp | Neighbour):
        return Target(real_server.address, 0, check, rhythm)
    port = getattr(check, "port", None)
    if port is None:
        port = real_server.check_port
    else:
        check = _anywhere(check)
    if isinstance(check, Program | File | Load):
        path = None  # they go their own way
    return Target(real_server.address, port, check, rhythm, sctp and isinstance(check, Connect), path)


@lru_cache(maxsize=256)
def _anywhere(check: Check) -> Check:
    """A check without its port, which is the target's: one that names what is meant anyway is the same."""
    return msgspec.structs.replace(check, port=None)


def _watched(real_server: RealServer, load: Load) -> Target:
    port = 0
    if load.url is not None:
        from lvs.probes.load import place  # few have an agent

        port = place(load.url, real_server.address)[1]
    return Target(real_server.address, port, load, _LOAD_PACE)


def _carried(
    old: Member, targets: tuple[Target, ...], before: Roster | None, now: float
) -> tuple[Verdict, ...]:
    """Verdicts for these targets: those of the same check go on, a new check begins with what is held."""
    if old.targets == targets:
        return old.verdicts
    same = {(t.port, t.check): verdict for t, verdict in zip(old.targets, old.verdicts, strict=True)}
    need = before.virtual_server.checking.need if before is not None else Need.ALL
    held = is_up(old, need)
    word = "up" if held else "down"
    fresh = guess(now, Reason.ADOPTED, f"{word} as before its checks were edited", up=held)
    return tuple([same.get((t.port, t.check), fresh) for t in targets])


def is_up(member: Member, need: Need) -> bool:
    """Whether a real server is up by all, or any, of its checks; without one it is."""
    verdicts = member.verdicts
    if len(verdicts) == 1:
        return verdicts[0].up
    if need is Need.ALL or not verdicts:
        return all([verdict.up for verdict in verdicts])  # noqa: C419  a list is faster
    return any([verdict.up for verdict in verdicts])  # noqa: C419


def decisive(member: Member, need: Need) -> Verdict | None:
    """The verdict that makes it what it is: the first that is down, or if it is up the latest good one."""
    if len(member.verdicts) == 1:
        return member.verdicts[0]
    up = is_up(member, need)
    same = [verdict for verdict in member.verdicts if verdict.up == up]
    if not same:
        return None
    if up:
        return max(same, key=lambda verdict: verdict.since)
    return same[0] if need is Need.ALL else max(same, key=lambda verdict: verdict.since)


def pending(member: Member) -> bool:
    """Whether some check has had no answer yet, and nothing is known of before."""
    return any([v.fresh and v.reason is Reason.NOT_CHECKED_YET for v in member.verdicts])  # noqa: C419
