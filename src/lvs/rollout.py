"""`lvsd update --pair`: both directors to one version, one after the other, while one of them always serves.

What is next is `lvs.updating.rolling`'s to say; here it is done and told. The plan lies on the state
partition, for this director is started anew on the way: `lvs-update-pair.service` goes on with it then.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import assert_never

from lvs import update
from lvs.errors import Exit, LvsError, NoDaemon, SystemFault, UsageError
from lvs.events import PairUpdated, PairUpdateStep, PairUpdateStopped
from lvs.io import control, fetching, notes, trial, updates
from lvs.io.updates import Places
from lvs.protocol import (
    SOCKET_NAME,
    OfferRequest,
    PieceRequest,
    Reply,
    Request,
    SidesRequest,
    StartRequest,
    SwitchoverRequest,
)
from lvs.updating.letters import PIECE
from lvs.updating.rolling import (
    PATIENCE_S,
    Done,
    Lay,
    Plan,
    Reboot,
    Send,
    Side,
    Step,
    Stop,
    Switchover,
    Wait,
    step,
)

LOOK_EVERY_S = 2.0
INSTALL_S = 1000.0  # the other director's disk, and what it takes to say so
STALE_S = 3600.0  # a plan that nobody went on with for so long was given up


def command(asked: argparse.Namespace) -> int:
    """`lvsd update`, of one director or of both."""
    return run(asked) if asked.pair or asked.resume else update.run(asked)


def run(asked: argparse.Namespace, places: Places | None = None) -> int:
    """`lvsd update --pair`, and `--resume` after a start."""
    places = places or Places()
    if asked.resume:
        return resume(asked.run_dir, places)
    if asked.source is None:
        raise UsageError("name the update: a file or a URL")
    return begin(asked.source, asked.run_dir, places)


def begin(source: str, run_directory: Path, places: Places) -> int:
    """Begin with an update, and go on as far as this boot carries."""
    if source == "-":
        raise UsageError("both directors need it: name a file or a URL")
    with fetching.opened(source) as stream:
        found = updates.trusted(stream, source, places)
    name = source if fetching.is_url(source) else str(Path(source).absolute())
    plan = Plan(found.manifest.version, name, since=time.time())
    return go(plan, run_directory, places)


def resume(run_directory: Path, places: Places) -> int:
    """Go on after a start of this director, if there is anything to go on with."""
    plan = notes.plan(places.directory)
    if plan is None:
        return Exit.OK
    if time.time() - plan.since > STALE_S:
        return _stopped(plan, places, "it was interrupted, and too long ago to go on by itself")
    return go(plan, run_directory, places)


def go(plan: Plan, run_directory: Path, places: Places) -> int:
    """Do what is next until both run it, this director goes down for its start, or something fails."""
    told = ""
    try:
        while True:
            here, there = _sides(run_directory)
            plan, order = step(plan, here, there, time.time())
            match order:
                case Done():
                    notes.keep(places.directory, None)
                    update.tell(PairUpdated(plan.version))
                    return Exit.OK
                case Stop(reason):
                    return _stopped(plan, places, reason)
                case Wait(what):
                    if what != told:
                        update.tell(PairUpdateStep(plan.version, f"waiting: {what}"))
                    told = what
                case _:
                    told = ""
                    update.tell(PairUpdateStep(plan.version, _said(order)))
            notes.keep(places.directory, plan)
            if not isinstance(order, Wait):
                _carry_out(order, plan, run_directory, places)
                if order == Reboot(here=True):
                    print("this director goes on after its start: journalctl -fu lvs-update-pair", flush=True)
                    return Exit.OK
            time.sleep(LOOK_EVERY_S)
    except LvsError as fault:
        return _stopped(plan, places, str(fault))
    except KeyboardInterrupt:
        _stopped(plan, places, "interrupted from the keyboard")
        raise


def _stopped(plan: Plan, places: Places, reason: str) -> int:
    notes.keep(places.directory, None)
    update.tell(PairUpdateStopped(plan.version, reason))
    return Exit.FAILED


def _said(order: Step) -> str:
    match order:
        case Lay():
            return "installing it on this director"
        case Send():
            return "installing it on the other director"
        case Reboot(here):
            return f"{'this' if here else 'the other'} director, on standby, starts it"
        case Switchover():
            return "the standby takes over"
        case Wait() | Done() | Stop():
            raise AssertionError(f"{order} is told otherwise")
        case _:
            assert_never(order)


def _sides(run_directory: Path) -> tuple[Side, Side | None]:
    """Both directors; waits for the daemon, which starts with the machine. Errors: LvsError."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            reply = _asked(run_directory, SidesRequest())
        except NoDaemon:
            if time.monotonic() > deadline:
                raise
            time.sleep(LOOK_EVERY_S)
            continue
        assert reply.here is not None
        return reply.here, reply.there


def _carry_out(order: Step, plan: Plan, run_directory: Path, places: Places) -> None:
    match order:
        case Lay():
            update.install(plan.file, places)
        case Send():
            _send(plan, run_directory)
        case Reboot(True):
            if not trial.reboot():
                raise SystemFault("this director does not go down: systemctl reboot failed")
        case Reboot(False):
            _asked(run_directory, StartRequest(plan.version))
        case Switchover():
            reply = control.ask(run_directory / SOCKET_NAME, SwitchoverRequest())
            for line in (*reply.out, *reply.err):
                print(f"  {line}", flush=True)
        case _:
            raise AssertionError(f"nothing is to be done for {order}")


def _send(plan: Plan, run_directory: Path) -> None:
    """The update to the other director, piece by piece."""
    with fetching.opened(plan.file) as source:
        _asked(run_directory, OfferRequest(plan.version))
        sent, told_at = 0, time.monotonic()
        while True:
            data = source.read(PIECE)
            reply = _asked(run_directory, PieceRequest(data))
            if not data:
                break
            sent += len(data)
            if time.monotonic() - told_at > 10:
                told_at = time.monotonic()
                print(f"  {sent / 1e6:.0f} MB sent", flush=True)
    for line in reply.out:
        print(f"  there: {line}", flush=True)


def _asked(run_directory: Path, request: Request) -> Reply:
    """Errors: SystemFault with what the daemon, or the other director, says against it."""
    reply = control.ask(run_directory / SOCKET_NAME, request, INSTALL_S)
    if reply.exit_code:
        raise SystemFault("; ".join(reply.err))
    return reply
