"""What a commit's tree may hold: plain files, one of them the configuration. Pure."""

from __future__ import annotations

from typing import NamedTuple

from lvs.model import Format

NAMES = {Format.TOML: "lvs.toml", Format.LVS_CF: "lvs.cf"}  # of the configuration, at the top
MOST_FILES = 1000
LONGEST = 16 << 20  # bytes of a file; 40,000 real servers take 5 MB
LONGEST_LISTING = 1 << 20  # bytes that `git ls-tree` may say
SHOWN = 10  # problems of one kind
_PLAIN = {"100644", "100755"}
_NOT_PLAIN = {
    "120000": "a symbolic link",
    "160000": "a submodule",
}


class Entry(NamedTuple):
    mode: str
    kind: str  # blob, tree, commit
    id: str
    size: int  # bytes; 0 for what has none
    path: bytes


class Chosen(NamedTuple):
    """The configuration in a tree."""

    name: str
    blob: str
    size: int


def entries(listing: bytes) -> tuple[Entry, ...]:
    """What `git ls-tree -z -l` says; its man page, "OUTPUT FORMAT"."""
    found = []
    for line in listing.split(b"\0"):
        if line:
            words, path = line.split(b"\t", 1)
            mode, kind, name, size = words.decode().split()
            found.append(Entry(mode, kind, name, 0 if size == "-" else int(size), path))
    return tuple(found)


def printable(text: bytes | str) -> str:
    """A name from outside, so that a terminal shows it and does nothing else."""
    decoded = text if isinstance(text, str) else text.decode(errors="backslashreplace")
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape", "surrogatepass").decode()
        for one in decoded
    )


def judge(found: tuple[Entry, ...]) -> Chosen | tuple[str, ...]:
    """The configuration in a tree that is listed with its subdirectories; or all that is wrong with it."""
    if len(found) > MOST_FILES:
        return (f"{len(found)} files; a repository of a director holds {MOST_FILES} at most",)
    problems = []
    for entry in found:
        if entry.mode not in _PLAIN:
            what = _NOT_PLAIN.get(entry.mode, f"of mode {printable(entry.mode)}")
            problems.append(f"{printable(entry.path)}: {what}; only plain files can be pushed")
        elif entry.size > LONGEST:
            problems.append(f"{printable(entry.path)}: larger than {LONGEST >> 20} MiB")
    if len(problems) > SHOWN:
        problems = [*problems[:SHOWN], f"and {len(problems) - SHOWN} more"]
    tops = [entry for entry in found if entry.path.decode(errors="replace") in NAMES.values()]
    if not tops:
        problems.append("there is neither lvs.toml nor lvs.cf at the top of the repository")
    elif len(tops) > 1:
        problems.append("both lvs.toml and lvs.cf are at the top of the repository: remove one")
    if problems:
        return tuple(problems)
    return Chosen(tops[0].path.decode(), tops[0].id, tops[0].size)
