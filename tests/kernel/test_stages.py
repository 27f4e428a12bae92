"""Stages of a difference: one behind the other they are the difference, each for one hand."""

from __future__ import annotations

from itertools import chain

from hypothesis import given

import strategies
from lvs.kernel.diff import diff
from lvs.kernel.stages import OnSystem, OnTable, leaves, staged, unserved
from lvs.kernel.state import (
    AddService,
    DropVip,
    KernelState,
    RemoveService,
    Service,
    ServiceOptions,
    SetSysctl,
    SystemOp,
    TakeVip,
    Vip,
)

KEY, OTHER = strategies.KEYS[0], strategies.KEYS[3]
SERVICE = Service(ServiceOptions("wlc", 0, 0, strategies.ALL_IPV4, ""), {})
OLD, NEW = (Vip("eth0", bytes([192, 0, 2, number]), 24, "") for number in (1, 2))


@given(strategies.small_states, strategies.small_states)
def test_together_they_are_the_difference(actual: KernelState, desired: KernelState) -> None:
    stages = staged(actual, desired)
    assert tuple(chain.from_iterable(stage.ops for stage in stages)) == diff(actual, desired)
    for stage in stages:
        assert stage.ops
        assert all(isinstance(op, SystemOp) is isinstance(stage, OnSystem) for op in stage.ops)


def test_vips_are_apart_from_settings() -> None:
    actual = KernelState(vips=frozenset({OLD}))
    desired = KernelState({KEY: SERVICE}, frozenset({NEW}), sysctls={"net/ipv4/ip_forward": "1"})
    assert staged(actual, desired) == (
        OnSystem((DropVip(OLD),)),
        OnSystem((SetSysctl("net/ipv4/ip_forward", "1"),)),
        OnTable((AddService(KEY, SERVICE.options),)),
        OnSystem((TakeVip(NEW),)),
    )


def test_addresses_without_a_service() -> None:
    desired = KernelState({KEY: SERVICE, OTHER: SERVICE})
    both, one = {KEY.address, OTHER.address}, KernelState({OTHER: SERVICE})
    assert len(both) == 2
    assert unserved(desired, desired, KernelState(), ()) == both
    assert unserved(desired, desired, one, ()) == {KEY.address}
    assert unserved(desired, desired, one, (AddService(KEY, SERVICE.options),)) == set()
    assert unserved(desired, one, KernelState(), ()) == {OTHER.address}, "what is not wanted now stands"


def test_a_vip_that_stays_keeps_its_services() -> None:
    assert leaves(RemoveService(KEY), {KEY.address})
    assert not leaves(RemoveService(KEY), {OTHER.address})
    assert not leaves(AddService(KEY, SERVICE.options), {KEY.address})
