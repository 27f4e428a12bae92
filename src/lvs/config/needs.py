"""What a configuration needs to find on its machine: programs, files, credentials, users.

The readers are pure, so they only list it; `lvs.config.load.load` is told what is lacking by whoever
can look (`lvs.io.requirements`).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

import msgspec

from lvs.config.located import Place


class NeedKind(StrEnum):
    PROGRAM = "program"  # run to check, as check_user
    COMMAND = "command"  # run when something happens, as lvsd itself
    CREDENTIAL = "credential"
    FILE = "file"  # to be read by lvsd
    USER = "user"
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
