"""What the director decides: `step(state, input, now)` gives the next state and commands.

Pure: the daemon carries the commands out and feeds what comes of them back in. Every path
is one path: a new file, a start, a look at the table and a changed device all lead to
`Converge`, which reads what the kernel holds and changes only what differs.
"""

from __future__ import annotations

from enum import StrEnum
from typing import assert_never

import msgspec

from lvs import events, telling
from lvs.config.located import Problem, Severity
from lvs.events import Event, counted
from lvs.kernel import text
from lvs.kernel.desired import NOTHING, Desired, desired
from lvs.kernel.state import Op, ServiceKey, TakeVip, Vip
from lvs.model import Config, OnStop

LOOK_EVERY_S = 3.0  # table and addresses are compared this often; drift is repaired within 5 s
SETTLE_S = 0.05  # changes of devices and addresses come in bursts
ANNOUNCEMENTS = 5  # as Piranha's send_arp: five, a second apart (lvs.cf's old promise)
ANNOUNCE_EVERY_S = 1.0


class Cause(StrEnum):
    """Why the kernel is looked at."""

    CONFIG = "configuration"
    LOOK = "look"  # is it still as it should be?
    STOP = "stop"


# Inputs: what happened.


class ConfigLoaded(msgspec.Struct, frozen=True):
    """A file was read and found valid; `digest` is of its text."""

    file: str
    digest: str
    config: Config
    warnings: tuple[Problem, ...] = ()


class ConfigRejected(msgspec.Struct, frozen=True):
    file: str
    problems: tuple[Problem, ...]  # errors and warnings


class ConfigUnreadable(msgspec.Struct, frozen=True):
    file: str
    reason: str


class Converged(msgspec.Struct, frozen=True):
    """A Converge was carried out: these operations were done, those were refused."""

    command: Converge
    done: tuple[Op, ...]
    refused: tuple[tuple[str, str], ...] = ()  # operation as a line, reason
    took_s: float = 0.0


class ConvergeFailed(msgspec.Struct, frozen=True):
    """The kernel could not be read or written at all."""

    cause: Cause
    reason: str


class LinksChanged(msgspec.Struct, frozen=True):
    """Addresses or devices changed, by us or by somebody else."""

    back: str = ""  # a device that is up and has a carrier now


class TimePassed(msgspec.Struct, frozen=True):
    """The deadline was reached."""


class StopAsked(msgspec.Struct, frozen=True):
    reason: str


Input = (
    ConfigLoaded
    | ConfigRejected
    | ConfigUnreadable
    | Converged
    | ConvergeFailed
    | LinksChanged
    | TimePassed
    | StopAsked
)


# Commands: what to do.


class Converge(msgspec.Struct, frozen=True):
    """Make the kernel hold `goal`; with `only`, no more than these services can differ."""

    goal: Desired
    cause: Cause
    before: Desired  # what it was meant to hold until now, for the names of what goes
    only: frozenset[ServiceKey] | None = None


class Announce(msgspec.Struct, frozen=True):
    """Tell the neighbours where these VIPs are."""

    vips: tuple[Vip, ...]


class Report(msgspec.Struct, frozen=True):
    event: Event


class Quit(msgspec.Struct, frozen=True):
    """Nothing is left to do."""


Command = Converge | Announce | Report | Quit


class Applying(msgspec.Struct, frozen=True):
    """A loaded configuration on its way into the kernel."""

    file: str
    digest: str
    before: Desired


class Repeat(msgspec.Struct, frozen=True):
    """VIPs that are to be announced again."""

    vips: tuple[Vip, ...]
    at: float
    left: int


class State(msgspec.Struct, frozen=True):
    config: Config | None = None
    digest: str = ""
    goal: Desired = NOTHING
    applying: Applying | None = None  # until the first Converged with its goal
    on_stop: OnStop | None = None  # the command line's word over the configuration's
    refused: tuple[tuple[str, str], ...] = ()  # told already
    unavailable: str = ""  # told already
    announcing: tuple[Repeat, ...] = ()
    look_at: float | None = None
    stopping: str = ""


Step = tuple[State, tuple[Command, ...]]


