"""Answers to operators: the summary, the plan with its connections, and what a reload says."""

from __future__ import annotations

from ipaddress import ip_address

import msgspec
import pytest

from lvs import operators
from lvs.commands import Cause, Converge
from lvs.errors import Exit
from lvs.health.orders import Order, Verb
from lvs.inputs import Converged, ConvergeFailed
from lvs.kernel.desired import NOTHING, desired
from lvs.kernel.diff import diff
from lvs.kernel.state import Destination, LoadModule, ServiceKey, SetDestination
from lvs.model import Scheduler, key_of
from lvs.protocol import Reply
from lvs.state import State
from lvs.status import CheckVitals, Connections, Held
from lvs.why import Moment
from strategies import config, on_device, real_server, virtual_server

ONE = config(
    virtual_server(
        "web",
        "192.0.2.1",
        real_server("real1", "10.0.0.1"),
        real_server("real2", "10.0.0.2"),
        vip=on_device("192.0.2.1", "eth0:1"),
    ),
    virtual_server("mail", "192.0.2.2", real_server("real1", "10.0.0.1")),
    serial_no=7,
)
GOAL = desired(ONE)
AT = Moment(0.0, 0.0)


def held() -> dict[ServiceKey, Held]:
    """All of ONE, each real server with 3 active and 4 inactive connections."""
    return {
        key: Held(service.options, {k: Connections(v, 3, 4) for k, v in service.destinations.items()})
        for key, service in GOAL.state.services.items()
    }


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (State(), "waiting for a valid configuration"),
        (State(config=ONE, goal=GOAL), "serving 2 virtual servers"),
        (
            State(config=ONE, goal=GOAL, refused=(("a", "b"), ("c", "d"))),
            "serving 2 virtual servers, 2 operations refused",
        ),
        (
            State(config=ONE, goal=GOAL, unavailable="not permitted"),
            "cannot manage the kernel: not permitted",
        ),
    ],
)
def test_summary(state: State, said: str) -> None:
    assert operators.summary(state) == said


def test_status() -> None:
    state = State(config=ONE, digest="abc", goal=GOAL, refused=(("ipvsadm -A", "no"),))
    shown = operators.status(state, "lvs.toml", held(), AT, CheckVitals(followed=4))
    assert (shown.file, shown.serial_no, shown.digest) == ("lvs.toml", 7, "abc")
    assert shown.vips == ("192.0.2.1/24 eth0:1",)
    assert shown.refused == ("ipvsadm -A: no",)
    assert shown.checks.followed == 4
    assert [server.name for server in shown.virtual_servers] == ["web", "mail"]
    assert operators.status(State(), "lvs.toml", {}, AT, CheckVitals()).serial_no is None
    pieces = operators.status(state, "lvs.toml", held(), AT, CheckVitals(followed=4), each=operators.encoded)
    assert msgspec.json.encode(pieces) == msgspec.json.encode(shown)


def test_a_real_server_that_is_nowhere_active() -> None:
    idle = [
        virtual_server(name, "192.0.2.9", real_server("real9", "10.0.0.9"), port=port, active=False)
        for port, name in ((80, "old"), (81, "older"))
    ]
    there = config(*ONE.virtual_servers, *idle)
    for of, server, virtual, told in (
        (there, "real9", "old", "real server real9 is in old, which is not active"),
        (there, "10.0.0.9", None, "real server 10.0.0.9 is in old, older, which are not active"),
        (there, "real9", "web", "no real server real9 in web; `lvsd status` names them"),
        (there, "real8", None, "no real server real8; `lvsd status` names them"),
        (None, "real9", None, "no real server real9; `lvsd status` names them"),
    ):
        assert operators.unknown(of, server, virtual) == Reply(Exit.PROBLEMS, err=(told,))


HERE = ip_address("10.0.0.1")
DRAIN = Order(Verb.DRAIN, HERE, None, "carla", 0.0)
OUT = Order(Verb.DISABLE, HERE, None, "root", 0.0)


@pytest.mark.parametrize(
    ("orders", "left", "reply"),
    [
        ((DRAIN,), 3, Reply(sessions=3)),
        ((DRAIN,), 0, Reply(out=("real1: drained, no session is left",), sessions=0)),
        (
            (msgspec.structs.replace(DRAIN, over=True, drained=True),),
            0,
            Reply(out=("real1: drained, its deadline came",), sessions=0),
        ),
        (
            (),
            3,
            Reply(Exit.FAILED, err=("real1: no longer draining: the order was taken back, or has expired",)),
        ),
        (
            (),
            0,
            Reply(Exit.FAILED, err=("real1: no longer draining: the order was taken back, or has expired",)),
        ),
        ((OUT,), 0, Reply(Exit.FAILED, err=("real1: no longer draining: disabled by root",))),
    ],
)
def test_how_a_drain_is_getting_on(orders: tuple[Order, ...], left: int, reply: Reply) -> None:
    assert operators.emptying(orders, "real1", (HERE, None), left) == reply
    stranger = msgspec.structs.replace(DRAIN, address=ip_address("10.0.0.2"))
    elsewhere = msgspec.structs.replace(DRAIN, virtual=key_of(ONE.virtual_servers[0]))
    assert operators.emptying((*orders, stranger, elsewhere), "real1", (HERE, None), left) == reply


