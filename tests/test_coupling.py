"""Two directors with one configuration: real files, real TLS over loopback, the real decisions; no kernel."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path

import msgspec
import pytest

from lvs import events
from lvs.begin import ConfigFile
from lvs.checks import Answer, Reason
from lvs.commands import Ask, Cause, KeepOrders, Report
from lvs.coupling import Coupling, Outcome
from lvs.director import step
from lvs.health.orders import Order, Verb
from lvs.health.ward import Health
from lvs.inputs import (
    ConfigLoaded,
    Converged,
    ConvergeFailed,
    Input,
    MachineSeen,
    OrderGiven,
    ProbesAnswered,
)
from lvs.io import pairfile, pairkey
from lvs.model import Role
from lvs.state import State
from lvs.sync.messages import Use

LIMIT_S = 30.0
FILE = """\
serial_no = {serial}
primary = "127.0.0.1"
backup = "127.0.0.2"
heartbeat_port = {port}
pair_key = "{key}"
network = "direct"
[[virtual]]
name = "web"
address = "192.0.2.1"
device = "lo"
port = 80
[[virtual.server]]
name = "real1"
address = "10.0.0.3"
weight = {weight}
{more}
"""


class Stand:
    """What the daemon is to its coupling, without a kernel."""

    def __init__(self, place: Path, own: str) -> None:
        self.place, self.own = place, own
        self.path = place / "lvs.toml"
        self.boot()

    def boot(self) -> None:
        self.state = State(health=Health(unchecked=False))
        self.file = ConfigFile(self.path, None)
        self.loading = asyncio.Lock()
        self.heartbeat = b""
        self.told: list[events.Event] = []
        self.applied_serials: list[int] = []
        self.asked: list[object] = []
        self.task: asyncio.Future[list[None]] | None = None
        seen = self.file.look()
        what = self.file.read(seen)
        if isinstance(what, ConfigLoaded):
            self.file.first = what, seen.content
        self.coupling: Coupling | None = None
        self.feed(what)
        self.coupling = Coupling(self, self.place)

    def feed(self, what: Input) -> None:
        self.state, commands = step(self.state, what, time.monotonic())
        for command in commands:
            match command:
                case Report(event):
                    self.told.append(event)
                case KeepOrders(orders) if self.coupling is not None:
                    self.coupling.orders_kept(orders)
                case Ask(follow):
                    self.asked += follow
        if self.coupling is not None:
            self.coupling.moved()

    def rekeyed(self, heartbeat: bytes) -> None:
        self.heartbeat = heartbeat

    async def feed_beside(self, what: Input) -> None:
        self.feed(what)
        assert isinstance(what, ConfigLoaded)
        self.applied_serials.append(what.config.serial_no)

    def report(self, event: events.Event) -> None:
        self.told.append(event)

    def applied(self) -> asyncio.Future[Converged | ConvergeFailed]:
        future: asyncio.Future[Converged | ConvergeFailed] = asyncio.get_running_loop().create_future()
        future.set_result(ConvergeFailed(Cause.CONFIG, "there is no kernel"))
        return future

    async def save(self, text: str) -> Outcome:
        """As an editor and the file's watcher do."""
        self.path.write_text(text)
        async with self.loading:
            seen = self.file.look()
            what = self.file.read(seen)
            assert self.coupling is not None
            if not isinstance(what, ConfigLoaded):
                self.coupling.bad()
                return Outcome(("not valid",))
            held = self.coupling.read(what, seen.content)
            if held is None:
                await self.feed_beside(what)
                return Outcome()
        return await held

    def start(self) -> None:
        assert self.coupling is not None
        self.task = asyncio.gather(*self.coupling.tasks())
        self.feed(MachineSeen({self.own: "lo"}, {"lo": True}))

    async def stop(self) -> None:
        assert self.task is not None
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    @property
    def status(self) -> str:
        assert self.coupling is not None
        return self.coupling.status().state

    @property
    def listens(self) -> bool:
        assert self.coupling is not None
        return self.coupling._channel is not None and bool(self.coupling._channel.listening)

    @property
    def weight(self) -> int:
        assert self.state.config is not None
        return self.state.config.virtual_servers[0].real_servers[0].weight

    def heard_of(self, kind: type[events.Event]) -> list[events.Event]:
        return [event for event in self.told if isinstance(event, kind)]


