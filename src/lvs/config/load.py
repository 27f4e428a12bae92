"""The entry: text of either language -> Config and problems.

A text is cut where a virtual server begins, and each stretch is read and built on its own. The
result of a stretch depends on nothing but its text, the language and the forwarding method that
`network` gives; so a later `load` of an edited text takes over the stretches that are the same,
and their virtual servers are then the identical objects. What concerns several virtual servers
is judged anew each time.

A TOML text that cannot be cut (a table after the last virtual server, `[[virtual]]` at the
beginning of a line within a string) is one stretch.
"""

from __future__ import annotations

import gc
from bisect import bisect_right
from itertools import accumulate, chain
from typing import TYPE_CHECKING, Any

import msgspec

from lvs.config import build, whole
from lvs.config.across import NOTHING, Facts, Together, across, addresses
from lvs.config.located import GIVEN_BEFORE, BadSyntaxError, Note, Place, Problem, Severity
from lvs.config.needs import lacking
from lvs.config.options import GLOBAL
from lvs.model import Config, Format, Forwarding, VirtualServer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lvs.config import lvscf, toml
    from lvs.config.located import Part
    from lvs.config.needs import Lacks

    Reader = lvscf.Reader | toml.Reader


class Stretch(msgspec.Struct, frozen=True, gc=False):
    """What a stretch of text says: a pure function of that text, the language and `network`."""

    text: str
    settings: dict[str, Any]  # global options
    bad: frozenset[str]  # those refused
    virtual_servers: tuple[VirtualServer | None, ...]
    facts: tuple[Facts, ...]  # one for each virtual server
    failovers: int
    notes: tuple[Note, ...]  # places count from the beginning of the stretch
    alone: bool  # false: the whole of a text that cannot be cut


class Loaded(msgspec.Struct, frozen=True):
    """What a file says."""

    config: Config | None  # None if any problem is an error
    problems: tuple[Problem, ...]  # by line
    format: Format
    stretches: tuple[Stretch, ...] = ()  # for the next load; nobody else's
    network: Forwarding | None = None  # what they were built with
    together: Together = NOTHING  # what was said of virtual servers together


def format_of(file: str) -> Format:
    """Return the language of a file of this name."""
    return Format.TOML if file.removesuffix(".example").endswith(".toml") else Format.LVS_CF


def load(
    text: bytes | str,
    file: str,
    format: Format | None = None,  # noqa: A002  the operator's word
    previous: Loaded | None = None,
    lacks: Lacks | None = None,
) -> Loaded:
    """Read a configuration; `file` is its name in messages, and tells the language if nothing else does.

    What `lacks` says of something that is needed is an error. Without it this machine is not asked.

    Errors: none; a text that is no configuration has problems.
    """
    collecting = gc.isenabled()
    gc.disable()  # nothing built here is garbage: an eighth of a cold load went into looking for some
    try:
        return _load(text, file, format or format_of(file), previous, lacks)
    finally:
        if collecting:
            gc.enable()


def _load(
    text: bytes | str, file: str, file_format: Format, previous: Loaded | None, lacks: Lacks | None
) -> Loaded:
    if previous is not None and previous.format is not file_format:
        previous = None
    notes: list[Note] = []
    decoded = _decoded(text, file_format, notes)
    cutter = _Cutter(file_format, previous)
    if decoded is not None:
        try:
            stretches, network = cutter.stretches(decoded)
        except BadSyntaxError as error:
            notes.append(Note(error.place, str(error), line=error.line))
            decoded = None
    if decoded is None:  # what is known is kept: the next text may be like the one before this
        before = previous or Loaded(None, (), file_format)
        problems = _problems(file, (), notes)
        return msgspec.structs.replace(before, config=None, problems=problems)

    settings, bad, again = _settings(stretches)
    virtual_servers = tuple(chain.from_iterable([stretch.virtual_servers for stretch in stretches]))
    facts = tuple(chain.from_iterable([stretch.facts for stretch in stretches]))
    known = NOTHING if previous is None else previous.together
    together = across(facts, syncdaemon=settings.get("syncdaemon", False), before=known)
    notes += together.notes
    masquerading = together.masquerading
    config = whole.config(settings, bad, file_format, virtual_servers, masquerading=masquerading, notes=notes)
    addresses(config, together, notes)
    if lacks is not None:
        notes += lacking(facts, settings, config.pair, lacks)
    if notes or again:
        finder = _Finder(stretches, cutter.reader)
        notes = [note if note.line else finder.located(note) for note in notes]
        for index, key in again:
            if key != "nat_router_device":  # lvs.cf: half of nat_router
                notes.append(finder.located(Note(Place(key), GIVEN_BEFORE, Severity.WARNING), index))
    problems = _problems(file, stretches, notes)
    if any(problem.severity is Severity.ERROR for problem in problems):
        return Loaded(None, problems, file_format, stretches, network, together)
    return Loaded(config, problems, file_format, stretches, network, together)


