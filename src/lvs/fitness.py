"""Whether this director came up as it should: what a boot on trial must reach. Pure.

It is healthy when the kernel holds its configuration, and as one of a pair when it has its role. A machine
without any configuration is as healthy as it can be; one whose file has problems is not: the version that
ran before may have taken it.
"""

from __future__ import annotations

from collections.abc import Iterator

from lvs.events import counted
from lvs.model import Role
from lvs.pair import PAIRED, Seat
from lvs.state import State, settled


def unhealthy(state: State, *, configured: bool) -> tuple[str, ...]:
    """Why it is not; empty: it is.

    Shape: `configured` says that there is a configuration file, whether it can be used or not.
    """
    return tuple(_reasons(state, configured=configured))


def _reasons(state: State, *, configured: bool) -> Iterator[str]:
    if state.stopping:
        yield f"lvsd stops ({state.stopping})"
    if state.unavailable:
        yield f"the kernel cannot be managed: {state.unavailable}"
    if state.config is None:
        if configured:
            yield "the configuration file has problems, and none is in the kernel; `lvsd check` names them"
        return
    if not settled(state):
        yield "the configuration is on its way into the kernel"
    if state.refused:
        line, reason = state.refused[0]
        yield f"the kernel refuses {counted(len(state.refused), 'operation')}: {line}: {reason}"
    pairing = state.pairing
    if pairing.seat is Seat.UNKNOWN:
        yield "it is not known yet which director this is"
    elif pairing.seat is Seat.NOBODY or pairing.role is Role.FAULT:
        yield f"it cannot serve: {pairing.reason}"
    elif pairing.seat in PAIRED:
        if pairing.lost:
            yield f"there is no heartbeat: {pairing.lost}"
        elif pairing.role is Role.ACTIVE and not pairing.holding:
            yield "it is active and does not hold its VIPs yet"
        elif pairing.role is Role.STANDBY and not _relieved(state):
            yield "it is on standby, and no active director is heard"


def _relieved(state: State) -> bool:
    """Whether the other director is heard, and serves."""
    seen = state.pairing.seen
    return seen is not None and seen.alive and seen.beat is not None and seen.beat.role is Role.ACTIVE
