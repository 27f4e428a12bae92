"""What two directors write to each other of updates: how each stands, and the update itself in pieces. Pure.

A director takes an update from the other one as it takes one from standard input: what counts is its
signature. It starts it only if it is installed. Answers bear the number of what was asked.
"""

from __future__ import annotations

import msgspec

from lvs.updating.rolling import Side

PIECE = 128 << 10  # bytes of an update in one letter: other letters pass between two


class UpdateQuery(msgspec.Struct, frozen=True, tag="update_query"):
    """How do you stand?"""

    number: int


class UpdateSide(msgspec.Struct, frozen=True, tag="update_side"):
    number: int
    side: Side


class UpdateOffered(msgspec.Struct, frozen=True, tag="update_offered"):
    """An update comes: install it beside what runs."""

    number: int
    version: str


class UpdateData(msgspec.Struct, frozen=True, tag="update_data"):
    """The next piece of it; the last is empty."""

    number: int
    data: bytes


class UpdateGot(msgspec.Struct, frozen=True, tag="update_got"):
    """A piece has been taken, and another one may come."""

    number: int


class UpdateEnded(msgspec.Struct, frozen=True, tag="update_ended"):
    """It is installed, or was started; why not, if not."""

    number: int
    refused: str = ""
    said: tuple[str, ...] = ()


class UpdateStart(msgspec.Struct, frozen=True, tag="update_start"):
    """Start the update that is installed."""

    number: int
    version: str


Missive = UpdateQuery | UpdateSide | UpdateOffered | UpdateData | UpdateGot | UpdateEnded | UpdateStart
