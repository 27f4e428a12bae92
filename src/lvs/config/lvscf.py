"""lvs.cf text -> located tree.

The language is one statement a line, so the reader works line by line, and remembers what a
line says: in a file of many virtual servers nearly all lines occur many times. A line means the
same wherever it stands in the same kind of block; hence one memory for each of the three scopes.

A line whose first word is `virtual` or `failover` always begins a new block, even where a
closing brace was forgotten. What follows an error is then judged as its author meant it, and a
file can be read in pieces cut at such lines.
"""

from __future__ import annotations

import re
from typing import Any

from lvs.config.located import Block, Note, Part, Place, Severity
from lvs.config.options import BY_SCOPE, GLOBAL, SERVER, VIRTUAL, Kind, Option, Scope, unknown
from lvs.config.values import FROM_WORD, Refused, shown
from lvs.model import Format

HEADER = "virtual "  # at the beginning of a line; where a text may be cut

# What a line is: its first member says what the others are.
SET, BLANK, SERVER_OPENS, CLOSES, BLOCK_OPENS, SET_TWO, SET_NOTED, WRONG, UNUSED, LONE_BRACE = range(10)
#   SET           option, value
#   SERVER_OPENS  name, problem or nothing
#   CLOSES        -, warning or nothing
#   BLOCK_OPENS   name, problem or nothing, kind, without brace
#   SET_TWO       option, value, option of the second word, its value
#   SET_NOTED     option, value, key as written, warning
#   WRONG         key as written, problem, the line closes a block too
#   UNUSED        key, warning
Line = tuple[Any, ...]
_BLANK: Line = (BLANK,)

PAIRS = {(Scope.VIRTUAL, "address"): "device", (Scope.GLOBAL, "nat_router"): "nat_router_device"}
ALIASES = {(Scope.VIRTUAL, "vip_mask"): "vip_nmask", (Scope.GLOBAL, "nat_mask"): "nat_nmask"}

_SIMPLE = re.compile(r"[ \t]*([a-z_]+)[ \t]+=[ \t]+([^ \t\"'\0][^ \t\0]*)[ \t]*")
_WORD = re.compile(r"[^ \t]+")
_BRACE_ADVICE = "the closing brace stands on a line of its own"
_COMMENT_ADVICE = "a comment stands on a line of its own; after a value, # is none"


def words(line: str) -> list[str]:
    """Split `line` at blanks; a word that begins with a quotation mark may hold blanks.

    Shape: the closing mark is followed by a blank or the line's end. Before the first blank inside
    a word other marks are text, and so are those behind a backslash (as in Piranha, where that
    was `"a"b"` and `"a\\"b"`). Backslashes stay: only `send` and `expect` decode them.
    """
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


def _number_of_words(key: str, given: list[str], *, takes: int) -> Line:
    """Say what is wrong with too many or too few words after `key =`."""
    if len(given) < takes:
        if takes == 2 and given:
            example = "10.0.0.5 eth0:1" if key == "address" else "192.168.1.254 eth1:1"
            return (WRONG, key, f"two words are asked for, address and device: {key} = {example}", False)
        return (WRONG, key, "the value is missing", False)
    extra = given[takes:]
    if any(word.startswith("#") for word in extra):
        return (WRONG, key, _COMMENT_ADVICE, False)
    if extra[0] == "}":
        return (WRONG, key, _BRACE_ADVICE, True)
    count = "two words are" if takes == 2 else "one word is"
    return (WRONG, key, f"{count} asked for, got {len(given)}; quote a value that has blanks", False)


def _value(scope: Scope, option: Option, written: str, given: list[str]) -> Line:
    """Read the words after `written =`."""
    second = PAIRS.get((scope, option.name))
    takes = 1 if second is None else 2
    if len(given) != takes:
        return _number_of_words(written, given, takes=takes)
    try:
        value, warning = FROM_WORD[option.kind](option, given[0])
        if second is not None:
            device, _ = FROM_WORD[Kind.DEVICE](option, given[1])
            return (SET_TWO, option.name, value, second, device)
    except Refused as refused:
        glued = option.kind is not Kind.TEXT and given[0].endswith("}") and len(given[0]) > 1
        return (WRONG, written, f"{refused}; {_BRACE_ADVICE}" if glued else str(refused), glued)
    if written != option.name:
        warning = f"Piranha does not know this name; read as {option.name}" + (
            f"; {warning}" if warning else ""
        )
    if warning:
        return (SET_NOTED, option.name, value, written, warning)
    return (SET, option.name, value)