def test_plan_of_nothing() -> None:
    assert operators.plan((), held(), GOAL, GOAL) == ("# nothing to change",)


def test_plan_tells_whom_it_touches() -> None:
    """The names of what goes are the old ones, of what comes the new ones."""
    changed = real_server("renamed", "10.0.0.1", 5)
    new = virtual_server("www", "192.0.2.1", changed, scheduler=Scheduler.RR)
    after = desired(config(new, virtual_server("more", "192.0.2.3", real_server("real3", "10.0.0.3"))))
    lines = operators.plan(diff(GOAL.state, after.state), held(), GOAL, after)
    line = "ipvsadm -e -t 192.0.2.1:80 -r 10.0.0.1:80 -g -w 5"
    assert lines == (
        "ip address del 192.0.2.1/24 dev eth0",
        "modprobe ip_vs_rr",
        "ipvsadm -E -t 192.0.2.1:80 -s rr  # www: 6 active, 8 inactive connections",
        f"{line}  # renamed of www: 3 active, 4 inactive connections",
        "ipvsadm -d -t 192.0.2.1:80 -r 10.0.0.2:80  # real2 of web: 3 active, 4 inactive connections",
        "ipvsadm -A -t 192.0.2.3:80 -s wlc",
        "ipvsadm -a -t 192.0.2.3:80 -r 10.0.0.3:80 -g -w 1",
        "ipvsadm -D -t 192.0.2.2:80  # mail: 3 active, 4 inactive connections",
    )


def test_plan_of_what_went_meanwhile() -> None:
    """The table changed between the two looks a plan takes: no connections, and no failure."""
    lines = operators.plan(diff(GOAL.state, NOTHING.state), {}, GOAL, NOTHING)
    assert lines[-1] == "ipvsadm -D -t 192.0.2.2:80  # mail: 0 active, 0 inactive connections"
    after = desired(config(virtual_server("web", "192.0.2.1", real_server("real1", "10.0.0.1", 9))))
    lines = operators.plan(diff(GOAL.state, after.state), {}, GOAL, after)
    assert any("real1 of web: 0 active, 0 inactive connections" in line for line in lines)


COMMAND = Converge(GOAL, Cause.CONFIG, NOTHING)


def test_reloaded() -> None:
    done = (LoadModule("ip_vs"), LoadModule("ip_vs_rr"))
    reply = operators.reloaded("lvs.toml", Converged(COMMAND, done, (), 0.0123), ("a warning",))
    assert reply.exit_code == Exit.OK
    assert reply.out == ("lvs.toml: applied in 12 ms", "modprobe ip_vs", "modprobe ip_vs_rr")
    assert reply.err == ("a warning",)


def test_reloaded_with_much_to_say() -> None:
    done = tuple(LoadModule(f"m{number}") for number in range(51))
    assert operators.reloaded("f", Converged(COMMAND, done), ()).out[1:] == ("51 changes",)
    assert len(operators.reloaded("f", Converged(COMMAND, done[:50]), ()).out) == 51


def test_reloaded_but_refused() -> None:
    result = Converged(COMMAND, (), (("ipvsadm -A", "no such scheduler"),), 0.0)
    reply = operators.reloaded("lvs.toml", result, ("a warning",))
    assert reply.exit_code == Exit.FAILED
    assert reply.err == ("a warning", "refused: ipvsadm -A: no such scheduler")


def test_reloaded_but_refused_by_the_other_directors_kernel() -> None:
    reply = operators.reloaded(
        "lvs.toml", Converged(COMMAND, ()), (), "the other director's kernel refused 1"
    )
    assert reply.exit_code == Exit.FAILED
    assert reply.err == ("the other director's kernel refused 1",)


def test_reload_that_failed() -> None:
    reply = operators.reloaded("lvs.toml", ConvergeFailed(Cause.CONFIG, "not permitted"), ("a warning",))
    assert (reply.exit_code, reply.out, reply.err) == (Exit.FAILED, (), ("a warning", "not permitted"))


def test_a_weight_of_a_real_server_that_is_not_there() -> None:
    """Held without that destination: as the table may be by then."""
    key = next(iter(GOAL.state.services))
    changed = SetDestination(key, next(iter(GOAL.state.services[key].destinations)), Destination(3, 9))
    empty = {key: Held(GOAL.state.services[key].options, {})}
    [line] = operators.plan((changed,), empty, GOAL, GOAL)
    assert line.endswith("# real1 of web: 0 active, 0 inactive connections")
