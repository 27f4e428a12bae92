"""`apply`, the fake kernel: its answers where the kernel says EEXIST, ENOENT and ESRCH."""

from __future__ import annotations

import contextlib

import msgspec
import pytest
from hypothesis import given

import strategies
from lvs.kernel.state import (
    BACKUP,
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
    RemoveDestination,
    RemoveService,
    Service,
    ServiceOptions,
    SetDestination,
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

KEY, OTHER = strategies.KEYS[:2]
OPTIONS = ServiceOptions("wlc", 0, 0, strategies.ALL_IPV4, "")
REAL = DestinationKey(strategies.REALS[4][0], 80)
DESTINATION = Destination(ROUTE, 1)
HELD = KernelState({KEY: Service(OPTIONS, {REAL: DESTINATION})})


@pytest.mark.parametrize(
    "op",
    [
        SetService(OTHER, OPTIONS),
        RemoveService(OTHER),
        AddDestination(OTHER, REAL, DESTINATION),
        SetDestination(OTHER, REAL, DESTINATION),
        RemoveDestination(OTHER, REAL),
        SetDestination(KEY, DestinationKey(REAL.address, 81), DESTINATION),
        RemoveDestination(KEY, DestinationKey(REAL.address, 81)),
    ],
)
def test_what_is_not_there(op: Op) -> None:
    with pytest.raises(KeyError):
        apply(op, HELD)


@pytest.mark.parametrize("op", [AddService(KEY, OPTIONS), AddDestination(KEY, REAL, DESTINATION)])
def test_what_is_there_already(op: Op) -> None:
    with pytest.raises(ValueError, match="exists"):
        apply(op, HELD)


def test_a_changed_service_keeps_its_real_servers() -> None:
    changed = ServiceOptions("rr", 0, 0, strategies.ALL_IPV4, "")
    assert apply(SetService(KEY, changed), HELD).services == {KEY: Service(changed, {REAL: DESTINATION})}


def test_a_removed_service_takes_its_real_servers_along() -> None:
    empty = apply(RemoveService(KEY), HELD)
    assert apply(AddService(KEY, OPTIONS), empty).services == {KEY: Service(OPTIONS, {})}


def test_timeouts_of_zero_stay() -> None:
    state = apply(SetTimeouts(Timeouts(900, 120, 300)), KernelState())
    assert apply(SetTimeouts(Timeouts(0, 60, 0)), state).timeouts == Timeouts(900, 60, 300)


def test_a_sync_daemon_runs_once_of_each_state() -> None:
    sends, receives = (SyncDaemon(kind, "eth0", 1, 1472, SYNC_GROUP, 8848, 1) for kind in (MASTER, BACKUP))
    both = apply(StartDaemon(receives), apply(StartDaemon(sends), KernelState()))
    assert both.daemons == {sends, receives}
    with pytest.raises(ValueError, match="runs"):
        apply(StartDaemon(msgspec.structs.replace(sends, sync_id=2)), both)
    one = apply(StopDaemon(MASTER), both)
    assert one.daemons == {receives}
    with pytest.raises(KeyError):
        apply(StopDaemon(MASTER), one)


def test_what_may_be_done_twice() -> None:
    vip = Vip("eth0", strategies.ADDRESSES[4][0], 24, "")
    for op in (TakeVip(vip), DropVip(vip), LoadModule("ip_vs"), SetSysctl("net/ipv4/ip_forward", "1")):
        once = apply(op, HELD)
        assert apply(op, once) == once


@given(strategies.small_states, strategies.table_ops())
def test_the_state_before_is_untouched(state: KernelState, op: Op) -> None:
    before = KernelState(
        {
            key: Service(service.options, dict(service.destinations))
            for key, service in state.services.items()
        },
        state.vips,
        state.timeouts,
        dict(state.sysctls),
        state.modules,
        state.daemons,
    )
    with contextlib.suppress(KeyError, ValueError):
        apply(op, state)
    assert state == before
