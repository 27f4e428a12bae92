"""What a text that is no TOML lacks, in an operator's words: quotes, mostly.

tomli names a line and what its grammar expected there. The statement of that line is looked at once more:
what is forgotten is told with what to write, and only if that is TOML then; of all else tomli's words stay.
"""

from __future__ import annotations

import re

import tomli

from lvs.config.located import BadSyntaxError, Place
from lvs.config.option import Kind, Option, Scope
from lvs.config.options import BY_SCOPE, NAMES
from lvs.config.refusal import Refused, shown
from lvs.config.toml_lines import Statement, statements
from lvs.config.unknown import CF_BLOCKS
from lvs.config.values import FROM_TOML

_TWICE = "Cannot overwrite a value"
_UNCLOSED = ("Illegal character '\\n'", "Unterminated string", 'Expected "\'"')
_HEADER = re.compile(r"[ \t]*\[[ \t]*(virtual(?:\.(?:server|check))?)[ \t]*\]")
_WORDS_FOR_SWITCHES = r"(?i)true|false|yes|no|on|off"
_OTHER_MARKS = "\u201c\u201d\u201e\u2018\u2019"  # quotation marks of word processors
_NO_QUOTES = (Kind.INTEGER, Kind.SECONDS, Kind.SWITCH)


def explained(text: str, message: str, line: int) -> BadSyntaxError:
    """Say what is wrong in a text of which tomli says `message`, in `line`, from 1."""
    lines = text.split("\n")
    upto = "\n".join(lines[:line])
    first: dict[Place, int] = {}
    last: Statement | None = None
    for statement in statements(upto):
        last = statement
        first.setdefault(statement.places[0], statement.line)
    if last is None or (last.line < line and last.end < len(upto)):  # what tomli names is no statement
        return BadSyntaxError(_no_statement(lines[line - 1]) or _plain(message), line)
    place = last.places[0]
    if message.startswith(_UNCLOSED):
        return BadSyntaxError("the quotation mark is never closed", last.line, place)
    header = _HEADER.match(lines[line - 1])
    if header is not None:
        return BadSyntaxError(f"two brackets are asked for: [[{header[1]}]]", line, place)
    before = min([first.get(one, last.line) for one in last.places])
    if message == _TWICE and before < last.line:
        said = f"given before, in line {before}; which of the two counts?"
        return BadSyntaxError(said, last.line, place)
    whole = last.line == line
    is_header = whole and lines[line - 1].lstrip(" \t").startswith("[")
    said = "" if is_header else _missing(lines[line - 1], place, whole=whole)
    return BadSyntaxError(said or _plain(message), line, place)


def _plain(message: str) -> str:
    if message == "Unclosed array":
        return "a comma is missing in the list, or its closing bracket"
    return shown(message)[1:-1]


def _no_statement(line: str) -> str:
    words = line.split()
    if len(words) > 1 and words[0] in CF_BLOCKS and line.rstrip().endswith("{"):
        return (
            "a block of lvs.cf; in lvs.toml it begins with [[virtual]] or [[virtual.server]], and has a name"
        )
    if words and words[0] in NAMES:
        rest = " ".join(words[1:]) or "..."
        return f"= is expected: {shown(f'{words[0]} = {rest}')[1:-1]}"
    return ""


def _missing(line: str, place: Place, *, whole: bool) -> str:
    """Say what is missing of the value in `line`, which holds the statement as a whole or the rest of it."""
    key, _, value = line.partition("=") if whole else ("", "", line)
    value = re.sub(r"[ \t]#.*", "", value).strip()
    key = key.strip()
    if not value:
        return "the value is missing" if whole else ""
    if not whole or value[0] == "[":
        return _missing_in_list(value)
    if value[0] in "\"'{" or _is_toml(value):
        return ""
    option = _option(place)
    if option is None and re.fullmatch(_WORDS_FOR_SWITCHES, value):
        option = BY_SCOPE[Scope.GLOBAL]["backup_active"]  # any switch
    if option is not None and option.kind in _NO_QUOTES:
        try:
            FROM_TOML[option.kind](option, value)
        except Refused as refused:
            return str(refused)
    quoted = _quoted(value)
    return f"quotes are missing: {key} = {quoted}" if quoted else ""


def _missing_in_list(value: str) -> str:
    for word in (one.strip() for one in value.strip("[] \t").split(",")):
        if word and not re.search(r"""["'\[\]{}]""", word) and not _is_toml(word) and _quoted(word):
            return f"quotes are missing: {_quoted(word)}"
    return ""


def _option(place: Place) -> Option | None:
    if place.check >= 0:
        from lvs.config.check_types import TYPES

        return next((one.options[place.key] for one in TYPES.values() if place.key in one.options), None)
    scope = Scope.GLOBAL if place.block < 0 else Scope.VIRTUAL if place.server < 0 else Scope.SERVER
    homes = [
        BY_SCOPE[one] for one in (scope, *Scope) if place.key in BY_SCOPE[one]
    ]  # a wrong one is told then
    return homes[0][place.key] if homes else None


def _quoted(word: str) -> str:
    """Return `word` as TOML has it; empty if that is too long to show, or needs more than marks."""
    word = word.strip(_OTHER_MARKS)
    for quoted in (f'"{word}"', f"'{word}'"):
        if len(word) <= 60 and word.isprintable() and _is_toml(quoted):
            return quoted
    return ""


def _is_toml(value: str) -> bool:
    try:
        tomli.loads(f"x = {value}")
    except (ValueError, RecursionError):
        return False
    return True
