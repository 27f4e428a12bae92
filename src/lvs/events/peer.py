"""Events of the pair's common configuration, and of the channel that it takes."""

from __future__ import annotations

from typing import ClassVar

from lvs.events.base import Event, Priority, counted


class PeerConnected(Event, frozen=True):
    """The two directors can tell each other what they know."""

    MESSAGE_ID: ClassVar[str] = "cde05a355e0f4041a64ad6b8f3de403a"
    PRIORITY: ClassVar[Priority] = Priority.NOTICE
    peer: str
    version: str

    def text(self) -> str:
        return f"connected with the other director at {self.peer} (lvsd {self.version})"


class PeerLost(Event, frozen=True):
    """They no longer can."""

    MESSAGE_ID: ClassVar[str] = "ac0bbf839e3345458fda338984c806e7"
    PRIORITY: ClassVar[Priority] = Priority.WARNING
    peer: str
    reason: str

    def text(self) -> str:
        return f"the other director at {self.peer} is not connected any more: {self.reason}"


class PeerUnfit(Event, frozen=True):
    """The other director is there, but cannot be talked to."""

    MESSAGE_ID: ClassVar[str] = "5a194d60ab604329a46cffad005f606f"
    PRIORITY: ClassVar[Priority] = Priority.ERR
    peer: str
    reason: str

    def text(self) -> str:
        return f"cannot exchange configurations with the other director at {self.peer}: {self.reason}"


class PeerIntruder(Event, frozen=True):
    """Somebody who is not the other director tried its port; told at a bounded rate."""

    MESSAGE_ID: ClassVar[str] = "711deca461cd4caea6ef5d7e643ef5dc"
    PRIORITY: ClassVar[Priority] = Priority.WARNING
    address: str
    reason: str
    attempts: int  # since this was last told

    def text(self) -> str:
        more = f"; {self.attempts} attempts since this was last told" if self.attempts > 1 else ""
        return f"not the other director: {self.address}: {self.reason}{more}"


class PairKeyUnusable(Event, frozen=True):
    """Without its key a director has nobody to share its configuration with."""

    MESSAGE_ID: ClassVar[str] = "1c18901e62ed4d94b638935b99b69175"
    PRIORITY: ClassVar[Priority] = Priority.ERR
    reason: str

    def text(self) -> str:
        return f"the configuration is not shared with the other director: {self.reason}"


class PairUnreachable(Event, frozen=True):
    """The port for the other director cannot be used; it is tried again."""

    MESSAGE_ID: ClassVar[str] = "d102d21336144e908198c0e70b03751a"
    PRIORITY: ClassVar[Priority] = Priority.WARNING
    address: str
    reason: str

    def text(self) -> str:
        return f"cannot listen for the other director on {self.address}: {self.reason}; tried again"


class ConfigPushed(Event, frozen=True):
    """The other director runs this director's configuration, too."""

    MESSAGE_ID: ClassVar[str] = "df7147e415a6473997f1f12decd90eb8"
    PRIORITY: ClassVar[Priority] = Priority.NOTICE
    serial: int
    digest: str

    def text(self) -> str:
        return f"serial {self.serial} ({self.digest}) runs on both directors"


class ConfigPulled(Event, frozen=True):
    """This director took the other one's configuration."""

    MESSAGE_ID: ClassVar[str] = "ceffa8aace42411ca62fc3de6df20bb8"
    PRIORITY: ClassVar[Priority] = Priority.NOTICE
    serial: int
    digest: str

    def text(self) -> str:
        return f"serial {self.serial} ({self.digest}) was taken from the other director"


class ConfigReplaced(Event, frozen=True):
    """What ran here gave way only because its serial_no was lower: nothing is known that both ran before."""

    MESSAGE_ID: ClassVar[str] = "0d9f0c55043c46e18e785094c7261ee9"
    PRIORITY: ClassVar[Priority] = Priority.WARNING
    serial: int
    digest: str

    def text(self) -> str:
        return (
            f"serial {self.serial} ({self.digest}) gave way for its lower serial_no, for what both directors "
            "last ran is not known; it is kept beside the file, as .replaced"
        )


