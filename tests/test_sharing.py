"""Orders and findings between two directors: real TLS over loopback, the real decisions; no kernel."""

from __future__ import annotations

import asyncio
import time
from ipaddress import ip_address
from pathlib import Path

import msgspec

from lvs import events
from lvs.checks import Answer, Reason
from lvs.health.orders import Order, Verb
from lvs.inputs import EnableAsked, OrderGiven, ProbesAnswered
from lvs.io import pairfile
from lvs.model import Role
from stand import two, until


def test_orders_flow_both_ways(tmp_path: Path) -> None:
    async def run() -> None:
        async with two(tmp_path) as both:
            real = ip_address("10.0.0.3")
            both.one.feed(OrderGiven(Order(Verb.DISABLE, real, None, "carla", time.time())))
            await until(lambda: both.two.state.health.orders)
            (order,) = both.two.state.health.orders
            assert (order.verb, order.by) == (Verb.DISABLE, "carla")
            ordered = both.two.heard_of(events.MaintenanceOrdered)
            assert "on the other director" in ordered[0].text()
            both.two.feed(EnableAsked(real, None, "bert"))
            await until(lambda: not both.one.state.health.orders)
            await both.two.stop()
            assert pairfile.load(both.two.place / pairfile.NAME).taken_back
            both.two.boot()
            both.two.start()
            await until(lambda: both.two.status == "same")
            assert not both.one.state.health.orders

    asyncio.run(run())


def test_the_standby_hears_what_checks_found(tmp_path: Path) -> None:
    async def run() -> None:
        async with two(tmp_path) as both:
            pairing = msgspec.structs.replace(both.one.state.pairing, role=Role.ACTIVE)
            both.one.state = msgspec.structs.replace(both.one.state, pairing=pairing)
            assert both.one.coupling is not None
            both.one.coupling.moved()
            (target,) = both.one.asked
            good = Answer(True, Reason.ANSWERED, "connection accepted")
            both.one.feed(ProbesAnswered(((target, good),)))  # type: ignore[arg-type]

            def found() -> bool:
                (roster,) = both.two.state.health.rosters.values()
                verdict = roster.members[0].verdicts[0]
                return verdict.up and verdict.reason is Reason.ADOPTED

            await until(found)

    asyncio.run(run())