def _opening(kind: str, found: list[str]) -> tuple[str, str, bool, bool]:
    """Read `virtual NAME {`: name, problem, brace missing, closed again on the same line."""
    name = found[1] if len(found) > 1 else ""
    rest = found[2:]
    closes = bool(rest) and rest[-1].endswith("}")
    if len(found) == 3 and rest[0] == "{":
        if not name.isprintable() and re.search(r"[\0-\x1f\x7f]", name):
            return name, f"control characters are refused in a name, got {shown(name)}", False, False
        return name, "", False, False
    if not rest:
        if name in ("", "{", "{}"):
            return "", f"a name is missing: {kind} NAME {{", name == "", name == "{}"
        if name.endswith("{"):
            return name[:-1], f"a blank is missing before the brace: {kind} {name[:-1]} {{", False, False
        return name, f"the opening brace belongs on this line: {kind} {name} {{", True, False
    if name == "=":
        return rest[0], f"no = here: {kind} {rest[0]} {{", "{" not in rest, closes
    if rest[0] != "{":
        if rest[0].startswith("#"):
            return name, _COMMENT_ADVICE, True, False
        if rest[0].startswith("{"):
            return name, f"{_ONE_STATEMENT}: {kind} {name} {{", False, closes
        return name, "a name is one word; quote one that has blanks", "{" not in rest, closes
    if rest[1].startswith("#"):
        return name, _COMMENT_ADVICE, False, False
    return name, f"{_ONE_STATEMENT}: {kind} {name} {{", False, closes


_ONE_STATEMENT = "nothing else stands on the line that opens a block"


def _statement(scope: Scope, line: str) -> Line:
    """Say what `line` is within a block of the kind `scope`."""
    stripped = line.strip(" \t")
    if not stripped or stripped[0] == "#":
        return _BLANK
    if "\0" in stripped:
        return (WRONG, "", "a NUL byte; the file is damaged", False)
    try:
        found = words(stripped)
    except Refused as refused:
        match = _WORD.match(stripped)
        first = match[0] if match else ""
        return (WRONG, first if first in BY_SCOPE[scope] else "", str(refused), False)
    first = found[0]
    if first in ("virtual", "failover"):
        name, problem, brace_missing, closed = _opening(first, found)
        return (BLOCK_OPENS, name, problem, first, brace_missing, closed)
    if first == "server":
        name, problem, brace_missing, closed = _opening(first, found)
        return (SERVER_OPENS, name, problem, brace_missing, closed)
    if first == "}":
        lost = len(found) > 1 and not found[1].startswith("#")
        return (CLOSES, "what follows the closing brace is ignored" if lost else "")
    if first == "{":
        return (LONE_BRACE,) if len(found) == 1 else (WRONG, "", "no block is opened by this brace", False)
    return _assignment(scope, first, found)


def _assignment(scope: Scope, first: str, found: list[str]) -> Line:
    name = ALIASES.get((scope, first), first)
    option = BY_SCOPE[scope].get(name)
    if option is None or Format.LVS_CF not in option.formats:
        if scope is Scope.SERVER and first == "nmask":
            return (UNUSED, first, "a real server has no mask; ignored")
        closes = found[-1] == "}" and len(found) > 1
        return (WRONG, *_unknown_word(scope, first, found), closes)
    if len(found) == 1 or found[1] != "=":
        if first == "dirs" and len(found) == 1:
            return (WRONG, first, "the value is missing", False)
        example = f"{first} = {'...' if len(found) < 2 else found[1].lstrip('=') or '...'}"
        return (WRONG, first, f"= between blanks is expected: {shown(example)[1:-1]}", False)
    given = found[2:]
    if option.kind is Kind.UNUSED:
        if name == "dirs":
            if len(given) < 2 or given[0] != "[" or given[-1] != "]":
                return (WRONG, first, "a list is asked for: [ a b c ]", False)
        elif len(given) != 1:
            return _number_of_words(first, given, takes=1)
        return (UNUSED, first, f"{option.help}; ignored")
    return _value(scope, option, first, given)