def _decoded(text: bytes | str, file_format: Format, notes: list[Note]) -> str | None:
    """Return the text with LF as line end, or None if it is not even text."""
    if isinstance(text, str):
        decoded = text
    else:
        try:
            decoded = text.decode()
        except UnicodeDecodeError as error:
            if file_format is Format.TOML:
                line = text.count(b"\n", 0, error.start) + 1
                notes.append(Note(Place(), "TOML is UTF-8, and this line is not", line=line))
                return None
            decoded = text.decode("latin-1")  # every byte is some character, as in 2002
            line = _unix(decoded[: error.start]).count("\n") + 1
            notes.append(Note(Place(), "not UTF-8; the file is read as Latin-1", Severity.WARNING, line))
    text = decoded.removeprefix("\ufeff")
    if not text:
        notes.append(Note(Place(), "the file is empty"))
        return None
    if "\r" in text:
        text = text.replace("\r\n", "\n") if file_format is Format.TOML else _unix(text)
    return text


def _unix(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _reader(file_format: Format) -> Reader:
    # Imported here: a start reads one language only.
    if file_format is Format.TOML:
        from lvs.config import toml

        return toml.Reader()
    from lvs.config import lvscf

    return lvscf.Reader()


class _Cutter:
    """Makes stretches of a text, taking over those of the previous load."""

    def __init__(self, file_format: Format, previous: Loaded | None) -> None:
        self.format = file_format
        self.reader = _reader(file_format)
        self.header = self.reader.header
        self.default: Forwarding = GLOBAL["network"].default(file_format)
        self.known: tuple[Stretch, ...] = ()
        self.known_network: Forwarding | None = None
        if previous is not None and previous.stretches and previous.stretches[0].alone:
            self.known = previous.stretches
            self.known_network = previous.network

    def stretches(self, text: str) -> tuple[tuple[Stretch, ...], Forwarding]:
        """Return the stretches, the head first, and the forwarding method they were built with.

        Raises BadSyntaxError (TOML).
        """
        first = self._next(text, 0)
        try:
            head, network = self._head(text[:first])
            found = (head, *self._rest(text, first, network))
            last = _network(found, self.default)
            if last is not network:  # it stands below virtual servers that go by it: once more
                self.known = ()
                network = last
                found = (self._stretch(head.text, network), *self._rest(text, first, network))
        except _NotAloneError:
            part = self.reader.read(text)
            network = part.values.get("network", self.default)
            return (self._built(text, part, network, alone=False),), network
        return found, network

    def _next(self, text: str, at: int) -> int:
        """Return where the next virtual server begins, from `at` on, or the end of the text."""
        if at == 0 and text.startswith(self.header):
            return 0
        found = text.find("\n" + self.header, at)
        return len(text) if found < 0 else found + 1

    def _head(self, text: str) -> tuple[Stretch, Forwarding]:
        if self.known and self.known[0].text == text:
            head = self.known[0]
            network: Forwarding = head.settings.get("network", self.default)
            if network is self.known_network:
                return head, network
        part = self._read(text)
        network = part.values.get("network", self.default)
        if network is not self.known_network:
            self.known = ()
        return self._built(text, part, network), network

    def _rest(self, text: str, at: int, network: Forwarding) -> list[Stretch]:
        """Return the stretches from `at` on: what the known ones begin and end with is compared only."""
        known = self.known[1:]
        begin = 0
        for stretch in known:
            if not text.startswith(stretch.text, at):
                break
            at += len(stretch.text)
            begin += 1
        while begin and at < len(text) and not text.startswith("\n" + self.header, at - 1):
            begin -= 1  # the text of that one goes on
            at -= len(known[begin].text)
        end = len(text)
        left = len(known)
        while left > begin and text.endswith(known[left - 1].text, at, end):
            left -= 1
            end -= len(known[left].text)
        while left < len(known) and end > at and text[end - 1] != "\n":
            end += len(known[left].text)
            left += 1
        by_text = {stretch.text: stretch for stretch in known[begin:left]}
        between: list[Stretch] = []
        while at < end:
            after = min(self._next(text, at + 1), end)
            piece = text[at:after]
            between.append(by_text.get(piece) or self._stretch(piece, network))
            at = after
        return [*known[:begin], *between, *known[left:]]

    def _read(self, text: str) -> Part:
        """Read a stretch; raise _NotAloneError if it is none."""
        try:
            part = self.reader.read(text)
        except BadSyntaxError:
            raise _NotAloneError from None
        if not part.alone:
            raise _NotAloneError
        return part

    def _stretch(self, text: str, network: Forwarding) -> Stretch:
        return self._built(text, self._read(text), network)

    def _built(self, text: str, part: Part, network: Forwarding, *, alone: bool = True) -> Stretch:
        notes = part.notes
        built = [build.virtual_server(block, self.format, network, notes) for block in part.virtuals]
        if notes:
            notes = _with_lines(notes, text, self.reader)
        return Stretch(
            text,
            part.values,
            part.bad,
            tuple([server for server, _ in built]),
            tuple([facts for _, facts in built]),
            part.failovers,
            tuple(notes),
            alone,
        )


class _NotAloneError(Exception):
    """A stretch that cannot be read without the rest of its file."""


def _network(stretches: Sequence[Stretch], network: Forwarding) -> Forwarding:
    for stretch in stretches:
        if stretch.settings:
            network = stretch.settings.get("network", network)
    return network


def _settings(stretches: Sequence[Stretch]) -> tuple[dict[str, Any], frozenset[str], list[tuple[int, str]]]:
    """Merge the global options; also return those given before, with the index of their stretch."""
    settings: dict[str, Any] = {}
    bad: frozenset[str] = frozenset()
    again: list[tuple[int, str]] = []
    for index, stretch in enumerate(stretches):
        if stretch.settings or stretch.bad:
            again += [(index, key) for key in stretch.settings if key in settings]
            settings.update(stretch.settings)
            bad |= stretch.bad
    return settings, bad, again


# --- lines: needed only when there is something to tell


def _line(place: Place, lines: dict[Place, int]) -> int:
    """Return the line of `place`, or of what encloses it; 0 if there is none."""
    line = lines.get(place)
    if line is None and place.block >= 0:
        for wider in (
            Place("", place.block, place.server, place.kind, place.check),
            Place("check" if place.check >= 0 else "server", place.block, -1, place.kind),
            Place("", place.block, -1, place.kind),
            Place(place.kind),
        ):
            line = line or lines.get(wider)
    return line or 0


def _with_lines(notes: Sequence[Note], text: str, reader: Reader) -> list[Note]:
    if all(note.line for note in notes):
        return list(notes)
    lines = reader.locate(text)
    return [
        note if note.line else msgspec.structs.replace(note, line=_line(note.place, lines)) for note in notes
    ]


class _Finder:
    """Finds the lines of what concerns the file as a whole."""

    def __init__(self, stretches: Sequence[Stretch], reader: Reader) -> None:
        self.stretches = stretches
        self.reader = reader
        self.firsts = [0, *accumulate(len(stretch.virtual_servers) for stretch in stretches)]
        self.lines_before = [0, *accumulate(stretch.text.count("\n") for stretch in stretches)]
        self.homes = {
            key: index for index, stretch in enumerate(stretches) for key in (*stretch.settings, *stretch.bad)
        }
        self.known: dict[int, dict[Place, int]] = {}

    def located(self, note: Note, index: int | None = None) -> Note:
        """Fill in the line; `index` is the stretch, if it is not the last that sets the option."""
        place = note.place
        if place.block >= 0:
            index = bisect_right(self.firsts, place.block) - 1
            place = msgspec.structs.replace(place, block=place.block - self.firsts[index])
        elif index is None:
            index = self.homes.get(place.key, 0)
        if index not in self.known:
            self.known[index] = self.reader.locate(self.stretches[index].text)
        line = _line(place, self.known[index])
        return msgspec.structs.replace(note, line=line + self.lines_before[index] if line else 0)


def line_of(loaded: Loaded) -> Callable[[Place], int]:
    """Return what tells the line of a place in a file that was loaded; 0 for what is not written there."""
    finder = _Finder(loaded.stretches, _reader(loaded.format))
    return lambda place: finder.located(Note(place, "")).line


def _problems(file: str, stretches: Sequence[Stretch], notes: Sequence[Note]) -> tuple[Problem, ...]:
    problems = [Problem(file, note.line, note.place.path(), note.message, note.severity) for note in notes]
    if any([stretch.notes for stretch in stretches]):  # noqa: C419  a list is faster
        line = virtuals = failovers = 0
        for stretch in stretches:
            for note in stretch.notes:
                path = note.place.path(virtuals if note.place.kind == "virtual" else failovers)
                at = note.line + line if note.line else 0
                problems.append(Problem(file, at, path, note.message, note.severity))
            line += stretch.text.count("\n")
            virtuals += len(stretch.virtual_servers)
            failovers += stretch.failovers
    return tuple(sorted(problems))
