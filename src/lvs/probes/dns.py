"""DNS: one question, and the records that answer it (RFC 1035).

An answer counts if it has our identifier and our question. A record is compared by its value in
presentation form: `192.0.2.1`, `ns1.example.`, `10 mail.example.`, `0 5 5060 host.`; of SOA it is
the primary name server's name, of TXT the strings without quotes, put together.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address
from os import urandom
from typing import NamedTuple

from lvs.checks import Address, Answer, Dns, Reason
from lvs.probes.talk import down, quoted, up

# RFC 1035 section 3.2.2, RFC 3596, RFC 2782, RFC 8659
TYPES = {
    "A": 1,
    "NS": 2,
    "CNAME": 5,
    "SOA": 6,
    "PTR": 12,
    "MX": 15,
    "TXT": 16,
    "AAAA": 28,
    "SRV": 33,
    "ANY": 255,
    "CAA": 257,
}
# What four bits can say: RFC 1035 section 4.1.1, RFC 2136 section 2.2, RFC 8490 section 10.2
RCODES = {
    "NOERROR": 0,
    "FORMERR": 1,
    "SERVFAIL": 2,
    "NXDOMAIN": 3,
    "NOTIMP": 4,
    "REFUSED": 5,
    "YXDOMAIN": 6,
    "YXRRSET": 7,
    "NXRRSET": 8,
    "NOTAUTH": 9,
    "NOTZONE": 10,
    "DSOTYPENI": 11,
}
_TEXTS = (TYPES["TXT"], TYPES["CAA"])  # no names
INTERNET = 1  # class IN
LONGEST_LABEL, LONGEST_NAME = 63, 255  # bytes, RFC 1035 section 2.3.4
MOST_SHOWN = 2  # records of a wrong answer that a sentence names
# What one message may cost: it may hold thousands of records, each with a name in a chain of pointers.
MOST_RECORDS, MOST_POINTERS = 1024, 32

HEADER = struct.Struct("!HHHHHH")
_FIXED = struct.Struct("!HHIH")  # of a record: type, class, time to live, length
_RESPONSE, _TRUNCATED, _RECURSE = 0x8000, 0x0200, 0x0100
_POINTER = 0xC0
_ESCAPED = frozenset(b'."\\();@$')  # RFC 1035 section 5.1, less what is special in the first column only

Random = Callable[[int], bytes]


class Record(NamedTuple):
    """A record of the answer section."""

    type: int
    value: str  # presentation form; empty if the type is none of `TYPES`


class Malformed(ValueError):
    """A message that is not what RFC 1035 says."""


def question(name: str, type_: str) -> bytes:
    """A question section with one question. Errors: ValueError with a sentence."""
    if type_ not in TYPES:
        raise ValueError(f"type {type_} is not known: {', '.join(TYPES)}")
    if not name or not name.isascii() or not name.isprintable() or set(name) & set(' \\"'):
        raise ValueError(f"{quoted(name)} is no domain name in ASCII; others are written xn--")
    labels = [] if name == "." else name.removesuffix(".").split(".")
    if not all(labels):
        raise ValueError(f"{quoted(name)} has an empty label")
    if max(map(len, labels), default=0) > LONGEST_LABEL:
        raise ValueError(f"{quoted(name)} has a label of more than {LONGEST_LABEL} bytes")
    wire = b"".join(bytes((len(label),)) + label.encode() for label in labels) + b"\0"
    if len(wire) > LONGEST_NAME:
        raise ValueError(f"{quoted(name)} is a name of more than {LONGEST_NAME} bytes")
    return wire + struct.pack("!HH", TYPES[type_], INTERNET)


def talk(check: Dns, _address: Address, _port: int, random: Random = urandom) -> DnsTalk:
    """The talk of a DNS check. Errors: ValueError, see `question`, and for an unknown rcode."""
    return DnsTalk(check, random)


class DnsTalk:
    """One question. Its identifier is new each time: who cannot see it cannot answer it."""

    def __init__(self, check: Dns, random: Random) -> None:
        if check.rcode not in RCODES:
            raise ValueError(f"rcode {check.rcode} is not known: {', '.join(RCODES)}")
        self._question = question(check.name, check.type)
        self._type = TYPES[check.type]
        self._rcode = check.rcode
        self._answer = check.answer
        self._waiting = f"the answer to {quoted(check.name)[1:-1]} {check.type}"
        self._tcp = check.tcp
        self._random = random
        self._identifier = 0
        self._buffer = b""

    def begin(self) -> bytes:
        self._buffer = b""
        self._identifier = int.from_bytes(self._random(2), "big")
        message = HEADER.pack(self._identifier, _RECURSE, 1, 0, 0, 0) + self._question
        return len(message).to_bytes(2, "big") + message if self._tcp else message

    def received(self, data: bytes) -> bytes | Answer:
        if not self._tcp:
            return self._judged(data) if self._is_ours(data) else b""
        self._buffer += data  # two bytes of length, then the message: RFC 1035 section 4.2.2
        if len(self._buffer) < 2 + HEADER.size:
            return b""
        length = int.from_bytes(self._buffer[:2], "big")
        header = self._buffer[2 : 2 + HEADER.size]
        identifier, flags = HEADER.unpack(header)[:2]
        if length < HEADER.size or identifier != self._identifier or not flags & _RESPONSE:
            return down(Reason.GARBLED, f"not DNS: {quoted(self._buffer[: 2 + HEADER.size])}")
        message = self._buffer[2 : 2 + length]
        if len(message) < length:
            return b""
        if self._is_ours(message):
            return self._judged(message)
        return down(Reason.GARBLED, "an answer to another question")

    def ended(self) -> Answer:
        how = "in the middle of" if self._buffer else "without"
        return down(Reason.CLOSED, f"closed {how} an answer")

    def silent(self) -> str:
        return self._waiting

    def _is_ours(self, message: bytes) -> bool:
        """Whether a message answers our question; an error may come without it."""
        if len(message) < HEADER.size:
            return False
        identifier, flags, questions, *_ = HEADER.unpack_from(message)
        if identifier != self._identifier or not flags & _RESPONSE:
            return False
        if not questions:
            return bool(flags & 15)
        asked = message[HEADER.size : HEADER.size + len(self._question)]
        # The length of a label is at most 63, so that no such byte is a letter.
        return bool(
            questions == 1
            and asked[:-4].lower() == self._question[:-4].lower()
            and asked[-4:] == self._question[-4:]
        )

    def _judged(self, message: bytes) -> Answer:
        """The verdict on an answer to our question."""
        _, flags, questions, count, *_ = HEADER.unpack_from(message)
        rcode = rcode_name(flags & 15)
        if rcode != self._rcode:
            return down(Reason.WRONG_ANSWER, f"rcode {rcode}, {self._rcode} expected")
        found: list[Record] = []
        try:
            for record in records(message, HEADER.size + len(self._question) * questions, count):
                found.append(record)  # noqa: PERF402  what came before an error is kept
        except Malformed as fault:
            if not flags & _TRUNCATED:
                return down(Reason.GARBLED, f"{rcode}, but {fault}")
        if self._answer is None:
            return up(f"{rcode}, {self._shown(found, 1)}" if found else rcode)
        for record in found:
            if same(record, self._answer):
                return up(f"{rcode}, {_plain(record.value)}")
        cut = ", truncated" if flags & _TRUNCATED else ""
        got = self._shown(found, MOST_SHOWN) if found else "none"
        return down(Reason.WRONG_ANSWER, f"no answer record {_plain(self._answer)}, got {got}{cut}")

    def _shown(self, found: list[Record], most: int) -> str:
        """The first records, those of the type asked for before others."""
        best = sorted(found, key=lambda record: record.type != self._type)
        more = f" and {len(best) - most} more" if len(best) > most else ""
        return ", ".join(_plain(one.value or f"TYPE{one.type}") for one in best[:most]) + more


def rcode_name(code: int) -> str:
    return next((name for name, value in RCODES.items() if value == code), str(code))


def same(record: Record, wanted: str) -> bool:
    """Whether a value is the one wanted, but for case and final dot of names, and quotes of texts."""
    if record.type in _TEXTS:
        return record.value.replace('"', "") == wanted.replace('"', "")
    if record.type == TYPES["AAAA"]:
        with suppress(ValueError):
            return record.value == str(IPv6Address(wanted))
    return record.value.lower().removesuffix(".") == wanted.lower().removesuffix(".") and record.value != ""


def _plain(value: str) -> str:
    return quoted(value)[1:-1]


def records(message: bytes, at: int, count: int) -> Iterator[Record]:
    """Yield `count` records that begin at an offset. Errors: Malformed, where one is."""
    for _ in range(min(count, MOST_RECORDS)):
        at = _behind_name(message, at)
        if at + _FIXED.size > len(message):
            raise Malformed("the answer is cut off")
        type_, class_, _, length = _FIXED.unpack_from(message, at)
        at += _FIXED.size
        end = at + length
        if end > len(message):
            raise Malformed("the answer is cut off")
        value = _value(message, at, end, type_) if class_ == INTERNET else ""
        yield Record(type_, value)
        at = end


def name_at(message: bytes, at: int) -> tuple[str, int]:
    """A name in presentation form with its final dot, and the offset behind it. Errors: Malformed.

    Each pointer must lead to before where the labels that it ends began (RFC 1035 section 4.1.4 has
    "a prior occurrence"), so that there is an end.
    """
    behind = _behind_name(message, at)
    labels: list[str] = []
    size, pointers, began = 1, 0, at
    while length := _byte(message, at):
        at += 1
        if length >= _POINTER:
            at = (length - _POINTER) << 8 | _byte(message, at)
            pointers += 1
            if at >= began or pointers > MOST_POINTERS:
                raise Malformed("a name's pointers lead nowhere")
            began = at
            continue
        size += 1 + length
        if length > LONGEST_LABEL or size > LONGEST_NAME or at + length > len(message):
            raise Malformed("a name is too long or malformed")
        labels.append(_label(message[at : at + length]))
        at += length
    return ".".join((*labels, "")) if labels else ".", behind


def _behind_name(message: bytes, at: int) -> int:
    """The offset behind a name: its first pointer ends it, or an empty label."""
    while length := _byte(message, at):
        if length >= _POINTER:
            return at + 2
        at += 1 + length
    return at + 1


def _byte(message: bytes, at: int) -> int:
    if at >= len(message):
        raise Malformed("a name has no end")
    return message[at]


def _label(label: bytes) -> str:
    """A label in presentation form. Source: RFC 1035 section 5.1."""
    return "".join(
        f"\\{chr(byte)}" if byte in _ESCAPED else chr(byte) if 0x20 < byte < 0x7F else f"\\{byte:03}"
        for byte in label
    )


def _value(message: bytes, at: int, end: int, type_: int) -> str:
    """What a record holds, in presentation form; empty if the type has no words here. Errors: Malformed."""
    data = message[at:end]
    match next((name for name, number in TYPES.items() if number == type_), ""):
        case "A" if len(data) == 4:
            return str(IPv4Address(data))
        case "AAAA" if len(data) == 16:
            return str(IPv6Address(data))
        case "NS" | "CNAME" | "PTR" | "SOA":  # of SOA, the first name: section 3.3.13
            return _name_within(message, at, end)
        case "MX" if len(data) > 2:
            return f"{int.from_bytes(data[:2], 'big')} {_name_within(message, at + 2, end)}"
        case "SRV" if len(data) > 6:
            priority, weight, port = struct.unpack_from("!HHH", data)
            return f"{priority} {weight} {port} {_name_within(message, at + 6, end)}"
        case "TXT":
            return _text(data)
        case "CAA" if len(data) > 2 and len(data) >= 2 + data[1]:  # RFC 8659 section 4.1
            tag, value = data[2 : 2 + data[1]], data[2 + data[1] :]
            return f"{data[0]} {tag.decode('latin-1')} {value.decode('latin-1')}"
        case "" | "ANY":
            return ""
    raise Malformed("a record has the wrong length")


def _name_within(message: bytes, at: int, end: int) -> str:
    name, behind = name_at(message, at)
    if behind > end:
        raise Malformed("a name is longer than its record")
    return name


def _text(data: bytes) -> str:
    """Character strings, put together. Source: RFC 1035 section 3.3.14."""
    text, at = b"", 0
    while at < len(data):
        length = data[at]
        if at + 1 + length > len(data):
            raise Malformed("a text is longer than its record")
        text += data[at + 1 : at + 1 + length]
        at += 1 + length
    return text.decode("utf-8", "replace")
