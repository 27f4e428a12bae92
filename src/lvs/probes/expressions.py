"""Expressions in checks: POSIX extended ones, matched in time linear to the answer.

nanny used regcomp(3) with REG_EXTENDED. RE2 reads the same language ([[:digit:]] included; no
back references), and neither an expression nor what a server sends can make it take long.
GNU's and Perl's short classes and word boundaries (`\\d`, `\\b`) are taken as well.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Protocol

MOST_MEMORY = 1 << 20  # bytes for one compiled expression


class Expression(Protocol):
    """A compiled expression."""

    def search(self, data: bytes) -> object | None:
        """Anything but None if it is found anywhere in `data`."""


@lru_cache(maxsize=1024)
def posix(pattern: bytes) -> Expression:
    """Compile an expression; `.` is any character, `^` and `$` the ends of the whole answer.

    Errors: ValueError with a sentence.
    """
    import re2  # only configurations with expressions pay for it

    options: Any = re2.Options()
    options.posix_syntax = options.perl_classes = options.word_boundary = True
    options.one_line = options.dot_nl = True
    options.log_errors = False
    options.encoding = re2.Options.Encoding.LATIN1  # bytes are bytes
    options.max_mem = MOST_MEMORY
    try:
        compiled: Expression = re2.compile(pattern, options=options)
    except re2.error as fault:
        said = fault.args[0] if fault.args else "not understood"
        text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        raise ValueError(f"not a POSIX extended regular expression: {text}") from fault
    return compiled
