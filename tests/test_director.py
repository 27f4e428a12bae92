"""The director against transcripts/*.txt, and its laws under random inputs.

A transcript is commands and their exact output, rewritten by `pytest --rewrite` and reviewed as
a diff. Blocks are parted by empty lines; `#` begins a comment, `----` parts input and output:

    load serial=1 [on_stop=empty] [primary=ADDRESS] [OPTION_OF_THE_PAIR=VALUE ...]
                                    a valid file; its virtual servers, indented, one a line:
      web 192.0.2.1 on eth0:1 [with OPTION ...]: real1 10.0.0.1*3, real2 10.0.0.2
    warn LINE MESSAGE               the next load has this warning
    reject LINE MESSAGE             a file with one problem
    unreadable REASON               no file
    begin                           start on the newest Converge, and do not end it
    announced [REASON]              the newest Announce is carried out, or was not for that reason
    converged                       carry out what was begun, or the newest Converge
    failed REASON                   the same, but the kernel cannot be read
    refuse TEXT: REASON             from now on the kernel refuses operations with TEXT in their line
    allow                           ... and no more
    checked                         from now on real servers are checked (else they are taken as up)
    found                           the daemon starts beside the table that there is
    check ADDRESS up|REASON         every check of a real server has this answer
    drain ADDRESS [deadline=S] [until=S]
                                    an operator's order; disable and enable likewise
    ended ADDRESS                   it has no session left
    somebody boots|clears|drops|weights
                                    the kernel is new; ipvsadm -C; ip address flush; ipvsadm -e -w 9
    links                           devices or addresses changed
    time 3.0                        until then, with every deadline on the way
    stop REASON                     told to stop
    seen DEVICE=ADDRESS,... ...     this machine's devices with a link and their addresses; DEVICE! has none
    pulse ROLE TERM REASON          the pulse says so
    word NAME [TEXT]                it says Left, Reannounce, or SwitchoverEnded or a notice with a text
    silent | heard ROLE [receives] [told]
                                    what it knows of the other director
    lost REASON                     there is no pulse
    switchover USER                 an operator's order
    counted NUMBER                  connections
    shared                          all connections were told

The kernel is `kernel.state.apply`, with modules and settings as they are to be.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import strategies
from lvs import director, events
from lvs.checks import Answer, Reason
from lvs.commands import (
    Announce,
    Ask,
    Cause,
    Command,
    Converge,
    KeepOrders,
    Quit,
    Report,
    RunAs,
    RunHook,
    ShareConnections,
    TellPulse,
    Unwire,
    Wire,
)
from lvs.config.located import Problem, Severity
from lvs.director import SETTLE_S, step
from lvs.health.orders import Order, Verb
from lvs.health.ward import Change, Health
from lvs.inputs import (
    Announced,
    ConfigLoaded,
    ConfigRejected,
    ConfigUnreadable,
    ConnectionsShared,
    Converged,
    ConvergeFailed,
    EnableAsked,
    Input,
    LinksChanged,
    LinksUnheard,
    MachineSeen,
    OrderGiven,
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
from lvs.kernel import text
from lvs.kernel.desired import desired
from lvs.kernel.diff import diff
from lvs.kernel.state import KernelState, Op, Service, TakeVip, apply
from lvs.model import Config, Drain, OnStop, Protocol, Quorum, Role, VirtualServer
from lvs.pair import Seat
from lvs.pulse import words as pulse_words
from lvs.pulse.line import Seen, ToPulse
from lvs.state import LOOK_EVERY_S, State, changed, deadline
from steps import FILE, applied, told

TRANSCRIPTS = sorted((Path(__file__).parent / "transcripts").glob("*.txt"))
MOST_LINES = 8  # operations shown one by one

SETTLED = msgspec.structs.replace(
    desired(
        strategies.config(
            strategies.virtual_server("any", "192.0.2.1", vip=strategies.on_device("192.0.2.1", "eth0"))
        )
    ).state,
    services={},
    vips=frozenset(),
)


class Stage:
    """A director, its kernel and its clock."""

    def __init__(self) -> None:
        self.state = State(health=Health(unchecked=True))
        self.now = 0.0
        self.kernel = SETTLED
        self.pending: Converge | None = None  # as the daemon keeps it: the newest
        self.running: Converge | None = None
        self.refusing: tuple[str, str] | None = None
        self.warnings: tuple[Problem, ...] = ()
        self.known: dict[str, VirtualServer] = {}  # by line: the same line is the same object
        self.said: list[str] = []

    def command(self, lines: list[str]) -> list[str]:
        """Carry out one command of a transcript; its output."""
        self.said = []
        verb, _, rest = lines[0].partition(" ")
        getattr(self, f"do_{verb}")(rest, [line.strip() for line in lines[1:]])
        return [*self.said, self.summary()]

    def do_load(self, rest: str, lines: list[str]) -> None:
        words = dict(word.split("=") for word in rest.split())
        pair = {
            key: pair_value(key, value) for key, value in words.items() if key not in ("serial", "on_stop")
        }
        for end in ("primary", "backup"):
            pair.setdefault(f"{end}_private", pair.get(end))
        for line in lines:
            self.known.setdefault(line, parsed(line))
        loaded = strategies.config(
            *(self.known[line] for line in lines),
            serial_no=int(words["serial"]),
            on_stop=OnStop(words.get("on_stop", "keep")),
        )
        if "backup" in words:
            pair = {"backup_active": True, "syncd_iface": "eth0", **pair}
        loaded = msgspec.structs.replace(loaded, pair=msgspec.structs.replace(loaded.pair, **pair))
        warnings, self.warnings = self.warnings, ()
        self.feed(ConfigLoaded(FILE, rest, loaded, warnings))

    def do_warn(self, rest: str, _: list[str]) -> None:
        self.warnings = (problem(rest, Severity.WARNING),)

    def do_reject(self, rest: str, _: list[str]) -> None:
        self.feed(ConfigRejected(FILE, (problem("1 odd", Severity.WARNING), problem(rest, Severity.ERROR))))

    def do_unreadable(self, rest: str, _: list[str]) -> None:
        self.feed(ConfigUnreadable(FILE, rest))

    def do_begin(self, *_: object) -> None:
        assert self.running is None
        self.running, self.pending = self.pending, None

    def do_converged(self, *_: object) -> None:
        if self.running is None:
            self.do_begin()
        command, self.running = self.running, None
        if command is None:
            self.said.append("nothing is pending")
            return
        done, refused = self.converge(command)
        shown = [f"did {text.line(op)}" for op in done]
        self.said += shown if len(shown) <= MOST_LINES else [f"did {len(shown)} operations"]
        if taken := tuple(op.vip for op in done if isinstance(op, TakeVip)):
            self.feed(VipsTaken(taken))
        self.feed(Converged(command, done, refused, 0.004))

    def converge(self, command: Converge) -> tuple[tuple[Op, ...], tuple[tuple[str, str], ...]]:
        """What io.converge does."""
        goal, actual = command.goal.state, self.kernel
        if command.only is not None:
            moves = command.cause is Cause.ROLE
            goal, actual = (
                KernelState(
                    {key: one for key, one in held.services.items() if key in command.only},
                    vips=held.vips if moves else frozenset(),
                    daemons=held.daemons if moves else frozenset(),
                )
                for held in (goal, actual)
            )
        done, refused = [], []
        for op in diff(actual, goal):
            line = text.line(op)
            if self.refusing and self.refusing[0] in line:
                refused.append((line, self.refusing[1]))
                continue
            try:
                self.kernel = apply(op, self.kernel)
            except KeyError:
                refused.append((line, "there is no such service"))
            else:
                done.append(op)
        return tuple(done), tuple(refused)

    def do_announced(self, rest: str, _: list[str]) -> None:
        self.feed(Announced((rest,) if rest else ()))

    def do_failed(self, rest: str, _: list[str]) -> None:
        if self.running is None:
            self.do_begin()
        command, self.running = self.running, None
        assert command is not None
        self.feed(ConvergeFailed(command.cause, rest))

    def do_refuse(self, rest: str, _: list[str]) -> None:
        pattern, reason = rest.split(": ")
        self.refusing = (pattern, reason)

    def do_allow(self, *_: object) -> None:
        self.refusing = None

    def do_checked(self, *_: object) -> None:
        self.state = msgspec.structs.replace(self.state, health=Health())

    def do_found(self, *_: object) -> None:
        self.state = State(health=Health(orders=self.state.health.orders), found=self.kernel.services)
        self.known = {}

    def do_check(self, rest: str, _: list[str]) -> None:
        address, word = rest.split(" ")
        answer = Answer(
            ok=word == "up", reason=Reason("answered" if word == "up" else word), text=f"it is {word}"
        )
        asked = [target for target in self.state.health.askers if str(target.address) == address]
        self.feed(ProbesAnswered(tuple((target, answer) for target in asked)))

    def do_drain(self, rest: str, _: list[str]) -> None:
        self.give(Verb.DRAIN, rest)

    def do_disable(self, rest: str, _: list[str]) -> None:
        self.give(Verb.DISABLE, rest)

    def give(self, verb: Verb, rest: str) -> None:
        address, *options = rest.split()
        times = {key: float(value) for key, _, value in (word.partition("=") for word in options)}
        order = Order(verb, ip_address(address), None, "root", 0.0, times.get("deadline"), times.get("until"))
        self.feed(OrderGiven(order))

    def do_enable(self, rest: str, _: list[str]) -> None:
        self.feed(EnableAsked(ip_address(rest), None, "root"))

    def do_ended(self, rest: str, _: list[str]) -> None:
        orders = tuple(one for one in self.state.health.orders if str(one.address) == rest)
        self.feed(SessionsEnded(orders))

    def do_somebody(self, rest: str, _: list[str]) -> None:
        held = self.kernel
        match rest:
            case "boots":
                self.kernel = KernelState()
            case "clears":
                self.kernel = KernelState({}, held.vips, held.timeouts, held.sysctls, held.modules)
            case "drops":
                services = held.services
                self.kernel = KernelState(services, frozenset(), held.timeouts, held.sysctls, held.modules)
            case "weights":
                services = {
                    key: Service(
                        one.options,
                        {k: msgspec.structs.replace(v, weight=9) for k, v in one.destinations.items()},
                    )
                    for key, one in held.services.items()
                }
                self.kernel = KernelState(services, held.vips, held.timeouts, held.sysctls, held.modules)
            case _:
                raise AssertionError(rest)

    def do_links(self, *_: object) -> None:
        self.feed(LinksChanged())

    def do_time(self, rest: str, _: list[str]) -> None:
        until = float(rest)
        while (due := deadline(self.state)) is not None and due <= until:
            self.now = max(self.now, due)
            self.said.append(f"at {self.now:g}:")
            self.feed(TimePassed())
        self.now = until

    def do_seen(self, rest: str, _: list[str]) -> None:
        devices = [word.partition("=") for word in rest.split()]
        own = {
            address: name.rstrip("!")
            for name, _, held in devices
            for address in filter(None, held.split(","))
        }
        self.feed(MachineSeen(own, {name.rstrip("!"): "!" not in name for name, _, _ in devices}))

    def do_pulse(self, rest: str, _: list[str]) -> None:
        role, term, reason = rest.split(" ", 2)
        self.feed(PulseSaid(pulse_words.TakeRole(Role(role), int(term), reason)))

    def do_word(self, rest: str, _: list[str]) -> None:
        name, said = rest.partition(" ")[::2]
        match name:
            case "Left":
                self.feed(PulseSaid(pulse_words.Left()))
            case "Reannounce":
                self.feed(PulseSaid(pulse_words.Reannounce()))
            case "SwitchoverEnded":
                self.feed(PulseSaid(pulse_words.SwitchoverEnded(said)))
            case _:
                self.feed(PulseSaid(pulse_words.Tell(pulse_words.Notice(name), said)))

    def do_silent(self, *_: object) -> None:
        self.feed(PulseSaid(Seen(None)))

    def do_heard(self, rest: str, _: list[str]) -> None:
        role, *more = rest.split()
        beat = pulse_words.Beat(1, 1, role=Role(role), connections=10, able=True, receives="receives" in more)
        self.feed(PulseSaid(Seen(beat, alive=True, told="told" in more)))

    def do_lost(self, rest: str, _: list[str]) -> None:
        self.feed(PulseLost(rest))

    def do_switchover(self, rest: str, _: list[str]) -> None:
        self.feed(SwitchoverAsked(rest))

    def do_counted(self, rest: str, _: list[str]) -> None:
        self.feed(TableCounted(int(rest)))

    def do_shared(self, *_: object) -> None:
        self.feed(ConnectionsShared(1))

    def do_stop(self, rest: str, _: list[str]) -> None:
        self.feed(StopAsked(rest))

    def feed(self, what: Input) -> None:
        self.state, commands = step(self.state, what, self.now)
        for command in commands:
            self.said.append(f"-> {shown(command)}")
            if isinstance(command, Converge):
                self.pending = command

    def summary(self) -> str:
        """The state in a line: what the next input meets."""
        state = self.state
        words = ["no configuration" if state.config is None else f"serial {state.config.serial_no}"]
        words += [f"{len(state.goal.state.services)} services, {len(state.goal.state.vips)} VIPs"]
        if state.pairing.seat is not Seat.ALONE:
            words.append(f"{state.pairing.seat} {state.pairing.role}")
        if state.applying:
            words.append("applying")
        if state.refused:
            words.append(f"{len(state.refused)} refused")
        if state.unavailable:
            words.append(f"unavailable: {state.unavailable}")
        if state.stopping:
            words.append(f"stopping: {state.stopping}")
        if (due := deadline(state)) is not None:
            words.append(f"next at {due:g}")
        return f"[{self.now:g} {'; '.join(words)}]"


def parsed(line: str) -> VirtualServer:
    """`web 192.0.2.1 on eth0:1: real1 10.0.0.1*3, real2 10.0.0.2`."""
    match = re.fullmatch(r"(\S+) (\S+)(?: on (\S+))?(?: with (.+?))?: ?(.*)", line)
    assert match, line
    name, address, device, options, reals = match.groups()
    real_servers = []
    for real in filter(None, reals.split(", ")):
        real_name, _, where = real.partition(" ")
        real_address, _, weight = where.partition("*")
        real_servers.append(strategies.real_server(real_name, real_address, int(weight or 1)))
    vip = strategies.on_device(address, device) if device else None
    built = strategies.virtual_server(name, address, *real_servers, vip=vip)
    for option in (options or "").split():
        key, _, value = option.partition("=")
        match key:
            case "sorry":
                built = msgspec.structs.replace(built, sorry_server=ip_address(value))
            case "quiesce":
                built = msgspec.structs.replace(built, quiesce_server=True)
            case "doubling":
                built = msgspec.structs.replace(built, weight_doubling=True)
            case "slow_start":
                built = msgspec.structs.replace(built, slow_start_s=float(value))
            case "quorum":
                least, _, hysteresis = value.partition("+")
                terms = Quorum(int(least), int(hysteresis or 0), "/bin/up", "/bin/down")
                built = msgspec.structs.replace(built, quorum=terms)
            case "notify":
                built = msgspec.structs.replace(built, notify_cmd=value)
            case "udp":
                built = msgspec.structs.replace(built, protocol=Protocol.UDP)
            case "stay":
                built = msgspec.structs.replace(built, drain=Drain.STAY)
            case _:
                checking = msgspec.structs.replace(built.checking, **{key: int(value)})
                built = msgspec.structs.replace(built, checking=checking)
    return built


def pair_value(key: str, value: str) -> Any:
    """Of an option of the pair."""
    if key.endswith("_s"):
        return float(value)
    if key == "witness":
        return frozenset({ip_address(value)})
    return (
        {"yes": True, "no": False}.get(value)
        if value in ("yes", "no")
        else (ip_address(value) if value[0].isdigit() else value)
    )


def problem(rest: str, severity: Severity) -> Problem:
    line, _, message = rest.partition(" ")
    return Problem(FILE, int(line), "key", message, severity)


def shown(command: Command) -> str:
    match command:
        case Converge(_, cause, _, only):
            names = ["everything"] if only is None else map(text.service_name, sorted(only))
            return f"Converge for {cause}: {', '.join(names) or 'no service'}"
        case Announce(vips):
            return f"Announce {', '.join(f'{text.vip(vip)} {vip.label or vip.device}' for vip in vips)}"
        case Report(event):
            return f"{event.PRIORITY.name} {type(event).__name__}: {event.text()}"
        case Ask(follow, forget, again):
            asked = [f"{target.address}:{target.port}" for target in follow]
            no_more = [f"no more {target.address}:{target.port}" for target in forget]
            once_more = [f"again {target.address}:{target.port}" for target in again]
            return f"Ask {', '.join([*asked, *no_more, *once_more])}"
        case RunAs(user):
            return f"RunAs {user}"
        case RunHook(hook):
            return f"RunHook {hook.command} {hook.environment}"
        case KeepOrders(orders):
            return f"KeepOrders {', '.join(f'{one.verb} {one.address}' for one in orders) or 'none'}"
        case Wire(ways, port, terms):
            ends = ", ".join(f"{way.name} {way.ours} to {way.theirs}" for way in ways)
            return f"Wire {ends} port {port}, {'primary' if terms.primary else 'backup'}"
        case Unwire():
            return "Unwire"
        case ShareConnections(whom):
            return "ShareConnections, to be confirmed" if whom else "ShareConnections"
        case TellPulse(what):
            return f"TellPulse {type(what).__name__}{in_short(what)}"
        case Quit():
            return "Quit"


def in_short(what: ToPulse) -> str:
    """What the pulse is told, without what every word of that kind says alike."""
    match what:
        case pulse_words.FaultsChanged(faults):
            return f" {', '.join(f'{one.grade}: {one.text}' for one in faults) or 'none'}"
        case pulse_words.VitalsChanged(vitals):
            flags = {"receives": vitals.receives, "told": vitals.told, "caught up": vitals.caught_up}
            shown = (
                f"serial {vitals.serial_no}",
                f"{vitals.connections} connections",
                *filter(flags.get, flags),
            )
            return f" {', '.join(shown)}"
        case pulse_words.HoldingChanged(holding):
            return f" {holding}"
        case _:
            return ""


def played(transcript: str) -> str:
    """The transcript with the output that there is now."""
    stage = Stage()
    blocks = []
    for block in transcript.strip().split("\n\n"):
        lines = block.partition("\n----")[0].split("\n")
        commands = [line for line in lines if not line.startswith("#")]
        output = ["----", *stage.command(commands)] if commands else []
        blocks.append("\n".join([*lines, *output]))
    return "\n\n".join(blocks) + "\n"


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_transcript(path: Path, *, rewrite: bool) -> None:
    before = path.read_text()
    after = played(before)
    if rewrite:
        path.write_text(after)
    assert rewrite or after == before


def test_there_are_transcripts() -> None:
    assert TRANSCRIPTS


# Laws


@st.composite
def inputs(draw: st.DrawFn) -> list[tuple[Input | str, float]]:
    """What may happen, and how long after the last; "converged" stands for the newest Converge's end."""
    some = draw(st.lists(strategies.configs(), min_size=1, max_size=3))
    one = st.one_of(
        st.sampled_from(some).map(lambda config: ConfigLoaded(FILE, "digest", config)),
        st.sampled_from(("converged", "refused", "failed", "cleared")),
        st.sampled_from(
            (
                ConfigRejected(FILE, (problem("3 wrong", Severity.ERROR),)),
                ConfigUnreadable(FILE, "no such file"),
                LinksChanged(),
                TimePassed(),
            )
        ),
        st.just(StopAsked("SIGTERM")) if draw(st.booleans()) else st.just(TimePassed()),
    )
    return draw(st.lists(st.tuples(one, st.sampled_from((0.0, 0.01, 1.0, 3.0))), max_size=12))