def _unknown_word(scope: Scope, first: str, found: list[str]) -> tuple[str, str]:
    """Return the key and the problem of a line that begins with no word of the language."""
    if first.startswith("}"):
        return "", f"a blank is missing after the closing brace, got {shown(first)}"
    key, equals, value = first.partition("=")
    if equals and key in BY_SCOPE[scope]:
        rest = " ".join([value, *found[1:]]).strip() or "..."
        return key, f"= stands between blanks: {shown(f'{key} = {rest}')[1:-1]}"
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]{0,39}", first):
        return "", f"an option is expected, got {shown(first)}"
    if len(found) > 1 and found[1] == "=":
        return first, unknown(first, scope, Format.LVS_CF)
    if first.lower() in ("virtual", "server", "failover"):
        return "", f"unknown word {shown(first)}; write {first.lower()}"
    problem = unknown(first, scope, Format.LVS_CF)
    if problem == "unknown option":
        return "", f"an option and = are expected, got {shown(first)}; a comment begins with #"
    return first, problem


class Lines(dict[str, Line]):
    """What each line says in a block of one kind, read when first asked for."""

    def __init__(self, scope: Scope) -> None:
        super().__init__()
        self.scope = scope
        self.readers = {
            name: (FROM_WORD[option.kind], option)
            for name, option in BY_SCOPE[scope].items()
            if option.kind in FROM_WORD and Format.LVS_CF in option.formats and (scope, name) not in PAIRS
        }

    def __missing__(self, line: str) -> Line:
        # Most new lines are a clean `key = word`; the rest takes the long way, for the message.
        match = _SIMPLE.fullmatch(line)
        if match is not None:
            key, word = match.groups()
            try:
                read, option = self.readers[key]
                value, warning = read(option, word)
            except (KeyError, Refused):
                pass
            else:
                if not warning:
                    entry = self[line] = (SET, key, value)
                    return entry
        entry = self[line] = _statement(self.scope, line)
        return entry


class Reader:
    """Reads any number of texts of one file, remembering their lines."""

    header = HEADER

    def __init__(self) -> None:
        self.lines = {scope: Lines(scope) for scope in Scope}

    def read(self, text: str) -> Part:
        """Read a text that begins at top level; line ends are LF."""
        return _Reading(self).read(text)

    def locate(self, text: str) -> dict[Place, int]:
        """Return the line of every option and block in a text, from 1; of repeated ones the last."""
        reading = _Reading(self)
        reading.places = {}
        reading.read(text)
        return reading.places


