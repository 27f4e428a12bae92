"""The one path to the kernel, on a fake of it: `kernel.state.apply` behind table, devices and files.

The fake is held to the truth by tests/netns, on a real kernel.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings

import strategies
from lvs.errors import KernelError, SystemFault
from lvs.io import ledger, modules, sysctls
from lvs.io.converge import Converger, Outcome
from lvs.io.ledger import Ledger
from lvs.io.links import NOW
from lvs.io.netlink import GaveWay, Refusal, ServiceDump
from lvs.io.vips import VipOp
from lvs.kernel import text
from lvs.kernel.decode import Counted
from lvs.kernel.diff import diff
from lvs.kernel.state import (
    BACKUP,
    MASQ,
    MASTER,
    ROUTE,
    SYNC_GROUP,
    AddDestination,
    AddService,
    Destination,
    DestinationKey,
    DropVip,
    KernelState,
    LoadModule,
    Op,
    RemoveService,
    Service,
    ServiceKey,
    ServiceOptions,
    SetFirewall,
    SetSysctl,
    StartDaemon,
    StopDaemon,
    SyncDaemon,
    TableOp,
    TakeVip,
    Timeouts,
    Vip,
    apply,
)

KEY, OTHER, THIRD = strategies.KEYS[:3]
OPTIONS = ServiceOptions("wlc", 0, 0, strategies.ALL_IPV4, "")
REAL = DestinationKey(strategies.REALS[4][0], 80)
ONE = Service(OPTIONS, {REAL: Destination(ROUTE, 1)})
TWO = Service(OPTIONS, {REAL: Destination(MASQ, 2)})
HELD = Vip("eth0", strategies.packed("192.0.2.1"), 24, "eth0:1")
ALSO = Vip("eth0", strategies.packed("192.0.2.2"), 24, "")
FORWARD = "net/ipv4/ip_forward"


class Kernel:
    """Table, devices, settings and modules of one namespace; notes what was done, in order."""

    def __init__(self, state: KernelState = KernelState()) -> None:  # noqa: B008  frozen
        self.state = state
        self.log: list[Op] = []
        self.refuse: set[str] = set()  # lines
        self.reads: list[frozenset[ServiceKey] | None] = []
        self.broken = ""  # the table cannot be read
        self.interrupts = False  # something urgent comes while it is read
        self.exchanges = 0  # with the devices
        self.devices = {"eth0": 2, "eth1": 3}

    def do(self, op: Op) -> str:
        """Carry out an operation; why it was refused, or nothing."""
        if text.line(op) in self.refuse:
            return "refused"
        try:
            self.state = apply(op, self.state)
        except (KeyError, ValueError) as fault:
            return repr(fault)
        self.log.append(op)
        return ""

    # As netlink.Table

    def read(
        self, keys: Iterable[ServiceKey] | None = None, give_way: threading.Event | None = None
    ) -> dict[ServiceKey, Service]:
        if self.broken:
            raise KernelError(self.broken)
        if give_way is not None and self.interrupts:
            give_way.set()
        self.reads.append(None if keys is None else frozenset(keys))
        wanted = self.state.services.keys() if keys is None else frozenset(keys)
        return {key: service for key, service in self.state.services.items() if key in wanted}

    def execute(self, ops: Sequence[TableOp]) -> list[Refusal]:
        return [Refusal(op, 22, why) for op in ops if (why := self.do(op))]

    def daemons(self) -> frozenset[SyncDaemon]:
        return self.state.daemons

    def timeouts(self) -> Timeouts:
        return self.state.timeouts

    def dump(self) -> list[ServiceDump]:
        return [
            ServiceDump(key, one.options, tuple(Counted(k, d, 3, 4, 5) for k, d in one.destinations.items()))
            for key, one in self.state.services.items()
        ]

    # As links.Links

    async def addresses(self) -> frozenset[Vip]:
        return self.state.vips

    async def change_all(self, ops: Iterable[VipOp]) -> dict[VipOp, KernelError]:
        self.exchanges += 1
        return {op: KernelError(why) for op in ops if (why := self.do(op))}

    def take_now(self, vips: Sequence[Vip]) -> tuple[Vip, ...]:
        there = self.state.vips
        return tuple(vip for vip in vips[:NOW] if vip not in there and not self.do(TakeVip(vip)))

    def index(self, device: str) -> int:
        if device not in self.devices:
            raise OSError(19, "No such device")
        return self.devices[device]

    # As sysctls and modules

    def read_settings(self, names: Iterable[str]) -> dict[str, str]:
        return {name: self.state.sysctls[name] for name in names if name in self.state.sysctls}

    def write_setting(self, name: str, value: str) -> None:
        if why := self.do(SetSysctl(name, value)):
            raise KernelError(why)

    def load(self, names: Iterable[str]) -> dict[str, str]:
        return {name: why for name in names if (why := self.do(LoadModule(name)))}

    def loaded(self, name: str) -> bool:
        return name in self.state.modules


class Wall:
    """As firewall.Firewall."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.reads = 0

    def read(self) -> str:
        self.reads += 1
        return self.kernel.state.firewall

    def write(self, rules: str) -> None:
        if why := self.kernel.do(SetFirewall(rules)):
            raise KernelError(why)


