"""What came of a Converge: what of it is told, what is announced, and when the table is looked at next.

Pure, a part of `lvs.director`.
"""

from __future__ import annotations

import msgspec

from lvs import events, pair, telling
from lvs.commands import Announce, Cause, Command, Converge, Quit, Report
from lvs.events import Event
from lvs.inputs import Converged, ConvergeFailed
from lvs.kernel import text
from lvs.kernel.desired import Desired
from lvs.kernel.state import AddService, Op, Vip
from lvs.model import Config, OnStop
from lvs.state import LOOK_EVERY_S, Applying, Repeat, State, Step, ask, left, on_stop
from lvs.sync.messages import Refusals


def taken(state: State, vips: tuple[Vip, ...], now: float) -> Step:
    """VIPs are here: their neighbours wait for nothing else that is under way.

    Not those that were given up again meanwhile: they go with the next Converge.
    """
    held = tuple([vip for vip in vips if vip in state.goal.state.vips])
    if state.stopping or not held:
        return state, ()
    announcing = (*state.announcing, Repeat(held, now, 1))
    return msgspec.structs.replace(state, announcing=announcing), (Announce(held),)


def converged(state: State, result: Converged, now: float) -> Step:
    """The kernel holds what it was to hold, but for what it refused."""
    command = result.command
    applying = state.applying if command.goal is state.goal else None
    cause = Cause.CONFIG if applying and command.cause is not Cause.STOP else command.cause
    refused = result.refused
    if command.only is not None:  # it says nothing about what was refused elsewhere
        refused = tuple(dict.fromkeys((*state.refused, *refused)))
    told = list(_told(result, cause, {line for line, _ in state.refused}))
    if applying and state.config is not None:
        told.append(_applied(state.config, state.goal, applying, result))
    before = set(state.refused)
    fresh = [refusal for refusal in refused if refusal not in before]
    told += [events.OperationRefused(*refusal) for refusal in fresh[: telling.ONE_BY_ONE]]
    if state.refused and not refused and cause is Cause.LOOK:
        told.append(events.RefusalCleared(len(state.refused)))
    if result.not_saved is not None and result.not_saved != state.not_saved:
        told.append(events.StateNotSaved(*result.not_saved))
    commands: list[Command] = [Report(event) for event in told]
    whole = on_stop(state) is OnStop.KEEP and command.goal is state.goal
    if state.stopping and (cause is Cause.STOP or whole):
        stopped = Report(events.Stopped(state.stopping, left(state, len(refused))))
        commands += [stopped, Quit(failed=cause is Cause.STOP and bool(refused))]
    new = msgspec.structs.replace(
        state,
        applying=None if applying else state.applying,
        refused=refused,
        unavailable="",
        not_saved=result.not_saved,
        announce_at=next_announcement(state, now),
        look_at=None if state.stopping else _next_look(state, command, now),
        look_took_s=result.took_s if command.only is None else state.look_took_s,
    )
    if command.goal is state.goal:
        if state.later and not state.stopping:
            commands.append(ask(state.health, state.later))
        new = msgspec.structs.replace(new, moving=frozenset(), all_moving=False, later=())
        if command.only is None or command.cause is Cause.ROLE:
            pairing, holds = pair.held(new.pairing)
            new = msgspec.structs.replace(new, pairing=pairing)
            commands += holds
    return new, tuple(commands)


def refusals(state: State) -> Refusals:
    """What the kernel refuses, for the other director; if it cannot be managed at all, every service."""
    if state.unavailable:
        return Refusals(max(1, len(state.goal.state.services)), state.unavailable)
    return Refusals(len(state.refused), ": ".join(state.refused[0]) if state.refused else "")


def missing(result: Converged | ConvergeFailed) -> str:
    """Which virtual server that came with a new configuration the kernel refused as a whole; empty: none.

    A kernel that cannot be managed at all is no reason: the other director serves, and has to go on.
    """
    if isinstance(result, ConvergeFailed):
        return ""
    before, refused = result.command.before.state.services, dict(result.refused)
    for key, service in result.command.goal.state.services.items():
        line = text.line(AddService(key, service.options)) if refused and key not in before else ""
        if line in refused:
            return f"the kernel refused {line}: {refused[line]}"
    return ""


def next_announcement(state: State, now: float) -> float | None:
    """What is due stays due, unless nothing is held or `announce_every` is another."""
    every = 0 if state.config is None else state.config.announce_every_s
    if state.stopping or not every or not state.goal.state.vips:
        return None
    return now + every if state.announce_at is None else min(state.announce_at, now + every)


def _next_look(state: State, command: Converge, now: float) -> float:
    """A converge of some services is no look at all of them: the next one is not put off by it.

    Nor is one that is due because something has changed since this one was ordered.
    """
    due = state.look_at
    if due is None or (command.only is None and due >= state.looked_at + LOOK_EVERY_S):
        return now + LOOK_EVERY_S
    return due


def _told(result: Converged, cause: Cause, refused_before: set[str]) -> tuple[Event, ...]:
    """What was done, one by one unless it is too much; a look tells drift as one event.

    Refused operations are tried again at every look: that one is accepted at last is no drift.
    """
    command = result.command
    singly, reason = result.done if len(result.done) <= telling.ONE_BY_ONE else (), str(cause)
    drifted: tuple[Op, ...] = ()
    if cause is Cause.LOOK:
        accepted = tuple(op for op in result.done if text.line(op) in refused_before)
        singly, reason = accepted[: telling.ONE_BY_ONE], "no longer refused"
        drifted = tuple(op for op in result.done if text.line(op) not in refused_before)
    told = tuple(telling.told(op, command.before, command.goal, reason) for op in singly)
    return (*told, events.Drifted(len(drifted), telling.shortened(drifted))) if drifted else told


def _applied(config: Config, goal: Desired, applying: Applying, result: Converged) -> Event:
    return events.ConfigApplied(
        file=applying.file,
        serial=config.serial_no,
        digest=applying.digest,
        virtual_servers=len(goal.parts),
        real_servers=sum([part.real_servers for part in goal.parts]),
        changes=len(result.done),
        refused=len(result.refused),
        took_ms=round(result.took_s * 1000),
    )


def failed(state: State, cause: Cause, reason: str) -> Step:
    """The kernel could not be read or written at all."""
    told = () if reason == state.unavailable else (Report(events.KernelUnavailable(reason)),)
    if state.stopping and (cause is Cause.STOP or on_stop(state) is OnStop.KEEP):
        stopped = Report(events.Stopped(state.stopping, "the kernel keeps what it has"))
        return state, (*told, stopped, Quit(failed=cause is Cause.STOP))
    return msgspec.structs.replace(state, unavailable=reason), told
