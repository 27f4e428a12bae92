"""The laws of the diff, against `apply` and a dumb twin."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import reduce

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import strategies
from lvs.kernel.diff import diff
from lvs.kernel.state import (
    BACKUP,
    IPIP,
    MASQ,
    MASTER,
    NOCSUM,
    SYNC_GROUP,
    AddDestination,
    AddService,
    Destination,
    DestinationKey,
    DropVip,
    KernelState,
    LoadModule,
    Op,
    RemoveDestination,
    RemoveService,
    Service,
    ServiceKey,
    ServiceOptions,
    SetDestination,
    SetFirewall,
    SetService,
    SetSysctl,
    SetTimeouts,
    StartDaemon,
    StopDaemon,
    SyncDaemon,
    TakeVip,
    Timeouts,
    Vip,
    apply,
)

pairs = st.tuples(strategies.small_states, strategies.small_states)


def carried_out(ops: Iterable[Op], state: KernelState) -> KernelState:
    return reduce(lambda at, op: apply(op, at), ops, state)


def on_the_way(ops: Iterable[Op], state: KernelState) -> Iterator[KernelState]:
    """Every state passed, first and last included."""
    yield state
    for op in ops:
        state = apply(op, state)
        yield state


def arrival(actual: KernelState, desired: KernelState) -> KernelState:
    """`desired`, with what it leaves alone as it is: timeouts of 0, other sysctls, loaded modules."""
    was, want = actual.timeouts, desired.timeouts
    return KernelState(
        services=desired.services,
        vips=desired.vips,
        timeouts=Timeouts(want.tcp_s or was.tcp_s, want.tcpfin_s or was.tcpfin_s, want.udp_s or was.udp_s),
        sysctls=actual.sysctls | desired.sysctls,
        modules=actual.modules | desired.modules,
        daemons=desired.daemons,
        firewall=desired.firewall,
    )


@given(pairs)
def test_arrives(pair: tuple[KernelState, KernelState]) -> None:
    actual, desired = pair
    assert carried_out(diff(actual, desired), actual) == arrival(actual, desired)


@given(strategies.small_states)
def test_nothing_to_do_is_nothing_done(state: KernelState) -> None:
    assert diff(state, state) == ()


@given(pairs)
def test_twice_changes_nothing(pair: tuple[KernelState, KernelState]) -> None:
    actual, desired = pair
    assert diff(carried_out(diff(actual, desired), actual), desired) == ()


@given(pairs, st.data())
def test_cut_anywhere_and_diffed_again_arrives(
    pair: tuple[KernelState, KernelState], data: st.DataObject
) -> None:
    actual, desired = pair
    ops = diff(actual, desired)
    halfway = carried_out(ops[: data.draw(st.integers(0, len(ops)))], actual)
    assert carried_out(diff(halfway, desired), halfway) == arrival(actual, desired)


@given(pairs)
def test_what_both_serve_is_served_throughout(pair: tuple[KernelState, KernelState]) -> None:
    actual, desired = pair
    for state in on_the_way(diff(actual, desired), actual):
        for key, service in actual.services.items():
            if key in desired.services:
                both = service.destinations.keys() & desired.services[key].destinations.keys()
                assert both <= state.services[key].destinations.keys()


@given(pairs)
def test_a_service_is_never_empty_on_the_way(pair: tuple[KernelState, KernelState]) -> None:
    """Where it had a real server and will have one, though it may be another."""
    actual, desired = pair
    lasting = {
        key
        for key, service in actual.services.items()
        if service.destinations and key in desired.services and desired.services[key].destinations
    }
    for state in on_the_way(diff(actual, desired), actual):
        assert all(state.services[key].destinations for key in lasting)


@given(pairs)
def test_a_held_vip_has_its_services(pair: tuple[KernelState, KernelState]) -> None:
    """A VIP is dropped before its old services go, and taken when its new ones are whole."""
    actual, desired = pair
    for state in on_the_way(diff(actual, desired), actual):
        if state.vips - desired.vips:
            assert state.services.keys() >= actual.services.keys()
        if state.vips - actual.vips:
            assert all(state.services.get(key) == service for key, service in desired.services.items())


@given(pairs)
def test_what_both_hold_is_held_throughout(pair: tuple[KernelState, KernelState]) -> None:
    actual, desired = pair
    for state in on_the_way(diff(actual, desired), actual):
        assert state.vips >= actual.vips & desired.vips


@st.composite
def moves(draw: st.DrawFn) -> tuple[KernelState, KernelState]:
    """VIPs that come, go, stay and move, each on one device at a time, beside other work."""
    pair = draw(pairs)
    both = [draw(st.dictionaries(st.sampled_from(ADDRESSES), st.integers(0, 7))) for _ in pair]
    actual, desired = (
        msgspec.structs.replace(
            state, vips=frozenset(_placed(address, where) for address, where in held.items())
        )
        for state, held in zip(pair, both, strict=True)
    )
    return actual, desired


ADDRESSES = (*strategies.ADDRESSES[4], *strategies.ADDRESSES[6])


def _placed(address: bytes, where: int) -> Vip:
    device, prefixes = f"eth{where & 1}", (24, 32) if len(address) == 4 else (64, 128)
    label = f"{device}:1" if where & 2 and len(address) == 4 else ""
    return Vip(device, address, prefixes[where >> 2], label)


def one_place(vip: Vip, other: Vip) -> bool:
    """Whether the kernel would not have both: tests/netns/test_links.py asks it."""
    same = (vip.device, vip.address) == (other.device, other.address)
    return same and (len(vip.address) == 16 or vip.prefix == other.prefix)


@given(moves())
def test_a_vip_that_moves_is_held_throughout(pair: tuple[KernelState, KernelState]) -> None:
    """But for the moment between a drop and its take where the kernel would not have both at once."""
    actual, desired = pair
    ops = diff(actual, desired)
    lasting = {vip.address for vip in actual.vips} & {vip.address for vip in desired.vips}
    for state, before, after in zip(on_the_way(ops, actual), (None, *ops), (*ops, None), strict=True):
        for address in lasting - {vip.address for vip in state.vips}:
            assert isinstance(before, DropVip)
            assert isinstance(after, TakeVip)
            assert before.vip.address == after.vip.address == address
            assert one_place(before.vip, after.vip)
        for vip in state.vips:
            assert not any(one_place(vip, other) for other in state.vips - {vip})


@given(moves())
def test_moves_keep_the_laws(pair: tuple[KernelState, KernelState]) -> None:
    actual, desired = pair
    ops = diff(actual, desired)
    assert carried_out(ops, actual) == arrival(actual, desired)
    assert set(ops) == twin(actual, desired)
    assert len(ops) == len(set(ops))
    for halfway in on_the_way(ops, actual):
        assert carried_out(diff(halfway, desired), halfway) == arrival(actual, desired)


def test_the_table_is_whole_before_a_vip_moves() -> None:
    before, after = (_placed(ADDRESSES[0], where) for where in (0, 2))
    key, service = strategies.KEYS[0], Service(OPTIONS, {})
    actual = KernelState({}, frozenset({before}), sysctls={"a": "0"})
    desired = KernelState({key: service}, frozenset({after}), sysctls={"a": "1"})
    assert diff(actual, desired) == (
        SetSysctl("a", "1"),
        AddService(key, OPTIONS),
        DropVip(before),
        TakeVip(after),
    )


ORDER: tuple[tuple[type[Op], ...], ...] = (
    (DropVip,),  # of VIPs that go
    (LoadModule,),
    (SetSysctl,),
    (SetTimeouts,),
    (SetFirewall,),
    (AddService, SetService, AddDestination, SetDestination, RemoveDestination),
    (TakeVip, DropVip),  # of VIPs that move
    (StopDaemon,),
    (StartDaemon,),
    (RemoveService,),
)


@given(pairs | moves())
def test_order_is_as_documented(pair: tuple[KernelState, KernelState]) -> None:
    staying = {vip.address for vip in pair[1].vips}

    def place(op: Op) -> int:
        if isinstance(op, DropVip):
            return 6 if op.vip.address in staying else 0
        return next(n for n, kinds in enumerate(ORDER) if isinstance(op, kinds))

    places = [place(op) for op in diff(*pair)]
    assert places == sorted(places)


def twin(actual: KernelState, desired: KernelState) -> set[Op]:
    """The same operations, found by comparing sets and in no order."""
    ops: set[Op] = {DropVip(vip) for vip in actual.vips - desired.vips}
    ops |= {TakeVip(vip) for vip in desired.vips - actual.vips}
    ops |= {StopDaemon(one.state) for one in actual.daemons - desired.daemons}
    ops |= {StartDaemon(one) for one in desired.daemons - actual.daemons}
    ops |= {LoadModule(name) for name in desired.modules - actual.modules}
    ops |= {SetSysctl(*item) for item in desired.sysctls.items() - actual.sysctls.items()}
    if actual.firewall != desired.firewall:
        ops.add(SetFirewall(desired.firewall))
    have, want = actual.timeouts, desired.timeouts
    times = [(have.tcp_s, want.tcp_s), (have.tcpfin_s, want.tcpfin_s), (have.udp_s, want.udp_s)]
    if any(new not in (0, old) for old, new in times):
        ops.add(SetTimeouts(Timeouts(*(0 if new == old else new for old, new in times))))
    one = {(key, service.options) for key, service in actual.services.items()}
    other = {(key, service.options) for key, service in desired.services.items()}
    for key, options in other - one:
        ops.add(SetService(key, options) if key in actual.services else AddService(key, options))
    ops |= {RemoveService(key) for key in actual.services.keys() - desired.services.keys()}
    before, after = set(_rows(actual)), set(_rows(desired))
    here = {row[:2] for row in before}
    for row in after - before:
        ops.add(SetDestination(*row) if row[:2] in here else AddDestination(*row))
    for of, gone in here - {row[:2] for row in after}:
        if of in desired.services:
            ops.add(RemoveDestination(of, gone))
    return ops


def _rows(state: KernelState) -> Iterator[tuple[ServiceKey, DestinationKey, Destination]]:
    for key, service in state.services.items():
        for destination_key, destination in service.destinations.items():
            yield key, destination_key, destination


@given(pairs)
def test_dumb_twin(pair: tuple[KernelState, KernelState]) -> None:
    ops = diff(*pair)
    assert set(ops) == twin(*pair)
    assert len(ops) == len(set(ops))


@settings(max_examples=15)
@given(strategies.two_states())
def test_the_whole_option_space(pair: tuple[KernelState, KernelState]) -> None:
    actual, desired = pair
    ops = diff(actual, desired)
    assert set(ops) == twin(actual, desired)
    assert carried_out(ops, actual) == arrival(actual, desired)


def test_roles_change_in_a_safe_order() -> None:
    """Connections are received until the VIPs are here; what gives way drops them before all else."""
    vip, key = _placed(ADDRESSES[0], 0), strategies.KEYS[0]
    sends, receives = (SyncDaemon(kind, "eth0", 1, 1472, SYNC_GROUP, 8848, 1) for kind in (MASTER, BACKUP))
    standby = KernelState({}, daemons=frozenset({receives}))
    active = KernelState({key: Service(OPTIONS, {})}, frozenset({vip}), daemons=frozenset({sends}))
    assert diff(standby, active) == (
        AddService(key, OPTIONS),
        TakeVip(vip),
        StopDaemon(BACKUP),
        StartDaemon(sends),
    )
    assert diff(active, standby) == (
        DropVip(vip),
        StopDaemon(MASTER),
        StartDaemon(receives),
        RemoveService(key),
    )


def test_the_identical_service_is_not_looked_at() -> None:
    """What makes a reload of one change in 10,000 cheap."""

    class Untouchable(dict[DestinationKey, Destination]):
        def __eq__(self, other: object) -> bool:
            raise AssertionError("looked at")

        __hash__ = None

    key = strategies.KEYS[0]
    service = Service(ServiceOptions("rr", 0, 0, strategies.ALL_IPV4, ""), Untouchable())
    assert diff(KernelState({key: service}), KernelState({key: service})) == ()


PLAIN = Destination(MASQ, 1, 9, 5, IPIP, 0, NOCSUM)
OPTIONS = ServiceOptions("wlc", 0, 60, strategies.ALL_IPV4, "")


@pytest.mark.parametrize("field", Destination.__struct_fields__)
def test_each_field_of_a_destination_counts(field: str) -> None:
    key, real = strategies.KEYS[0], DestinationKey(strategies.REALS[4][0], 80)
    changed = msgspec.structs.replace(PLAIN, **{field: getattr(PLAIN, field) + 1})
    one, other = (KernelState({key: Service(OPTIONS, {real: made})}) for made in (PLAIN, changed))
    assert diff(one, other) == (SetDestination(key, real, changed),)


@pytest.mark.parametrize("field", ServiceOptions.__struct_fields__)
def test_each_option_of_a_service_counts(field: str) -> None:
    key, before = strategies.KEYS[0], getattr(OPTIONS, field)
    changed = msgspec.structs.replace(OPTIONS, **{field: before + type(before)(1)})
    one, other = (KernelState({key: Service(made, {})}) for made in (OPTIONS, changed))
    assert diff(one, other) == (SetService(key, changed),)
