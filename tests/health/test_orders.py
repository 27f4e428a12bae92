"""Orders: which counts, what replaces what."""

from __future__ import annotations

from ipaddress import ip_address

from lvs.health.orders import Order, Verb, applying, due, given, taken_back
from lvs.model import Protocol, VirtualKey

ONE, OTHER = ip_address("10.0.0.1"), ip_address("10.0.0.2")
WEB = VirtualKey(b"\xc0\x00\x02\x01", Protocol.TCP, 80, 0)
MAIL = VirtualKey(b"\xc0\x00\x02\x01", Protocol.TCP, 25, 0)
EVERYWHERE = Order(Verb.DRAIN, ONE, None, "carla", 1.0)
IN_WEB = Order(Verb.DISABLE, ONE, WEB, "carla", 2.0)


def test_the_order_for_just_this_counts_before_the_one_for_all() -> None:
    for orders in ((EVERYWHERE, IN_WEB), (IN_WEB, EVERYWHERE)):
        assert applying(orders, ONE, WEB) is IN_WEB
        assert applying(orders, ONE, MAIL) is EVERYWHERE
        assert applying(orders, OTHER, WEB) is None


def test_an_order_replaces_those_that_it_includes() -> None:
    again = Order(Verb.DISABLE, ONE, None, "otto", 3.0)
    assert given((EVERYWHERE, IN_WEB), again) == (again,)
    assert given((EVERYWHERE,), IN_WEB) == (EVERYWHERE, IN_WEB)
    assert given((IN_WEB,), Order(Verb.DRAIN, OTHER, None, "otto", 3.0))[0] is IN_WEB


def test_taking_back() -> None:
    assert taken_back((EVERYWHERE, IN_WEB), ONE, None) == ()
    assert taken_back((EVERYWHERE, IN_WEB), ONE, WEB) == (EVERYWHERE,)
    assert taken_back((EVERYWHERE, IN_WEB), OTHER, None) == (EVERYWHERE, IN_WEB)


def test_when_something_happens_by_itself() -> None:
    assert due(EVERYWHERE) is None
    both = Order(Verb.DRAIN, ONE, None, "carla", 1.0, deadline=60.0, until=90.0)
    assert due(both) == 60.0
    assert due(Order(Verb.DRAIN, ONE, None, "carla", 1.0, deadline=60.0, until=90.0, drained=True)) == 60.0
    assert due(Order(Verb.DRAIN, ONE, None, "carla", 1.0, deadline=60.0, until=90.0, over=True)) == 90.0
