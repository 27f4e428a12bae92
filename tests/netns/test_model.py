"""B2: the kernel's table equals the model after every random operation, all options included.

This is also what makes `kernel.state.apply` a verified fake: the laws of the diff are proven on it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import strategies
from lab import Lab, Machine
from lvs.kernel.state import KernelState

pytestmark = pytest.mark.netns

DRIVER = str(Path(__file__).with_name("drive_model.py"))


@pytest.fixture(scope="module")
def machine(running_lab: Lab) -> Machine:
    found = running_lab.machine("model")
    found.run("ip", "link", "set", "lo", "up")
    # A destination must be unicast here: any address is, by the default route of a dummy device.
    found.run("ip", "link", "add", "dummy0", "up", "type", "dummy")
    for family in ("-4", "-6"):
        found.run("ip", family, "route", "add", "default", "dev", "dummy0")
    return found


# Shrinking a failure on an emulated kernel takes an hour; the driver names the operation already.
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
@given(states=st.lists(strategies.states(), min_size=4, max_size=8))
def test_b2_random_tables(machine: Machine, states: list[KernelState]) -> None:
    modules = [name for name in strategies.MODULES if name != "ip_vs"]
    encoded = msgspec.msgpack.encode(states)
    result = machine.run(sys.executable, DRIVER, *modules, stdin=encoded, timeout=300)
    assert result.out == "equal\n"