def performed(
    happened: list[tuple[Input | str, float]],
) -> Iterator[tuple[Input, State, State, tuple[Command, ...], Stage]]:
    """Each input that reached the director: state before and after, commands, and the stage."""
    stage = Stage()
    for what, pause in happened:
        stage.now += pause
        given_in: Input
        if isinstance(what, str):
            begun, stage.pending = stage.pending, None
            if what == "cleared":
                stage.do_somebody("clears", [])
            if begun is None:
                continue
            if what == "failed":
                given_in = ConvergeFailed(begun.cause, "no")
            else:
                stage.refusing = ("-w 1", "no") if what == "refused" else None
                given_in = Converged(begun, *stage.converge(begun))
        else:
            given_in = what
        before = stage.state
        stage.state, commands = step(before, given_in, stage.now)
        for command in commands:
            if isinstance(command, Converge):
                stage.pending = command
        yield given_in, before, stage.state, commands, stage


@given(inputs())
def test_the_same_again_is_the_same(happened: list[tuple[Input | str, float]]) -> None:
    for what, before, after, commands, stage in performed(happened):
        kept = msgspec.structs.replace(before)
        assert step(before, what, stage.now) == (after, commands)
        assert before == kept


@given(inputs())
def test_laws(happened: list[tuple[Input | str, float]]) -> None:
    for what, before, after, commands, stage in performed(happened):
        converges = [command for command in commands if isinstance(command, Converge)]
        assert len(converges) <= 1
        assert all(command.goal is after.goal for command in converges)
        if before.stopping:
            assert all(isinstance(command, Report | Quit) for command in commands)
            assert deadline(after) is None
        if isinstance(what, TimePassed):
            due = deadline(after)
            assert due is None or due > stage.now, "TimePassed would come again at once"
        if isinstance(what, ConfigRejected | ConfigUnreadable):
            assert after == before
        if isinstance(what, Converged) and what.command.cause is not Cause.STOP and not before.stopping:
            changed_since = before.look_at is not None and before.look_at < before.looked_at + LOOK_EVERY_S
            assert after.look_at == (before.look_at if changed_since else stage.now + LOOK_EVERY_S)
        if Quit() in commands:
            assert after.stopping
            assert commands[-1] == Quit()


