"""Where the statements of an lvs.toml stand: tomli tells no line of what it has read.

Lines are wanted only when something is wrong. The text is then gone over for table headers and keys; what is
said of it is right of a valid text, and of a text that is none up to where it ceases to be one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from lvs.config.located import Place

if TYPE_CHECKING:
    from collections.abc import Iterator

_BARE = r"""(?:[A-Za-z0-9_-]+|"(?:\\.|[^"\\\n])*"|'[^'\n]*')"""
_KEY = re.compile(rf"[ \t]*({_BARE})[ \t]*[=.]")
_TABLE = re.compile(rf"[ \t]*\[\[?[ \t]*({_BARE})[ \t]*(?:\.[ \t]*({_BARE})[ \t]*(\.[^\]\n]*)?)?\]")
# What a value is made of; the texts first, so that nothing in them is taken for anything else.
_TOKEN = re.compile(
    r'"""(?:\\[\s\S]|[^\\"]|"(?!""))*"{3,5}'
    r"|'''[\s\S]*?'{3,5}"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
    r"|#[^\n]*"
    r"|[\[{]|[\]}]|\n"
    r"|[^\"'#\[\]{}\n]+"
)
_INNER = ("server", "check")
FLAT = 50  # brackets within brackets that tomli reads at any rate


class Statement(NamedTuple):
    """A table's header, or a key and its value."""

    places: tuple[Place, ...]  # that it gives; a header may give several
    line: int  # from 1
    end: int  # where the next one begins


def locate(text: str) -> dict[Place, int]:
    """Return the lines of tables and keys of a valid text, from 1; the first of each."""
    found: dict[Place, int] = {}
    for statement in statements(text):
        for place in statement.places:
            found.setdefault(place, statement.line)
    return found


def statements(text: str) -> Iterator[Statement]:
    """Yield the tables and keys of a text, in order."""
    here: Place | None = Place()  # the table that keys belong to; None: some other
    counts = dict.fromkeys(_INNER, -1)  # within the virtual server
    block = -1
    line = 1
    at = 0
    while at < len(text):
        places: tuple[Place, ...] = ()
        table = _TABLE.match(text, at)
        key = None if table else _KEY.match(text, at)
        if table is not None:
            outer, inner = _unquoted(table[1]), _unquoted(table[2])
            if outer == "virtual" and inner is None:
                block += 1
                counts = dict.fromkeys(_INNER, -1)
            elif outer == "virtual" and inner in counts and not table[3]:
                counts[inner] += 1
            here, places = _table(table, block, counts)
        elif key is not None and here is not None:
            places = (Place(_unquoted(key[1]) or "", here.block, here.server, check=here.check),)
        first = line
        at, line = _statement_end(text, at, line)
        if places:
            yield Statement(places, first, at)


def _table(
    header: re.Match[str], block: int, counts: dict[str, int]
) -> tuple[Place | None, tuple[Place, ...]]:
    """Return the place that keys below a header have, if it is one of ours, and the places that it gives.

    The first of these is the table itself. The others are for a table that is none of ours after all,
    [virtual] instead of [[virtual]].
    """
    outer, inner = _unquoted(header[1]), _unquoted(header[2])
    if outer != "virtual":
        return None, (Place(outer or ""),)
    all_of_them = Place("virtual")
    if inner is None:
        here = Place("", block)
        return here, (here, all_of_them)
    if block < 0:
        return None, (all_of_them,)
    those = Place(inner, block)
    if inner not in counts or counts[inner] < 0:
        return None, (those, all_of_them)
    if header[3]:  # a table within that of a check
        return None, (_inner(block, inner, counts[inner], _unquoted(header[3][1:].strip()) or ""), those)
    here = _inner(block, inner, counts[inner])
    return here, (here, those, all_of_them)


def _inner(block: int, table: str, index: int, key: str = "") -> Place:
    return Place(key, block, index) if table == "server" else Place(key, block, check=index)


def _unquoted(key: str | None) -> str | None:
    return key[1:-1] if key and key[0] in "\"'" else key


def _statement_end(text: str, at: int, line: int) -> tuple[int, int]:
    """Return where the next statement begins, and its line."""
    depth = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            return len(text), line
        piece = match[0]
        at = match.end()
        line += piece.count("\n")
        if piece in "[{":
            depth += 1
        elif piece in "]}":
            depth -= 1
        elif piece == "\n" and depth <= 0:
            break
    return at, line


def deepest(text: str) -> int:
    """Return the line with the most brackets open, or else the most parts of a key."""
    depth = deep = 0
    line = found = 1
    for match in _TOKEN.finditer(text):
        piece = match[0]
        line += piece.count("\n")
        if piece in "[{":
            depth += 1
            if depth > deep:
                deep, found = depth, line
        elif piece in "]}":
            depth -= 1
    if deep > FLAT:
        return found
    dots = [part.count(".") for part in text.split("\n")]
    return dots.index(max(dots)) + 1
