"""Who serves: roles taken and given up, what the pulse says, and a stop, which hands over first.

Pure, a part of `lvs.director`.
"""

from __future__ import annotations

import msgspec

from lvs import connections, events, pair
from lvs.commands import Announce, Cause, Command, Converge, Quit, Report, ShareConnections, TellPulse
from lvs.inputs import MachineSeen
from lvs.kernel import text
from lvs.kernel.desired import NOTHING, alone, desired
from lvs.kernel.state import StartDaemon
from lvs.model import OnStop, Role
from lvs.pair import PAIRED
from lvs.pulse import words
from lvs.pulse.line import FromPulse
from lvs.pulse.words import LeaveAsked
from lvs.state import LOOK_EVERY_S, Repeat, State, Step, held_vips, left, on_stop, settled

LEAVE_S = 15.0  # for handing over before a stop: longer than the pulse itself waits


def paired(state: State, turn: pair.Step, now: float) -> Step:
    """Another state of the pair; another role is another goal."""
    pairing, commands = turn
    if pairing is state.pairing:
        return state, commands
    new = msgspec.structs.replace(state, pairing=pairing)
    if pairing.role is state.pairing.role or state.config is None or state.stopping:
        return new, commands
    goal = desired(state.config, state.goal, state.health.serving, pairing.role, state.open_to_all)
    before = state.applying.before if state.applying else state.goal
    only = alone(goal) if settled(state) else None  # all other services stand already
    new = msgspec.structs.replace(
        new,
        goal=goal,
        moving=frozenset(),
        all_moving=True,
        announcing=(),
        look_at=now + LOOK_EVERY_S,
        looked_at=now,
    )
    return new, (Converge(goal, Cause.ROLE, before, only), *commands)


def machine_seen(state: State, what: MachineSeen, now: float) -> Step:
    """The addresses and devices of this machine, which say which director it is."""
    pairing = msgspec.structs.replace(state.pairing, own=what.own, linked=what.linked)
    if pairing == state.pairing:
        return state, ()
    if state.config is None:
        return msgspec.structs.replace(state, pairing=pairing), ()
    pairing = pair.adopted(pairing, state.config)
    return paired(state, pair.situated(pairing, state.config), now)


def pulse_said(state: State, word: FromPulse, now: float) -> Step:
    """What the pulse says: another role, what it heard of the other director, that it left."""
    if state.config is None:
        return state, ()
    if isinstance(word, words.Reannounce):
        held = held_vips(state)
        if not held or state.stopping:
            return state, ()
        return msgspec.structs.replace(state, announcing=(Repeat(held, now, 1),)), (Announce(held),)
    new, commands = paired(state, pair.heard(state.pairing, word, state.config, now), now)
    if shares(new):
        pairing, more = connections.listened(new.pairing)
        new, commands = msgspec.structs.replace(new, pairing=pairing), (*commands, *more)
    elif shares(state):  # what came last is still on its way
        commands = (*commands, ShareConnections())
    if isinstance(word, words.Left) and state.leaving:
        new, more = stop(new, state.leaving)
        commands = (*commands, *more)
    return new, commands


def shares(state: State) -> bool:
    """Whether this director's kernel tells the other's of connections."""
    shared = state.config is not None and state.config.pair.syncdaemon
    return shared and state.pairing.role is Role.ACTIVE and state.pairing.seat in PAIRED


def share(state: State) -> tuple[Command, ...]:
    """Tell the other director's kernel of all connections, if this one's is to."""
    return (ShareConnections(connections.listener(state.pairing)),) if shares(state) else ()


def receives(state: State) -> bool:
    """Whether this director's kernel listens to the other's; it goes on while what it serves is changed."""
    daemons = state.goal.state.daemons
    if state.pairing.role is Role.ACTIVE or not daemons:
        return False
    if state.all_moving:
        kept = state.applying is not None and state.applying.before.state.daemons == daemons
        return kept and state.pairing.vitals.receives
    refused = {line for line, _ in state.refused}
    return not any(text.line(StartDaemon(one)) in refused for one in daemons)


def pulse_lost(state: State, reason: str) -> Step:
    """The pulse ended: nobody hands over any more."""
    if state.config is None:
        return state, ()
    pairing, commands = pair.lost(state.pairing, reason, state.config)
    new = msgspec.structs.replace(state, pairing=pairing)
    if state.leaving:
        new, more = stop(new, state.leaving)
        commands = (*commands, *more)
    return new, commands


def stop_asked(state: State, reason: str, now: float) -> Step:
    """One of a pair hands over first, or says goodbye; whoever asks twice does not want to wait."""
    pairing = state.pairing
    if state.stopping or state.leaving or pairing.wire is None or pairing.lost:
        return stop(state, state.leaving or reason)
    leaving = msgspec.structs.replace(state, leaving=reason, leave_by=now + LEAVE_S)
    return leaving, (*share(state), TellPulse(LeaveAsked()))


def stop(state: State, reason: str) -> Step:
    """Leave the kernel as `on_stop` says, and quit."""
    if state.stopping:
        return state, ()
    state, given_up = paired(state, pair.stopped(state.pairing), 0.0)
    new = msgspec.structs.replace(
        state, stopping=reason, applying=None, announcing=(), announce_at=None, look_at=None, leave_by=None
    )
    if state.config is not None and on_stop(state) is OnStop.EMPTY:
        return msgspec.structs.replace(new, goal=NOTHING), (Converge(NOTHING, Cause.STOP, state.goal),)
    if not settled(state):  # a table is left whole: the stop waits until it stands
        return new, given_up
    return new, (Report(events.Stopped(reason, left(new))), Quit())