@given(strategies.configs(), strategies.configs())
def test_what_can_differ_is_converged(one: Config, other: Config) -> None:
    """`only` leaves nothing out: converging those services is converging everything."""
    before = desired(one)
    shared = {server.name: server for server in one.virtual_servers[:2]}
    new = [shared.get(server.name, server) for server in other.virtual_servers]
    after = desired(msgspec.structs.replace(other, virtual_servers=tuple(new)), before)
    only = changed(before, after)
    ops = diff(before.state, after.state)
    if only is None:
        return
    scoped = diff(
        KernelState({key: service for key, service in before.state.services.items() if key in only}),
        KernelState({key: service for key, service in after.state.services.items() if key in only}),
    )
    assert scoped == ops


@pytest.mark.parametrize(("count", "singly"), [(49, 50), (50, 0)])
def test_many_changes_are_told_as_one_number(count: int, singly: int) -> None:
    """A service and its real servers: 50 are told one by one, 51 are not."""
    reals = [strategies.real_server(f"real{n}", f"10.0.0.{n}") for n in range(count)]
    stage = Stage()
    loaded = strategies.config(strategies.virtual_server("web", "192.0.2.1", *reals))
    stage.feed(ConfigLoaded(FILE, "digest", loaded))
    assert stage.pending is not None
    done, _ = stage.converge(stage.pending)
    _, commands = step(stage.state, Converged(stage.pending, done, (), 0.02), 0.0)
    *rest, last = told(commands)
    assert len(rest) == singly
    assert last == events.ConfigApplied(FILE, 1, "digest", 1, count, count + 1, 0, 20)


