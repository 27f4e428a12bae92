"""What is said on the daemon's socket: one JSON request, one JSON reply, a line each."""

from __future__ import annotations

import msgspec

from lvs.pairstatus import PairStatus
from lvs.repository.history import Way
from lvs.status import Status
from lvs.sync.messages import Use
from lvs.updating.rolling import Side

SOCKET_NAME = "lvsd.sock"  # in the run directory
LONGEST = 96 << 20  # bytes of a request: a file of 64 MiB in base64


class StatusRequest(msgspec.Struct, frozen=True, tag="status"):
    """Show the table."""


class PlanRequest(msgspec.Struct, frozen=True, tag="plan"):
    """What would change in the kernel; with `content`, for that text instead of the daemon's file."""

    file: str = ""
    content: bytes | None = None


class ReloadRequest(msgspec.Struct, frozen=True, tag="reload"):
    """Read the file again, and say what came of it."""


class SwitchoverRequest(msgspec.Struct, frozen=True, tag="switchover"):
    """The other director of the pair is to serve."""


class ExplainRequest(msgspec.Struct, frozen=True, tag="explain"):
    """Why a real server is as it is."""

    server: str  # name or address
    virtual: str | None = None  # name; None: wherever it is


class DrainRequest(msgspec.Struct, frozen=True, tag="drain"):
    """No new connections for a real server. Units: seconds from now."""

    server: str
    virtual: str | None = None
    deadline_s: float | None = None  # connections that are left then are ended
    for_s: float | None = None  # the order expires


class DisableRequest(msgspec.Struct, frozen=True, tag="disable"):
    """A real server is out at once."""

    server: str
    virtual: str | None = None
    for_s: float | None = None


class EnableRequest(msgspec.Struct, frozen=True, tag="enable"):
    """Its checks decide again."""

    server: str
    virtual: str | None = None


class SessionsRequest(msgspec.Struct, frozen=True, tag="sessions"):
    """How many sessions a real server has left."""

    server: str
    virtual: str | None = None


class PairRequest(msgspec.Struct, frozen=True, tag="pair"):
    """How the configurations of the two directors stand to each other."""


class ResolveRequest(msgspec.Struct, frozen=True, tag="resolve"):
    """Settle a conflict between them."""

    use: Use


class ExamineRequest(msgspec.Struct, frozen=True, tag="examine"):
    """Could this commit be pushed? Its configuration is `content`; nothing is changed."""

    commit: str
    old: str  # where the branch is to come from; zeros: from nothing
    name: str  # of the file
    content: bytes
    since_s: float = 0.0  # for how long the hook has been at it


class PushRequest(msgspec.Struct, frozen=True, tag="push"):
    """Run a commit that is in the repository, and move the branch to it."""

    commit: str
    old: str  # where the branch is to come from; zeros: from nothing; empty: from wherever it is
    by: str  # who brings it
    way: Way = Way.PUSH
    confirm_s: float | None = None  # it is taken back unless it is confirmed within


class RollbackRequest(msgspec.Struct, frozen=True, tag="rollback"):
    """Run the content of an earlier commit again."""

    commit: str = ""  # as git names them; empty: the one before
    author: str = ""  # who asks, if root is more than one person
    confirm_s: float | None = None


class ConfirmRequest(msgspec.Struct, frozen=True, tag="confirm"):
    """What runs on trial stays."""

    author: str = ""


class HealthRequest(msgspec.Struct, frozen=True, tag="health"):
    """Whether this director came up as it should."""


class SidesRequest(msgspec.Struct, frozen=True, tag="sides"):
    """How both directors stand in an update."""


class OfferRequest(msgspec.Struct, frozen=True, tag="offer"):
    """The other director is to install an update, which follows in pieces."""

    version: str


class PieceRequest(msgspec.Struct, frozen=True, tag="piece"):
    """The next piece of it; the last is empty."""

    data: bytes


class StartRequest(msgspec.Struct, frozen=True, tag="start"):
    """The other director is to start what it has installed."""

    version: str


Request = (
    StatusRequest
    | PlanRequest
    | ReloadRequest
    | SwitchoverRequest
    | ExplainRequest
    | DrainRequest
    | DisableRequest
    | EnableRequest
    | SessionsRequest
    | PairRequest
    | ResolveRequest
    | ExamineRequest
    | PushRequest
    | RollbackRequest
    | ConfirmRequest
    | HealthRequest
    | SidesRequest
    | OfferRequest
    | PieceRequest
    | StartRequest
)


class Reply(msgspec.Struct, frozen=True):
    """What to print, where, and the exit code."""

    exit_code: int = 0
    out: tuple[str, ...] = ()
    err: tuple[str, ...] = ()
    status: Status | None = None
    pair: PairStatus | None = None
    sessions: int | None = None  # left on a real server; None: not asked
    here: Side | None = None
    there: Side | None = None  # None: not asked, or no answer
    took_s: float | None = None  # of a push: what lvsd took for it, to check and to apply