class ConfigRefusedByPeer(Event, frozen=True):
    """The other director cannot run what is to run on both."""

    MESSAGE_ID: ClassVar[str] = "dd52fb1f37e54112b14b79375d410def"
    PRIORITY: ClassVar[Priority] = Priority.ERR
    serial: int
    digest: str
    reason: str

    def text(self) -> str:
        return f"serial {self.serial} ({self.digest}) is refused by the other director: {self.reason}"


class PeerConfigRefused(Event, frozen=True):
    """This director cannot run what the other one offered."""

    MESSAGE_ID: ClassVar[str] = "60dfb86c55504ad6a83fb4c2bb01de00"
    PRIORITY: ClassVar[Priority] = Priority.ERR
    serial: int
    digest: str
    reason: str

    def text(self) -> str:
        return f"the other director's serial {self.serial} ({self.digest}) is refused here: {self.reason}"


class ConfigTakenBack(Event, frozen=True):
    """This standby's kernel refused a new virtual server: the active director does not follow."""

    MESSAGE_ID: ClassVar[str] = "a30b86bc7e2748d480417cb15d06c6e8"
    PRIORITY: ClassVar[Priority] = Priority.ERR
    serial: int
    digest: str
    reason: str

    def text(self) -> str:
        return f"serial {self.serial} ({self.digest}) runs on neither director: {self.reason}"


class PeerIncomplete(Event, frozen=True):
    """The other director's kernel refuses some of the configuration; told again when it is something else."""

    MESSAGE_ID: ClassVar[str] = "330f615d50b747adb415674c4deea568"
    PRIORITY: ClassVar[Priority] = Priority.ERR
    operations: int
    first: str

    def text(self) -> str:
        return f"the other director's kernel refused {counted(self.operations, 'operation')}: {self.first}"


class ConfigConflict(Event, frozen=True):
    """Two configurations, and nothing says which is to win; both stay as they are."""

    MESSAGE_ID: ClassVar[str] = "4bb2b949793741be929c35b9fca8e360"
    PRIORITY: ClassVar[Priority] = Priority.ERR
    serial: int
    digest: str
    their_serial: int
    their_digest: str
    reason: str

    def text(self) -> str:
        return (
            f"conflict: {self.reason}; here serial {self.serial} ({self.digest}), there serial "
            f"{self.their_serial} ({self.their_digest}): nothing is overwritten, "
            "`lvsd pair resolve --use here` or `there` settles it"
        )


class ConfigPending(Event, frozen=True):
    """A configuration was applied on this director alone."""

    MESSAGE_ID: ClassVar[str] = "ffbd7ed8e94d454998117ea1c92974bb"
    PRIORITY: ClassVar[Priority] = Priority.WARNING
    serial: int
    digest: str

    def text(self) -> str:
        return f"serial {self.serial} ({self.digest}) is pending: the other director gets it when it is back"


class ConflictResolved(Event, frozen=True):
    """An operator chose one of two configurations."""

    MESSAGE_ID: ClassVar[str] = "58c078fd9833457ba0f2cd36d4f331b0"
    PRIORITY: ClassVar[Priority] = Priority.NOTICE
    serial: int
    digest: str

    def text(self) -> str:
        return f"serial {self.serial} ({self.digest}) was chosen for both directors"


class PairStateNotSaved(Event, frozen=True):
    """What both directors last ran could not be noted."""

    MESSAGE_ID: ClassVar[str] = "6f09672d2bf9457f987ca8edfc830881"
    PRIORITY: ClassVar[Priority] = Priority.ERR
    file: str
    reason: str

    def text(self) -> str:
        return f"cannot write {self.file}: {self.reason}; after a restart an edit may be taken for a conflict"


class PairStateLost(Event, frozen=True):
    """What was noted of the pair cannot be read."""

    MESSAGE_ID: ClassVar[str] = "90543cf636214facb997f130e307598d"
    PRIORITY: ClassVar[Priority] = Priority.WARNING
    reason: str

    def text(self) -> str:
        return f"{self.reason}; what both directors last ran is not known: the higher serial_no wins"