def test_a_machine_that_dies_in_many_virtual_servers_is_named() -> None:
    real = strategies.real_server("real1", "10.0.0.1")
    servers = [strategies.virtual_server(f"v{n}", f"192.0.2.{n}", real) for n in range(51)]
    state, _ = step(State(), ConfigLoaded(FILE, "digest", strategies.config(*servers)), 0.0)
    up, down = Answer(True, Reason.ANSWERED, "connected"), Answer(False, Reason.REFUSED, "connection refused")
    for answer in (up, down):
        answers = tuple((target, answer) for target in state.health.askers)
        state, commands = step(state, ProbesAnswered(answers), 1.0)
    (moved,) = [event for event in told(commands) if isinstance(event, events.RealServersMoved)]
    assert "10.0.0.1 down in 51 virtual servers (refused: connection refused)" in moved.text()


def test_many_real_servers_are_told_as_one_number_and_all_else_as_it_is() -> None:
    def told(*found: events.Event) -> list[str]:
        commands = director._follows(Health(), Change(told=found))
        return [type(one.event).__name__ for one in commands if isinstance(one, Report)]

    down = events.RealServerDown("web", "real1", "10.0.0.1:80", "refused", "connection refused")
    lost, soon = events.QuorumLost("web", 1, ""), events.CertificateExpires("web", "real1", "", 3, "")
    assert told(*[down] * 51, lost) == ["RealServersMoved", "QuorumLost"]
    assert told(*[soon] * 51) == ["CertificateExpires"] * 51