class Director:
    """A converger on a kernel; `again()` is the daemon restarted."""

    def __init__(self, kernel: Kernel, file: Path, *, devices: bool = True) -> None:
        self.kernel, self.file = kernel, file
        self.converger = Converger(fake(kernel), file)
        self.taken: list[tuple[tuple[Vip, ...], KernelState]] = []
        self.wall = Wall(kernel)
        self.converger.firewall = fake(self.wall)
        if devices:
            self.converger.links = fake(kernel)

    def again(self) -> Director:
        return Director(self.kernel, self.file)

    def to(
        self, desired: KernelState, only: Iterable[ServiceKey] | None = None, *, role: bool = False
    ) -> Outcome:
        with pytest.MonkeyPatch.context() as patched:
            self.pretend(patched)
            took = self.converger.take_first(desired) if role and not only else ()
            if took:
                self.take(took)
            return asyncio.run(self.converger.converge(desired, only, role=role, took=took, taken=self.take))

    def look(self, desired: KernelState) -> Outcome:
        with pytest.MonkeyPatch.context() as patched:
            self.pretend(patched)
            return asyncio.run(self.converger.converge(desired, give_way=threading.Event()))

    def take(self, vips: tuple[Vip, ...]) -> None:
        """The VIPs that are here, and what else the kernel held then."""
        self.taken.append((vips, self.kernel.state))

    def first(self, desired: KernelState) -> Outcome:
        with pytest.MonkeyPatch.context() as patched:
            self.pretend(patched)
            return self.converger.table_first(desired, self.converger.table.read())

    def pretend(self, patched: pytest.MonkeyPatch) -> None:
        patched.setattr(socket, "if_nametoindex", self.kernel.index)
        patched.setattr(sysctls, "read", self.kernel.read_settings)
        patched.setattr(sysctls, "write", self.kernel.write_setting)
        patched.setattr(modules, "load", self.kernel.load)
        patched.setattr(modules, "loaded", self.kernel.loaded)


def fake(kernel: Kernel | Wall) -> Any:
    return kernel


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "owned.json"


@settings(max_examples=20)
@given(strategies.small_states, strategies.small_states, strategies.small_states)
def test_it_arrives_and_leaves_the_rest_alone(
    tmp_path_factory: pytest.TempPathFactory, foreign: KernelState, one: KernelState, other: KernelState
) -> None:
    """From what others have made, to one configuration and on to another."""
    path = tmp_path_factory.mktemp("run") / "owned.json"
    director = Director(Kernel(foreign), path)
    ours: set[object] = set()
    sharing = False
    for desired in (one, other):
        before = director.kernel.state
        outcome = director.to(desired)
        assert outcome.refused == ()
        held = director.kernel.state
        ours |= desired.services.keys() | desired.vips
        assert {key: held.services[key] for key in desired.services} == desired.services
        assert held.vips >= desired.vips
        assert held.sysctls.items() >= desired.sysctls.items()
        assert held.modules >= desired.modules
        sharing = sharing or bool(desired.daemons)
        assert held.daemons == (desired if sharing else foreign).daemons
        for key, service in foreign.services.items():
            assert key in ours or held.services[key] == service
        assert foreign.vips - held.vips <= ours
        assert held.services.keys() - before.services.keys() <= desired.services.keys()
        director = director.again()
        assert director.to(desired).done == ()
        assert director.kernel.state == held


SENDS, RECEIVES = (SyncDaemon(kind, "eth0", 1, 1472, SYNC_GROUP, 8848, 1) for kind in (MASTER, BACKUP))
ACTIVE = KernelState({KEY: ONE}, frozenset({HELD}), daemons=frozenset({SENDS}))
STANDBY = KernelState({KEY: ONE}, daemons=frozenset({RECEIVES}))