def deadline(state: State) -> float | None:
    """When `TimePassed` is due, in monotonic seconds."""
    times = [repeat.at for repeat in state.announcing]
    if state.look_at is not None:
        times.append(state.look_at)
    return min(times, default=None)


def step(state: State, what: Input, now: float) -> Step:
    """The next state, and what to do; the same arguments give the same answer."""
    match what:
        case ConfigLoaded():
            return _loaded(state, what, now)
        case ConfigRejected(file, problems):
            return state, _rejected(state, file, problems)
        case ConfigUnreadable(file, reason):
            return state, (Report(events.ConfigUnreadable(file, reason, _serving(state))),)
        case Converged():
            return _converged(state, what, now)
        case ConvergeFailed(cause, reason):
            return _failed(state, cause, reason)
        case LinksChanged(back):
            return _links_changed(state, back, now), ()
        case TimePassed():
            return _time_passed(state, now)
        case StopAsked(reason):
            return _stop(state, reason)
        case _:
            assert_never(what)


def _loaded(state: State, loaded: ConfigLoaded, now: float) -> Step:
    warnings = tuple(
        Report(events.ConfigWarning(problem.file, problem.line, problem.path, str(problem)))
        for problem in loaded.warnings
    )
    if state.stopping:
        return state, ()
    config = loaded.config
    if state.config == config:
        told = Report(events.ConfigUnchanged(loaded.file, config.serial_no))
        return msgspec.structs.replace(state, digest=loaded.digest), (*warnings, told)
    same_serial = state.config is not None and state.config.serial_no == config.serial_no
    serial = (Report(events.SerialUnchanged(loaded.file, config.serial_no)),) if same_serial else ()
    goal = desired(config, state.goal)
    only = None if state.applying or state.config is None else changed(state.goal, goal)
    before = state.applying.before if state.applying else state.goal
    new = msgspec.structs.replace(
        state,
        config=config,
        digest=loaded.digest,
        goal=goal,
        applying=Applying(loaded.file, loaded.digest, before),
        look_at=now + LOOK_EVERY_S,
    )
    return new, (*warnings, *serial, Converge(goal, Cause.CONFIG, before, only))


def _links_changed(state: State, back: str, now: float) -> State:
    """Look soon; what a device holds that was dead is announced again, for nobody heard it."""
    if state.look_at is None or state.stopping:
        return state
    announcing = state.announcing
    vips = tuple(sorted(vip for vip in state.goal.state.vips if back and vip.device == back))
    if vips:
        announcing = (*announcing, Repeat(vips, now + SETTLE_S, ANNOUNCEMENTS))
    look_at = min(state.look_at, now + SETTLE_S)
    return msgspec.structs.replace(state, look_at=look_at, announcing=announcing)


def changed(before: Desired, after: Desired) -> frozenset[ServiceKey] | None:
    """The services that can differ between two goals; None if more than services does."""
    one, other = before.state, after.state
    rest = (one.vips, one.timeouts, one.sysctls, one.modules)
    if rest != (other.vips, other.timeouts, other.sysctls, other.modules):
        return None
    kept = {key for key, service in other.services.items() if one.services.get(key) is service}
    return frozenset((one.services.keys() | other.services.keys()) - kept)


def _rejected(state: State, file: str, problems: tuple[Problem, ...]) -> tuple[Command, ...]:
    errors = [problem for problem in problems if problem.severity is Severity.ERROR]
    return (
        Report(events.ConfigRefused(file, len(errors), _serving(state))),
        *(
            Report(events.ConfigProblem(problem.file, problem.line, problem.path, str(problem)))
            for problem in errors[: telling.ONE_BY_ONE]
        ),
    )


def _serving(state: State) -> str:
    if state.config is None:
        return "nothing is changed in the kernel until there is a valid configuration"
    return f"serial {state.config.serial_no} goes on"


