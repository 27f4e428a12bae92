"""The line of `serial_no` in a text: where it is, and the text with another number there. Pure."""

from __future__ import annotations

import re

from lvs.config.load import format_of
from lvs.config.located import BadSyntaxError, Place
from lvs.model import Format

_KEY = "serial_no"
_NUMBER = re.compile(rb"""(serial_no["']?\s*=\s*)[^\s#]+""")


def _lines(text: bytes, language: Format) -> list[bytes]:
    """Lines with their ends: what an lvs.cf takes for one, or only LF."""
    ends = rb"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+" if language is Format.LVS_CF else rb"[^\n]*\n|[^\n]+"
    return re.findall(ends, text)


def line_of(text: bytes, file: str) -> int:
    """The line where serial_no is given, from 1; 0 if it is not. Errors: none."""
    language = format_of(file)
    decoded = "\n".join(
        line.rstrip(b"\r\n").decode("latin-1").removeprefix("\xef\xbb\xbf") for line in _lines(text, language)
    )
    if language is Format.TOML:
        from lvs.config import toml

        reader: toml.Reader | lvscf.Reader = toml.Reader()
    else:
        from lvs.config import lvscf

        reader = lvscf.Reader()
    try:
        return reader.locate(decoded + "\n").get(Place(_KEY), 0)
    except BadSyntaxError:
        return 0


def with_serial(text: bytes, file: str, serial: int) -> bytes:
    """The same text with this serial_no; every other byte stays as it was."""
    lines = _lines(text, format_of(file))
    number = line_of(text, file)
    if number:
        lines[number - 1] = _NUMBER.sub(rb"\g<1>%d" % serial, lines[number - 1], count=1)
        return b"".join(lines)
    end = b"\r\n" if lines and lines[0].endswith(b"\r\n") else b"\n"
    mark = b"\xef\xbb\xbf" if text.startswith(b"\xef\xbb\xbf") else b""
    return mark + b"serial_no = %d" % serial + end + text.removeprefix(mark)
