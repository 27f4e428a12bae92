"""What the director decides: `step(state, input, now)` gives the next state and commands.

Pure: the daemon carries the commands out and feeds what comes of them back in. Every path
is one path: a new file, a start, a look at the table and a changed device all lead to
`Converge`, which reads what the kernel holds and changes only what differs.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import assert_never

import msgspec

from lvs import __version__, connections, events, outcomes, pair, roles, telling
from lvs.checks import Answer, Reason, Target
from lvs.commands import (
    Announce,
    Cause,
    Command,
    Converge,
    KeepOrders,
    Report,
    RunAs,
    RunHook,
    TellPulse,
)
from lvs.config.located import Problem, Severity
from lvs.events import counted
from lvs.health import maintenance, ward
from lvs.health.roster import Known
from lvs.health.ward import Change, Health
from lvs.inputs import (
    Announced,
    ChecksMeasured,
    ConfigLoaded,
    ConfigRejected,
    ConfigUnreadable,
    ConnectionsShared,
    Converged,
    ConvergeFailed,
    EnableAsked,
    FindingsShared,
    Input,
    LinksChanged,
    LinksUnheard,
    MachineSeen,
    OrderGiven,
    OrdersShared,
    ProbesAnswered,
    PulseLost,
    PulseSaid,
    SessionsEnded,
    StopAsked,
    SwitchoverAsked,
    TableCounted,
    TimePassed,
    VipsTaken,
)
from lvs.kernel.desired import Desired, desired
from lvs.kernel.keys import destination_of, service_key
from lvs.kernel.state import Service, ServiceKey
from lvs.model import Config, VirtualServer
from lvs.pair import PAIRED
from lvs.pulse import words
from lvs.pulse.words import Vitals, VitalsChanged
from lvs.state import (
    ANNOUNCE_AFTER_S,
    LOOK_EVERY_S,
    Applying,
    Repeat,
    State,
    Step,
    ask,
    changed,
    goes_on,
    held_vips,
    settled,
)

SETTLE_S = 0.05  # changes of devices and addresses come in bursts ...
SHARE = 5  # ... and with a thousand VIPs for seconds: then the table is looked at a fifth of the time
FAULT_OVER_S = 60.0  # a fault of ours that was not heard of for so long is news when it comes again


def step(state: State, what: Input, now: float) -> Step:
    """The next state, and what to do; the same arguments give the same answer."""
    new, commands = _stepped(state, what, now)
    if new.pairing.seat not in PAIRED or new.config is None:
        return new, commands
    # What the pulse should know is told by what is so, whatever made it so.
    pairing, faults = pair.judged(new.pairing, new.config, unavailable=new.unavailable)
    vitals = Vitals(
        new.config.serial_no,
        new.digest,
        pairing.connections,
        __version__,
        receives=roles.receives(new),
        told=pairing.told,
        caught_up=pairing.caught_up,
    )
    told = () if vitals == pairing.vitals else (TellPulse(VitalsChanged(vitals)),)
    if not (faults or told):
        return new, commands
    pairing = msgspec.structs.replace(pairing, vitals=vitals)
    return msgspec.structs.replace(new, pairing=pairing), (*commands, *faults, *told)


def _stepped(state: State, what: Input, now: float) -> Step:
    match what:
        case ConfigLoaded():
            return _loaded(state, what, now)
        case ConfigRejected(file, problems):
            return state, _rejected(state, file, problems)
        case ConfigUnreadable(file, reason):
            return state, (Report(events.ConfigUnreadable(file, reason, goes_on(state))),)
        case Converged():
            return outcomes.converged(state, what, now)
        case ConvergeFailed(cause, reason):
            return outcomes.failed(state, cause, reason)
        case LinksChanged(back):
            return _links_changed(msgspec.structs.replace(state, unheard=""), back, now), ()
        case LinksUnheard(reason):
            told = () if reason == state.unheard else (Report(events.KernelUnavailable(reason)),)
            return msgspec.structs.replace(state, unheard=reason), told
        case VipsTaken(vips):
            return outcomes.taken(state, vips, now)
        case Announced(failed):
            return _announced(state, failed)
        case ProbesAnswered(answers):
            return _answered(state, answers, now)
        case OrderGiven(order):
            return _turned(state, maintenance.ordered(state.health, order, now))
        case EnableAsked(address, virtual, by):
            return _turned(state, maintenance.enabled(state.health, address, virtual, by, now))
        case SessionsEnded(orders):
            return _turned(state, maintenance.emptied(state.health, orders, now))
        case OrdersShared(orders):
            return _turned(state, maintenance.shared(state.health, orders, now))
        case FindingsShared(findings):
            return _turned(state, ward.heard(state.health, findings, now))
        case ChecksMeasured():
            return _measured(state, what)
        case MachineSeen():
            return roles.machine_seen(state, what, now)
        case PulseSaid(word):
            return roles.pulse_said(state, word, now)
        case PulseLost(reason):
            return roles.pulse_lost(state, reason)
        case SwitchoverAsked(by):
            ordered = Report(events.SwitchoverOrdered(by))
            share = roles.share(state)
            asked = msgspec.structs.replace(state.pairing, refused="")
            new = msgspec.structs.replace(state, pairing=asked)
            return new, (ordered, *share, TellPulse(words.SwitchoverAsked(by)))
        case TableCounted(number):
            return roles.paired(state, connections.counted(state.pairing, number, now), now)
        case ConnectionsShared(whom):
            return roles.paired(state, connections.shared(state.pairing, whom), now)
        case TimePassed():
            return _time_passed(state, now)
        case StopAsked(reason):
            return roles.stop_asked(state, reason, now)
        case _:
            assert_never(what)


def _announced(state: State, failed: tuple[str, ...]) -> Step:
    """Tell once what could not be announced, though it is tried again and again."""
    fresh = tuple(
        Report(events.AnnouncementFailed(reason)) for reason in failed if reason not in state.unannounced
    )
    known = state.unannounced.union(failed) if failed or state.announcing else frozenset[str]()
    return msgspec.structs.replace(state, unannounced=known), fresh


def _warnings(loaded: ConfigLoaded) -> tuple[Command, ...]:
    """Each as an event; of too many the first ones, and how many more there are."""
    shown, left = loaded.warnings[: telling.ONE_BY_ONE], loaded.warnings[telling.ONE_BY_ONE :]
    told = [events.ConfigWarning(one.file, one.line, one.path, str(one)) for one in shown]
    if left:
        more = f"and {counted(len(left), 'more warning')}; `lvsd check {loaded.file}` tells all"
        told.append(events.ConfigWarning(loaded.file, left[0].line, "", more))
    return tuple(map(Report, told))


def _loaded(state: State, loaded: ConfigLoaded, now: float) -> Step:
    warnings = _warnings(loaded)
    if state.stopping:
        return state, ()
    config = loaded.config
    if state.config == config:
        told = Report(events.ConfigUnchanged(loaded.file, config.serial_no))
        return msgspec.structs.replace(state, digest=loaded.digest), (*warnings, told)
    same_serial = state.config is not None and state.config.serial_no == config.serial_no
    serial = (Report(events.SerialUnchanged(loaded.file, config.serial_no)),) if same_serial else ()
    health, change = ward.configured(state.health, config, now, partial(_known, state.found))
    pairing, paired = pair.situated(state.pairing, config, starts=state.config is None)
    goal = desired(config, state.goal, health.serving, pairing.role, state.open_to_all)
    only = None if state.config is None else _only(state, goal)
    before = state.applying.before if state.applying else state.goal
    new = msgspec.structs.replace(
        state,
        config=config,
        digest=loaded.digest,
        goal=goal,
        applying=Applying(loaded.file, loaded.digest, before),
        look_at=now + LOOK_EVERY_S,
        looked_at=now,
        health=health,
        pairing=pairing,
        found={},
        moving=only or frozenset(),
        all_moving=only is None,
        later=(*state.later, *(target for target in change.follow if target.path is not None)),
    )
    # A check through the VIP would reach anybody while the kernel has no way for it.
    change = msgspec.structs.replace(
        change, follow=tuple([target for target in change.follow if target.path is None])
    )
    user = None if state.config is None else state.config.check_user
    run_as = (RunAs(config.check_user),) if config.check_user != user else ()
    converge = Converge(goal, Cause.CONFIG, before, only)
    return new, (*warnings, *serial, converge, *run_as, *paired, *_follows(health, change))


# Health


def _known(found: Mapping[ServiceKey, Service], virtual_server: VirtualServer) -> Known:
    """Which of its real servers the kernel had in use when the daemon started."""
    service = found.get(service_key(virtual_server))
    if service is None:
        return ward.nothing_known(virtual_server)
    held = [
        service.destinations.get(destination_of(virtual_server, one)) for one in virtual_server.real_servers
    ]
    # A failed real server is at weight 0 only by quiesce_server; else it is there on purpose.
    return tuple(
        [
            one is not None and (one.weight > 0 or server.weight == 0 or not virtual_server.quiesce_server)
            for one, server in zip(held, virtual_server.real_servers, strict=True)
        ]
    )


def _only(state: State, goal: Desired) -> frozenset[ServiceKey] | None:
    """What can differ from the kernel: what changes now, and what is on its way; None: everything."""
    if state.applying or state.all_moving:
        return None
    only = changed(state.goal, goal)
    return None if only is None else only | state.moving


def planned(state: State, config: Config, now: float) -> Desired:
    """What the kernel would be meant to hold with another configuration."""
    health, _ = ward.configured(state.health, config, now)
    pairing, _ = pair.situated(state.pairing, config)
    return desired(config, state.goal, health.serving, pairing.role, state.open_to_all)


def _follows(health: Health, change: Change) -> tuple[Command, ...]:
    """Commands for what follows from a change of health; many real servers at once are told as one."""
    commands: list[Command] = []
    if change.follow or change.forget or change.again:
        commands.append(ask(health, change.follow, change.forget, change.again))
    told = change.told
    moved = [event for event in told if isinstance(event, events.RealServerUp | events.RealServerDown)]
    if len(moved) > telling.ONE_BY_ONE:
        rest = [event for event in told if not isinstance(event, events.RealServerUp | events.RealServerDown)]
        told = (telling.moved(moved), *rest)
    commands += [Report(event) for event in told]
    commands += [RunHook(hook) for hook in change.hooks]
    return tuple(commands)


def _turned(state: State, turn: tuple[Health, Change]) -> Step:
    """Another state of health: what it changes in the kernel, and what follows."""
    health, change = turn
    if health is state.health:
        return state, ()
    commands = list(_follows(health, change))
    if change.orders_changed:
        commands.append(KeepOrders(health.orders))
    new = msgspec.structs.replace(state, health=health)
    if state.config is None or state.stopping or health.serving == state.goal.serving:
        return new, tuple(commands)
    goal = desired(state.config, state.goal, health.serving, state.pairing.role, state.open_to_all)
    only = _only(state, goal)
    before = state.applying.before if state.applying else state.goal
    new = msgspec.structs.replace(new, goal=goal, moving=only or frozenset(), all_moving=only is None)
    return new, (Converge(goal, Cause.HEALTH, before, only), *commands)


def _answered(state: State, answers: tuple[tuple[Target, Answer], ...], now: float) -> Step:
    """What checks found; why one could not be made, for a fault of ours, is told once as long as it lasts."""
    new, commands = _turned(state, ward.answered(state.health, answers, now))
    if state.pairing.witnesses:
        new = msgspec.structs.replace(new, pairing=pair.witnessed(new.pairing, answers, now))
    faults = {one.text: str(target.address) for target, one in answers if one.reason is Reason.LOCAL_FAULT}
    if not faults:
        return new, commands
    known = {text: at for text, at in state.faults.items() if now - at < FAULT_OVER_S}
    fresh = tuple([Report(events.CheckFault(who, text)) for text, who in faults.items() if text not in known])
    known |= dict.fromkeys(faults, now)
    return msgspec.structs.replace(new, faults=known), (*commands, *fresh)


def _measured(state: State, what: ChecksMeasured) -> Step:
    late = what.overdue > 0
    if late == state.checks_late or state.stopping:
        return state, ()
    told = events.ChecksLate(what.overdue, what.reason) if late else events.ChecksInTime()
    return msgspec.structs.replace(state, checks_late=late, faults={}), (Report(told),)


def _links_changed(state: State, back: str, now: float) -> State:
    """Look soon; what a device holds that was dead is announced again, for nobody heard it."""
    if state.look_at is None or state.stopping:
        return state
    announcing = state.announcing
    vips = tuple(sorted(vip for vip in state.goal.state.vips if vip.device == back)) if back else ()
    if vips:
        announcing = (*announcing, Repeat(vips, now + SETTLE_S, 0))
    apart_s = min(LOOK_EVERY_S, SHARE * state.look_took_s)
    look_at = min(state.look_at, max(now + SETTLE_S, state.looked_at + apart_s))
    return msgspec.structs.replace(state, look_at=look_at, announcing=announcing)


def _rejected(state: State, file: str, problems: tuple[Problem, ...]) -> tuple[Command, ...]:
    errors = [problem for problem in problems if problem.severity is Severity.ERROR]
    return (
        Report(events.ConfigRefused(file, len(errors), goes_on(state))),
        *(
            Report(events.ConfigProblem(problem.file, problem.line, problem.path, str(problem)))
            for problem in errors[: telling.ONE_BY_ONE]
        ),
    )


def _time_passed(state: State, now: float) -> Step:
    commands: list[Command] = []
    announcing = []
    for repeat in state.announcing:
        vips = tuple(vip for vip in repeat.vips if vip in state.goal.state.vips)
        if repeat.at > now:
            announcing.append(repeat)
        elif vips:
            commands.append(Announce(vips))
            told = sum(repeat.taken_at + after <= now for after in ANNOUNCE_AFTER_S)
            if told < len(ANNOUNCE_AFTER_S):
                announcing.append(Repeat(vips, repeat.taken_at, told))
    new = msgspec.structs.replace(state, announcing=tuple(announcing))
    if new.announce_at is not None and new.announce_at <= now:
        if held := held_vips(new):
            commands.append(Announce(held))
        new = msgspec.structs.replace(new, announce_at=None)
        new = msgspec.structs.replace(new, announce_at=outcomes.next_announcement(new, now))
    if not state.stopping:
        new, turned = _turned(new, maintenance.passed(new.health, now))
        commands += turned
    moved = any(isinstance(command, Converge) for command in commands)
    if new.look_at is not None and new.look_at <= now and not moved:
        # A configuration that could not be applied is applied by the next look; what is on its way
        # into the kernel is no drift.
        before = new.applying.before if new.applying else new.goal
        commands.append(
            Converge(new.goal, Cause.LOOK if settled(new) or new.applying else Cause.HEALTH, before)
        )
        new = msgspec.structs.replace(new, look_at=now + LOOK_EVERY_S, looked_at=now)
        if new.pairing.lost and new.pairing.wire is not None:
            commands.append(new.pairing.wire)
    if new.leave_by is not None and new.leave_by <= now:
        new, stopped = roles.stop(new, new.leaving)
        commands += stopped
    return new, tuple(commands)
