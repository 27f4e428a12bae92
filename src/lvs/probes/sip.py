"""SIP: OPTIONS, over UDP or TCP (RFC 3261 section 11), answered by whoever serves it.

Via names a host that cannot be (RFC 6761 section 6.4) and asks for an answer to where the request
came from (RFC 3581), which is all that a check knows of itself.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable

from lvs.checks import Address, Answer, Reason, Sip
from lvs.probes.http import ranges
from lvs.probes.talk import down, quoted, up

PORT = 5060
US = "lvsd.invalid"
METHOD = "OPTIONS"
LONGEST_HEAD = 1 << 14
LONGEST_BODY = 1 << 16
_DENIALS = {401, 403, 407}

_STATUS = re.compile(rb"SIP/2\.0 ([1-6][0-9]{2})(?: [^\r\n]*)?\r?\n")
_BLANK = re.compile(rb"\r?\n\r?\n")
_FOLD = re.compile(rb"\r?\n[ \t]+")  # section 7.3.1
_PREFIX = b"SIP/2.0 "
# Compact forms of those that are looked at (section 7.3.3)
_LONG = {b"i": b"call-id", b"l": b"content-length"}

Draw = Callable[[int], bytes]


def talk(check: Sip, address: Address, port: int, draw: Draw = os.urandom) -> SipTalk:
    """The talk of a SIP check."""
    return SipTalk(check, address, port, draw)


class SipTalk:
    """One request, and its final answer; those before it (1xx) are passed over."""

    write_only = False

    def __init__(self, check: Sip, address: Address, port: int, draw: Draw) -> None:
        host = f"[{address}]" if address.version == 6 else str(address)
        where = host if port == PORT else f"{host}:{port}"
        self._uri = check.uri or f"sip:{where}"
        self._udp = check.udp
        self._wanted = check.status
        self._draw = draw
        self._call = b""
        self._got = b""
        self._looked = 0  # in what came: no head ends before this
        self._passed = 0

    def begin(self) -> bytes:
        self._got = b""
        self._looked = self._passed = 0
        mark = self._draw(12).hex()
        call = f"{mark[8:]}@{US}"
        self._call = call.encode()
        transport = "UDP" if self._udp else "TCP"
        return (
            f"{METHOD} {self._uri} SIP/2.0\r\n"
            f"Via: SIP/2.0/{transport} {US};branch=z9hG4bK{mark};rport\r\n"
            "Max-Forwards: 70\r\n"
            f"From: <sip:lvsd@{US}>;tag={mark[:8]}\r\n"
            f"To: <{self._uri}>\r\n"
            f"Call-ID: {call}\r\n"
            f"CSeq: 1 {METHOD}\r\n"
            f"Contact: <sip:lvsd@{US}>\r\n"
            "Accept: application/sdp\r\n"
            "User-Agent: lvsd\r\n"
            "Content-Length: 0\r\n\r\n"
        ).encode()

    def received(self, data: bytes) -> bytes | Answer:
        if self._udp:
            head = _BLANK.search(data)
            verdict = self._judged(data[: head.end()] if head else data)
            self._passed += verdict is None
            return verdict or b""
        looked, self._looked = self._looked, 0
        got = self._got + data
        while True:
            if got[:1] in (b"\r", b"\n"):  # section 7.5: empty lines before a message
                got = got.lstrip(b"\r\n")
                looked = 0
            self._got = got
            if not _PREFIX.startswith(got[: len(_PREFIX)]):
                return down(Reason.GARBLED, f"not SIP: {quoted(got[:200])}")
            head = _BLANK.search(got, looked)
            if head is None:
                self._looked = max(len(got) - 3, 0)
                return down(Reason.TOO_LONG, "no end of the head") if len(got) > LONGEST_HEAD else b""
            verdict = self._judged(got[: head.end()])
            if verdict is not None:
                return verdict
            length = _fields(got[: head.end()]).get(b"content-length", b"0")
            if not length.isdigit() or len(length) > 9 or int(length) > LONGEST_BODY:
                return down(Reason.GARBLED, f"not SIP: {quoted(got[:200])}")
            end = head.end() + int(length)
            if len(got) < end:
                return b""
            got, looked = got[end:], 0

    def ended(self) -> Answer:
        return down(Reason.CLOSED, f"closed before {METHOD} was answered")

    def silent(self) -> str:
        passed = f" ({self._passed} datagrams were none)" if self._passed else ""
        return f"an answer to {METHOD}{passed}"

    def _judged(self, head: bytes) -> Answer | None:
        """The verdict on a message; None: it is no final answer to ours (section 17.1.3)."""
        line = _STATUS.match(head)
        if line is None:
            return None
        fields = _fields(head)
        if fields.get(b"call-id") != self._call or fields.get(b"cseq", b"").split() != [b"1", b"OPTIONS"]:
            return None
        status = int(line[1])
        if status < 200:
            return None
        if any([low <= status <= high for low, high in self._wanted]):  # noqa: C419
            return up(f"status {status}")
        reason = Reason.DENIED if status in _DENIALS else Reason.WRONG_ANSWER
        return down(reason, f"status {status}, {ranges(self._wanted)} expected")


def _fields(head: bytes) -> dict[bytes, bytes]:
    """The fields of a head, by their long names in lower case; of several the first."""
    found: dict[bytes, bytes] = {}
    for line in _FOLD.sub(b" ", head).splitlines()[1:]:
        name, _, value = line.partition(b":")
        name = name.strip().lower()
        found.setdefault(_LONG.get(name, name), value.strip())
    return found
