"""Events of the daemon, its configuration and the kernel's table."""

from __future__ import annotations

from typing import ClassVar

from lvs.events.base import Event, Priority, counted


class Started(Event, frozen=True):
    """The daemon has begun to manage the table."""

    MESSAGE_ID: ClassVar[str] = "c33278848f7948ec8d8f32eb64cea9af"
    PRIORITY: ClassVar[Priority] = Priority.NOTICE
    version: str
    file: str

    def text(self) -> str:
        return f"lvsd {self.version} manages IPVS by {self.file}"


class Stopped(Event, frozen=True):
    """The daemon ended in an orderly way."""

    MESSAGE_ID: ClassVar[str] = "eb83ea2ea6a142f5a6df83b71e4c053f"
    PRIORITY: ClassVar[Priority] = Priority.NOTICE
    reason: str
    left: str  # what stays in the kernel

    def text(self) -> str:
        return f"lvsd stops ({self.reason}); {self.left}"


class ConfigApplied(Event, frozen=True):
    """A configuration is in the kernel."""

    MESSAGE_ID: ClassVar[str] = "2d7c1075cb004e0c83b678dddb7cfea5"
    PRIORITY: ClassVar[Priority] = Priority.NOTICE
    file: str
    serial: int
    digest: str
    virtual_servers: int
    real_servers: int
    changes: int
    refused: int
    took_ms: int

    def text(self) -> str:
        refused = f", {self.refused} refused" if self.refused else ""
        return (
            f"{self.file} applied: serial {self.serial}, {counted(self.virtual_servers, 'virtual server')}, "
            f"{counted(self.real_servers, 'real server')}, {counted(self.changes, 'change')}{refused}, "
            f"{self.took_ms} ms"
        )


class ConfigUnchanged(Event, frozen=True):
    """A file was read again and means the same."""

    MESSAGE_ID: ClassVar[str] = "4037cdff2af045f6925a06163dc06551"
    file: str
    serial: int

    def text(self) -> str:
        return f"{self.file} read again: serial {self.serial}, nothing to change"


class ConfigRefused(Event, frozen=True):
    """A file has problems; what ran before goes on."""

    MESSAGE_ID: ClassVar[str] = "2ef7c8253feb4f28a8a6d4aaab76fdca"
    PRIORITY: ClassVar[Priority] = Priority.ERR
    file: str
    problems: int
    serving: str  # what goes on

    def text(self) -> str:
        return f"{self.file} refused: {counted(self.problems, 'problem')}; {self.serving}"


class ConfigProblem(Event, frozen=True):
    """One problem of a refused file."""

    MESSAGE_ID: ClassVar[str] = "16dd66c06f984b59a752bf287646ef22"
    PRIORITY: ClassVar[Priority] = Priority.ERR
    file: str
    line: int
    path: str
    reason: str  # file, line, path and message, as `lvsd check` prints it

    def text(self) -> str:
        return self.reason


class ConfigWarning(Event, frozen=True):
    """Something in an accepted file that its author should know."""

    MESSAGE_ID: ClassVar[str] = "37a11b4b69d645b19222543586bfd874"
    PRIORITY: ClassVar[Priority] = Priority.WARNING
    file: str
    line: int
    path: str
    reason: str

    def text(self) -> str:
        return self.reason


class ConfigUnreadable(Event, frozen=True):
    """The configuration file cannot be read; what ran before goes on."""

    MESSAGE_ID: ClassVar[str] = "33bbc4b8945e4aee8f5d4a1e8ed80dcc"
    PRIORITY: ClassVar[Priority] = Priority.ERR
    file: str
    reason: str
    serving: str

    def text(self) -> str:
        return f"cannot read {self.file}: {self.reason}; {self.serving}"


class SerialUnchanged(Event, frozen=True):
    """The content changed under the same serial number."""

    MESSAGE_ID: ClassVar[str] = "037fe3a6b449498c97ce1cb70fe6e609"
    PRIORITY: ClassVar[Priority] = Priority.WARNING
    file: str
    serial: int

    def text(self) -> str:
        return (
            f"{self.file}: the content changed but serial_no is still {self.serial}; "
            "loaded. Count it up with every change"
        )


class VirtualServerAdded(Event, frozen=True):
    """A virtual server is in the kernel's table."""

    MESSAGE_ID: ClassVar[str] = "7f34a06373be436f9c0c8104a9f04aea"
    virtual_server: str
    service: str
    operation: str  # as an ipvsadm line
    reason: str

    def text(self) -> str:
        return f"virtual server {self.virtual_server} added ({self.reason}): {self.operation}"


class VirtualServerChanged(Event, frozen=True):
    """Options of a virtual server were changed in place."""

    MESSAGE_ID: ClassVar[str] = "8a4127b4f9f04b42ae0c2a6a8a0b9df5"
    virtual_server: str
    service: str
    operation: str
    reason: str

    def text(self) -> str:
        return f"virtual server {self.virtual_server} changed ({self.reason}): {self.operation}"


class VirtualServerRemoved(Event, frozen=True):
    """A virtual server is gone from the kernel's table."""

    MESSAGE_ID: ClassVar[str] = "215eaea9484a4d90b6fdcd13b9d8f558"
    virtual_server: str
    service: str
    operation: str
    reason: str

    def text(self) -> str:
        return f"virtual server {self.virtual_server} removed ({self.reason}): {self.operation}"


class RealServerAdded(Event, frozen=True):
    """A real server was added to a virtual server."""

    MESSAGE_ID: ClassVar[str] = "80020a67df7a4f6e9c92c64fa0bb81b4"
    virtual_server: str
    real_server: str
    address: str
    operation: str
    reason: str

    def text(self) -> str:
        return (
            f"real server {self.real_server} of {self.virtual_server} added ({self.reason}): {self.operation}"
        )