class Two:
    def __init__(self, place: Path) -> None:
        self.key = place / "pair.key"
        pairkey.install(self.key, pairkey.make())
        self.port = 20000 + (time.monotonic_ns() // 1000) % 20000
        self.nodes = []
        for name, own in (("one", "127.0.0.1"), ("two", "127.0.0.2")):
            (place / name).mkdir()
            (place / name / "lvs.toml").write_text(self.text(1))
            self.nodes.append(Stand(place / name, own))
        self.one, self.two = self.nodes

    def text(self, serial: int, weight: int = 1, more: str = "") -> str:
        return FILE.format(serial=serial, port=self.port, key=self.key, weight=weight, more=more)


async def until(good: Callable[[], object]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not good():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


@asynccontextmanager
async def two(place: Path) -> AsyncIterator[Two]:
    both = Two(place)
    try:
        both.one.start()
        await until(lambda: both.one.listens)
        both.two.start()
        await until(lambda: [node.status for node in both.nodes] == ["same", "same"])
        yield both
        for node in both.nodes:
            assert node.task is not None
            assert not node.task.done(), node.task.exception()
    finally:
        for node in both.nodes:
            await node.stop()


def test_a_push_is_in_the_others_file_and_runs(tmp_path: Path) -> None:
    async def run() -> None:
        async with two(tmp_path) as both:
            text = both.text(2, weight=5) + "# by hand, as its author wrote it\n"
            outcome = await both.one.save(text)
            assert not outcome.refused
            await until(lambda: both.two.status == "same" and both.one.status == "same")
            assert both.two.path.read_text() == text
            assert (both.one.weight, both.two.weight) == (5, 5)
            assert both.two.file.signature == both.two.file.look().signature  # and is not loaded once more
            assert both.two.applied_serials == [2]
            assert pairfile.load(both.two.place / pairfile.NAME).agreed.version is not None
            await both.two.save(both.text(3, weight=6))
            await until(lambda: both.one.weight == 6)
            assert both.one.path.read_text() == both.text(3, weight=6)

    asyncio.run(run())


def test_refused_there_it_is_applied_nowhere(tmp_path: Path) -> None:
    async def run() -> None:
        async with two(tmp_path) as both:
            both.two.path.chmod(0o600)
            (both.two.path.parent / ".lvs.toml.offered").mkdir()  # as a disk that cannot be written
            outcome = await both.one.save(both.text(2, weight=5))
            assert len(outcome.refused) == 1
            assert "the other director: cannot write beside" in outcome.refused[0]
            assert (both.one.weight, both.two.weight) == (1, 1)
            assert both.two.path.read_text() == both.text(1)
            assert both.one.heard_of(events.ConfigRefusedByPeer)

    asyncio.run(run())


def test_conflict_and_its_end(tmp_path: Path) -> None:
    async def run() -> None:
        async with two(tmp_path) as both:
            outcome = await both.one.save(both.text(1, weight=5))
            assert outcome.refused == ("conflict: serial_no is 1 on both, with other content",)
            await until(lambda: both.one.status == both.two.status == "conflict")
            assert both.one.coupling is not None
            assert both.two.coupling is not None
            shown = both.two.coupling.status()
            assert shown.there_file is not None
            assert shown.there_file.digest != shown.here.digest  # type: ignore[union-attr]
            assert await both.two.coupling.resolve(Use.THERE) == ""
            assert (both.one.weight, both.two.weight) == (5, 5)
            assert [node.status for node in both.nodes] == ["same", "same"]
            assert both.two.path.read_text() == both.text(1, weight=5)
            assert "nothing to settle" in await both.one.coupling.resolve(Use.HERE)

    asyncio.run(run())


def test_chosen_against_it_is_kept_beside(tmp_path: Path) -> None:
    async def run() -> None:
        async with two(tmp_path) as both:
            await both.one.save(both.text(1, weight=5))
            await until(lambda: both.two.status == "conflict")
            assert both.two.coupling is not None
            assert await both.two.coupling.resolve(Use.HERE) == ""
            assert both.one.path.read_text() == both.text(1)
            assert (both.one.place / "lvs.toml.replaced").read_text() == both.text(1, weight=5)
            assert (both.one.weight, both.two.weight) == (1, 1)

    asyncio.run(run())


def test_away_and_back(tmp_path: Path) -> None:
    async def run() -> None:
        async with two(tmp_path) as both:
            await both.two.stop()
            await until(lambda: both.one.status == "away")
            await both.one.save(both.text(2, weight=5))
            assert both.one.weight == 5
            assert both.one.status == "pending"
            assert both.one.heard_of(events.ConfigPending)
            both.two.boot()
            both.two.start()
            await until(lambda: both.two.weight == 5 and both.one.status == both.two.status == "same")

    asyncio.run(run())


def test_edited_on_both_while_apart(tmp_path: Path) -> None:
    async def run() -> None:
        async with two(tmp_path) as both:
            await both.two.stop()
            await until(lambda: both.one.status == "away")
            await both.one.save(both.text(2, weight=5))
            both.two.path.write_text(both.text(3, weight=6))
            both.two.boot()
            both.two.start()
            await until(lambda: both.one.status == both.two.status == "conflict")
            assert (both.one.weight, both.two.weight) == (5, 6)
            assert both.one.heard_of(events.ConfigConflict)
            assert both.two.heard_of(events.ConfigConflict)
            assert both.two.coupling is not None
            assert await both.two.coupling.resolve(Use.THERE) == ""
            assert (both.one.weight, both.two.weight) == (5, 5)
            assert (both.two.place / "lvs.toml.replaced").read_text() == both.text(3, weight=6)

    asyncio.run(run())


def test_another_language_is_refused(tmp_path: Path) -> None:
    async def run() -> None:
        async with two(tmp_path) as both:
            both.two.file.path = both.two.path.with_name("lvs.cf")
            outcome = await both.one.save(both.text(2))
            assert "both need the same language" in outcome.refused[0]

    asyncio.run(run())


def test_without_a_key_each_goes_by_its_own_file_until_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lvs.coupling.LOOK_EVERY_S", 0.05)

    async def run() -> None:
        both = Two(tmp_path)
        both.key.rename(tmp_path / "elsewhere")
        try:
            for node in both.nodes:
                node.start()
            await until(lambda: [node.status for node in both.nodes] == ["no key", "no key"])
            await both.one.save(both.text(2, weight=5))
            assert both.one.weight == 5
            assert len(both.one.heard_of(events.PairKeyUnusable)) == 1
            (tmp_path / "elsewhere").rename(both.key)
            await until(lambda: both.two.weight == 5)
            assert [node.heartbeat for node in both.nodes] == [pairkey.read(both.key).heartbeat] * 2
        finally:
            for node in both.nodes:
                await node.stop()

    asyncio.run(run())


def test_a_lone_director_has_no_channel(tmp_path: Path) -> None:
    async def run() -> None:
        both = Two(tmp_path)
        both.one.path.write_text(both.text(1).replace("backup =", "#backup ="))
        both.one.boot()
        both.one.start()
        await asyncio.sleep(0)
        assert both.one.status == "no pair"
        await both.one.save(both.text(1, weight=5).replace("backup =", "#backup ="))
        assert both.one.weight == 5
        assert not both.one.heard_of(events.ConfigPending)
        await both.one.stop()
        assert not (both.one.place / pairfile.NAME).exists()

    asyncio.run(run())


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
            from lvs.inputs import EnableAsked

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


@pytest.mark.parametrize("content", ["", "not toml ["])
def test_a_broken_file_is_not_overwritten(tmp_path: Path, content: str) -> None:
    async def run() -> None:
        async with two(tmp_path) as both:
            await both.two.save(content)
            outcome = await both.one.save(both.text(2, weight=5))
            assert "its file was edited, and what it holds does not run" in outcome.refused[0]
            assert both.two.path.read_text() == content
            assert (both.one.weight, both.two.weight) == (1, 1)

    asyncio.run(run())