def test_roles_change_and_the_table_stays(file: Path) -> None:
    director = Director(Kernel(), file)
    director.to(STANDBY)
    assert director.to(ACTIVE).done == (TakeVip(HELD), StopDaemon(BACKUP), StartDaemon(SENDS))
    assert director.again().to(ACTIVE).done == ()
    assert director.to(STANDBY).done == (DropVip(HELD), StopDaemon(MASTER), StartDaemon(RECEIVES))


def test_vips_are_told_of_before_sync_daemons_change(file: Path) -> None:
    director = Director(Kernel(), file)
    director.to(STANDBY)
    director.to(ACTIVE)
    ((vips, then),) = director.taken
    assert vips == (HELD,)
    assert then == msgspec.structs.replace(STANDBY, vips=frozenset({HELD}))
    director.to(ACTIVE)
    assert len(director.taken) == 1


def test_a_vip_that_is_refused_is_not_told_of(file: Path) -> None:
    director = Director(Kernel(), file, devices=False)
    assert director.to(ACTIVE).refused
    assert director.taken == []


def test_a_standby_holds_no_vip_whoever_put_it_there(file: Path) -> None:
    """B34: with a note that was lost, or by a script of the system's, there would be two of it."""
    bare = msgspec.structs.replace(HELD, prefix=32, label="")
    elsewhere = msgspec.structs.replace(bare, device="lo")  # as a real server has it
    standby = msgspec.structs.replace(STANDBY, barred=frozenset({HELD}))
    kernel = Kernel(KernelState(vips=frozenset({bare, elsewhere, ALSO})))
    director = Director(kernel, file)
    assert DropVip(bare) in director.to(standby).done
    assert kernel.state.vips == {elsewhere, ALSO}
    kernel.state = apply(TakeVip(HELD), kernel.state)
    assert director.to(standby, (), role=True).done == (DropVip(HELD),)


def owned(file: Path) -> tuple[list[Vip], list[Vip]]:
    """VIPs that are ours, and those that will be."""
    found = ledger.load(file)
    return sorted(found.vips), sorted(found.awaited)


