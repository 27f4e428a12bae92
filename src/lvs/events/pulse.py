"""Events of who is active: this director's role, and what is heard of the other one."""

from __future__ import annotations

from typing import ClassVar

from lvs.events.base import Event, Priority


class BecameActive(Event, frozen=True):
    """This director serves: it takes the VIPs."""

    MESSAGE_ID: ClassVar[str] = "95cd9ccc89a14b33bc88a41291758f04"
    PRIORITY: ClassVar[Priority] = Priority.NOTICE
    term: int
    reason: str

    def text(self) -> str:
        return f"this director is active (term {self.term}): {self.reason}"


class BecameStandby(Event, frozen=True):
    """This director does not serve, and could."""

    MESSAGE_ID: ClassVar[str] = "ced78ba02bad41d48e557be3ed8d0188"
    PRIORITY: ClassVar[Priority] = Priority.NOTICE
    term: int
    reason: str

    def text(self) -> str:
        return f"this director is on standby: {self.reason}"


class BecameFaulty(Event, frozen=True):
    """This director cannot serve."""

    MESSAGE_ID: ClassVar[str] = "978219871a1343c696883f7ab7cec8b4"
    PRIORITY: ClassVar[Priority] = Priority.ERR
    term: int
    reason: str

    def text(self) -> str:
        return f"this director cannot serve: {self.reason}"


class PeerHeard(Event, frozen=True):
    """The other director is heard, for the first time or again."""

    MESSAGE_ID: ClassVar[str] = "3aab4583fbd74a388a12d769ddfe0497"
    PRIORITY: ClassVar[Priority] = Priority.NOTICE
    state: str

    def text(self) -> str:
        return f"the other director is heard: {self.state}"


class PeerSilent(Event, frozen=True):
    """Nothing is heard of the other director, on any network."""

    MESSAGE_ID: ClassVar[str] = "16ad86bb8d3347d889d8a5a33694f30e"
    PRIORITY: ClassVar[Priority] = Priority.WARNING
    silence: str

    def text(self) -> str:
        return f"the other director is not heard: {self.silence}"


class PathSilent(Event, frozen=True):
    """The other director is heard, but not on this network."""

    MESSAGE_ID: ClassVar[str] = "5cbf005327df4aac99b6fd250f0cc806"
    PRIORITY: ClassVar[Priority] = Priority.WARNING
    path: str

    def text(self) -> str:
        return f"no heartbeats arrive on the {self.path} network; the other director is heard elsewhere"


class PathHeard(Event, frozen=True):
    """Heartbeats arrive on this network again."""

    MESSAGE_ID: ClassVar[str] = "55e90ec20de944fc9c339ea022950a66"
    PRIORITY: ClassVar[Priority] = Priority.NOTICE
    path: str

    def text(self) -> str:
        return f"heartbeats arrive on the {self.path} network again"


class PeerDeaf(Event, frozen=True):
    """The other director is heard, but does not hear this one."""

    MESSAGE_ID: ClassVar[str] = "bf1e7bd78cef4b3288e94a0c31a2b549"
    PRIORITY: ClassVar[Priority] = Priority.WARNING
    state: str

    def text(self) -> str:
        return f"one-way heartbeat: {self.state}"


class BothActive(Event, frozen=True):
    """Both directors say that they are active."""

    MESSAGE_ID: ClassVar[str] = "6224853518154b59a46468972fa52ce2"
    PRIORITY: ClassVar[Priority] = Priority.ERR
    state: str

    def text(self) -> str:
        return f"both directors are active, one gives up now: {self.state}"


class NoneActive(Event, frozen=True):
    """Neither of two directors that hear each other was active."""

    MESSAGE_ID: ClassVar[str] = "0f69c8f40da946928388d19a0fcb1a17"
    PRIORITY: ClassVar[Priority] = Priority.ERR
    state: str

    def text(self) -> str:
        return f"neither director was active: {self.state}"


