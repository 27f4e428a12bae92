"""A value that is not taken: the sentence that its author reads, and how it quotes the value."""

from __future__ import annotations


class Refused(Exception):
    """A value that its option does not take; the text says why."""


def shown(value: object) -> str:
    """Return `value` as a message quotes it: at most some sixty characters, in one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        text = '"' + (value if len(value) <= 60 else value[:57] + "...") + '"'
        return text if text.isprintable() else ascii(text[1:-1])
    if isinstance(value, int):
        return str(value) if -(10**40) < value < 10**40 else "a number of more than 40 digits"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list"
    return "a date or time"
