"""Events of the configuration's repository."""

from __future__ import annotations

from typing import ClassVar

from lvs.events.base import Event, Priority


class ConfigCommitted(Event, frozen=True):
    """The branch main is at another commit, and the director runs it."""

    MESSAGE_ID: ClassVar[str] = "cddc23187d50437b87889be3d2cb3e78"
    PRIORITY: ClassVar[Priority] = Priority.NOTICE
    commit: str
    serial: int
    author: str
    by: str  # who brought it
    way: str  # push, rollback, hand edit, ...
    subject: str

    def text(self) -> str:
        by = "" if self.by in ("", self.author) else f", {self.by}"
        return f"{self.way}: commit {self.commit[:10]} by {self.author}{by}: {self.subject}"


class PushRefused(Event, frozen=True):
    """A push, or a rollback, changed nothing."""

    MESSAGE_ID: ClassVar[str] = "e81df46e1a12446cb9323af43ac3404a"
    PRIORITY: ClassVar[Priority] = Priority.WARNING
    commit: str
    by: str
    way: str
    reason: str

    def text(self) -> str:
        return f"{self.way} of commit {self.commit[:10]} by {self.by} is refused: {self.reason}"


class TrialBegun(Event, frozen=True):
    """A commit runs on trial: without a confirmation it is taken back."""

    MESSAGE_ID: ClassVar[str] = "0b04ac85ee104f17a512603ce6ad88cd"
    PRIORITY: ClassVar[Priority] = Priority.NOTICE
    commit: str
    by: str
    seconds: int

    def text(self) -> str:
        return (
            f"commit {self.commit[:10]} is on trial: rolled back in {self.seconds} s without `lvsd confirm`"
        )


class TrialConfirmed(Event, frozen=True):
    """It stays."""

    MESSAGE_ID: ClassVar[str] = "dc532a6c657c4f9180c2dbdbfb3c915a"
    PRIORITY: ClassVar[Priority] = Priority.NOTICE
    commit: str
    by: str

    def text(self) -> str:
        return f"commit {self.commit[:10]} is confirmed by {self.by}"


class TrialFailed(Event, frozen=True):
    """It was not confirmed in time, and could not be taken back yet."""

    MESSAGE_ID: ClassVar[str] = "019704e678e54e1eb0a274f0c113f868"
    PRIORITY: ClassVar[Priority] = Priority.ERR
    commit: str
    reason: str

    def text(self) -> str:
        return f"commit {self.commit[:10]} was not confirmed, and is not rolled back: {self.reason}"


class RepositoryUnusable(Event, frozen=True):
    """The repository does not follow what runs."""

    MESSAGE_ID: ClassVar[str] = "620429566826438c951bd3b5e7e55e0d"
    PRIORITY: ClassVar[Priority] = Priority.ERR
    reason: str

    def text(self) -> str:
        return f"the repository does not follow what runs: {self.reason}; tried again"


class HistoriesJoined(Event, frozen=True):
    """Both directors had gone on by themselves; one history holds both now."""

    MESSAGE_ID: ClassVar[str] = "b0a0be9d270b4eee95e71a8e8f32ba28"
    PRIORITY: ClassVar[Priority] = Priority.NOTICE
    commit: str
    kept: str
    joined: str

    def text(self) -> str:
        return (
            f"both directors had commits of their own: {self.commit[:10]} holds the content of "
            f"{self.kept[:10]}, and {self.joined[:10]} as a second parent"
        )


class CommitsNotShared(Event, frozen=True):
    """The other director does not get the commits, or ours not its."""

    MESSAGE_ID: ClassVar[str] = "6d36a282a1a94858ae263277fd44adf1"
    PRIORITY: ClassVar[Priority] = Priority.WARNING
    reason: str

    def text(self) -> str:
        return f"the two directors do not have the same commits: {self.reason}"
