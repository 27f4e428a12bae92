"""Events of the two directors as a pair."""

from __future__ import annotations

from typing import ClassVar

from lvs.events.base import Event, Priority


class SyncStarted(Event, frozen=True):
    """Connections are sent to the other director (master), or received from it (backup)."""

    MESSAGE_ID: ClassVar[str] = "ec4eefd51059413798a21d40d1bf07d4"
    daemon: str  # master, backup
    device: str
    operation: str
    reason: str

    def text(self) -> str:
        what = "sent" if self.daemon == "master" else "received"
        return f"connections are {what} by {self.device} ({self.reason}): {self.operation}"


class SyncStopped(Event, frozen=True):
    """Connections are no longer sent, or no longer received."""

    MESSAGE_ID: ClassVar[str] = "c093c79ffd52440ba5ea0006dd0a132f"
    daemon: str
    operation: str
    reason: str

    def text(self) -> str:
        what = "sent" if self.daemon == "master" else "received"
        return f"connections are no longer {what} ({self.reason}): {self.operation}"


class SyncDrifted(Event, frozen=True):
    """The two directors have had very different numbers of connections for a while."""

    MESSAGE_ID: ClassVar[str] = "b07bffc1bf364306a145f98b7d1d72a9"
    PRIORITY: ClassVar[Priority] = Priority.WARNING
    active: int  # established connections there
    standby: int
    lasting_s: int

    def text(self) -> str:
        return (
            f"connection tables drift apart: {self.active} established connections on the active director, "
            f"{self.standby} on the standby, for {self.lasting_s} s; a takeover would lose the difference"
        )


class SyncCaughtUp(Event, frozen=True):
    """Both directors know the same connections again."""

    MESSAGE_ID: ClassVar[str] = "cf8fc3fda89f48ba9c7959de3263a8b6"
    PRIORITY: ClassVar[Priority] = Priority.NOTICE
    active: int
    standby: int

    def text(self) -> str:
        return (
            f"connection tables agree again: {self.active} established connections on the active director, "
            f"{self.standby} on the standby"
        )
