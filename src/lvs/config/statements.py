"""One line of lvs.cf -> what it says.

A line means the same wherever it stands in the same kind of block, and in a file of many virtual
servers nearly all lines occur many times; so `Lines`, one for each kind of block, reads a line
once and remembers it.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from lvs.config.located import LONGEST_NAME
from lvs.config.option import Kind, Option, Scope
from lvs.config.options import BY_SCOPE, NAMES
from lvs.config.refusal import Refused, shown
from lvs.config.unknown import CF_BLOCKS, FOREIGN_LIKENESS, closest, unknown
from lvs.config.values import FROM_WORD
from lvs.model import Format

# What a line is: the first member of its entry; the other two belong to it.
SET, BLANK, SERVER_OPENS, CLOSES, BLOCK_OPENS, SET_TWO, SET_NOTED, WRONG, UNUSED, LONE_BRACE = range(10)
#   SET           option, value
#   SET_TWO       option, (value, option of the second word, its value)
#   SET_NOTED     option, (value, key as written, warning)
#   UNUSED        key, warning
#   WRONG         key as written, (problem, the line closes a block too)
#   SERVER_OPENS  name, Opening
#   BLOCK_OPENS   name, Opening
#   CLOSES        warning or nothing
Entry = tuple[int, str, Any]
_BLANK: Entry = (BLANK, "", None)


class Opening(msgspec.Struct, frozen=True):
    """What else there is to say of a line that opens a block."""

    kind: str
    problem: str = ""
    brace_missing: bool = False
    closed: bool = False  # on the same line


PAIRS = {(Scope.VIRTUAL, "address"): "device", (Scope.GLOBAL, "nat_router"): "nat_router_device"}
ALIASES = {(Scope.VIRTUAL, "vip_mask"): "vip_nmask", (Scope.GLOBAL, "nat_mask"): "nat_nmask"}

_WORD = re.compile(r"[^ \t]+")
_BLANK_OR_NUL = re.compile(r"[ \t\0]")
_BRACE_ADVICE = "the closing brace stands on a line of its own"
_COMMENT_ADVICE = "a comment stands on a line of its own; after a value, # is none"


def words(line: str) -> list[str]:
    """Split `line` at blanks; a word that begins with a quotation mark may hold blanks.

    Shape: the closing mark is followed by a blank or the line's end. Before the first blank inside
    a word other marks are text, and so are those behind a backslash (as in Piranha, where that
    was `"a"b"` and `"a\\"b"`). Backslashes stay: only `send` and `expect` decode them.
    """
    if '"' not in line and "'" not in line:
        return _WORD.findall(line)
    found: list[str] = []
    end = len(line.rstrip(" \t"))
    at = 0
    while True:
        while at < end and line[at] in " \t":
            at += 1
        if at >= end:
            return found
        mark = line[at]
        if mark not in "\"'":
            match = _WORD.match(line, at)
            assert match is not None
            found.append(match[0])
            at = match.end()
            continue
        start = scanned = at + 1
        blank_inside = False
        while True:
            close = line.find(mark, scanned, end)
            if close < 0:
                raise Refused("the quotation mark is never closed")
            between = line[scanned:close]
            blank_inside = blank_inside or " " in between or "\t" in between
            escaped = (len(between) - len(between.rstrip("\\"))) % 2 == 1
            scanned = close + 1
            if scanned == end or (not escaped and line[scanned] in " \t"):
                break
            if blank_inside and not escaped:
                raise Refused("a blank or the line's end is expected after the closing quotation mark")
        found.append(line[start:close])
        at = scanned


def _wrong(key: str, problem: str, *, closes: bool = False) -> Entry:
    return (WRONG, key, (problem, closes))


def _number_of_words(key: str, given: list[str], takes: int) -> Entry:
    """Say what is wrong with too many or too few words after `key =`."""
    if len(given) < takes:
        if takes == 2 and given:
            example = "10.0.0.5 eth0:1" if key == "address" else "192.168.1.254 eth1:1"
            return _wrong(key, f"two words are asked for, address and device: {key} = {example}")
        return _wrong(key, "the value is missing")
    extra = given[takes:]
    if any("#" in word for word in given[takes - 1 :]):
        return _wrong(key, _COMMENT_ADVICE)
    if extra[0] == "}":
        return _wrong(key, _BRACE_ADVICE, closes=True)
    count = "two words are" if takes == 2 else "one word is"
    return _wrong(key, f"{count} asked for, got {len(given)}; quote a value that has blanks")


def _value(scope: Scope, option: Option, written: str, given: list[str]) -> Entry:
    """Read the words after `written =`."""
    second = PAIRS.get((scope, option.name))
    takes = 1 if second is None else 2
    if len(given) != takes:
        return _number_of_words(written, given, takes)
    try:
        value, warning = FROM_WORD[option.kind](option, given[0])
        if second is not None:
            device, _ = FROM_WORD[Kind.DEVICE](option, given[1])
            return (SET_TWO, option.name, (value, second, device))
    except Refused as refused:
        glued = option.kind is not Kind.TEXT and given[0].endswith("}") and len(given[0]) > 1
        return _wrong(written, f"{refused}; {_BRACE_ADVICE}" if glued else str(refused), closes=glued)
    if written != option.name:
        renamed = f"Piranha does not know this name; read as {option.name}"
        warning = f"{renamed}; {warning}" if warning else renamed
    if warning:
        return (SET_NOTED, option.name, (value, written, warning))
    return (SET, option.name, value)


def _opening(kind: str, found: list[str]) -> tuple[str, Opening]:
    """Read `virtual NAME {`; return the name, and what else there is to say."""
    name = found[1] if len(found) > 1 else ""
    rest = found[2:]
    if len(name) > LONGEST_NAME:
        return "", Opening(kind, f"a name has at most {LONGEST_NAME} characters, got {shown(name)}")
    if len(rest) == 1 and rest[0] == "{":
        if not name:
            return name, Opening(kind, "the name is empty")
        if not name.isprintable() and re.search(r"[\0-\x1f\x7f]", name):
            return name, Opening(kind, f"control characters are refused in a name, got {shown(name)}")
        return name, _CLEAN[kind]
    asked = shown(f"{kind} {name} {{")[1:-1]
    if not rest:
        if name in ("", "{", "{}"):
            return "", Opening(kind, f"a name is missing: {kind} NAME {{", name == "", name == "{}")
        if name.endswith("{"):
            asked = shown(f"{kind} {name[:-1]} {{")[1:-1]
            return name[:-1], Opening(kind, f"a blank is missing before the brace: {asked}")
        return name, Opening(kind, f"the opening brace belongs on this line: {asked}", brace_missing=True)
    closed = rest[-1].endswith("}")
    brace_missing = "{" not in rest
    if name == "=":
        asked = shown(f"{kind} {rest[0]} {{")[1:-1]
        return rest[0], Opening(kind, f"no = stands here: {asked}", brace_missing, closed)
    if any(word.startswith("#") for word in rest):
        return name, Opening(kind, _COMMENT_ADVICE, brace_missing)
    if rest[0].startswith("{"):
        return name, Opening(kind, f"{_ONE_STATEMENT}: {asked}", closed=closed)
    return name, Opening(kind, "a name is one word; quote one that has blanks", brace_missing, closed)


_CLEAN = {kind: Opening(kind) for kind in ("virtual", "failover", "server")}
_ONE_STATEMENT = "nothing else stands on the line that opens a block"


def _statement(scope: Scope, line: str) -> Entry:
    """Say what `line` is within a block of the kind `scope`."""
    stripped = line.strip(" \t")
    if not stripped or stripped[0] == "#":
        return _BLANK
    if "\0" in stripped:
        return _wrong("", "a NUL byte; the file is damaged")
    try:
        found = words(stripped)
    except Refused as refused:
        match = _WORD.match(stripped)
        first = match[0] if match else ""
        if first in ("virtual", "failover", "server"):
            kind = SERVER_OPENS if first == "server" else BLOCK_OPENS
            return (kind, "", Opening(first, str(refused)))
        return _wrong(first if first in BY_SCOPE[scope] else "", str(refused))
    first = found[0]
    if first in ("virtual", "failover"):
        return (BLOCK_OPENS, *_opening(first, found))
    if first == "server":
        return (SERVER_OPENS, *_opening(first, found))
    if first == "}":
        lost = len(found) > 1 and not found[1].startswith("#")
        return (CLOSES, "what follows the closing brace is ignored" if lost else "", None)
    if first == "{":
        problem = "no block is opened by this brace: it belongs on the line of the block's name"
        return (LONE_BRACE, problem, None) if len(found) == 1 else _wrong("", problem)
    return _assignment(scope, first, found)


def _assignment(scope: Scope, first: str, found: list[str]) -> Entry:
    name = ALIASES.get((scope, first), first)
    option = BY_SCOPE[scope].get(name)
    if option is None or Format.LVS_CF not in option.formats:
        if scope is Scope.SERVER and first == "nmask":
            return (UNUSED, first, "a real server has no mask; ignored")
        meant = _block_meant(first, found)
        if meant and any("{" in word for word in found):
            return _misspelt(meant, found)
        key, problem = ("", _no_block(first, meant)) if meant else _unknown_word(scope, first, found)
        return _wrong(key, problem, closes=len(found) > 1 and found[-1] == "}")
    if len(found) == 1 or found[1] != "=":
        example = f"{first} = {' '.join(found[1:]).lstrip('= ') or '...'}"
        return _wrong(first, f"= between blanks is expected: {shown(example)[1:-1]}")
    given = found[2:]
    if option.kind is not Kind.UNUSED:
        return _value(scope, option, first, given)
    if name == "dirs" and given:
        if len(given) < 2 or given[0] != "[" or given[-1] != "]":
            return _wrong(first, "a list is asked for: [ a b c ]")
    elif len(given) != 1:
        return _number_of_words(first, given, takes=1)
    return (UNUSED, first, f"{option.help}; ignored")


_OPTION = r"[A-Za-z_][A-Za-z0-9_.-]{0,39}"


def _block_meant(first: str, found: list[str]) -> str:
    """Return the word that was meant by one before a name and a brace; nothing if that is an option."""
    if len(found) < 2 or "=" in first or found[1].startswith("="):
        return ""
    if any("{" in word for word in found):
        return closest(first, CF_BLOCKS)
    meant = closest(first, (*CF_BLOCKS, *NAMES), FOREIGN_LIKENESS)  # or it may be a remark
    return meant if meant in CF_BLOCKS else ""


def _no_block(first: str, meant: str) -> str:
    return f'unknown word {shown(first)}; did you mean "{meant}"?'


def _misspelt(meant: str, found: list[str]) -> Entry:
    """Open the block that was meant, so that what is in it is judged as such."""
    name, opening = _opening(meant, found)
    opening = msgspec.structs.replace(opening, problem=_no_block(found[0], meant))
    return (SERVER_OPENS if meant == "server" else BLOCK_OPENS, name, opening)


def _unknown_word(scope: Scope, first: str, found: list[str]) -> tuple[str, str]:
    """Return the key and the problem of a line that begins with no word of the language."""
    if first.startswith("}"):
        return "", f"a blank is missing after the closing brace, got {shown(first)}"
    key, equals, value = first.partition("=")
    if equals and re.fullmatch(_OPTION, key) and key not in BY_SCOPE[scope]:
        return key, f"= stands between blanks; {unknown(key, scope, Format.LVS_CF)}"
    if equals and key in BY_SCOPE[scope]:
        rest = " ".join([value, *found[1:]]).strip() or "..."
        return key, f"= stands between blanks: {shown(f'{key} = {rest}')[1:-1]}"
    if not re.fullmatch(_OPTION, first):
        return "", f"an option is expected, got {shown(first)}"
    if len(found) > 1 and found[1] == "=":
        return first, unknown(first, scope, Format.LVS_CF)
    problem = unknown(first, scope, Format.LVS_CF)
    if problem == "unknown option":
        return "", f"an option and = are expected, got {shown(first)}; a comment begins with #"
    return first, problem


class Lines(dict[str, Entry]):
    """What each line says in a block of one kind, read when first asked for."""

    def __init__(self, scope: Scope) -> None:
        super().__init__()
        self.scope = scope
        self.readers = _READERS[scope]

    def __missing__(self, line: str) -> Entry:
        # Most new lines are a clean `key = word`; the rest takes the long way, for the message.
        key, _, word = line.partition(" = ")
        known = self.readers.get(key.lstrip(" \t"))
        if known is not None and word and word[0] not in "\"'" and not _BLANK_OR_NUL.search(word):
            read, option = known
            try:
                value, warning = read(option, word)
            except Refused:
                warning = "said below"
            if not warning:
                entry = self[line] = (SET, option.name, value)
                return entry
        entry = self[line] = _statement(self.scope, line)
        return entry


_READERS = {
    scope: {
        name: (FROM_WORD[option.kind], option)
        for name, option in BY_SCOPE[scope].items()
        if option.kind in FROM_WORD and Format.LVS_CF in option.formats and (scope, name) not in PAIRS
    }
    for scope in Scope
}
