"""What is said of a word that is no option, or no option here: what it may have been meant to be."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from lvs.config.option import Scope
from lvs.config.options import BY_SCOPE, OPTIONS
from lvs.model import Format

if TYPE_CHECKING:
    from collections.abc import Iterable

# Keys seen in files that Piranha refuses: what to say instead of "unknown option".
KNOWN_MISTAKES: dict[str, str] = {
    "expect_program": "lvsd never knew it, piranha-gui did: expect is compared with what send_program prints",
    "debug": "write debug_level",
    "name": "the name stands in the opening line: virtual NAME {",
}


LIKENESS = 0.65
# Of options of other blocks: pmask is not what is meant by the nmask of a real server.
FOREIGN_LIKENESS = 0.82

# A file with an error is not converted.
TOML_ADVICE = "take this line out, run lvsd convert --to toml, and put it there"

CF_BLOCKS = ("virtual", "server", "failover")
TOML_BLOCKS = {"virtual": "[[virtual]]", "server": "[[virtual.server]]", "check": "[[virtual.check]]"}


def closest(word: str, known: Iterable[str], likeness: float = LIKENESS) -> str:
    """Return the known word that is most like `word`, or nothing if none is close."""
    if len(word) > 40:
        return ""
    import difflib

    close = difflib.get_close_matches(word.lower(), known, 1, likeness)
    return close[0] if close else ""


def suggestion(word: str, known: Iterable[str], likeness: float = LIKENESS) -> str:
    """Return `; did you mean "scheduler"?`, or nothing if no known word is close."""
    close = closest(word, known, likeness)
    return f'; did you mean "{close}"?' if close else ""


_WHERE = {
    Format.LVS_CF: {
        Scope.GLOBAL: "outside all blocks",
        Scope.VIRTUAL: "in a virtual block",
        Scope.SERVER: "in a server block",
    },
    Format.TOML: {
        Scope.GLOBAL: "above the first [[virtual]]",
        Scope.VIRTUAL: "in [[virtual]]",
        Scope.SERVER: "in [[virtual.server]]",
    },
}


def unknown_block(name: str) -> str:
    """Say which block of lvs.toml is meant; nothing if none is."""
    close = closest(name, TOML_BLOCKS)
    return f"unknown block; did you mean {TOML_BLOCKS[close]}?" if close else ""


def unknown(name: str, scope: Scope, file_format: Format) -> str:
    """Say why `name` is no option here."""
    option = BY_SCOPE[scope].get(name)
    if option is not None:
        if file_format is Format.LVS_CF:
            return f"known in lvs.toml only: {TOML_ADVICE}"
        return f"{option.help}; not in lvs.toml"
    if file_format is Format.LVS_CF and name in KNOWN_MISTAKES:
        return f"unknown option; {KNOWN_MISTAKES[name]}"
    if file_format is Format.TOML and name == "failover" and scope is Scope.GLOBAL:
        return "unknown option; failover services are not supported, only virtual servers are"
    homes = [
        other for other in Scope if name in BY_SCOPE[other] and file_format in BY_SCOPE[other][name].formats
    ]
    if homes:
        where = _WHERE[file_format][homes[0]]
        return f"unknown option here; it belongs {where}"
    return "unknown option" + _meant(name, scope, file_format)


def _meant(name: str, scope: Scope, file_format: Format) -> str:
    """Suggest an option of this scope, or one of another if that is closer."""
    own, foreign = _known(scope, file_format)
    close = closest(name, (closest(name, own), closest(name, foreign, FOREIGN_LIKENESS)), 0)
    if not close or close in own:
        return f'; did you mean "{close}"?' if close else ""
    return f'; did you mean "{close}", which belongs {_WHERE[file_format][foreign[close]]}?'


@cache
def _known(scope: Scope, file_format: Format) -> tuple[frozenset[str], dict[str, Scope]]:
    """Return the options of `scope`, and those of the others with theirs."""
    homes = {option.name: option.scope for option in OPTIONS if file_format in option.formats}
    own = frozenset(name for name, option in BY_SCOPE[scope].items() if file_format in option.formats)
    return own, {name: home for name, home in homes.items() if name not in own}
