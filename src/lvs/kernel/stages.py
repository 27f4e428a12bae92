"""A difference in stages: what is carried out together, one stage after the other.

Pure. What became of earlier stages decides what is left out of later ones: `unserved`, `leaves`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum
from itertools import groupby
from typing import NamedTuple, cast

from lvs.kernel.diff import diff
from lvs.kernel.state import (
    AddService,
    DropVip,
    KernelState,
    LoadModule,
    Op,
    RemoveService,
    SetFirewall,
    SetSysctl,
    SystemOp,
    TableOp,
    TakeVip,
)


class OnSystem(NamedTuple):
    """Settings, or VIPs."""

    ops: tuple[SystemOp, ...]


class OnTable(NamedTuple):
    """Services, destinations, timeouts, sync daemons."""

    ops: tuple[TableOp, ...]


def staged(actual: KernelState, desired: KernelState) -> tuple[OnSystem | OnTable, ...]:
    """`diff`, in its order."""
    return tuple(_stages(diff(actual, desired)))


def _stages(ops: Sequence[Op]) -> Iterator[OnSystem | OnTable]:
    for kind, run in groupby(ops, _kind):
        if kind is _Kind.TABLE:
            yield OnTable(cast("tuple[TableOp, ...]", tuple(run)))
        else:
            yield OnSystem(cast("tuple[SystemOp, ...]", tuple(run)))


class _Kind(Enum):
    SETTINGS, VIPS, TABLE = range(3)


def _kind(op: Op) -> _Kind:
    match op:
        case LoadModule() | SetSysctl() | SetFirewall():
            return _Kind.SETTINGS
        case DropVip() | TakeVip():
            return _Kind.VIPS
        case _:
            return _Kind.TABLE


def unserved(
    desired: KernelState, wanted: KernelState, actual: KernelState, done: Sequence[Op]
) -> set[bytes]:
    """Addresses that have services of which the kernel took none: a VIP would only answer with resets.

    Shape: what is desired, but not among what is wanted now, stands.
    """
    present = {key.address for key in actual.services} | {
        op.key.address for op in done if isinstance(op, AddService)
    }
    present |= {key.address for key in desired.services if key not in wanted.services}
    return {key.address for key in wanted.services} - present


def leaves(op: TableOp, vips: set[bytes]) -> bool:
    """Whether an operation would leave one of these VIPs without a service of it."""
    return isinstance(op, RemoveService) and op.key.address in vips
