"""Events of a machine that is told who it is."""

from __future__ import annotations

from typing import ClassVar

from lvs.events.base import Event, Priority


class TakenOver(Event, frozen=True):
    """A file was taken over from what the machine was given."""

    MESSAGE_ID: ClassVar[str] = "9583ec0b382e4a19b1e2a35205f421ab"
    PRIORITY: ClassVar[Priority] = Priority.NOTICE
    file: str  # where it lies now
    source: str
    shown: str  # what it is
    replaced: str  # where what was edited here is kept; empty: nothing was

    def text(self) -> str:
        kept = f"; what was there is kept as {self.replaced}" if self.replaced else ""
        return f"taken over from {self.source}: {self.file} ({self.shown}){kept}"


class GivenRefused(Event, frozen=True):
    """Something that the machine was given is not taken, or not as it was meant."""

    MESSAGE_ID: ClassVar[str] = "99018704572a47bc9ea7fa7d41626eff"
    PRIORITY: ClassVar[Priority] = Priority.ERR
    file: str
    line: int
    path: str
    reason: str  # file, line, path and message, as `lvsd check` prints it

    def text(self) -> str:
        return self.reason


class GivenWarning(Event, frozen=True):
    """Something in what the machine was given that whoever gave it should know."""

    MESSAGE_ID: ClassVar[str] = "5cb038f290a14449b2c490fa75785f2f"
    PRIORITY: ClassVar[Priority] = Priority.WARNING
    file: str
    line: int
    path: str
    reason: str

    def text(self) -> str:
        return self.reason


class SecretWiped(Event, frozen=True):
    """A secret was taken over, and wiped where it came from."""

    MESSAGE_ID: ClassVar[str] = "14a71c50c20f4dadbb1e24ba496c17d1"
    PRIORITY: ClassVar[Priority] = Priority.NOTICE
    file: str

    def text(self) -> str:
        return f"wiped: {self.file}"


class SecretLeft(Event, frozen=True):
    """A secret was taken over, and could not be wiped where it came from."""

    MESSAGE_ID: ClassVar[str] = "859aa3ee3e554521b004e44e6f81e29c"
    PRIORITY: ClassVar[Priority] = Priority.WARNING
    file: str
    reason: str

    def text(self) -> str:
        return f"{self.file} is taken over and still lies there for all to read: {self.reason}; remove it"


class NotTakenOver(Event, frozen=True):
    """What the machine was given could not be laid down; nothing was changed."""

    MESSAGE_ID: ClassVar[str] = "48ca25135f73449f82373abaf9d49b8e"
    PRIORITY: ClassVar[Priority] = Priority.ERR
    reason: str

    def text(self) -> str:
        return f"nothing is taken over: {self.reason}"


class NotConfigured(Event, frozen=True):
    """The machine has no usable configuration, and serves nothing."""

    MESSAGE_ID: ClassVar[str] = "0e177ed818bd4e13bd7dbe3f1f1c407e"
    PRIORITY: ClassVar[Priority] = Priority.WARNING
    missing: str

    def text(self) -> str:
        return f"this director serves nothing: {self.missing}"