class _Reading:
    """One pass over a text."""

    def __init__(self, reader: Reader) -> None:
        self.top = reader.lines[Scope.GLOBAL]
        self.virtual = reader.lines[Scope.VIRTUAL]
        self.server = reader.lines[Scope.SERVER]
        self.places: dict[Place, int] | None = None
        self.part = Part()
        self.kind = "virtual"
        self.index = -1  # of the open virtual or failover block among its kind
        self.server_index = -1

    def _place(self, key: str = "") -> Place:
        return Place(key, self.index, self.server_index, self.kind)

    def _note(self, line: int, key: str, message: str, severity: Severity = Severity.ERROR) -> None:
        self.part.notes.append(Note(self._place(key), message, severity, line))

    def read(self, text: str) -> Part:  # noqa: PLR0915  one state machine
        part = self.part
        lines = self.top
        values = part.values
        holder: Part | Block = part  # whose values these are
        block: Block | None = None  # the open virtual or failover block
        opened: list[int] = []  # lines of the open blocks, the outer first
        brace_due = 0  # line after one that lacks its brace
        noting = self.places is not None
        number = 0
        for line in text.split("\n"):
            number += 1
            entry = lines[line]
            what = entry[0]
            if what == SET:
                key = entry[1]
                if key in values or noting:
                    self._repeated(number, key, values)
                values[key] = entry[2]
            elif what == BLANK:
                pass
            elif what == SERVER_OPENS:
                if lines is self.server:
                    self._unclosed(opened.pop())
                    self.server_index = -1
                holder = Block(entry[1])
                values = holder.values
                lines = self.server
                opened.append(number)
                if block is None:
                    self._note(
                        number, "", "server stands in a virtual block only; is a brace too many above?"
                    )
                else:
                    holder.port = block.values.get("port", 80)
                    block.servers.append(holder)
                    self.server_index = len(block.servers) - 1
                if noting or entry[2]:
                    self._opened(number, entry[2])
                brace_due = number + 1 if entry[3] else 0
                if entry[4]:
                    opened.pop()
                    self.server_index = -1
                    holder, lines = (part, self.top) if block is None else (block, self.virtual)
                    values = part.values if block is None else block.values
            elif what == CLOSES or (what == WRONG and entry[3]):
                if what == WRONG:
                    self._wrong(number, entry, holder)
                elif entry[1]:
                    self._note(number, "", entry[1], Severity.WARNING)
                if not opened:
                    if what == CLOSES:
                        self._note(number, "", "no block is open here; this brace closes nothing")
                    continue
                opened.pop()
                if lines is self.server and block is not None:
                    holder, values, lines = block, block.values, self.virtual
                    self.server_index = -1
                else:
                    holder, values, lines = part, part.values, self.top
                    block, self.index, self.server_index = None, -1, -1
            elif what == BLOCK_OPENS:
                while opened:
                    self._unclosed(opened.pop())
                    self.server_index = -1
                block = holder = Block(entry[1])
                values = block.values
                lines = self.virtual
                self.kind = entry[3]
                self.server_index = -1
                if self.kind == "virtual":
                    self.index = len(part.virtuals)
                    part.virtuals.append(block)
                else:
                    self.index = part.failovers
                    part.failovers += 1
                    self._note(
                        number,
                        "",
                        "failover services are not supported; this block is checked and ignored",
                        Severity.WARNING,
                    )
                opened.append(number)
                if noting or entry[2]:
                    self._opened(number, entry[2])
                brace_due = number + 1 if entry[4] else 0
                if entry[5]:
                    opened.pop()
                    holder, values, lines = part, part.values, self.top
                    block, self.index = None, -1
            elif what == SET_TWO:
                _, key, value, second, device = entry
                if key in values or noting:
                    self._repeated(number, key, values)
                values[key] = value
                values[second] = device
            elif what == SET_NOTED:
                _, key, value, written, warning = entry
                if key in values or noting:
                    self._repeated(number, key, values)
                values[key] = value
                self._note(number, written, warning, Severity.WARNING)
            elif what == WRONG:
                self._wrong(number, entry, holder)
            elif what == UNUSED:
                if self.kind != "failover" or entry[1] not in ("start_cmd", "stop_cmd"):
                    self._note(number, entry[1], entry[2], Severity.WARNING)
            elif brace_due != number:
                self._note(number, "", "no block is opened by this brace: it belongs on the line of the name")
        while opened:
            self._unclosed(opened.pop())
            self.server_index = -1
        return part

    def _repeated(self, line: int, key: str, values: dict[str, Any]) -> None:
        if self.places is not None:
            self.places[self._place(key)] = line
        if key in values:
            self._note(line, key, "given before; the last one counts", Severity.WARNING)

    def _opened(self, line: int, problem: str) -> None:
        if self.places is not None:
            self.places[self._place()] = line
        if problem:
            self._note(line, "", problem)

    def _unclosed(self, line: int) -> None:
        self._note(
            line, "", "no closing brace is found for the block that is opened here; is the file complete?"
        )

    def _wrong(self, line: int, entry: Line, holder: Part | Block) -> None:
        _, key, problem, _ = entry
        name = ALIASES.get((Scope.VIRTUAL if isinstance(holder, Block) else Scope.GLOBAL, key), key)
        if name in VIRTUAL or name in GLOBAL or name in SERVER:
            holder.bad.add(name)
            holder.values.pop(name, None)
            if self.places is not None:
                self.places[self._place(name)] = line
        self._note(line, key, problem)
