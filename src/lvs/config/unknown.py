"""What is said of a word that is no option, or no option here: what it may have been meant to be."""

from __future__ import annotations

from lvs.config.option import Scope
from lvs.config.options import BY_SCOPE
from lvs.model import Format

# Keys seen in files that Piranha refuses: what to say instead of "unknown option".
KNOWN_MISTAKES: dict[str, str] = {
    "expect_program": "lvsd never knew it, piranha-gui did: expect is compared with what send_program prints",
    "debug": "write debug_level",
    "name": "the name stands in the opening line: virtual NAME {",
}


def suggestion(word: str, known: list[str], likeness: float = 0.65) -> str:
    """Return `; did you mean "scheduler"?`, or nothing if no known word is close."""
    if len(word) > 40:
        return ""
    import difflib

    close = difflib.get_close_matches(word.lower(), known, 1, likeness)
    return f'; did you mean "{close[0]}"?' if close else ""


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


def unknown(name: str, scope: Scope, file_format: Format) -> str:
    """Say why `name` is no option here."""
    option = BY_SCOPE[scope].get(name)
    if option is not None:
        if file_format is Format.LVS_CF:
            return "known in lvs.toml only; lvsd convert --to toml writes one from this file"
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
    names = [option.name for option in BY_SCOPE[scope].values() if file_format in option.formats]
    return "unknown option" + suggestion(name, names)
