"""How both directors come to hold the same commits: letters, and whose branch becomes what. Pure.

What runs is decided elsewhere (`lvs.sync`), the repository follows: main of a director is a commit whose
configuration is what runs. So a branch is taken over when what it holds runs here. Where both histories
went on by themselves, the one that holds what runs is the tip, and the primary alone joins the other to it
as a second parent: nothing is lost, and both end at one commit.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

MOST_KNOWN = 1024  # commits in a letter


class Tip(msgspec.Struct, frozen=True, tag="tip"):
    """My main is here; `blob` is its configuration. Empty: there is none yet."""

    commit: str
    blob: str = ""


class Lacks(msgspec.Struct, frozen=True, tag="lacks"):
    """Send me what leads to this commit; these are here already."""

    tip: str
    known: tuple[str, ...] = ()


class Pack(msgspec.Struct, frozen=True, tag="pack"):
    """Objects, as git packs them; with a reason there are none."""

    tip: str
    data: bytes = b""
    reason: str = ""


class Probation(msgspec.Struct, frozen=True, tag="probation"):
    """A commit is, or will be, on trial; without a commit: `before` no longer is."""

    commit: str
    before: str = ""  # what is gone back to
    left_s: float = 0.0
    by: str = ""


class Kinship(StrEnum):
    """How the other director's commit stands to ours."""

    SAME = "same"
    NEWER = "newer"  # ours is its ancestor
    OLDER = "older"
    APART = "apart"


class Course(StrEnum):
    """What becomes of our branch."""

    STAY = "stay"
    FOLLOW = "follow"  # it goes where theirs is
    JOIN = "join"  # a commit with both as parents, ours first
    JOIN_THEIRS = "join theirs"  # theirs first


def course(
    kinship: Kinship, *, runs: str, ours: str, theirs: str, joins: bool, alone: bool = False
) -> Course:
    """What becomes of our branch, given that theirs is here.

    Shape: `runs` is the configuration that runs on both directors, `ours` and `theirs` those of the two
    branches, by git's name; `joins` is true on one director only; `alone`: ours is nothing but a first
    commit, made of the file that was there, and theirs is more.
    """
    if kinship is Kinship.NEWER:
        return Course.FOLLOW if theirs == runs else Course.STAY
    if kinship is Kinship.APART and alone and ours == runs == theirs:
        return Course.FOLLOW
    if kinship is not Kinship.APART or not joins:
        return Course.STAY
    if ours == runs:
        return Course.JOIN
    return Course.JOIN_THEIRS if theirs == runs else Course.STAY