class RealServerChanged(Event, frozen=True):
    """Weight, forwarding method or thresholds of a real server were changed in place."""

    MESSAGE_ID: ClassVar[str] = "ab61eadb521a4a9ba42c285cfd2b79af"
    virtual_server: str
    real_server: str
    address: str
    operation: str
    reason: str

    def text(self) -> str:
        who = f"real server {self.real_server} of {self.virtual_server}"
        return f"{who} changed ({self.reason}): {self.operation}"


class RealServerRemoved(Event, frozen=True):
    """A real server was removed from a virtual server."""

    MESSAGE_ID: ClassVar[str] = "1bc0c87c8c244653bdbe4cea2026c137"
    virtual_server: str
    real_server: str
    address: str
    operation: str
    reason: str

    def text(self) -> str:
        who = f"real server {self.real_server} of {self.virtual_server}"
        return f"{who} removed ({self.reason}): {self.operation}"


class VipTaken(Event, frozen=True):
    """An address was put on its device and announced."""

    MESSAGE_ID: ClassVar[str] = "f341571a749c4c99bf62439b49d55a02"
    PRIORITY: ClassVar[Priority] = Priority.NOTICE
    address: str
    device: str
    operation: str
    reason: str

    def text(self) -> str:
        return f"VIP {self.address} taken on {self.device} ({self.reason})"


class VipDropped(Event, frozen=True):
    """An address was taken off its device."""

    MESSAGE_ID: ClassVar[str] = "564bf098f3ba43429606c583cbc7297c"
    PRIORITY: ClassVar[Priority] = Priority.NOTICE
    address: str
    device: str
    operation: str
    reason: str

    def text(self) -> str:
        return f"VIP {self.address} dropped from {self.device} ({self.reason})"


class SettingChanged(Event, frozen=True):
    """A kernel setting or IPVS timeout was set."""

    MESSAGE_ID: ClassVar[str] = "7935dc5282e049209c7555017be5ce8d"
    operation: str
    reason: str

    def text(self) -> str:
        return f"kernel setting changed ({self.reason}): {self.operation}"


class Drifted(Event, frozen=True):
    """Something else changed the table or a VIP; it was put right."""

    MESSAGE_ID: ClassVar[str] = "5c2bf7a7f4324154b304738ca07e269d"
    PRIORITY: ClassVar[Priority] = Priority.WARNING
    changes: int
    what: str  # the operations that put it right, shortened

    def text(self) -> str:
        changes = counted(self.changes, "change")
        return f"the kernel had drifted from the configuration, put right with {changes}: {self.what}"


class OperationRefused(Event, frozen=True):
    """The kernel refused an operation; the rest was carried out."""

    MESSAGE_ID: ClassVar[str] = "df0de25f45ad47a789b090a543452a71"
    PRIORITY: ClassVar[Priority] = Priority.ERR
    operation: str
    reason: str

    def text(self) -> str:
        return f"refused: {self.operation}: {self.reason}"


class RefusalCleared(Event, frozen=True):
    """Everything that the kernel had refused is now as configured."""

    MESSAGE_ID: ClassVar[str] = "e9b7b235f34f46c884206d04c08f7d6d"
    PRIORITY: ClassVar[Priority] = Priority.NOTICE
    refused: int

    def text(self) -> str:
        return f"the kernel now holds what it had refused ({counted(self.refused, 'operation')})"


class AnnouncementFailed(Event, frozen=True):
    """A VIP could not be announced to its neighbours."""

    MESSAGE_ID: ClassVar[str] = "d9f10567d3a547a8b8286a0d4ae285c2"
    PRIORITY: ClassVar[Priority] = Priority.WARNING
    reason: str

    def text(self) -> str:
        return f"not announced: {self.reason}"


class WatchUnavailable(Event, frozen=True):
    """Changes of the configuration file are seen late: the kernel gives no notice of them."""

    MESSAGE_ID: ClassVar[str] = "185d3ca2e9d840e59c066706bfb71d28"
    PRIORITY: ClassVar[Priority] = Priority.WARNING
    file: str
    reason: str

    def text(self) -> str:
        return f"changes of {self.file} are looked for every few seconds only: {self.reason}"


class StateNotSaved(Event, frozen=True):
    """The daemon could not note which services and VIPs are its own."""

    MESSAGE_ID: ClassVar[str] = "cfc7e1eac55d4358bf7921ef51763272"
    PRIORITY: ClassVar[Priority] = Priority.ERR
    file: str
    reason: str

    def text(self) -> str:
        return (
            f"cannot write {self.file}: {self.reason}; serving goes on, but what is removed from the "
            "configuration while lvsd is not running would stay in the kernel"
        )


class KernelUnavailable(Event, frozen=True):
    """The kernel's table or addresses could not be read or written."""

    MESSAGE_ID: ClassVar[str] = "9d5e825b193a40599bd062db279a58a8"
    PRIORITY: ClassVar[Priority] = Priority.CRIT
    reason: str

    def text(self) -> str:
        return f"the kernel's table cannot be managed: {self.reason}"


class Fault(Event, frozen=True):
    """A mistake in lvsd itself; it ends and is to be restarted, the kernel goes on serving."""

    MESSAGE_ID: ClassVar[str] = "ddb3a294b9674c77b0e13c5565652c71"
    PRIORITY: ClassVar[Priority] = Priority.CRIT
    reason: str

    def text(self) -> str:
        return f"internal error: {self.reason}; the kernel goes on serving what it has"
