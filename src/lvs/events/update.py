"""Events of updates: the slots of this machine, and both directors one after the other."""

from __future__ import annotations

from typing import ClassVar

from lvs.events.base import Event, Priority


class UpdateBegun(Event, frozen=True):
    """An update is being laid into the other slot."""

    MESSAGE_ID: ClassVar[str] = "601b2b6f5f084ebba86f29fbafff4dd4"
    PRIORITY: ClassVar[Priority] = Priority.NOTICE
    version: str
    before: str
    signer: str
    source: str

    def text(self) -> str:
        return (
            f"update {self.version}, signed by {self.signer}, is being installed beside {self.before}, "
            f"from {self.source}"
        )


class UpdateInstalled(Event, frozen=True):
    """An update lies complete in the other slot; the next boot starts it."""

    MESSAGE_ID: ClassVar[str] = "f8adcb6ef7bb4f7384041c4f5ddaec71"
    PRIORITY: ClassVar[Priority] = Priority.NOTICE
    version: str
    before: str

    def text(self) -> str:
        return f"update {self.version} is installed; the next boot starts it, {self.before} stays beside it"


class UpdateRefused(Event, frozen=True):
    """An update was refused, and nothing was changed."""

    MESSAGE_ID: ClassVar[str] = "6035a409845445289fecd145cb2733ba"
    PRIORITY: ClassVar[Priority] = Priority.ERR
    source: str
    reason: str

    def text(self) -> str:
        return f"update from {self.source} refused: {self.reason}"


class UpdateFailed(Event, frozen=True):
    """An update could not be installed; what runs is not touched."""

    MESSAGE_ID: ClassVar[str] = "bede63dce47f4cc09ba23726906838cc"
    PRIORITY: ClassVar[Priority] = Priority.ERR
    version: str
    before: str
    reason: str

    def text(self) -> str:
        return f"update {self.version} is not installed, {self.before} stays: {self.reason}"


class UpdateProved(Event, frozen=True):
    """The version that was installed came up healthy."""

    MESSAGE_ID: ClassVar[str] = "25e23f603c114e4681cb7da10b35bb84"
    PRIORITY: ClassVar[Priority] = Priority.NOTICE
    version: str
    before: str

    def text(self) -> str:
        return f"{self.version} came up healthy and stays; {self.before} is kept in the other slot"


class UpdateFellBack(Event, frozen=True):
    """The version that was installed did not come up healthy; the one before runs again."""

    MESSAGE_ID: ClassVar[str] = "29678c7a08f24e878cc7ac4653346973"
    PRIORITY: ClassVar[Priority] = Priority.ERR
    version: str
    before: str
    reason: str

    def text(self) -> str:
        return f"{self.version} was given up, {self.before} runs again: {self.reason}"


class UpdateInterrupted(Event, frozen=True):
    """An update was interrupted before it was complete; what ran was not touched."""

    MESSAGE_ID: ClassVar[str] = "f52d3351d2dd4f0aa80184a7e8731d0a"
    PRIORITY: ClassVar[Priority] = Priority.WARNING
    version: str
    before: str

    def text(self) -> str:
        return (
            f"update {self.version} was interrupted before it was complete; {self.before} was not touched: "
            "repeat it"
        )


class BootUnhealthy(Event, frozen=True):
    """This boot is on trial and not healthy; it starts anew."""

    MESSAGE_ID: ClassVar[str] = "b6b55c72fa444517aed7aaef4417898f"
    PRIORITY: ClassVar[Priority] = Priority.ERR
    version: str
    reason: str

    def text(self) -> str:
        return (
            f"{self.version} is on trial and did not come up healthy: {self.reason}; the machine starts anew"
        )


class UpdateShadowed(Event, frozen=True):
    """Files that were changed on this machine hide those of the version that runs."""

    MESSAGE_ID: ClassVar[str] = "4ef35148089a4cc98f3877c02fb27d1d"
    PRIORITY: ClassVar[Priority] = Priority.WARNING
    version: str
    files: str

    def text(self) -> str:
        return f"files changed on this machine hide those of {self.version}: {self.files}"


class PairUpdateStep(Event, frozen=True):
    """A step of an update of both directors."""

    MESSAGE_ID: ClassVar[str] = "3e719d99128648c5be1eb2fcca7e60bb"
    PRIORITY: ClassVar[Priority] = Priority.NOTICE
    version: str
    step: str

    def text(self) -> str:
        return f"update of both directors to {self.version}: {self.step}"


class PairUpdated(Event, frozen=True):
    """Both directors run the update."""

    MESSAGE_ID: ClassVar[str] = "5ed1fcdeb3504cd8b05f10eed7a11362"
    PRIORITY: ClassVar[Priority] = Priority.NOTICE
    version: str

    def text(self) -> str:
        return f"both directors run {self.version}"


class PairUpdateStopped(Event, frozen=True):
    """An update of both directors stopped; both serve as they are."""

    MESSAGE_ID: ClassVar[str] = "18490ee35bc64aa69d4f2f29de30bdc5"
    PRIORITY: ClassVar[Priority] = Priority.ERR
    version: str
    reason: str

    def text(self) -> str:
        return f"the update of both directors to {self.version} stopped: {self.reason}"
