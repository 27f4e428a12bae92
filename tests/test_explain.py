"""What `lvsd explain` says."""

from __future__ import annotations

from ipaddress import ip_address

import msgspec

from lvs.checks import Answer, Reason, Target
from lvs.explain import Scene, explained
from lvs.health import ward
from lvs.health.orders import Order, Verb
from lvs.kernel.desired import desired
from lvs.kernel.state import ROUTE, Destination, DestinationKey
from lvs.model import Checking
from lvs.state import State
from lvs.status import Connections, Held
from strategies import config, packed, real_server, virtual_server

WEB = virtual_server(
    "web",
    "192.0.2.1",
    real_server("real1", "10.0.0.1"),
    real_server("real2", "10.0.0.2"),
    checking=Checking(None, None, False, None, 6, 15, None),
)


class Last(msgspec.Struct):
    answer: Answer | None = None
    at: float | None = None
    next_at: float | None = None
    streak: int = 0


REFUSED = Answer(False, Reason.REFUSED, "connection refused")


def scene(orders: tuple[Order, ...] = ()) -> Scene:
    """Ten seconds after real1 was found refusing; real2 has no answer yet."""
    health, change = ward.configured(ward.Health(orders=orders), config(WEB), 90.0)
    first = next(target for target in change.follow if str(target.address) == "10.0.0.1")
    health, _ = ward.answered(health, [(first, REFUSED)], 100.0)
    goal = desired(config(WEB), serving=health.serving)
    [key] = goal.state.services
    held = Held(
        goal.state.services[key].options,
        {DestinationKey(packed("10.0.0.2"), 80): Connections(Destination(ROUTE, 1), 3, 4)},
    )

    def asked(target: Target) -> Last:
        return Last(REFUSED, 109.5, 112.0, 3) if target == first else Last(next_at=110.2)

    return Scene(State(config=config(WEB), goal=goal, health=health), {key: held}, asked, 110.0, 1764000000.0)


def test_a_real_server_that_is_down() -> None:
    assert [line.partition(", since")[0] for line in explained(scene(), "real1", None)] == [
        "real1 10.0.0.1:80 in web, TCP  192.0.2.1:80",
        "  state    down 10 s: connection refused [refused]",
        "  kernel   not in the table",
        "  check    connect port 80 every 6 s, limit 6 s",
        "  answer   0 s ago: connection refused [refused], 3 bad in a row",
        "  again    in 2.0 s; good 0 of 2 times in a row",
    ]


def test_one_that_was_not_asked_yet_and_is_being_drained() -> None:
    order = Order(Verb.DRAIN, ip_address("10.0.0.2"), None, "carla", 1764000000.0, deadline=170.0)
    lines = explained(scene((order,)), "10.0.0.2", "web")
    assert lines[1].startswith("  state    draining, ordered 0 s ago by carla, connections end ")
    assert " [draining], since 20" in lines[1]
    assert lines[2] == "  kernel   weight 1, 3 active, 4 inactive connections"
    assert lines[3].startswith("  order    drain by carla, 20")
    assert "connections are ended at 20" in lines[3]
    assert lines[5:] == (
        "  answer   none yet",
        "  again    in 0.2 s; the first answer counts",
        "  next     its weight changes in 60 s",
    )


def test_nobody_of_that_name() -> None:
    assert explained(scene(), "real3", None) == ()
    assert explained(scene(), "real1", "mail") == ()