def test_many_problems_are_counted_and_the_first_told() -> None:
    problems = tuple(problem(f"{line} wrong", Severity.ERROR) for line in range(1, 61))
    _, commands = step(State(), ConfigRejected(FILE, problems), 0.0)
    refused, *rest = told(commands)
    assert isinstance(refused, events.ConfigRefused)
    assert refused.problems == 60
    assert [str(one) for one in problems[:50]] == [event.text() for event in rest]


def test_what_a_dead_device_held_is_announced_again() -> None:
    vip = strategies.on_device("192.0.2.1", "eth0")
    config = strategies.config(strategies.virtual_server("web", "192.0.2.1", vip=vip))
    state, commands = step(State(), ConfigLoaded(FILE, "", config), 0.0)
    (begun,) = (command for command in commands if isinstance(command, Converge))
    state, _ = step(state, Converged(begun, (), (), 0.0), 0.5)
    assert step(state, LinksChanged(back="eth1"), 1.0)[0].announcing == ()
    state, _ = step(state, LinksChanged(back="eth0"), 1.0)
    _, commands = step(state, TimePassed(), 2.0)
    assert Announce(tuple(state.goal.state.vips)) in commands


def test_the_table_is_looked_at_soon_and_not_for_each_of_a_thousand_addresses() -> None:
    """As they come when they are taken: for four seconds, and a look takes 0.2."""
    state, now, ends_at, looks = applied(), 1.5, 0.0, list[float]()
    under_way: Converge | None = None
    newest: Converge | None = None
    for _ in range(1000):
        now += 0.004
        state, _ = step(state, LinksChanged(), now)
        if under_way is not None and ends_at <= now:
            state, _ = step(state, Converged(under_way, (), (), 0.2), now)
            under_way = None
        if (due := deadline(state)) is not None and due <= now:
            state, commands = step(state, TimePassed(), now)
            newest = next((one for one in commands if isinstance(one, Converge)), newest)
        if under_way is None and newest is not None:
            under_way, newest, ends_at = newest, None, now + 0.2
            looks.append(now)
    assert looks[0] == pytest.approx(1.5 + SETTLE_S, abs=0.01)
    assert len(looks) == 6
    assert state.look_at is not None
    assert now < state.look_at < now + 1.0, "what came after the last look is seen"


# What is told once


def test_links_that_cannot_be_heard_are_told_once() -> None:
    state, heard = applied(), []
    for what in (
        LinksUnheard("no"),
        LinksUnheard("no"),
        LinksUnheard("why"),
        LinksChanged(),
        LinksUnheard("why"),
    ):
        state, commands = step(state, what, 1.0)
        heard += told(commands)
    assert heard == [events.KernelUnavailable(reason) for reason in ("no", "why", "why")]


def test_many_warnings_are_the_first_ones_and_a_number() -> None:
    warnings = tuple(Problem(FILE, line, "a", "b", Severity.WARNING) for line in range(1, 61))
    _, commands = step(State(), ConfigLoaded(FILE, "", strategies.config(), warnings), 0.0)
    heard = [event for event in told(commands) if isinstance(event, events.ConfigWarning)]
    assert len(heard) == 51
    assert heard[-1].reason == f"and 10 more warnings; `lvsd check {FILE}` tells all"
