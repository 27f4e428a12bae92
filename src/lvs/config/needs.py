"""What a configuration needs to find on its machine: programs, files, credentials, users.

The readers are pure, so they only list it; `lvs.config.load.load` is told what is lacking by whoever
can look (`lvs.io.requirements`).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import msgspec

from lvs.config.located import Note, Place

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lvs.config.across import Facts
    from lvs.model import Pair

REMOTE_SHELL = "rsh"  # lvs.cf section 4.1


class NeedKind(StrEnum):
    PROGRAM = "program"  # run to check, as check_user
    COMMAND = "command"  # run when something happens, as lvsd itself
    CREDENTIAL = "credential"
    FILE = "file"  # to be read by lvsd
    USER = "user"
    PAIR_KEY = "pair key"  # of two directors
    REMOTE_SHELL = "remote shell"  # a PROGRAM, named by rsh_command


class Need(msgspec.Struct, frozen=True, gc=False):
    """One thing that must be there."""

    kind: NeedKind
    name: str
    user: str | None = None  # PROGRAM: check_user of the configuration


class Needed(msgspec.Struct, frozen=True, gc=False):
    """Something that must be there, and which option says so."""

    need: Need
    place: Place


Lacks = Callable[[Need], str]  # why it cannot be used, as a sentence; empty if it can


def lacking(facts: Sequence[Facts], settings: Mapping[str, Any], pair: Pair, lacks: Lacks) -> Iterator[Note]:
    """Yield what is lacking, everything asked about once; places count through the whole file.

    Shape: `settings` are the global options as given.
    """
    user: str | None = settings.get("check_user")
    shell: str = settings.get("rsh_command") or REMOTE_SHELL
    told: dict[Need, str] = {}

    def asked(need: Need) -> str:
        if need not in told:
            told[need] = lacks(need)
        return told[need]

    if user is not None and (why := asked(Need(NeedKind.USER, user))):
        yield Note(Place("check_user"), why)
    for need, option in _of_pair(pair, settings):
        if why := asked(need):
            yield Note(Place(option), why)
    for index, fact in enumerate(facts):
        for needed in fact.needs:
            need = needed.need
            if need.kind is NeedKind.REMOTE_SHELL:
                need = Need(NeedKind.PROGRAM, shell.split(maxsplit=1)[0], user)
            elif need.kind is NeedKind.PROGRAM and user is not None:
                need = Need(NeedKind.PROGRAM, need.name, user)
            if why := asked(need):
                yield Note(msgspec.structs.replace(needed.place, block=index), why)


def _of_pair(pair: Pair, settings: Mapping[str, Any]) -> Iterator[tuple[Need, str]]:
    """What two directors need, and which option says so."""
    if not pair.backup_active:
        return
    option = next(name for name in ("pair_key", "backup_active", "backup") if name in settings)
    yield Need(NeedKind.PAIR_KEY, pair.pair_key), option
    for name, command in (("active_cmd", pair.active_cmd), ("inactive_cmd", pair.inactive_cmd)):
        if command is not None:
            yield Need(NeedKind.COMMAND, command.split()[0]), name
