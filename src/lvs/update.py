"""`lvsd update` and `lvsd healthy`: another version beside what runs, and whether it may stay.

An update needs no daemon: whoever cannot start lvsd must be able to mend it. What is done is told on standard
output, and to the journal as events; what has to outlive a boot is noted on the state partition.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

import msgspec

from lvs.errors import Exit, LvsError, SystemFault, UsageError
from lvs.events import (
    BootUnhealthy,
    Event,
    UpdateBegun,
    UpdateFailed,
    UpdateInstalled,
    UpdateRefused,
    UpdateShadowed,
)
from lvs.io import control, fetching, notes, trial, updates
from lvs.io.systemd import JOURNAL, journal_is_ours
from lvs.io.updates import Places, Trusted
from lvs.protocol import SOCKET_NAME, HealthRequest
from lvs.updating import note as noted
from lvs.updating import slots
from lvs.updating.manifest import Machine, unfit
from lvs.updating.note import Note, Pending, Stage
from lvs.updating.slots import Slot
from lvs.updating.version import newer
from lvs.why import clock

LOOK_EVERY_S = 1.0
HOLD_S = 10.0  # for which it must stay healthy: a daemon that comes up and dies is not
LONGEST_LINE = 200  # bytes
ANSWER_S = 5.0  # of the daemon
UPPER, SHIPPED = Path("/var/lib/overlay/etc/upper"), Path("/run/lvs-shipped/etc")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Of `lvsd update`."""
    parser.add_argument(
        "source",
        metavar="FILE|URL",
        nargs="?",
        help="the update; - is standard input (ssh director lvsd update -)",
    )
    parser.add_argument(
        "--check", action="store_true", help="read all of it, say whether it fits, install nothing"
    )
    parser.add_argument(
        "--reboot",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="start it as soon as it is installed (default: the next boot does)",
    )
    parser.add_argument(
        "--downgrade", action="store_true", help="take an older version than the one that runs"
    )
    parser.add_argument("--newer", action="store_true", help="do nothing, quietly, if it is not newer")
    parser.add_argument(
        "--pair", action="store_true", help="both directors, one after the other, while one of them serves"
    )
    for hidden in ("--resume", "--from-peer"):  # lvs-update-pair.service and lvs-receive@.service ask so
        parser.add_argument(hidden, action="store_true", help=argparse.SUPPRESS)
    parser.add_argument(
        "--status", action="store_true", help="show both slots, and how the last update ended"
    )
    parser.add_argument("--json", action="store_true", help="with --status: as JSON, for programs")
    _run_directory(parser)


def healthy_arguments(parser: argparse.ArgumentParser) -> None:
    """Of `lvsd healthy`."""
    parser.add_argument(
        "--wait",
        metavar="S",
        type=float,
        default=0.0,
        help=f"wait up to S seconds for it; a boot on trial must stay so for {HOLD_S:.0f} s",
    )
    _run_directory(parser)


def _run_directory(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--run-dir", metavar="DIR", type=Path, default=Path("/run/lvs"), help="where the daemon's socket is"
    )


def run(asked: argparse.Namespace, places: Places | None = None) -> int:
    """`lvsd update`."""
    places = places or Places()
    if asked.status:
        return _status(places, json=asked.json)
    if asked.from_peer:
        return _from_peer(places)
    if asked.source is None:
        raise UsageError("name the update: a file, a URL, or - for standard input; or ask for --status")
    if asked.check:
        return _check(asked.source, places, downgrade=asked.downgrade)
    if os.geteuid() != 0 and places == Places():
        raise SystemFault("an update is installed by root", Exit.RIGHTS)
    installed = install(asked.source, places, downgrade=asked.downgrade, only_newer=asked.newer)
    if installed is None:
        return Exit.OK
    if asked.reboot:
        print(f"starting {installed}", flush=True)
        return Exit.OK if trial.reboot() else Exit.FAILED
    print(f"{installed} is installed; the next boot starts it (systemctl reboot)")
    return Exit.OK


