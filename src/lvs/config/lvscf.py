"""lvs.cf text -> located tree.

The language is one statement a line (`statements`); what is left to do here is blocks.

A line whose first word is `virtual` or `failover` always begins a new block, even where a
closing brace was forgotten. What follows an error is then judged as its author meant it, and a
file can be read in pieces cut at such lines.
"""

from __future__ import annotations

from typing import Any

from lvs.config.located import GIVEN_BEFORE, UNKNOWN, Note, Part, Place, Server, Severity, Virtual
from lvs.config.option import Scope
from lvs.config.options import NAMES
from lvs.config.passages import Passages
from lvs.config.statements import (
    ALIASES,
    BLANK,
    BLOCK_OPENS,
    CLOSES,
    SERVER_OPENS,
    SET,
    SET_NOTED,
    SET_TWO,
    UNUSED,
    WRONG,
    Lines,
    Opening,
)

HEADER = "virtual "  # at the beginning of a line; where a text may be cut


class Reader:
    """Reads any number of texts of one file, remembering their lines."""

    header = HEADER

    def __init__(self) -> None:
        self.lines = {scope: Lines(scope) for scope in Scope}
        self.passages = Passages(self.exact)

    def read(self, text: str) -> Part:
        """Read a text that begins at top level; line ends are LF."""
        return self.passages.part(text) or self.exact(text)

    def exact(self, text: str) -> Part:
        """Do the same line by line, whatever the text is."""
        part = Part()
        _Reading(self.lines, part).read(text)
        return part

    def locate(self, text: str) -> dict[Place, int]:
        """Return the line of every option and block in a text, from 1; of repeated ones the last."""
        places: dict[Place, int] = {}
        _Reading(self.lines, Part(), places).read(text)
        return places


class _Reading:
    """One pass over a text."""

    def __init__(self, lines: dict[Scope, Lines], part: Part, places: dict[Place, int] | None = None) -> None:
        self.lines = lines
        self.part = part
        self.places = places
        self.block: Virtual | None = None  # the open virtual or failover block
        self.block_line = 0
        self.server: Server | None = None  # the open server block
        self.server_line = 0

    def read(self, text: str) -> None:  # noqa: PLR0915  one state machine
        top, inside_virtual, inside_server = self.lines.values()
        lines = top
        values = self.part.values
        locating = self.places is not None
        brace_due = 0  # line after one that lacks its brace
        for number, line in enumerate(text.split("\n"), 1):
            what, key, value = lines[line]
            if what == SET:
                if locating or key in values:
                    self._again(number, key, values)
                values[key] = value
            elif what == SERVER_OPENS:
                if lines is inside_server:
                    self._unclosed()
                block = self.block
                if block is None:
                    server = Server(key, {})
                    message = "a server block stands within a virtual block; is there a brace too many above?"
                    self._note(number, "", message)
                else:
                    server = Server(key, {}, frozenset(), block.values.get("port", 80))
                    block.servers.append(server)
                self.server = server
                self.server_line = number
                values = server.values
                lines = inside_server
                if locating or value.problem:
                    self._opened(number, value)
                    brace_due = number + 1 if value.brace_missing else 0
                    if value.closed:
                        lines, values = self._close(number)
            elif what == CLOSES:
                if key:
                    self._note(number, "", key, Severity.WARNING)
                if lines is inside_server and self.block is not None:  # _close, for the many
                    self.server = None
                    lines, values = inside_virtual, self.block.values
                else:
                    lines, values = self._close(number)
            elif what == BLANK:
                pass
            elif what == BLOCK_OPENS:
                while lines is not top:
                    self._unclosed()
                    lines, values = self._close(number)
                block = self._begin(key, value.kind, number)
                values = block.values
                lines = inside_virtual
                if locating or value.problem:
                    self._opened(number, value)
                    brace_due = number + 1 if value.brace_missing else 0
                    if value.closed:
                        lines, values = self._close(number)
            elif what == SET_TWO:
                if locating or key in values:
                    self._again(number, key, values)
                values[key], values[value[1]] = value[0], value[2]
            elif what == SET_NOTED:
                if locating or key in values:
                    self._again(number, key, values)
                values[key] = value[0]
                self._note(number, value[1], value[2], Severity.WARNING)
            elif what == WRONG:
                self._wrong(number, key, value[0])
                if value[1] and lines is not top:
                    lines, values = self._close(number)
            elif what == UNUSED:
                self._unused(number, key, value)
            elif brace_due != number:  # LONE_BRACE
                self._note(number, "", key)
        while self.block is not None or self.server is not None:
            self._unclosed()
            self._close(0)

    # Rare things; how far we are is in `block` and `server`.

    def _place(self, key: str) -> Place:
        if self.block is None:
            return Place(key)
        server = -1 if self.server is None else len(self.block.servers) - 1
        return Place(key, self.block.index, server, self.block.kind)

    def _note(self, line: int, key: str, message: str, severity: Severity = Severity.ERROR) -> None:
        self.part.notes.append(Note(self._place(key), message, severity, line))

    def _begin(self, name: str, kind: str, line: int) -> Virtual:
        part = self.part
        if kind == "virtual":
            block = Virtual(name, {}, index=len(part.virtuals))
            part.virtuals.append(block)
        else:
            block = Virtual(name, {}, index=part.failovers, kind=kind)
            part.failovers += 1
        self.block = block
        self.block_line = line
        if kind != "virtual":
            message = "failover services are not supported; this block is checked and ignored"
            self._note(line, "", message, Severity.WARNING)
        return block

    def _opened(self, line: int, opening: Opening) -> None:
        if self.places is not None:
            self.places[self._place("")] = line
        if opening.problem:
            self._note(line, "", opening.problem)

    def _close(self, line: int) -> tuple[Lines, dict[str, Any]]:
        """Close the inner block; return what holds for the lines that follow."""
        if self.server is not None:
            self.server = None
            if self.block is not None:
                return self.lines[Scope.VIRTUAL], self.block.values
        elif self.block is not None:
            self.block = None
        else:
            self._note(line, "", "no block is open here; this brace closes nothing")
        return self.lines[Scope.GLOBAL], self.part.values

    def _unclosed(self) -> None:
        """Tell that the inner block has no end."""
        line = self.block_line if self.server is None else self.server_line
        self._note(line, "", "no closing brace is found for the block opened here; is the file complete?")

    def _again(self, line: int, key: str, values: dict[str, Any]) -> None:
        if self.places is not None:
            self.places[self._place(key)] = line
        if key in values:
            self._note(line, key, GIVEN_BEFORE, Severity.WARNING)

    def _unused(self, line: int, key: str, warning: str) -> None:
        if self.block is None or self.block.kind == "virtual" or key not in ("start_cmd", "stop_cmd"):
            self._note(line, key, warning, Severity.WARNING)

    def _wrong(self, line: int, key: str, problem: str) -> None:
        """Take the option for refused, so that nothing is concluded from its absence."""
        holder = self.server or self.block or self.part
        name = ALIASES.get((Scope.GLOBAL if holder is self.part else Scope.VIRTUAL, key), key)
        if key:
            holder.bad |= {name if name in NAMES else UNKNOWN}
            holder.values.pop(name, None)
            if self.places is not None:
                self.places[self._place(name)] = line
        self._note(line, key, problem)
