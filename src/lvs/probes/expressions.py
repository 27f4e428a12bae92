"""Expressions in checks: POSIX extended ones, matched in time linear to the answer.

nanny used regcomp(3) with REG_EXTENDED. RE2 reads the same language ([[:digit:]] included; no
back references), and neither an expression nor what a server sends can make it take long.

POSIX leaves a backslash before an ordinary character undefined. What GNU and Perl make of it is taken:
classes (`\\w`, `\\s`, `\\d`), word boundaries (`\\b`), control characters (`\\r`, `\\n`, `\\x41`). To glibc's
regcomp(3) `\\d` and the last of these are plain letters, which nobody can have meant. Perl's lazy
repetitions are refused: in POSIX `a+?` may be missing altogether, in Perl it may not.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Protocol

MOST_MEMORY = 1 << 20  # bytes for one compiled expression
LONGEST = 4096  # bytes of one; RE2 reads unclosed classes in time square to its length

# Two repetitions in a row, the second a `?`, outside of brackets and not behind a backslash; of an expression
# that RE2 has taken, so that every bracket has its end.
_TOKEN = re.compile(
    rb"\\.|\[\^?\]?(?:\[:\^?[a-z]{1,9}:\]|[^\]])*+\]|(?P<lazy>(?:[*+?]|\{[0-9]+(?:,[0-9]*)?\})\?)|.",
    re.DOTALL,
)


class Expression(Protocol):
    """A compiled expression."""

    def search(self, data: bytes) -> object | None:
        """Anything but None if it is found anywhere in `data`."""


@lru_cache(maxsize=1024)
def posix(pattern: bytes) -> Expression:
    """Compile an expression; `.` is any character, `^` and `$` the ends of the whole answer.

    Errors: ValueError with a sentence.
    """
    if len(pattern) > LONGEST:
        raise ValueError(f"not an expression of at most {LONGEST} bytes, but of {len(pattern)}")
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
        raise ValueError(f"not a POSIX extended regular expression: {text[:100]}") from fault
    for token in _TOKEN.finditer(pattern):
        if token["lazy"]:
            signs = token["lazy"].decode()
            raise ValueError(
                f"not a POSIX extended regular expression: `{signs}` is two repetitions; which counts?"
            )
    return compiled