def _from_peer(places: Places) -> int:
    """What the other director wants, on standard input: a line, and behind `install` the update itself."""
    verb, _, version = sys.stdin.buffer.readline(LONGEST_LINE).decode(errors="replace").strip().partition(" ")
    match verb:
        case "install":
            install("-", places)
        case "start":
            pending = notes.load(places.directory).pending
            if pending is None or (pending.version, pending.stage) != (version, Stage.LAID):
                raise SystemFault(f"{version} is not installed there")
            if not trial.reboot():
                raise SystemFault("it does not go down: systemctl reboot failed")
        case _:
            raise UsageError("the other director is not understood")
    print("done", flush=True)
    return Exit.OK


def _check(source: str, places: Places, *, downgrade: bool) -> int:
    name = fetching.called(source)
    with fetching.opened(source) as stream:
        update = updates.trusted(stream, name, places)
        runs = updates.machine(places)
        updates.examined(update, name)
    manifest = update.manifest
    print(f"{name}: {manifest.image} {manifest.version}, signed by {update.signer}, whole")
    if reason := unfit(manifest, runs, downgrade=downgrade):
        print(f"lvsd: it cannot be installed here: {reason}", file=sys.stderr)
        return Exit.FAILED
    return Exit.OK


# Installing


def install(source: str, places: Places, *, downgrade: bool = False, only_newer: bool = False) -> str | None:
    """Install an update beside what runs; its version, None if it is not newer.

    Errors: SystemFault; what runs is then what the next boot starts.
    """
    name = fetching.called(source)
    with updates.alone(places), fetching.opened(source) as stream:
        runs = updates.machine(places)
        try:
            update = updates.trusted(stream, name, places)
            if only_newer and not newer(update.manifest.version, runs.version):
                return None
            updates.fits(update.manifest, runs, places, downgrade=downgrade)
        except SystemFault as fault:
            report(UpdateRefused(name, str(fault)))
            raise
        note = noted.began(
            notes.load(places.directory),
            Pending(update.manifest.version, runs.version, updates.boot_id(), update.signer, time.time()),
        )
        notes.save(places.directory, note)
        report(UpdateBegun(update.manifest.version, runs.version, update.signer, name))
        print(
            f"{name}: {update.manifest.image} {update.manifest.version}, signed by {update.signer}",
            flush=True,
        )
        try:
            _lay(update, name, runs, places)
        except LvsError as fault:
            notes.save(places.directory, noted.failed(note, str(fault), time.time()))
            report(UpdateFailed(update.manifest.version, runs.version, str(fault)))
            raise
        notes.save(places.directory, noted.laid(note))
        report(UpdateInstalled(update.manifest.version, runs.version))
    return update.manifest.version


def _lay(update: Trusted, name: str, runs: Machine, places: Places) -> None:
    def tell(line: str) -> None:
        print(f"  {line}", flush=True)

    updates.lay(update, name, places, tell)
    updates.install(update.manifest, runs, places, tell)
    updates.start_next(places, runs, update.manifest.version)


def report(event: Event) -> None:
    """To the journal, where there is one; whoever runs the command is told by what it prints."""
    if not JOURNAL.exists():
        return
    from lvs.io.journal import Journal

    journal = Journal(to_journal=True)
    journal.report(event)
    journal.close()


def tell(event: Event) -> None:
    """To whoever looks, and to the journal; once, where these are the same."""
    if not journal_is_ours():
        print(event.text(), flush=True)
    report(event)


# How it stands


class Shown(msgspec.Struct, frozen=True):
    """The JSON of `lvsd update --status --json`, documented in docs/update.md."""

    running: Machine
    own: Slot | None  # that of what runs
    other: Slot | None
    next: str  # version that the next boot starts
    note: Note


