"""`lvsd firstboot`: the machine takes over what it is given, before its network, ssh and the director start.

It runs at every boot. In this order: look, decide, lay down, remember, wipe, tell. Power may go between any
two of these: the next boot does again what is not remembered, to the same end, and wipes what is.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from lvs.config.load import load
from lvs.config.located import Problem, Severity
from lvs.errors import Exit, LvsError, SystemFault
from lvs.events import (
    Event,
    GivenRefused,
    GivenWarning,
    NotConfigured,
    NotTakenOver,
    SecretLeft,
    SecretWiped,
    TakenOver,
)
from lvs.firstboot import nocloud, sources, words
from lvs.firstboot.decide import HOSTNAME_PATH, KEYS_DIRECTORY, LONGEST, decide
from lvs.firstboot.values import CONFIG_NAMES, ETC, NETWORK, Decision, Memory, Offered
from lvs.io import disks, durable, files, hostkey, laying
from lvs.io.journal import Journal
from lvs.io.systemd import journal_is_ours, reload_network

ISSUE = Path("run/issue.d/90-lvs.issue")
CONSOLE = Path("/dev/console")


class Seen(msgspec.Struct):
    """All that was found."""

    offered: list[Offered] = []
    problems: list[Problem] = []
    partitions: list[disks.Disk] = []

    def add(self, found: sources.Found) -> None:
        self.offered += found.offered
        self.problems += found.problems


def run(asked: argparse.Namespace) -> int:
    """The exit code: 0, 1 if the machine could not do it, 2 if something that was given is refused."""
    teller = Teller(on_console=asked.root == Path("/") and os.environ.get("INVOCATION_ID") is not None)
    try:
        return _run(asked.root, asked.given, teller)
    finally:
        teller.close()


class Teller:
    """Tells the journal, or standard error, and the console."""

    def __init__(self, *, on_console: bool) -> None:
        self._journal = Journal(to_journal=journal_is_ours())
        self._on_console = on_console

    def tell(self, event: Event) -> None:
        self._journal.report(event)
        if self._on_console:
            with suppress(OSError):  # a machine without one
                descriptor = os.open(CONSOLE, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
                with open(descriptor, "wb") as console:  # noqa: PTH123
                    console.write(f"lvsd: {event.text()}\r\n".encode(errors="replace"))

    def problems(self, problems: Iterable[Problem]) -> None:
        for problem in problems:
            kind = GivenRefused if problem.severity is Severity.ERROR else GivenWarning
            self.tell(kind(problem.file, problem.line, problem.path, str(problem)))

    def close(self) -> None:
        self._journal.close()


def _run(root: Path, given: Path | None, teller: Teller) -> int:
    memory = remembered(root, teller)
    before = look(root)
    seen = _gathered(given)
    if given is None and before.config is None and not _says_config(seen.offered):
        disks.settle_all()
        seen = _gathered(given)
    decision = decide(seen.offered, memory, before.config, judge_key)
    problems = [*seen.problems, *decision.problems]
    code = Exit.PROBLEMS if any(one.severity is Severity.ERROR for one in problems) else Exit.OK
    teller.problems(problems)
    taken = carry_out(root, decision, memory, teller)
    if taken is None:
        code = Exit.FAILED
    else:
        _leave(seen, given, decision.wipe, _Told(taken, problems), teller)
    try:
        hostkey.ensure(root)
    except SystemFault as fault:
        teller.tell(NotTakenOver(str(fault)))
        code = Exit.FAILED
    show(root, problems, teller)
    return code


def remembered(root: Path, teller: Teller) -> Memory:
    """What was taken over before; nothing, which is said, if that cannot be read."""
    try:
        return laying.remembered(root)
    except SystemFault as fault:
        teller.problems([Problem(str(root / laying.MEMORY), 0, "", f"{fault}; taken for empty")])
        return Memory()


def carry_out(root: Path, decision: Decision, memory: Memory, teller: Teller) -> list[tuple[str, str]] | None:
    """Lay files down and remember it; what was taken, and what it is. None, which is said, if it failed."""
    try:
        done = laying.lay_down(root, decision.files, memory.laid)
        if decision.memory != memory:
            laying.remember(root, decision.memory)
    except SystemFault as fault:
        teller.tell(NotTakenOver(str(fault)))
        return None
    for file in decision.files:
        if file.path in done:
            teller.tell(TakenOver(file.path, file.offered.where, file.shown, done[file.path]))
        if file.path == HOSTNAME_PATH and root == Path("/"):
            with suppress(OSError):  # the right to is missing where a person runs this
                socket.sethostname(file.content.decode().strip())
    if root == Path("/") and any(file.offered.name.startswith(NETWORK) for file in decision.files):
        reload_network()
    return [(f"{file.offered.where} -> {file.path}", file.shown) for file in decision.files]


# What is given


def _gathered(given: Path | None) -> Seen:
    seen = Seen()
    try:
        seen.add(sources.from_credentials(_credentials()))
        if given is not None:
            seen.add(_from_given(given))
            return seen
        for disk in disks.labelled([sources.LABEL, nocloud.LABEL]):
            _look_at(disk, seen)
    except (SystemFault, OSError) as fault:
        reason = str(fault) if isinstance(fault, SystemFault) else str(fault.strerror).lower()
        seen.problems.append(Problem("what this machine is given", 0, "", reason))
    return seen


def _look_at(disk: disks.Disk, seen: Seen) -> None:
    try:
        with disks.mounted(disk) as top:
            if disk.label.upper() == nocloud.LABEL:
                seen.add(nocloud.from_disk(disks.read(top, nocloud.readable, nocloud.READ_BYTES)))
            elif disk.kind == "vfat":
                seen.add(_from_directory(top, disk.uuid))
                seen.partitions.append(disk)
    except SystemFault as fault:
        seen.problems.append(Problem(disk.label, 0, "", str(fault)))


def _from_given(top: Path) -> sources.Found:
    """A directory in the place of a disk; one with user-data or meta-data is a NoCloud disk."""
    if _is_nocloud(top):
        return nocloud.from_disk(disks.read(top, nocloud.readable, nocloud.READ_BYTES))
    return _from_directory(top, "")


def _is_nocloud(top: Path) -> bool:
    return any((top / name).exists() for name in nocloud.FILES)


def _from_directory(top: Path, origin: str) -> sources.Found:
    return sources.from_partition(disks.read(top, sources.readable, max(LONGEST.values())), origin)


def _credentials() -> dict[str, bytes]:
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    if not directory:
        return {}
    return {path.name: path.read_bytes() for path in Path(directory).iterdir() if path.is_file()}


def _says_config(offered: Sequence[Offered]) -> bool:
    return any(one.name in CONFIG_NAMES for one in offered)


def judge_key(content: bytes, where: str) -> tuple[str, str]:
    from lvs.io import pairkey  # TLS comes with it

    try:
        return pairkey.parse(content, where).fingerprint, ""
    except SystemFault as fault:
        return "", str(fault)


# What becomes of it


def look(root: Path) -> words.Machine:
    """How the machine stands: its configuration, as `lvsd check --elsewhere` judges it, and its keys.

    What the file needs on this machine is for the director to say, a moment later.
    """
    machine = words.Machine(
        keys=_holds(root, "root"), push_keys=_holds(root, "lvs"), host_key=hostkey.fingerprint(root)
    )
    found = [root / ETC.lstrip("/") / name for name in CONFIG_NAMES]
    found = [path for path in found if path.exists()]
    if not found:
        return machine
    if len(found) > 1:
        both = Problem(str(found[0]), 0, "", f"{found[1]} is there, too: remove one of them")
        return msgspec.structs.replace(machine, file=str(found[0]), problems=(both,))
    name = str(found[0])
    try:
        content = files.read(found[0]).content
    except LvsError as fault:
        return msgspec.structs.replace(
            machine, file=name, problems=(Problem(name, 0, "", f"cannot be read: {fault}"),)
        )
    loaded = load(content, name)
    pair_key = loaded.config is None or not loaded.config.pair.backup_active
    if not pair_key and loaded.config is not None:
        pair_key = (root / loaded.config.pair.pair_key.lstrip("/")).exists()
    return msgspec.structs.replace(
        machine, file=name, config=loaded.config, problems=loaded.problems, pair_key=pair_key
    )


def _holds(root: Path, user: str) -> bool:
    with suppress(OSError):
        return (root / KEYS_DIRECTORY.lstrip("/") / user).stat().st_size > 0
    return False


class _Told(msgspec.Struct, frozen=True):
    """What is noted on the partition."""

    taken: list[tuple[str, str]]  # what, and what it is
    problems: list[Problem]


def _leave(seen: Seen, given: Path | None, wipe: Sequence[Offered], told: _Told, teller: Teller) -> None:
    """Wipe secrets off the partition, and leave word there."""
    if not (wipe or told.taken or told.problems) or (given is not None and _is_nocloud(given)):
        return
    if given is not None:
        _leave_at(given, wipe, told, teller)
        return
    for disk in seen.partitions:
        here = [one for one in wipe if one.origin == disk.uuid]
        try:
            with disks.mounted(disk, writable=True) as top:
                _leave_at(top, here, told, teller)
        except SystemFault as fault:
            for one in here:
                teller.tell(SecretLeft(one.where, str(fault)))


def _leave_at(top: Path, wipe: Sequence[Offered], told: _Told, teller: Teller) -> None:
    wiped = []
    for one in wipe:
        path = top / one.where.removeprefix(f"{sources.LABEL}/")
        try:
            if path.read_bytes() != one.content:  # on another partition of the same number, for one
                continue
            disks.wipe(path)
        except FileNotFoundError:
            continue
        except OSError as fault:
            teller.tell(SecretLeft(one.where, os.strerror(fault.errno or 0).lower()))
        else:
            wiped.append(one.where)
            teller.tell(SecretWiped(one.where))
    note = top / sources.NOTE
    before = ""
    with suppress(OSError, UnicodeDecodeError):
        before = note.read_text()
    moment = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
    text = words.note(told.taken, wiped, told.problems, moment, before)
    if text != before:
        with suppress(OSError):  # a partition that is full, or protected
            note.write_text(text)
            durable.settle(top)


def show(root: Path, problems: Sequence[Problem], teller: Teller) -> None:
    """Tell what is missing, and have it stand above the login."""
    machine = look(root)
    lacks = words.missing(machine)
    if machine.config is None:
        teller.tell(NotConfigured("; ".join(lacks)))
        teller.problems(machine.problems)
    place = root / ISSUE
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(words.issue(machine, problems))
    except OSError as fault:
        print(f"lvsd: {place} cannot be written: {fault.strerror}", file=sys.stderr)
