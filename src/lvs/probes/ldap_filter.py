"""LDAP filters: the text an operator writes (RFC 4515) to what a search carries (RFC 4511 section 4.5.1).

Strict, for a filter that a directory would read otherwise is worse than one that is refused:
parentheses are required, and `*`, `(`, `)`, `\\` and NUL stand for themselves only when escaped.
"""

from __future__ import annotations

import re

from lvs.probes import ber

DEEPEST = 32  # filters within filters; nobody writes that many

AND, OR, NOT = 0xA0, 0xA1, 0xA2
EQUAL, SUBSTRINGS, AT_LEAST, AT_MOST, PRESENT, ALIKE, EXTENSIBLE = 0xA3, 0xA4, 0xA5, 0xA6, 0x87, 0xA8, 0xA9

COMPARISONS = {"=": EQUAL, ">=": AT_LEAST, "<=": AT_MOST, "~=": ALIKE}
# RFC 4512 section 2.5: a name or an object identifier, then options
KIND = r"(?:[A-Za-z][A-Za-z0-9-]*|[0-9]+(?:\.[0-9]+)*)"
ATTRIBUTE = rf"{KIND}(?:;[A-Za-z0-9-]+)*"
# What stands between parentheses: attribute, comparison, value
ITEM = re.compile(
    rf"(?P<attribute>{ATTRIBUTE})?(?P<dn>:[dD][nN])?(?::(?P<rule>{KIND}))?(?P<sign>:=|>=|<=|~=|=)(?P<value>[^()\0]*)"
)
ESCAPED = re.compile(rb"\\([0-9A-Fa-f]{2})?")


def filter_of(text: str) -> bytes:
    """A filter's text as the Filter of a search.

    Errors: ValueError with a sentence that says where.
    """
    filter_, at = _filter(text, 0, 0)
    if at != len(text):
        raise ValueError(f"the filter ends at character {at}, and more follows")
    return filter_


def _filter(text: str, at: int, depth: int) -> tuple[bytes, int]:
    """The filter that begins here, and where it ends."""
    if not text.startswith("(", at):
        raise ValueError(f"a filter begins with ( at character {at + 1}")
    if depth > DEEPEST:
        raise ValueError(f"filters are within each other more than {DEEPEST} deep")
    sign = text[at + 1 : at + 2]
    if sign and sign in "&|!":
        filter_, at = _combined(text, at + 2, sign, depth)
    else:
        filter_, at = _item(text, at + 1)
    if not text.startswith(")", at):
        raise ValueError(f"a filter ends with ) at character {at + 1}")
    return filter_, at + 1


def _combined(text: str, at: int, sign: str, depth: int) -> tuple[bytes, int]:
    """What follows &, | or !; none after & is true and after | is false (RFC 4526)."""
    parts: list[bytes] = []
    while text.startswith("(", at) and not (sign == "!" and parts):
        part, at = _filter(text, at, depth + 1)
        parts.append(part)
    if sign == "!" and not parts:
        raise ValueError(f"a filter follows ! at character {at + 1}")
    # A SET OF, its tag replaced by the choice's; NOT holds its filter as it is
    return ber.encode({"&": AND, "|": OR, "!": NOT}[sign], *parts), at


def _item(text: str, at: int) -> tuple[bytes, int]:
    """A comparison, and where it ends."""
    match = ITEM.match(text, at)
    if match is None:
        raise ValueError(f"attribute=value is expected at character {at + 1}")
    attribute, sign, value = match["attribute"], match["sign"], match["value"]
    if sign == ":=":
        return _extensible(match, at), match.end()
    if not attribute or match["dn"] or match["rule"]:
        raise ValueError(f"attribute=value or attribute:rule:=value is expected at character {at + 1}")
    name = ber.encode(ber.OCTETS, attribute.encode())
    if sign == "=" and value == "*":
        return ber.encode(PRESENT, attribute.encode()), match.end()
    if sign == "=" and "*" in value:
        return ber.encode(SUBSTRINGS, name, _substrings(value, match.start("value"))), match.end()
    asserted = ber.encode(ber.OCTETS, _value(value, match.start("value")))
    return ber.encode(COMPARISONS[sign], name, asserted), match.end()


def _substrings(value: str, at: int) -> bytes:
    """What stands between the asterisks: initial [0], any [1], final [2]."""
    first, *inner, last = value.split("*")
    if "" in inner:
        raise ValueError(f"something stands between two * at character {at + 1}")
    pieces = [(0x80, first), *((0x81, piece) for piece in inner), (0x82, last)]
    return ber.encode(ber.SEQUENCE, *(ber.encode(tag, _value(piece, at)) for tag, piece in pieces if piece))


def _extensible(match: re.Match[str], at: int) -> bytes:
    """attribute:dn:rule:=value; an attribute or a rule, or both."""
    attribute, rule = match["attribute"], match["rule"]
    if not attribute and not rule:
        raise ValueError(f"an attribute or a matching rule is expected at character {at + 1}")
    return ber.encode(
        EXTENSIBLE,
        ber.encode(0x81, rule.encode()) if rule else b"",
        ber.encode(0x82, attribute.encode()) if attribute else b"",
        ber.encode(0x83, _value(match["value"], match.start("value"))),
        ber.encode(0x84, b"\xff") if match["dn"] else b"",
    )


def _value(text: str, at: int) -> bytes:
    """A value's octets: UTF-8, escapes as a backslash and two hexadecimal digits."""
    if "*" in text:
        raise ValueError(rf"* is written \2a in the value at character {at + 1}")

    def octet(match: re.Match[bytes]) -> bytes:
        if match[1] is None:
            raise ValueError(rf"two hexadecimal digits follow \ in the value at character {at + 1}")
        return bytes((int(match[1], 16),))

    return ESCAPED.sub(octet, text.encode())
