"""Events of checks and maintenance."""

from __future__ import annotations

from typing import ClassVar

from lvs.events.base import Event, Priority, counted


class RealServerUp(Event, frozen=True):
    """A check found a real server well."""

    MESSAGE_ID: ClassVar[str] = "0e2b737607c8596982049b4c53bd5009"
    PRIORITY: ClassVar[Priority] = Priority.NOTICE
    virtual_server: str
    real_server: str
    address: str
    code: str  # lvs.checks.Reason
    answer: str

    def text(self) -> str:
        return (
            f"real server {self.real_server} of {self.virtual_server} ({self.address}) is up: {self.answer}"
        )


class RealServerDown(Event, frozen=True):
    """A check found a real server unwell."""

    MESSAGE_ID: ClassVar[str] = "7dc63d8bbc53589c8c37fac4c9649cd9"
    PRIORITY: ClassVar[Priority] = Priority.WARNING
    virtual_server: str
    real_server: str
    address: str
    code: str
    answer: str

    def text(self) -> str:
        return (
            f"real server {self.real_server} of {self.virtual_server} ({self.address}) is down: {self.answer}"
        )


class RealServersMoved(Event, frozen=True):
    """Many real servers came up or went down at once."""

    MESSAGE_ID: ClassVar[str] = "c975515a6a8f5b56b0154f1e44e1a8cf"
    PRIORITY: ClassVar[Priority] = Priority.WARNING
    up: int
    down: int
    machines: str  # the first few of them, with their reasons

    def text(self) -> str:
        return (
            f"many real servers at once: {self.up} came up, {self.down} went down: {self.machines}; "
            "`lvsd status` names them all"
        )


class CertificateExpires(Event, frozen=True):
    """The certificate of a real server that is up is about to expire."""

    MESSAGE_ID: ClassVar[str] = "a3f0ddc5ce7842aba6bc25b573f05630"
    PRIORITY: ClassVar[Priority] = Priority.WARNING
    virtual_server: str
    real_server: str
    address: str
    days: int  # that are left
    answer: str  # says when

    def text(self) -> str:
        return f"real server {self.real_server} of {self.virtual_server} ({self.address}): {self.answer}"


class CertificateRenewed(Event, frozen=True):
    """A real server has another certificate than the one that was about to expire."""

    MESSAGE_ID: ClassVar[str] = "3ea5c8f172264e6fbc18bee92f2e50df"
    PRIORITY: ClassVar[Priority] = Priority.NOTICE
    virtual_server: str
    real_server: str
    address: str
    answer: str

    def text(self) -> str:
        who = f"{self.real_server} of {self.virtual_server} ({self.address})"
        return f"the certificate of real server {who} no longer expires soon: {self.answer}"


class QuorumLost(Event, frozen=True):
    """Too few real servers of a virtual server are up."""

    MESSAGE_ID: ClassVar[str] = "47287ceaffcb523cb75b40fb35dfcf4a"
    PRIORITY: ClassVar[Priority] = Priority.WARNING
    virtual_server: str
    least: int
    sorry_server: str

    def text(self) -> str:
        then = f"sorry server {self.sorry_server} serves" if self.sorry_server else "there is no sorry server"
        return f"virtual server {self.virtual_server} has lost its quorum of {self.least}; {then}"


class QuorumMet(Event, frozen=True):
    """Enough real servers of a virtual server are up again."""

    MESSAGE_ID: ClassVar[str] = "e76335e41c8356338fddfaac7880718b"
    PRIORITY: ClassVar[Priority] = Priority.NOTICE
    virtual_server: str
    least: int
    sorry_server: str

    def text(self) -> str:
        return f"virtual server {self.virtual_server} has its quorum of {self.least} again"


class MaintenanceOrdered(Event, frozen=True):
    """An operator took a real server out."""

    MESSAGE_ID: ClassVar[str] = "e5c278be4ee95ae78513f47d414e3f3a"
    PRIORITY: ClassVar[Priority] = Priority.NOTICE
    real_server: str
    address: str
    order: str
    by: str

    def text(self) -> str:
        return f"real server {self.real_server} ({self.address}): {self.order} ordered by {self.by}"


class MaintenanceEnded(Event, frozen=True):
    """An order for a real server is no more."""

    MESSAGE_ID: ClassVar[str] = "ff5b9902867c5c0892f5f593a5db9353"
    PRIORITY: ClassVar[Priority] = Priority.NOTICE
    real_server: str
    address: str
    how: str
    by: str

    def text(self) -> str:
        return f"real server {self.real_server} ({self.address}): order {self.how} ({self.by})"


class DrainFinished(Event, frozen=True):
    """A drained real server has no session left, or its deadline came."""

    MESSAGE_ID: ClassVar[str] = "4b0d3355327c5fbeace1a9d2baf1cdc2"
    PRIORITY: ClassVar[Priority] = Priority.NOTICE
    real_server: str
    address: str
    why: str

    def text(self) -> str:
        return f"real server {self.real_server} ({self.address}) is drained: {self.why}"


class ChecksLate(Event, frozen=True):
    """The checks are not made as often as they should be."""

    MESSAGE_ID: ClassVar[str] = "46d1870a339d550d9ae8e51765e6df89"
    PRIORITY: ClassVar[Priority] = Priority.ERR
    overdue: int
    reason: str

    def text(self) -> str:
        return f"{counted(self.overdue, 'check')} overdue: {self.reason}"


class ChecksInTime(Event, frozen=True):
    """The checks are in time again."""

    MESSAGE_ID: ClassVar[str] = "9bec9b5d9059508aac71e82b78af575c"
    PRIORITY: ClassVar[Priority] = Priority.NOTICE

    def text(self) -> str:
        return "checks are in time again"


class CheckFault(Event, frozen=True):
    """This director cannot ask a real server, for a reason of its own."""

    MESSAGE_ID: ClassVar[str] = "ebc367231b9e5ce18927c00425fc2904"
    PRIORITY: ClassVar[Priority] = Priority.ERR
    address: str
    reason: str

    def text(self) -> str:
        return f"cannot check {self.address}: {self.reason}; what is known of it stays"


class HookFailed(Event, frozen=True):
    """A program that was to hear of a change failed."""

    MESSAGE_ID: ClassVar[str] = "6005f935ff1457668de48b9a08e8ca82"
    PRIORITY: ClassVar[Priority] = Priority.WARNING
    hook: str
    reason: str

    def text(self) -> str:
        return f"{self.hook}: {self.reason}"


class OrdersNotSaved(Event, frozen=True):
    """An operator's order could not be noted where it outlives the daemon."""

    MESSAGE_ID: ClassVar[str] = "1e3a9e3d46185db9987cbca759ae728f"
    PRIORITY: ClassVar[Priority] = Priority.ERR
    file: str
    reason: str

    def text(self) -> str:
        return f"cannot write {self.file}: {self.reason}; the order holds until lvsd ends"


class OrdersLost(Event, frozen=True):
    """The operators' orders that were kept cannot be read."""

    MESSAGE_ID: ClassVar[str] = "70390dcc2cd4584f8db95afe8c7a11f0"
    PRIORITY: ClassVar[Priority] = Priority.ERR
    reason: str

    def text(self) -> str:
        return f"{self.reason}; real servers that were taken out for maintenance may serve again"