def _status(places: Places, *, json: bool) -> int:
    runs = updates.machine(places)
    there = updates.found(places, runs.image) if runs.image else ()
    own, other = slots.own(there, runs.version), slots.other(there, runs.version)
    note = notes.load(places.directory)
    shown = Shown(runs, own, other, there[0].version if there else runs.version, note)
    if json:
        print(msgspec.json.format(msgspec.json.encode(shown), indent=2).decode())
        return Exit.OK
    if not runs.image:
        print("this machine does not run the image of a director: it is updated as it was installed")
        return Exit.OK
    kind = f"{runs.variant}, {runs.architecture}" if runs.variant else runs.architecture
    print(f"running: {runs.image} {own.text() if own else runs.version} ({kind})")
    print(f"other:   {other.text() if other else 'empty'}")
    print(f"next:    {shown.next}")
    if told := noted.told(note, runs.version):
        print(f"update:  {told}")
    if note.last is not None:
        print(f"last:    {note.last.text()} ({clock(note.last.at)})")
    return Exit.OK


# Whether it may stay


def healthy(asked: argparse.Namespace, places: Places | None = None) -> int:
    """`lvsd healthy`: 0 if this director came up as it should; what is noted of an update goes by it."""
    places = places or Places()
    runs = updates.machine(places)
    on_image = bool(runs.image) and bool(asked.wait)
    if on_image:
        _booted(runs, places)
    reasons = _watch(asked.run_dir, asked.wait, HOLD_S if on_image and _on_trial(runs, places) else 0.0)
    for reason in reasons:
        print(f"not healthy: {reason}", file=sys.stderr)
    if on_image:
        _settle(runs, places, reasons)
    if not reasons:
        print("healthy")
    return Exit.FAILED if reasons else Exit.OK


def _booted(runs: Machine, places: Places) -> None:
    note = notes.load(places.directory)
    wanted = note.pending.version if note.pending is not None else ""
    slot = slots.own(updates.found(places, runs.image), wanted)
    _keep(places, note, *noted.booted(note, runs.version, updates.boot_id(), slot, time.time()))


def _on_trial(runs: Machine, places: Places) -> bool:
    own = slots.own(updates.found(places, runs.image), runs.version)
    return own is not None and own.left is not None


def _settle(runs: Machine, places: Places, reasons: tuple[str, ...]) -> None:
    note = notes.load(places.directory)
    if reasons:
        said = "; ".join(reasons)
        told = BootUnhealthy(runs.version, said) if _on_trial(runs, places) else None
        _keep(places, note, noted.unhealthy(note, runs.version, said), told)
        return
    after, event = noted.proved(note, runs.version, time.time())
    if event is not None:
        updates.keep_starting(places, runs)
        hidden = tuple(trial.shadowed(UPPER, SHIPPED))
        after = msgspec.structs.replace(after, shadowed=hidden)
        if hidden:
            report(UpdateShadowed(runs.version, ", ".join(hidden)))
    _keep(places, note, after, event)


def _keep(places: Places, before: Note, after: Note, event: Event | None) -> None:
    if after != before:
        try:
            notes.save(places.directory, after)
        except SystemFault as fault:  # a full disk is no reason to give a boot up
            print(f"lvsd: {fault}", file=sys.stderr)
    if event is not None:
        tell(event)


def _watch(run_directory: Path, wait_s: float, hold_s: float) -> tuple[str, ...]:
    """Why it is not healthy; with a time to wait, when that has passed. It must stay so for `hold_s`."""
    deadline, since, before = time.monotonic() + wait_s, time.monotonic(), -1
    while True:
        reasons, restarts = _looked(run_directory)
        now = time.monotonic()
        if reasons or restarts != before:
            since, before = now, restarts
        if not wait_s or (not reasons and now - since >= hold_s):
            return reasons
        if now >= deadline + (0 if reasons else hold_s):
            return reasons or ("lvs.service does not stay up",)
        time.sleep(LOOK_EVERY_S)


def _looked(run_directory: Path) -> tuple[tuple[str, ...], int]:
    """Why it is not healthy now, and how often lvs.service was started again."""
    state, restarts = trial.unit()
    if state not in ("active", "reloading", "unknown"):
        return (f"{trial.UNIT} is {state}",), restarts
    try:
        reply = control.ask(run_directory / SOCKET_NAME, HealthRequest(), ANSWER_S)
    except LvsError as fault:
        return (str(fault),), restarts
    return reply.err, restarts
