"""The connections that both directors know: how many here and there, how they grow, whether they agree.

Pure, a part of `lvs.director`.
"""

from __future__ import annotations

import msgspec

from lvs import events
from lvs.commands import Report, ShareConnections
from lvs.model import Role
from lvs.pair import Pairing, Step
from lvs.pulse.tables import DRIFTED_AFTER_S, Tables, Told, Trend, agree, compared, followed

ARRIVED_S = 1.0  # after the other has told all, the kernel has it, and a count shows it
CAUGHT_UP_SHARE = 0.95  # connections come and go meanwhile ...
CHURNING_AFTER_S = 30.0  # ... and where most are younger than a message of the sync daemon, this is enough


def listener(pairing: Pairing) -> int:
    """The start of the other director whose kernel listens for connections; 0: it does not."""
    beat = None if pairing.seen is None or not pairing.seen.alive else pairing.seen.beat
    return beat.boot if beat is not None and beat.receives else 0


def listened(pairing: Pairing) -> Step:
    """Of the active director: as soon as the other's kernel listens it is told of all connections, once."""
    whom = listener(pairing)
    if whom == pairing.telling:
        return pairing, ()
    new = msgspec.structs.replace(pairing, telling=whom, told=0)
    return new, (ShareConnections(whom),) if whom else ()


def shared(pairing: Pairing, whom: int) -> Step:
    """The other was told, in this start of it; it has caught up when it hears that."""
    if whom != pairing.telling:  # it, or the role, is another by now
        return pairing, ()
    return msgspec.structs.replace(pairing, told=whom), ()


def counted(pairing: Pairing, connections: int, now: float) -> Step:
    """With the number of connections here, beside that of the other director.

    A standby has caught up when it was told all that the other knows, and that is what it has.
    """
    here, there = pairing.growth
    new = msgspec.structs.replace(
        pairing, connections=connections, growth=(followed(here, connections, now), Trend())
    )
    seen = pairing.seen
    if seen is None or seen.beat is None or not seen.alive or pairing.alive_since is None:
        return msgspec.structs.replace(new, tables=Tables(), caught_up=False), ()
    theirs = seen.beat.connections
    new = msgspec.structs.replace(new, growth=(new.growth[0], followed(there, theirs, now)))
    if pairing.role is Role.ACTIVE:
        active, standby, caught_up = connections, theirs, False
    else:
        active, standby = theirs, connections
        caught_up = pairing.caught_up or _caught_up(pairing, theirs, connections, now)
    if {pairing.role, seen.beat.role} != {Role.ACTIVE, Role.STANDBY}:
        return msgspec.structs.replace(new, tables=Tables(), caught_up=False), ()
    tables, news = compared(pairing.tables, active, standby, now)
    new = msgspec.structs.replace(new, tables=tables, caught_up=caught_up)
    match news:
        case Told.DRIFTED:
            told = Report(events.SyncDrifted(active, standby, int(DRIFTED_AFTER_S)))
            if pairing.role is not Role.ACTIVE:
                return new, (told,)
            return new, (told, ShareConnections(listener(pairing)))
        case Told.CAUGHT_UP:
            return new, (Report(events.SyncCaughtUp(active, standby)),)
        case None:
            return new, ()


def _caught_up(pairing: Pairing, theirs: int, ours: int, now: float) -> bool:
    told = pairing.told_since is not None and now >= pairing.told_since + ARRIVED_S
    if told and ours >= theirs * CAUGHT_UP_SHARE:
        return True
    assert pairing.alive_since is not None
    churning = pairing.vitals.receives and now >= pairing.alive_since + CHURNING_AFTER_S
    return churning and agree(theirs, ours)
