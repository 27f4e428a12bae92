"""lvs.toml text -> located tree.

tomli reads strictly, but tells no line of what it has read: `toml_lines` finds those again, and `toml_syntax`
says in an operator's words what tomli stumbles over.
"""

from __future__ import annotations

import re
from typing import Any

import tomli

from lvs.config.located import (
    LONGEST_NAME,
    UNKNOWN,
    BadSyntaxError,
    CheckTable,
    Note,
    Part,
    Place,
    Server,
    Virtual,
)
from lvs.config.option import Option, Scope
from lvs.config.options import BY_SCOPE, NAMES
from lvs.config.refusal import Refused, shown
from lvs.config.toml_lines import deepest, locate
from lvs.config.unknown import TOML_BLOCKS, unknown, unknown_block
from lvs.config.values import FROM_TOML
from lvs.model import Format

HEADER = "[[virtual]]"  # at the beginning of a line; where a text may be cut


class Values:
    """Reads the values of one table of the file; words that occurred before come from memory."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.words: dict[str, dict[str, Any]] = {}
        self.readers: dict[str, tuple[Any, Option]] = {}
        for name, option in BY_SCOPE[scope].items():
            if Format.TOML in option.formats:
                self.readers[name] = (FROM_TOML[option.kind], option)
                self.words[name] = {}

    def read(self, key: str, value: object) -> Any:
        known = self.words.get(key)
        if known is None:
            block = unknown_block(key) if key in TOML_BLOCKS or _holds_tables(value) else ""
            raise Refused(block or unknown(key, self.scope, Format.TOML))
        if type(value) is not str:
            read, option = self.readers[key]
            return read(option, value)
        if value in known:
            return known[value]
        read, option = self.readers[key]
        result = known[value] = read(option, value)
        return result


class Reader:
    """Reads any number of texts of one file, remembering their words."""

    header = HEADER

    def __init__(self) -> None:
        self.values = {scope: Values(scope) for scope in Scope}

    def read(self, text: str) -> Part:
        """Read a text; line ends are LF. Raises BadSyntaxError."""
        table = parsed(text)
        part = Part()
        virtuals = table.pop("virtual", None)
        head = not text.startswith(HEADER)
        part.alone = virtuals is None if head else not table and _is_one(virtuals)
        self._settings(Scope.GLOBAL, table, part, part.notes, Place())
        if virtuals is None:
            return part
        for index, block in enumerate(_tables(virtuals, "virtual", Place("virtual"), part)):
            part.virtuals.append(self._virtual(index, block, part))
        return part

    def _virtual(self, index: int, table: dict[str, Any], part: Part) -> Virtual:
        place = Place("", index)
        servers = table.pop("server", None)
        checks = table.pop("check", None)
        block = Virtual(_name(table, place, part), {}, index=index)
        self._settings(Scope.VIRTUAL, table, block, part.notes, place)
        if checks is not None:
            for number, entry in enumerate(_tables(checks, "virtual.check", Place("check", index), part)):
                block.checks.append(_check(entry, Place("", index, check=number), part.notes))
        if servers is None:
            return block
        for number, entry in enumerate(_tables(servers, "virtual.server", Place("server", index), part)):
            place = Place("", index, number)
            server = Server(_name(entry, place, part), {})
            self._settings(Scope.SERVER, entry, server, part.notes, place)
            block.servers.append(server)
        return block

    def _settings(
        self,
        scope: Scope,
        table: dict[str, Any],
        holder: Part | Virtual | Server,
        notes: list[Note],
        place: Place,
    ) -> None:
        read = self.values[scope].read
        values = holder.values
        for key, value in table.items():
            try:
                values[key] = read(key, value)
            except Refused as refused:
                holder.bad |= {key if key in NAMES else UNKNOWN}
                notes.append(Note(Place(key, place.block, place.server), str(refused)))

    def locate(self, text: str) -> dict[Place, int]:
        return locate(text)


def parsed(text: str) -> dict[str, Any]:
    """Read TOML; raise BadSyntaxError with the line, whatever tomli stumbles over."""
    try:
        return tomli.loads(text)
    except tomli.TOMLDecodeError as error:
        from lvs.config.toml_syntax import explained  # most files are TOML

        raise explained(text, error.msg, error.lineno) from None
    except RecursionError:
        raise BadSyntaxError("nested too deeply", deepest(text)) from None
    except ValueError:  # Python reads no number of more than 4300 digits
        match = re.search(r"(?<![0-9_])[0-9_]{4000}", text)
        line = text.count("\n", 0, match.start()) + 1 if match else 0
        raise BadSyntaxError("a number has too many digits", line) from None


def _check(table: dict[str, Any], place: Place, notes: list[Note]) -> CheckTable:
    from lvs.config.check_types import TYPES, unknown_option, unknown_type  # most files have no checks
    from lvs.config.check_values import READ

    def refuse(key: str, message: str) -> None:
        notes.append(Note(Place(key, place.block, check=place.check), message))
        check.bad = True

    check = CheckTable("", {})
    name = table.pop("type", None)
    if not isinstance(name, str) or name not in TYPES:
        if name is None:
            refuse("", 'a type is missing: type = "..."')
        else:
            refuse(
                "type",
                unknown_type(name)
                if isinstance(name, str)
                else f"a text in quotes is asked for, got {shown(name)}",
            )
        return check
    check.type = name
    for key, value in table.items():
        option = TYPES[name].options.get(key)
        if option is None:
            refuse(key, unknown_option(key, TYPES[name]))
            continue
        try:
            read = READ[option.kind](option, value)
            if read is not None:
                check.values[key] = read
        except Refused as refused:
            refuse(key, str(refused))
    return check


def _holds_tables(value: object) -> bool:
    return isinstance(value[0] if isinstance(value, list) and value else value, dict)


def _is_one(virtuals: object) -> bool:
    return isinstance(virtuals, list) and len(virtuals) == 1


def _tables(value: object, header: str, place: Place, part: Part) -> list[dict[str, Any]]:
    if isinstance(value, list) and all(type(table) is dict for table in value):
        return value
    part.notes.append(
        Note(place, f"blocks are asked for, each beginning with [[{header}]]; got {shown(value)}")
    )
    return []


def _name(table: dict[str, Any], place: Place, part: Part) -> str:
    name = table.pop("name", None)
    if (
        isinstance(name, str)
        and 0 < len(name) <= LONGEST_NAME
        and (name.isprintable() or not re.search(r"[\0-\x1f\x7f]", name))
    ):
        return name
    if name is None:
        message = 'a name is missing: name = "..."'
    elif isinstance(name, str) and len(name) > LONGEST_NAME:
        message = f"a name has at most {LONGEST_NAME} characters, got {shown(name)}"
    elif isinstance(name, str):
        message = f"a name without control characters is asked for, got {shown(name)}"
    else:
        message = f"a text in quotes is asked for, got {shown(name)}"
    key = "" if name is None else "name"
    part.notes.append(Note(Place(key, place.block, place.server), message))
    return ""