class PairSettled(Event, frozen=True):
    """One director is active again, and only one."""

    MESSAGE_ID: ClassVar[str] = "b3e102270dda4cef883cd53356bea4dc"
    PRIORITY: ClassVar[Priority] = Priority.NOTICE
    state: str

    def text(self) -> str:
        return f"one director is active again: {self.state}"


class PulseOverslept(Event, frozen=True):
    """The pulse could not run for longer than deadtime."""

    MESSAGE_ID: ClassVar[str] = "3c7261920c66463581a36c56c850b7ff"
    PRIORITY: ClassVar[Priority] = Priority.WARNING
    state: str

    def text(self) -> str:
        return f"{self.state}; it listens before it says anything"


class HeartbeatSuspect(Event, frozen=True):
    """Authentic heartbeats that are not of now, or not of a clock like ours."""

    MESSAGE_ID: ClassVar[str] = "ae746db3974647b483606b493cd8fc53"
    PRIORITY: ClassVar[Priority] = Priority.WARNING
    state: str

    def text(self) -> str:
        return f"heartbeats were ignored: {self.state}"


class HeartbeatStrangers(Event, frozen=True):
    """Datagrams at the heartbeat's port that the other director did not send."""

    MESSAGE_ID: ClassVar[str] = "0c087e57e59047e490eae69b52a745af"
    PRIORITY: ClassVar[Priority] = Priority.WARNING
    counts: str
    example: str

    def text(self) -> str:
        return f"datagrams that are no heartbeats of the other director were ignored: {self.counts}"


class HeartbeatUnfit(Event, frozen=True):
    """The other director's lvsd speaks another protocol of the heartbeat."""

    MESSAGE_ID: ClassVar[str] = "cb33f7687d6f4ce2a8d9fa19f54eadb2"
    PRIORITY: ClassVar[Priority] = Priority.ERR
    number: int
    example: str

    def text(self) -> str:
        return (
            f"the other director at {self.example} speaks another protocol of the heartbeat ({self.number}"
            " datagrams): neither hears the other, and both may serve; run one version of lvsd on both"
        )


class HeartbeatUnusable(Event, frozen=True):
    """No heartbeat can be sent by one of the networks."""

    MESSAGE_ID: ClassVar[str] = "b393962b224544f5845c27fe7c9d0827"
    PRIORITY: ClassVar[Priority] = Priority.ERR
    path: str
    reason: str

    def text(self) -> str:
        return f"no heartbeat on the {self.path} network: {self.reason}"


class PulseUnavailable(Event, frozen=True):
    """There is no pulse: it died, or it cannot begin."""

    MESSAGE_ID: ClassVar[str] = "9030c8fd6b22472fb36c8f6730b47f5b"
    PRIORITY: ClassVar[Priority] = Priority.ERR
    reason: str

    def text(self) -> str:
        return f"no heartbeat: {self.reason}"


class PulseUnprivileged(Event, frozen=True):
    """The pulse runs without a right that keeps it punctual."""

    MESSAGE_ID: ClassVar[str] = "e1597840a51d4d8fbb7570c32b661c15"
    PRIORITY: ClassVar[Priority] = Priority.WARNING
    refused: str

    def text(self) -> str:
        return f"the heartbeat goes without {self.refused}: a busy machine may be taken for a dead one"


class SwitchoverOrdered(Event, frozen=True):
    """An operator wants the other one of the two to be active."""

    MESSAGE_ID: ClassVar[str] = "18fa3dd7d49942f8b1d8df8aba369711"
    PRIORITY: ClassVar[Priority] = Priority.NOTICE
    by: str

    def text(self) -> str:
        return f"switchover ordered by {self.by}"


class SwitchoverRefused(Event, frozen=True):
    """A switchover was ordered and did not happen."""

    MESSAGE_ID: ClassVar[str] = "c21e3fbce15249ac8cbb6586aff630e0"
    PRIORITY: ClassVar[Priority] = Priority.WARNING
    reason: str

    def text(self) -> str:
        return f"no switchover: {self.reason}"
