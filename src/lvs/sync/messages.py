"""What two directors tell each other of configurations, and what `lvs.sync.machine` takes and gives."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from lvs.events import Event
from lvs.sync.version import Agreed, Text, Version

# What two directors tell each other


class Refusals(msgspec.Struct, frozen=True):
    """What of a configuration that runs a director's kernel did not take; it is tried again."""

    number: int = 0  # of operations
    first: str = ""  # the operation and the reason


class Standing(msgspec.Struct, frozen=True, tag="standing"):
    """Where a director stands."""

    mine: Version | None  # runs
    file: Version | None = None  # lies in its file, and does not run
    agreed: Agreed = Agreed()
    active: bool = False
    refusals: Refusals = Refusals()


class Offer(msgspec.Struct, frozen=True, tag="offer"):
    """Could you run this?"""

    id: int
    text: Text
    forced: bool = False  # a person chose it


class Answer(msgspec.Struct, frozen=True, tag="answer"):
    """Of an Offer; without problems: yes."""

    id: int
    problems: tuple[str, ...] = ()
    conflict: bool = False  # it is not the text that is wrong


class Commit(msgspec.Struct, frozen=True, tag="commit"):
    """Run it now."""

    id: int


class Done(msgspec.Struct, frozen=True, tag="done"):
    """It runs; with a fault: it does not."""

    id: int
    fault: str = ""
    conflict: bool = True  # it is not the text that is wrong


class Abort(msgspec.Struct, frozen=True, tag="abort"):
    """Forget the Offer."""

    id: int


class Take(msgspec.Struct, frozen=True, tag="take"):
    """A person chose yours: offer it."""


class Review(msgspec.Struct, frozen=True, tag="review"):
    """Would you take this, if it were offered? Nothing follows of it."""

    id: int
    text: Text


class Reviewed(msgspec.Struct, frozen=True, tag="reviewed"):
    """Of a Review; without problems: yes."""

    id: int
    problems: tuple[str, ...] = ()


Message = Standing | Offer | Answer | Commit | Done | Abort | Take


# Inputs


class FileRead(msgspec.Struct, frozen=True):
    """The file here was read, and is valid here."""

    text: Text


class FileBad(msgspec.Struct, frozen=True):
    """The file here cannot be read, or has problems."""


class Connected(msgspec.Struct, frozen=True):
    """The other director can be told something."""


class Lost(msgspec.Struct, frozen=True):
    """And now it cannot."""


class Received(msgspec.Struct, frozen=True):
    message: Message


class Examined(msgspec.Struct, frozen=True):
    version: Version
    problems: tuple[str, ...] = ()


class Installed(msgspec.Struct, frozen=True):
    """It lies in the file here and runs; with a fault: neither."""

    version: Version
    fault: str = ""
    missing: str = ""  # as Ran


class Ran(msgspec.Struct, frozen=True):
    """The kernel here has it, or refused what it refused."""

    version: Version
    missing: str = ""  # a virtual server that is new with it and was refused as a whole, and why


class KernelRefused(msgspec.Struct, frozen=True):
    """This is by now what the kernel here refuses."""

    refusals: Refusals


class RoleIs(msgspec.Struct, frozen=True):
    active: bool


class Use(StrEnum):
    HERE = "here"
    THERE = "there"


class ResolveAsked(msgspec.Struct, frozen=True):
    use: Use


class TimePassed(msgspec.Struct, frozen=True):
    """The deadline was reached."""


Input = (
    FileRead
    | FileBad
    | Connected
    | Lost
    | Received
    | Examined
    | Installed
    | Ran
    | KernelRefused
    | RoleIs
    | ResolveAsked
    | TimePassed
)


# Commands


class Send(msgspec.Struct, frozen=True):
    message: Message


class Run(msgspec.Struct, frozen=True):
    """Make this what runs here, unless another one is meant by now; its file is left alone.

    What comes of it is Ran.
    """

    text: Text


class Examine(msgspec.Struct, frozen=True):
    """Say whether this could run here, and keep it ready to be installed: Examined."""

    text: Text


class Install(msgspec.Struct, frozen=True):
    """Put what was examined into the file here, and make it what runs: Installed.

    Not forced, only what `expected` says may be overwritten; forced, a copy of what was there is kept,
    and with `copy` in any case.
    """

    text: Text
    expected: Version | None
    forced: bool
    copy: bool = False


class Discard(msgspec.Struct, frozen=True):
    """Nothing needs to be kept ready."""


class Refuse(msgspec.Struct, frozen=True):
    """What lies in the file here does not become what runs."""

    version: Version
    reasons: tuple[str, ...]


class Keep(msgspec.Struct, frozen=True):
    """Note this where it outlives the machine."""

    agreed: Agreed


class HangUp(msgspec.Struct, frozen=True):
    """End the connection; Lost will follow."""

    reason: str


class Tell(msgspec.Struct, frozen=True):
    event: Event


Command = Send | Run | Examine | Install | Discard | Refuse | Keep | HangUp | Tell
