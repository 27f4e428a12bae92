"""Bring the kernel to a desired state: read, diff, execute. The one path for every cause.

Remembers nothing but whose things are whose (`ledger`). Reads afresh each time, changes only
what differs, and goes on past what the kernel refuses.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, assert_never

import msgspec

from lvs.errors import KernelError, LvsError, SystemFault
from lvs.io import ledger as ledgers
from lvs.io import modules, sysctls
from lvs.io.firewall import ALTERED, Firewall
from lvs.io.ledger import UNSET, Ledger
from lvs.io.netlink import GaveWay, Table
from lvs.kernel import text
from lvs.kernel.diff import changes
from lvs.kernel.stages import OnTable, leaves, staged, unserved
from lvs.kernel.state import (
    DropVip,
    KernelState,
    LoadModule,
    Op,
    RemoveService,
    Service,
    ServiceKey,
    SetFirewall,
    SetSysctl,
    StopDaemon,
    SyncDaemon,
    SystemOp,
    TableOp,
    TakeVip,
    Timeouts,
    Vip,
)
from lvs.status import Connections, Held

if TYPE_CHECKING:
    from lvs.io.links import Links
    from lvs.io.vips import VipOp

Result = TypeVar("Result")


class Outcome(msgspec.Struct, frozen=True):
    """What was done, what was refused (line, reason), and how long it took."""

    done: tuple[Op, ...]
    refused: tuple[tuple[str, str], ...]
    took_s: float
    not_saved: str = ""  # why the ledger could not be written


class Converger:
    """Brings the kernel of this network namespace to what is desired; one call at a time."""

    def __init__(self, table: Table, ledger_file: Path) -> None:
        self.table = table
        self.links: Links | None = None  # until the first full converge
        self.firewall = Firewall()
        self._ledger_file = ledger_file
        self._ledger = ledgers.load(ledger_file)
        self._saved: Ledger | None = self._ledger
        self._modules: frozenset[str] = frozenset()  # seen loaded: asked only once

    def table_first(self, desired: KernelState, actual: Mapping[ServiceKey, Service]) -> Outcome:
        """Add and change services only; before there is an event loop, so that serving starts at once.

        Shape: `actual` is the table as it was read a moment ago.
        """
        started = time.perf_counter()
        not_saved = self._own(desired, frozenset(), self._ledger.daemons)
        modules.load(sorted(desired.modules))  # what fails is told by the first full converge
        ops = tuple(changes({k: v for k, v in actual.items() if k in desired.services}, desired.services))
        done, refused = self._execute(ops)
        return Outcome(tuple(done), tuple(refused), time.perf_counter() - started, not_saved)

    async def converge(
        self,
        desired: KernelState,
        only: Iterable[ServiceKey] | None = None,
        *,
        role: bool = False,
        took: tuple[Vip, ...] = (),
        taken: Callable[[tuple[Vip, ...]], None] | None = None,
        give_way: threading.Event | None = None,
    ) -> Outcome:
        """Everything; with `only`, just these services, and what else a change of `role` moves.

        A takeover need not wait until 10,000 real servers are read: those that are not in `only` stand.
        `took` is what `take_first` got. `taken` hears of other VIPs when they are here: what follows is slow,
        a sync daemon's start above all.
        Errors: KernelError if the kernel cannot be read; GaveWay if `give_way` is set while it is read.
        """
        started = time.perf_counter()
        done: list[Op] = [TakeVip(vip) for vip in took]
        if only is None:
            actual, wanted = await self.actual(desired, give_way), desired
            if give_way is not None and give_way.is_set():  # what was read may be no longer so
                raise GaveWay
        else:
            keys = frozenset(only)
            actual = KernelState(services=await _in_thread(self.table.read, keys) if keys else {})
            wanted = KernelState(
                services={key: desired.services[key] for key in keys & desired.services.keys()}
            )
        if only is not None and role:
            held = {"vips": await self._vips(desired), "daemons": self._daemons(desired)}
            actual = msgspec.structs.replace(actual, **held)
            wanted = msgspec.structs.replace(wanted, vips=desired.vips, daemons=desired.daemons)
        if only is None or role:
            not_saved = self._own(desired, desired.vips - actual.vips, self._started(desired, actual))
        else:
            not_saved = self._own(desired, frozenset(), self._ledger.daemons)
        refused: list[tuple[str, str]] = []
        stuck: set[bytes] = set()  # VIPs that could not be dropped: they keep their services
        # With 10,000 changes each takes tenths of a second on a slow machine; a takeover has few and no time.
        few = role and only is not None
        stages = staged(actual, wanted) if few else await _in_thread(staged, actual, wanted)
        for stage in stages:
            if isinstance(stage, OnTable):
                left = [op for op in stage.ops if not leaves(op, stuck)] if stuck else stage.ops
                carried, declined = await _in_thread(self._execute, left)
            else:
                bare = unserved(desired, wanted, actual, done)
                idle = {op for op in stage.ops if isinstance(op, TakeVip) and op.vip.address in bare}
                why = "none of its services is in the kernel"
                refused += [(text.line(op), why) for op in stage.ops if op in idle]
                carried, declined = await self._carry_out([op for op in stage.ops if op not in idle])
                if taken and (here := tuple([op.vip for op in carried if isinstance(op, TakeVip)])):
                    taken(here)
                drops = {op for op in stage.ops if isinstance(op, DropVip)}
                stuck |= {op.vip.address for op in drops.difference(carried)}
            done += carried
            refused += declined
        everything = actual if only is None else None
        if few:
            not_saved = self._disown(desired, everything, done) or not_saved
        else:
            not_saved = await _in_thread(self._disown, desired, everything, done) or not_saved
        return Outcome(tuple(done), tuple(refused), time.perf_counter() - started, not_saved)

    def take_first(self, desired: KernelState) -> tuple[Vip, ...]:
        """A takeover's VIPs, before anything is read: their services stand, and a standby has none of them.

        What is there already, what is refused, and what is too much for now, is left to what follows.
        """
        if not desired.vips or self.links is None:
            return ()
        before = self._ledger
        noted = msgspec.structs.replace(before, vips=before.vips | desired.vips)
        if desired.vips <= before.awaited:
            self._ledger = noted
        else:
            self._save(noted)
        try:
            took = self.links.take_now(sorted(desired.vips))
        except KernelError:  # some may be there: they stay noted
            return ()
        self._ledger = msgspec.structs.replace(before, vips=before.vips.union(took))
        return took

    async def actual(self, desired: KernelState, give_way: threading.Event | None = None) -> KernelState:
        """What the kernel holds of what is ours or wanted."""
        services = await _in_thread(self.table.read, None, give_way)
        ours = self._ledger.services
        return KernelState(
            services={k: v for k, v in services.items() if k in desired.services or k in ours},
            vips=await self._vips(desired),
            timeouts=self.table.timeouts(),
            sysctls=sysctls.read(desired.sysctls),
            modules=self._loaded(desired.modules),
            daemons=self._daemons(desired),
            firewall=await self._walled(desired),
        )

    async def _walled(self, desired: KernelState) -> str:
        """Our firewall; not looked at while none is wanted and none was ours."""
        if not (desired.firewall or self._ledger.firewall):
            return ""
        try:
            return await _in_thread(self.firewall.read)
        except KernelError:  # told when it is written
            return ALTERED

    async def _vips(self, desired: KernelState) -> frozenset[Vip]:
        addresses = await self.links.addresses() if self.links else frozenset()
        found = addresses & (desired.vips | self._ledger.vips)
        if desired.barred:
            places = {(vip.device, vip.address) for vip in desired.barred}
            found |= {vip for vip in addresses if (vip.device, vip.address) in places}
        return found

    def _daemons(self, desired: KernelState) -> frozenset[SyncDaemon]:
        """The sync daemons: all while one is wanted, else those that we started.

        One whose device went away hears nothing when a device of that name comes back.
        """
        started = self._ledger.daemons
        if not (desired.daemons or started):
            return frozenset()
        running = [one for one in self.table.daemons() if desired.daemons or one.state in started]
        deaf = [one for one in running if started.get(one.state, 0) not in (0, _index(one.device))]
        return frozenset(msgspec.structs.replace(one, device="") if one in deaf else one for one in running)

    def _started(self, desired: KernelState, actual: KernelState) -> dict[int, int]:
        """On which devices sync daemons will have been started; what runs as it should stays noted."""
        noted = self._ledger.daemons
        kept = {one.state for one in desired.daemons & actual.daemons if one.state in noted}
        return noted | {one.state: _index(one.device) for one in desired.daemons if one.state not in kept}

    def _loaded(self, names: frozenset[str]) -> frozenset[str]:
        self._modules |= {name for name in names - self._modules if modules.loaded(name)}
        return self._modules & names

    def held(self) -> dict[ServiceKey, Held]:
        """The whole table with connections, ours or not."""
        return {
            service.key: Held(
                service.options,
                {
                    one.key: Connections(one.destination, one.active, one.inactive)
                    for one in service.destinations
                },
            )
            for service in self.table.dump()
        }

    def released(self) -> KernelState:
        """What a stop that empties should lead to: nothing of ours, settings as they were."""
        return KernelState(sysctls=dict(self._ledger.sysctls), timeouts=self._ledger.timeouts)

    async def _carry_out(self, ops: Sequence[SystemOp]) -> tuple[list[Op], list[tuple[str, str]]]:
        done: list[Op] = []
        refused: list[tuple[str, str]] = []
        failures = await self._addresses(ops)
        for op in ops:
            try:
                if isinstance(op, TakeVip | DropVip):
                    if op in failures:
                        raise failures[op]
                else:
                    await self._setting(op)
                done.append(op)
            except LvsError as fault:
                refused.append((text.line(op), str(fault)))
        return done, refused

    async def _addresses(self, ops: Sequence[SystemOp]) -> Mapping[VipOp, LvsError]:
        """Drop and take VIPs in the diff's order, many in one exchange; what failed."""
        moves = [op for op in ops if isinstance(op, TakeVip | DropVip)]
        if not moves:
            return {}
        if self.links is None:
            return dict.fromkeys(moves, KernelError("network devices are not open yet"))
        return await self.links.change_all(moves)

    async def _setting(self, op: LoadModule | SetSysctl | SetFirewall) -> None:
        match op:
            case LoadModule(name):
                if reason := (await _in_thread(modules.load, (name,))).get(name):
                    raise KernelError(reason)
                self._modules |= {name}
            case SetSysctl(name, value):
                sysctls.write(name, value)
            case SetFirewall(rules):
                await _in_thread(self.firewall.write, rules)
            case _:
                assert_never(op)

    def _execute(self, ops: Sequence[TableOp]) -> tuple[list[Op], list[tuple[str, str]]]:
        refusals = self.table.execute(ops)
        failed = {id(refusal.op) for refusal in refusals}
        return (
            [op for op in ops if id(op) not in failed],
            [(text.line(refusal.op), refusal.reason) for refusal in refusals],
        )

    def _own(self, desired: KernelState, taken: frozenset[Vip], daemons: dict[int, int]) -> str:
        """Note before the first change what will be ours; what it said before stays noted.

        A VIP that stands on its device already is not: the system put the director's own address there.
        What a standby must not hold is noted beside: a takeover then has nothing to write down first.
        """
        new = sysctls.read(name for name in desired.sysctls if name not in self._ledger.sysctls)
        before = {name: value for name, value in new.items() if value != desired.sysctls[name]}
        timeouts = self._ledger.timeouts
        if desired.timeouts != UNSET:
            timeouts = _noted(timeouts, self.table.timeouts(), desired.timeouts)
        return self._save(
            Ledger(
                services=self._ledger.services | desired.services.keys(),
                vips=self._ledger.vips | taken,
                awaited=desired.barred,
                sysctls={**before, **self._ledger.sysctls},
                timeouts=timeouts,
                daemons=daemons,
                firewall=self._ledger.firewall or bool(desired.firewall),
            )
        )

    def _disown(self, desired: KernelState, actual: KernelState | None, done: Sequence[Op]) -> str:
        """Cross out what was removed, by us or, where all was read, by somebody else before us."""
        removed = {op.key for op in done if isinstance(op, RemoveService)}
        dropped = {op.vip for op in done if isinstance(op, DropVip)}
        services = self._ledger.services if actual is None else actual.services.keys()
        vips = self._ledger.vips if actual is None else self._ledger.vips & (actual.vips | desired.vips)
        stopped = {op.state for op in done if isinstance(op, StopDaemon)}
        gone = (
            stopped
            if actual is None
            else self._ledger.daemons.keys()
            - {one.state for one in actual.daemons if one.state not in stopped}
        )
        wanted = {one.state for one in desired.daemons}
        fallen = SetFirewall("") in done or (actual is not None and not actual.firewall)
        original = self._ledger.sysctls.items()
        put_back = desired.timeouts == self._ledger.timeouts
        return self._save(
            Ledger(
                services=frozenset(services - removed) | desired.services.keys(),
                vips=vips - dropped,
                awaited=desired.barred,
                sysctls={name: value for name, value in original if desired.sysctls.get(name) != value},
                timeouts=UNSET if put_back else self._ledger.timeouts,
                daemons={s: i for s, i in self._ledger.daemons.items() if s in wanted or s not in gone},
                firewall=bool(desired.firewall) or (self._ledger.firewall and not fallen),
            )
        )

    def _save(self, ledger: Ledger) -> str:
        """Keep the ledger; why it could not be written, or an empty text."""
        self._ledger = ledger
        if ledger == self._saved:
            return ""
        try:
            ledgers.save(self._ledger_file, ledger)
        except SystemFault as fault:
            self._saved = None
            return str(fault)
        self._saved = ledger
        return ""


def _index(device: str) -> int:
    """The number of a device, which it has for its life; 0 if there is none."""
    try:
        return socket.if_nametoindex(device)
    except OSError:
        return 0


def _noted(noted: Timeouts, now: Timeouts, wanted: Timeouts) -> Timeouts:
    """Each timeout as it was before us: what is noted, else what is there if it will be changed."""
    rows = zip(*(msgspec.structs.astuple(one) for one in (noted, now, wanted)), strict=True)
    return Timeouts(*(old or (have if want not in (0, have) else 0) for old, have, want in rows))


async def _in_thread(function: Callable[..., Result], *arguments: object) -> Result:
    import asyncio  # not needed for the first table, and slow to import

    return await asyncio.to_thread(function, *arguments)
