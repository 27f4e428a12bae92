"""The little of BER that LDAP needs (X.690 as RFC 4511 section 5.1 restricts it): bytes only.

Lengths are definite and tags one byte, as every tag of LDAP is. Nothing here recurses: a reader
opens one level at a time, and only the levels it knows, so depth costs a hostile server nothing
of ours. A length is believed only once that many bytes are there.
"""

from __future__ import annotations

INTEGER, OCTETS, ENUMERATED, SEQUENCE, SET = 0x02, 0x04, 0x0A, 0x30, 0x31
BOOLEAN = 0x01

Element = tuple[int, bytes]  # tag, content

MORE = 0  # of `size`: the header is not all there yet
LENGTH_BYTES = 4  # a length that needs more is no length of ours


def encode(tag: int, *parts: bytes) -> bytes:
    """One element, the shortest way: its content is the parts, one after the other."""
    content = b"".join(parts)
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    digits = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(digits))) + digits + content


def integer(value: int, tag: int = INTEGER) -> bytes:
    """An INTEGER or ENUMERATED, at least 0."""
    return encode(tag, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def size(data: bytes | bytearray, at: int = 0) -> int | None:
    """Bytes of the element that begins here, header included; None if none begins here.

    Shape: `MORE` if the header is not all there; the rest of the element need not be there.
    """
    if len(data) < at + 2:
        return MORE
    tag, first = data[at], data[at + 1]
    if tag & 0x1F == 0x1F or first == 0x80:  # a tag of several bytes; a length that is not said
        return None
    if first < 0x80:
        return 2 + first
    digits = first & 0x7F
    if digits > LENGTH_BYTES:
        return None
    if len(data) < at + 2 + digits:
        return MORE
    return 2 + digits + int.from_bytes(data[at + 2 : at + 2 + digits], "big")


def elements(content: bytes) -> list[Element] | None:
    """The elements that these bytes are, one level; None if they are not."""
    found, at = [], 0
    while at < len(content):
        length = size(content, at)
        if not length or at + length > len(content):
            return None
        header = 2 if content[at + 1] < 0x80 else 2 + (content[at + 1] & 0x7F)
        found.append((content[at], content[at + header : at + length]))
        at += length
    return found


def number(content: bytes) -> int | None:
    """The value of an INTEGER's or ENUMERATED's content; None if it is none, or over 32 bits."""
    return int.from_bytes(content, "big", signed=True) if 1 <= len(content) <= 5 else None
