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

CAUGHT_UP_AFTER_S = 8.0  # of hearing the other: it tells all that it knows after pair.SHARE_AFTER_S
CAUGHT_UP_SHARE = 0.95  # connections come and go meanwhile ...
CHURNING_AFTER_S = 30.0  # ... and where most are younger than a message of the sync daemon, this is enough


def counted(pairing: Pairing, connections: int, now: float) -> Step:
    """With the number of connections here, beside that of the other director.

    A standby has caught up when it knows what the other knows, and had the time to be told all of it.
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
        heard_s = now - pairing.alive_since
        most = heard_s >= CAUGHT_UP_AFTER_S and connections >= theirs * CAUGHT_UP_SHARE
        caught_up = pairing.caught_up or most or (heard_s >= CHURNING_AFTER_S and agree(theirs, connections))
    if {pairing.role, seen.beat.role} != {Role.ACTIVE, Role.STANDBY}:
        return msgspec.structs.replace(new, tables=Tables(), caught_up=False), ()
    tables, news = compared(pairing.tables, active, standby, now)
    new = msgspec.structs.replace(new, tables=tables, caught_up=caught_up)
    match news:
        case Told.DRIFTED:
            told = Report(events.SyncDrifted(active, standby, int(DRIFTED_AFTER_S)))
            return new, (told, ShareConnections()) if pairing.role is Role.ACTIVE else (told,)
        case Told.CAUGHT_UP:
            return new, (Report(events.SyncCaughtUp(active, standby)),)
        case None:
            return new, ()
