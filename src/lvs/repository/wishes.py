"""What a push asks for: the refs it wants to move, and its options (`git push -o`). Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from lvs.repository.tree import printable

MAIN = "refs/heads/main"
NOTHING = "0" * 40  # git's name for a commit that is not
SHORTEST_S, LONGEST_S = 5.0, 86400.0  # of a trial
_ID = re.compile(r"[0-9a-f]{40}")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}
_CONFIRM = "confirm="


class Update(NamedTuple):
    """One ref, from where to where."""

    old: str
    new: str
    ref: str


class Wishes(NamedTuple):
    dry_run: bool = False
    confirm_s: float | None = None  # the change is taken back unless it is confirmed within


def is_commit(name: str) -> bool:
    """Whether this is a whole name of an object, and not nothing."""
    return _ID.fullmatch(name) is not None and name != NOTHING


def updates(lines: bytes) -> tuple[Update, ...]:
    """What git tells pre-receive on its standard input; githooks(5)."""
    found = []
    for line in lines.decode(errors="replace").splitlines():
        old, _, rest = line.partition(" ")
        new, _, ref = rest.partition(" ")
        found.append(Update(old, new, ref))
    return tuple(found)


def refused(wanted: Sequence[Update]) -> str:
    """Why these refs may not be moved; empty if it is only the branch main, to another commit."""
    others = [one for one in wanted if one.ref != MAIN]
    if others:
        ref = printable(others[0].ref)
        if ref.startswith("refs/tags/"):
            return f"{ref}: tags stay with you; push only the branch main: git push DIRECTOR main"
        return f"{ref}: a director has one branch, main: git push DIRECTOR HEAD:main"
    if len(wanted) != 1:
        return "one update of main is what can be pushed"
    if wanted[0].new == NOTHING:
        return "main cannot be deleted: it is what the director runs"
    if not (is_commit(wanted[0].new) and (wanted[0].old == NOTHING or is_commit(wanted[0].old))):
        return "not a commit that git names by SHA-1"
    return ""


def wishes(options: Sequence[str]) -> Wishes | str:
    """What the options ask for; or a sentence about the first that is not known."""
    found = Wishes()
    for option in options:
        if option == "dry-run":
            found = found._replace(dry_run=True)
        elif option.startswith(_CONFIRM):
            within = seconds(option.removeprefix(_CONFIRM))
            if within is None or not SHORTEST_S <= within <= LONGEST_S:
                return f"-o {printable(option)}: a time of 5s to 1d is asked for, as in -o confirm=60"
            found = found._replace(confirm_s=within)
        else:
            return f"-o {printable(option)}: not known; there are -o dry-run and -o confirm=SECONDS"
    return found


def seconds(text: str) -> float | None:
    """`60`, `90s`, `5m`, `1h`; None if it is no time."""
    match = re.fullmatch(r"(\d{1,6})([smh]?)", text, re.ASCII)
    if text == "1d":
        return LONGEST_S
    return None if match is None else float(match[1]) * _UNITS[match[2]]
