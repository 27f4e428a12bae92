"""Two directors without a kernel, for tests: real files, real TLS over loopback, the real decisions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path

from lvs import events
from lvs.begin import ConfigFile
from lvs.commands import Ask, Cause, Converge, KeepOrders, Report
from lvs.coupling import Coupling
from lvs.director import step
from lvs.fate import Outcome
from lvs.health.ward import Health
from lvs.inputs import ConfigLoaded, Converged, ConvergeFailed, Input, MachineSeen
from lvs.io import pairkey
from lvs.kernel import text as lines
from lvs.kernel.state import AddService
from lvs.state import State

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

    unchecked = False
    lacks = ""  # a scheduler that its kernel does not have; empty: there is no kernel to speak of

    def __init__(self, place: Path, own: str) -> None:
        self.place, self.own = place, own
        self.path = place / "lvs.toml"
        self.boot()

    def boot(self) -> None:
        self.state = State(health=Health(unchecked=self.unchecked))
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
                case Converge():
                    self.converge = command
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
        result: Converged | ConvergeFailed = ConvergeFailed(Cause.CONFIG, "there is no kernel")
        if self.lacks:
            adds = [
                lines.line(AddService(key, one.options))
                for key, one in self.converge.goal.state.services.items()
                if one.options.scheduler == self.lacks
            ]
            result = Converged(self.converge, (), tuple((line, "no such scheduler") for line in adds))
            self.feed(result)
        future.set_result(result)
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

    def tasks(self) -> list[Coroutine[None, None, None]]:
        assert self.coupling is not None
        return [*self.coupling.tasks()]

    def start(self) -> None:
        assert self.coupling is not None
        self.task = asyncio.gather(*self.tasks())
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
        return self.coupling.liaison.channel is not None and bool(self.coupling.liaison.channel.listening)

    @property
    def weight(self) -> int:
        assert self.state.config is not None
        return self.state.config.virtual_servers[0].real_servers[0].weight

    def heard_of(self, kind: type[events.Event]) -> list[events.Event]:
        return [event for event in self.told if isinstance(event, kind)]


class Two:
    def __init__(self, place: Path, kind: type[Stand] = Stand) -> None:
        self.key = place / "pair.key"
        pairkey.install(self.key, pairkey.make())
        self.port = 20000 + (time.monotonic_ns() // 1000) % 12000  # below what the kernel gives to clients
        self.nodes: list[Stand] = []
        for name, own in (("one", "127.0.0.1"), ("two", "127.0.0.2")):
            (place / name).mkdir()
            (place / name / "lvs.toml").write_text(self.text(1))
            self.nodes.append(kind(place / name, own))
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