def _converged(state: State, result: Converged, now: float) -> Step:
    command = result.command
    applying = state.applying if command.goal is state.goal else None
    cause = Cause.CONFIG if applying and command.cause is Cause.LOOK else command.cause
    refused = result.refused
    if command.only is not None:  # it says nothing about what was refused elsewhere
        refused = tuple(dict.fromkeys((*state.refused, *refused)))
    told = list(_told(result, cause, {line for line, _ in state.refused}))
    if applying and state.config is not None:
        told.append(_applied(state.config, applying, result))
    before = set(state.refused)
    fresh = [refusal for refusal in refused if refusal not in before]
    told += [events.OperationRefused(*refusal) for refusal in fresh[: telling.ONE_BY_ONE]]
    if state.refused and not refused and cause is Cause.LOOK:
        told.append(events.RefusalCleared(len(state.refused)))
    commands: list[Command] = [Report(event) for event in told]
    announcing = state.announcing
    taken = tuple(op.vip for op in result.done if isinstance(op, TakeVip))
    if taken and not state.stopping:
        commands.append(Announce(taken))
        announcing = (*announcing, Repeat(taken, now + ANNOUNCE_EVERY_S, ANNOUNCEMENTS - 1))
    if state.stopping and (cause is Cause.STOP or _on_stop(state) is OnStop.KEEP):
        commands += [Report(events.Stopped(state.stopping, _left(state, len(refused)))), Quit()]
    new = msgspec.structs.replace(
        state,
        applying=None if applying else state.applying,
        refused=refused,
        unavailable="",
        announcing=announcing,
        look_at=None if state.stopping else now + LOOK_EVERY_S,
    )
    return new, tuple(commands)


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


def _applied(config: Config, applying: Applying, result: Converged) -> Event:
    active = [virtual_server for virtual_server in config.virtual_servers if virtual_server.active]
    return events.ConfigApplied(
        file=applying.file,
        serial=config.serial_no,
        digest=applying.digest,
        virtual_servers=len(active),
        real_servers=sum(
            len(service.destinations) for service in result.command.goal.state.services.values()
        ),
        changes=len(result.done),
        refused=len(result.refused),
        took_ms=round(result.took_s * 1000),
    )


def _failed(state: State, cause: Cause, reason: str) -> Step:
    told = () if reason == state.unavailable else (Report(events.KernelUnavailable(reason)),)
    if state.stopping and (cause is Cause.STOP or _on_stop(state) is OnStop.KEEP):
        return state, (*told, Report(events.Stopped(state.stopping, "the kernel keeps what it has")), Quit())
    return msgspec.structs.replace(state, unavailable=reason), told


def _time_passed(state: State, now: float) -> Step:
    commands: list[Command] = []
    announcing = []
    for repeat in state.announcing:
        vips = tuple(vip for vip in repeat.vips if vip in state.goal.state.vips)
        if repeat.at > now:
            announcing.append(repeat)
        elif vips:
            commands.append(Announce(vips))
            if repeat.left > 1:
                announcing.append(Repeat(vips, now + ANNOUNCE_EVERY_S, repeat.left - 1))
    look_at = state.look_at
    if look_at is not None and look_at <= now:
        # A configuration that could not be applied is applied by the next look.
        before = state.applying.before if state.applying else state.goal
        commands.append(Converge(state.goal, Cause.LOOK, before))
        look_at = now + LOOK_EVERY_S
    return msgspec.structs.replace(state, announcing=tuple(announcing), look_at=look_at), tuple(commands)


def _stop(state: State, reason: str) -> Step:
    if state.stopping:
        return state, ()
    new = msgspec.structs.replace(state, stopping=reason, applying=None, announcing=(), look_at=None)
    if state.config is not None and _on_stop(state) is OnStop.EMPTY:
        return msgspec.structs.replace(new, goal=NOTHING), (Converge(NOTHING, Cause.STOP, state.goal),)
    if state.applying is not None:  # a table is left whole: the stop waits until it stands
        return new, ()
    return new, (Report(events.Stopped(reason, _left(new))), Quit())


def _on_stop(state: State) -> OnStop:
    if state.on_stop is not None:
        return state.on_stop
    return OnStop.KEEP if state.config is None else state.config.on_stop


def _left(state: State, refused: int = 0) -> str:
    if state.config is None:
        return "the kernel was not changed"
    if _on_stop(state) is OnStop.KEEP:
        services = counted(len(state.goal.state.services), "service")
        return f"left serving: {services}, {counted(len(state.goal.state.vips), 'VIP')}"
    if refused:
        return f"our services and VIPs are removed but for what was refused: {counted(refused, 'operation')}"
    return "our services and VIPs are removed, settings put back"