def test_a_takeover_has_nothing_to_write_down_first(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With 10,000 services the ledger takes longer than the kernel needs for the VIPs."""
    standby = msgspec.structs.replace(STANDBY, barred=frozenset({HELD}))
    director = Director(Kernel(), file)
    director.to(standby)
    director = director.again()
    director.to(standby)
    director.to(standby, {KEY})
    taken_before: list[int] = []
    save = ledger.save

    def saved(path: Path, page: Ledger) -> None:
        taken_before.append(len(director.taken))
        save(path, page)

    monkeypatch.setattr(ledger, "save", saved)
    assert director.to(ACTIVE, (), role=True).done[0] == TakeVip(HELD)
    assert set(taken_before) == {1}
    assert owned(file) == ([HELD], [])
    director.to(standby, (), role=True)
    assert owned(file) == ([], [HELD])
    director.to(KernelState())
    assert not ledger.load(file).awaited


def test_a_standby_claims_no_address_that_it_never_took(file: Path) -> None:
    """It was to have it; while it did not run, the address became the machine's own."""
    director = Director(Kernel(), file)
    director.to(msgspec.structs.replace(STANDBY, barred=frozenset({HELD})))
    director.kernel.state = apply(TakeVip(HELD), director.kernel.state)
    assert director.again().to(KernelState({KEY: ONE})).done == (StopDaemon(BACKUP),)


def test_a_look_gives_way_before_it_changes_anything(file: Path) -> None:
    director = Director(Kernel(), file)
    director.kernel.interrupts = True
    with pytest.raises(GaveWay):
        director.look(ACTIVE)
    assert director.kernel.log == []
    director.kernel.interrupts = False
    assert director.look(ACTIVE).done


def test_a_takeover_reads_no_table(file: Path) -> None:
    """But for the services that only the active director has."""
    director = Director(Kernel(), file)
    director.to(STANDBY)
    kernel = director.kernel
    kernel.reads.clear()
    moved = (TakeVip(HELD), StopDaemon(BACKUP), StartDaemon(SENDS))
    assert director.to(ACTIVE, (), role=True).done == moved
    assert kernel.reads == []
    assert kernel.state == msgspec.structs.replace(ACTIVE, services=kernel.state.services)
    assert director.again().to(ACTIVE).done == ()

    gives_way = (DropVip(HELD), StopDaemon(MASTER), StartDaemon(RECEIVES))
    assert director.to(STANDBY, (), role=True).done == gives_way
    assert director.again().to(STANDBY).done == ()

    more = msgspec.structs.replace(ACTIVE, services={KEY: ONE, OTHER: TWO})
    director.taken.clear()
    outcome = director.to(more, {OTHER}, role=True)
    assert [type(op) for op in outcome.done] == [AddService, AddDestination, *map(type, moved)]
    assert kernel.reads[-1] == frozenset({OTHER})


def test_a_takeover_takes_its_vips_before_anything_is_read(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    director = Director(Kernel(), file)
    director.to(STANDBY)
    monkeypatch.setattr(director.kernel, "addresses", None)
    monkeypatch.setattr(director.kernel, "daemons", None)
    with pytest.raises(TypeError):
        director.to(ACTIVE, (), role=True)
    assert [vips for vips, _ in director.taken] == [(HELD,)]
    assert ledger.load(file).vips == {HELD}, "before it was taken"


def test_a_takeover_does_not_claim_what_stands_already(file: Path) -> None:
    director = Director(Kernel(KernelState(vips=frozenset({ALSO}))), file)
    director.to(STANDBY)
    active = msgspec.structs.replace(ACTIVE, vips=frozenset({HELD, ALSO}))
    assert TakeVip(ALSO) not in director.to(active, (), role=True).done
    assert ledger.load(file).vips == {HELD}
    assert [vips for vips, _ in director.taken] == [(HELD,)]


def test_a_takeover_that_is_not_answered_keeps_what_it_noted(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The VIP may be there, and it is ours."""
    director = Director(Kernel(), file)
    director.to(STANDBY)

    def silent(vips: Sequence[Vip]) -> None:
        for vip in vips:
            director.kernel.do(TakeVip(vip))
        raise KernelError("no answer")

    monkeypatch.setattr(director.kernel, "take_now", silent)
    assert not director.to(ACTIVE, (), role=True).refused
    assert ledger.load(file).vips == {HELD}


def test_a_takeover_of_many_vips(file: Path) -> None:
    director = Director(Kernel(), file)
    director.to(STANDBY)
    many = frozenset(Vip("eth0", bytes([10, 0, 0, number]), 32, "") for number in range(NOW + 5))
    outcome = director.to(msgspec.structs.replace(ACTIVE, vips=many), (), role=True)
    assert not outcome.refused
    assert director.kernel.state.vips == many == ledger.load(file).vips
    assert [len(vips) for vips, _ in director.taken] == [NOW, 5]


def test_a_takeover_goes_on_past_a_vip_that_is_refused(file: Path) -> None:
    director = Director(Kernel(), file)
    director.to(STANDBY)
    director.kernel.refuse = {text.line(TakeVip(HELD))}
    outcome = director.to(ACTIVE, (), role=True)
    assert outcome.refused == ((text.line(TakeVip(HELD)), "refused"),)
    assert outcome.done == (StopDaemon(BACKUP), StartDaemon(SENDS))


def test_a_takeover_leaves_a_vip_whose_service_is_refused(file: Path) -> None:
    director = Director(Kernel(), file)
    director.to(STANDBY)
    apart = strategies.KEYS[3]
    lonely = Vip("eth0", apart.address, 24, "")
    active = msgspec.structs.replace(ACTIVE, services={KEY: ONE, apart: TWO}, vips=frozenset({HELD, lonely}))
    director.kernel.refuse = {text.line(AddService(apart, OPTIONS))}
    outcome = director.to(active, {apart}, role=True)
    assert director.kernel.state.vips == {HELD}
    assert (text.line(TakeVip(lonely)), "none of its services is in the kernel") in outcome.refused


def test_a_sync_daemon_that_drifted_is_put_right(file: Path) -> None:
    director = Director(Kernel(), file)
    director.to(ACTIVE)
    kernel = director.kernel
    kernel.state = apply(StopDaemon(MASTER), kernel.state)
    assert director.to(ACTIVE).done == (StartDaemon(SENDS),)
    kernel.state = apply(StartDaemon(RECEIVES), kernel.state)
    assert director.to(ACTIVE).done == (StopDaemon(BACKUP),)
    other = msgspec.structs.replace(SENDS, sync_id=9)
    kernel.state = apply(StartDaemon(other), apply(StopDaemon(MASTER), kernel.state))
    assert director.to(ACTIVE).done == (StopDaemon(MASTER), StartDaemon(SENDS))


def test_a_sync_daemon_is_started_anew_on_a_device_that_came_back(file: Path) -> None:
    """The kernel says nothing: its daemon goes on with the device that is gone."""
    director = Director(Kernel(), file)
    director.to(STANDBY)
    kernel = director.kernel
    kernel.devices["eth0"] = 7
    restarted = director.again()
    assert restarted.to(STANDBY).done == (StopDaemon(BACKUP), StartDaemon(RECEIVES))
    assert restarted.to(STANDBY).done == ()

    del kernel.devices["eth0"]
    kernel.refuse = {text.line(StartDaemon(RECEIVES))}
    outcome = restarted.to(STANDBY)
    assert outcome.done == (StopDaemon(BACKUP),)
    assert outcome.refused == ((text.line(StartDaemon(RECEIVES)), "refused"),)
    kernel.devices["eth0"], kernel.refuse = 8, set()
    assert restarted.to(STANDBY).done == (StartDaemon(RECEIVES),)
    assert restarted.to(STANDBY).done == ()


def test_sync_daemons_of_others_are_left_alone_until_ours_is_wanted(file: Path) -> None:
    kernel = Kernel(KernelState(daemons=frozenset({RECEIVES})))
    director = Director(kernel, file)
    director.to(KernelState({KEY: ONE}))
    assert kernel.state.daemons == {RECEIVES}
    assert director.to(STANDBY).done == ()  # adopted: what runs as it should is not started anew
    assert director.to(ACTIVE).done == (TakeVip(HELD), StopDaemon(BACKUP), StartDaemon(SENDS))


def test_a_stop_that_empties_stops_our_sync_daemon(file: Path) -> None:
    director = Director(Kernel(), file)
    director.to(ACTIVE)
    assert StopDaemon(MASTER) in director.to(director.converger.released()).done
    kernel = director.kernel
    kernel.state = apply(StartDaemon(RECEIVES), kernel.state)  # by somebody, afterwards
    assert director.to(director.converger.released()).done == ()


def test_a_change_of_services_leaves_sync_daemons_alone(file: Path) -> None:
    director = Director(Kernel(), file)
    director.to(STANDBY)
    director.kernel.devices["eth0"] = 7
    director.to(msgspec.structs.replace(STANDBY, services={KEY: TWO}), {KEY})
    assert director.kernel.state.daemons == {RECEIVES}
    assert director.to(STANDBY).done[-2:] == (StopDaemon(BACKUP), StartDaemon(RECEIVES))


def test_what_was_done_is_the_diff(file: Path) -> None:
    desired = KernelState(
        {KEY: ONE}, frozenset({HELD}), Timeouts(900, 0, 0), {FORWARD: "1"}, frozenset({"ip_vs"})
    )
    director = Director(Kernel(KernelState(sysctls={FORWARD: "0"})), file)
    outcome = director.to(desired)
    assert outcome.done == diff(KernelState(sysctls={FORWARD: "0"}), desired)
    assert outcome.took_s > 0
    assert outcome.not_saved == ""
    assert director.kernel.log == list(outcome.done)


def test_settings_are_set_before_vips_are_taken(file: Path) -> None:
    """Also where no table operation stands between them, as after `table_first`."""
    director = Director(Kernel(KernelState({KEY: ONE}, sysctls={FORWARD: "0"})), file)
    outcome = director.to(KernelState({KEY: ONE}, frozenset({HELD}), sysctls={FORWARD: "1"}))
    assert outcome.done == (SetSysctl(FORWARD, "1"), TakeVip(HELD))
    assert director.kernel.log == list(outcome.done)


def test_vips_that_move_do_so_in_one_exchange(file: Path) -> None:
    before = [HELD, ALSO]
    after = [msgspec.structs.replace(vip, label="eth0:9") for vip in before]
    director = Director(Kernel(), file)
    director.to(KernelState({KEY: ONE}, frozenset(before)))
    director.kernel.exchanges = 0
    outcome = director.to(KernelState({KEY: TWO}, frozenset(after)))
    assert director.kernel.exchanges == 1
    assert [type(op) for op in outcome.done[1:]] == [DropVip, TakeVip] * 2
    assert director.kernel.state.vips == set(after)


def test_only_some_services(file: Path) -> None:
    director = Director(Kernel(), file)
    director.to(KernelState({KEY: ONE, OTHER: ONE, THIRD: ONE}))
    director.kernel.state = KernelState({KEY: TWO, OTHER: ONE, THIRD: ONE})  # KEY was touched by somebody
    director.kernel.reads.clear()
    outcome = director.to(KernelState({KEY: ONE, OTHER: TWO}), only=[OTHER, THIRD])
    assert director.kernel.reads == [frozenset({OTHER, THIRD})]
    assert [text.line(op).split()[1] for op in outcome.done] == ["-e", "-D"]
    assert director.kernel.state.services == {KEY: TWO, OTHER: TWO}
    assert director.to(KernelState({OTHER: TWO}), only=[]).done == ()


def test_refusals_are_told_and_the_rest_is_done(file: Path) -> None:
    desired = KernelState(
        {KEY: ONE, OTHER: ONE}, frozenset({HELD, ALSO}), sysctls={FORWARD: "1"}, modules=frozenset({"a", "b"})
    )
    director = Director(Kernel(), file)
    director.kernel.refuse = {
        text.line(op)
        for op in (AddService(KEY, OPTIONS), TakeVip(HELD), SetSysctl(FORWARD, "1"), LoadModule("a"))
    }
    outcome = director.to(desired)
    assert {line for line, _ in outcome.refused} == {
        *director.kernel.refuse,
        text.line(AddDestination(KEY, REAL, ONE.destinations[REAL])),
    }
    assert all(reason for _, reason in outcome.refused)
    assert director.kernel.state == KernelState({OTHER: ONE}, frozenset({ALSO}), modules=frozenset({"b"}))
    director.kernel.refuse.clear()
    assert len(director.to(desired).done) == 5
    assert director.to(desired).done == ()


def test_without_devices_vips_are_refused(file: Path) -> None:
    """Between a start and the first look the devices are not open."""
    director = Director(Kernel(), file, devices=False)
    outcome = director.to(KernelState({KEY: ONE}, frozenset({HELD})))
    assert outcome.refused == ((text.line(TakeVip(HELD)), "network devices are not open yet"),)
    assert director.kernel.state.services == {KEY: ONE}


def test_the_table_first(file: Path) -> None:
    """Added and changed, nothing removed: what was ours stays until everything is looked at."""
    director = Director(Kernel(), file)
    director.to(KernelState({KEY: ONE, OTHER: ONE}, frozenset({HELD})))
    again = director.again()
    desired = KernelState({KEY: TWO, THIRD: ONE}, frozenset({ALSO}), modules=frozenset({"ip_vs"}))
    outcome = again.first(desired)
    assert again.kernel.state.services == {KEY: TWO, OTHER: ONE, THIRD: ONE}
    assert again.kernel.state.vips == {HELD}
    assert again.kernel.state.modules == {"ip_vs"}
    assert len(outcome.done) == 3
    again.to(desired)
    assert again.kernel.state.services == {KEY: TWO, THIRD: ONE}
    assert again.kernel.state.vips == {ALSO}


def test_a_kernel_that_cannot_be_read(file: Path) -> None:
    director = Director(Kernel(), file)
    director.kernel.broken = "not permitted"
    for only in (None, [KEY]):
        with pytest.raises(KernelError, match="not permitted"):
            director.to(KernelState({KEY: ONE}), only)
    assert director.kernel.log == []


# What is whose


def test_what_was_ours_before_a_restart_is_removed(file: Path) -> None:
    director = Director(Kernel(KernelState({THIRD: ONE}, frozenset({ALSO}))), file)
    director.to(KernelState({KEY: ONE, OTHER: ONE}, frozenset({HELD})))
    again = director.again()
    outcome = again.to(KernelState({OTHER: ONE}))
    assert set(outcome.done) == {DropVip(HELD), RemoveService(KEY)}
    assert again.kernel.state.services == {OTHER: ONE, THIRD: ONE}
    assert again.kernel.state.vips == {ALSO}


def test_it_is_noted_before_the_first_change(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon killed in the middle still knows what it made."""
    director = Director(Kernel(KernelState(sysctls={FORWARD: "0"})), file)

    def killed(_: Sequence[TableOp]) -> list[Refusal]:
        raise KeyboardInterrupt

    monkeypatch.setattr(director.kernel, "execute", killed)
    desired = KernelState({KEY: ONE}, frozenset({HELD}), sysctls={FORWARD: "1"})
    with pytest.raises(KeyboardInterrupt):
        director.to(desired)
    noted = ledger.load(file)
    assert noted.services == {KEY}
    assert noted.vips == {HELD}
    assert noted.sysctls == {FORWARD: "0"}


def test_what_could_not_be_removed_is_still_ours(file: Path) -> None:
    director = Director(Kernel(), file)
    director.to(KernelState({KEY: ONE}, frozenset({HELD})))
    director.kernel.refuse = {text.line(RemoveService(KEY)), text.line(DropVip(HELD))}
    # The service is not even tried: a VIP that is held keeps it.
    assert [line for line, _ in director.to(KernelState()).refused] == [text.line(DropVip(HELD))]
    director.kernel.refuse = {text.line(RemoveService(KEY))}
    assert [line for line, _ in director.to(KernelState()).refused] == [text.line(RemoveService(KEY))]
    again = director.again()
    again.kernel.refuse = set()
    assert again.to(KernelState()).done == (RemoveService(KEY),)
    assert ledger.load(file) == Ledger()


def test_what_somebody_else_removed_is_no_longer_ours(file: Path) -> None:
    """Removed by hand while lvsd was stopped, gone from the file, and then made by somebody: theirs."""
    director = Director(Kernel(), file)
    director.to(KernelState({KEY: ONE}))
    director.kernel.state = KernelState()
    again = director.again()
    again.to(KernelState())
    again.kernel.state = KernelState({KEY: TWO})
    assert again.to(KernelState()).done == ()


def test_settings_are_put_back(file: Path) -> None:
    """To what they were before the first of us, over restarts; and only those that we changed."""
    before = {FORWARD: "0", "net/ipv4/vs/conntrack": "1"}
    director = Director(Kernel(KernelState(sysctls=before)), file)
    director.to(KernelState({KEY: ONE}, sysctls={FORWARD: "1", "net/ipv4/vs/conntrack": "1"}))
    again = director.again()
    again.to(KernelState({KEY: ONE}, sysctls={FORWARD: "1", "net/ipv4/vs/conntrack": "1"}))
    released = again.converger.released()
    assert released == KernelState(sysctls={FORWARD: "0"})
    assert set(again.to(released).done) == {RemoveService(KEY), SetSysctl(FORWARD, "0")}
    assert again.kernel.state.sysctls == before
    assert ledger.load(file) == Ledger()


def test_a_setting_that_is_no_longer_wanted_is_put_back_in_the_end(file: Path) -> None:
    director = Director(Kernel(KernelState(sysctls={FORWARD: "0"})), file)
    director.to(KernelState(sysctls={FORWARD: "1"}))
    director.to(KernelState())
    assert director.kernel.state.sysctls == {FORWARD: "1"}
    director.to(director.converger.released())
    assert director.kernel.state.sysctls == {FORWARD: "0"}


def test_a_ledger_that_cannot_be_written(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Serving goes on, the reason is told each time, and it is written as soon as it can be."""
    director = Director(Kernel(), file)

    def full(*_: object) -> None:
        raise SystemFault("No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(ledger, "save", full)
        for _ in range(2):
            outcome = director.to(KernelState({KEY: ONE}))
            assert outcome.not_saved == "No space left on device"
        assert director.first(KernelState({KEY: ONE})).not_saved
    assert director.kernel.state.services == {KEY: ONE}
    assert director.to(KernelState({KEY: ONE})).not_saved == ""
    assert ledger.load(file).services == {KEY}


def test_the_ledger_is_written_when_it_changes(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look every three seconds is not a write every three seconds."""
    director = Director(Kernel(), file)
    director.to(KernelState({KEY: ONE}, frozenset({HELD}), sysctls={FORWARD: "1"}))
    saved: list[Ledger] = []
    monkeypatch.setattr(ledger, "save", lambda _, one: saved.append(one))
    for _ in range(3):
        director.to(KernelState({KEY: ONE}, frozenset({HELD}), sysctls={FORWARD: "1"}))
    assert saved == []
    director.to(KernelState({KEY: ONE, OTHER: ONE}), only=[OTHER])
    assert [one.services for one in saved] == [{KEY, OTHER}]


def test_held(file: Path) -> None:
    director = Director(Kernel(KernelState({KEY: ONE, OTHER: Service(OPTIONS, {})})), file)
    found = director.converger.held()
    assert found.keys() == {KEY, OTHER}
    assert (found[KEY].options, found[OTHER].destinations) == (OPTIONS, {})
    [(key, one)] = found[KEY].destinations.items()
    assert (key, one.destination, one.active, one.inactive) == (REAL, ONE.destinations[REAL], 3, 4)


def test_modules_are_asked_for_once(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    director = Director(Kernel(KernelState(modules=frozenset({"ip_vs"}))), file)
    asked: list[str] = []
    plain = director.kernel.loaded

    def loaded(name: str) -> bool:
        asked.append(name)
        return plain(name)

    monkeypatch.setattr(director.kernel, "loaded", loaded)
    for _ in range(3):
        director.to(KernelState(modules=frozenset({"ip_vs", "ip_vs_rr"})))
    assert sorted(asked) == ["ip_vs", "ip_vs_rr"]
    assert director.kernel.log == [LoadModule("ip_vs_rr")]


def test_timeouts_are_put_back(file: Path) -> None:
    """Each to what it was before the first of us; one that was not changed is left alone."""
    director = Director(Kernel(KernelState(timeouts=Timeouts(900, 120, 300))), file)
    director.to(KernelState({KEY: ONE}, timeouts=Timeouts(600, 0, 0)))
    again = director.again()
    again.to(KernelState({KEY: ONE}, timeouts=Timeouts(500, 0, 77)))
    assert again.kernel.state.timeouts == Timeouts(500, 120, 77)
    assert again.converger.released().timeouts == Timeouts(900, 0, 300)
    again.to(again.converger.released())
    assert again.kernel.state.timeouts == Timeouts(900, 120, 300)
    assert again.converger.released().timeouts == Timeouts(0, 0, 0)


def test_an_address_that_was_there_before_us_stays(file: Path) -> None:
    """The director's own address as a VIP: it serves, and is not dropped when the virtual server goes."""
    director = Director(Kernel(KernelState(vips=frozenset({HELD}))), file)
    assert director.to(KernelState({KEY: ONE}, frozenset({HELD, ALSO}))).done[-1] == TakeVip(ALSO)
    assert director.again().to(KernelState()).done == (DropVip(ALSO), RemoveService(KEY))
    assert director.kernel.state.vips == {HELD}


def test_a_vip_without_any_service_is_not_taken(file: Path) -> None:
    key = ServiceKey(4, 6, HELD.address, 80, 0)
    director = Director(Kernel(), file)
    director.kernel.refuse = {text.line(AddService(key, ONE.options))}
    outcome = director.to(KernelState({key: Service(ONE.options, {})}, frozenset({HELD})))
    assert outcome.done == ()
    assert outcome.refused[-1] == (text.line(TakeVip(HELD)), "none of its services is in the kernel")
    director.kernel.refuse = set()
    outcome = director.to(KernelState({key: Service(ONE.options, {})}, frozenset({HELD})))
    assert outcome.done[-1] == TakeVip(HELD)


def test_the_firewall_is_put_in_place_before_vips_and_repaired(file: Path) -> None:
    director = Director(Kernel(), file)
    wanted = KernelState({KEY: ONE}, frozenset({HELD}), firewall="rules")
    assert director.to(wanted).done[0] == SetFirewall("rules")
    assert director.to(wanted).done == ()
    director.kernel.state = msgspec.structs.replace(director.kernel.state, firewall="altered")
    assert director.to(wanted).done == (SetFirewall("rules"),)


def test_the_firewall_of_others_is_not_even_looked_at(file: Path) -> None:
    director = Director(Kernel(), file)
    director.kernel.state = KernelState(firewall="theirs")
    assert SetFirewall("") not in director.to(KernelState({KEY: ONE})).done
    assert director.wall.reads == 0
    assert director.kernel.state.firewall == "theirs"


def test_our_firewall_is_removed_when_it_is_no_longer_wanted(file: Path) -> None:
    director = Director(Kernel(), file)
    director.to(KernelState({KEY: ONE}, firewall="rules"))
    again = director.again()
    assert again.to(KernelState({KEY: ONE})).done == (SetFirewall(""),)
    again.to(KernelState({KEY: ONE}))
    assert again.wall.reads == 1  # no longer ours
    director.to(KernelState({KEY: ONE}, firewall="rules"))
    assert SetFirewall("") in director.to(director.converger.released()).done


def test_a_firewall_that_is_refused_is_told_and_the_rest_is_done(file: Path) -> None:
    director = Director(Kernel(), file)
    director.kernel.refuse.add(text.line(SetFirewall("rules")))
    outcome = director.to(KernelState({KEY: ONE}, frozenset({HELD}), firewall="rules"))
    assert [line for line, _ in outcome.refused] == [text.line(SetFirewall("rules"))]
    assert TakeVip(HELD) in outcome.done
