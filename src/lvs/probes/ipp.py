"""IPP: what a printer says of itself, or whether a print server answers at all (RFC 8010 and 8011).

With a path other than `/`, that printer is asked for its state, and is up if it is not stopped and
accepts jobs: one queue for one virtual server. With `/` the server is asked CUPS-Get-Default, which
CUPS answers without a look at any printer; that no printer is the default one is an answer too.
"""

from __future__ import annotations

from collections.abc import Mapping

from lvs.checks import Answer, Ipp, Reason, Target
from lvs.probes.http_answer import HttpAnswer
from lvs.probes.talk import Talk, down, quoted, up

VERSION = b"\x01\x01"  # 1.1: whoever speaks 2.x speaks it too (PWG 5100.12 section 4)
GET_PRINTER_ATTRIBUTES, CUPS_GET_DEFAULT = 0x000B, 0x4001
REQUEST = 1

# Tags: RFC 8010 sections 3.5.1 and 3.5.2
OPERATION_GROUP, END, PRINTER_GROUP = 0x01, 0x03, 0x04
FIRST_VALUE_TAG = 0x10
BOOLEAN, ENUM, KEYWORD, URI, CHARSET, LANGUAGE = 0x22, 0x23, 0x44, 0x45, 0x47, 0x48

WANTED = ("printer-state", "printer-is-accepting-jobs", "printer-state-reasons")
STATES = {3: "idle", 4: "processing", 5: "stopped"}  # RFC 8011 section 5.4.11
STOPPED = 5

# RFC 8011 appendix B
STATUSES = {
    0x0000: "successful-ok",
    0x0400: "client-error-bad-request",
    0x0401: "client-error-forbidden",
    0x0402: "client-error-not-authenticated",
    0x0403: "client-error-not-authorized",
    0x0404: "client-error-not-possible",
    0x0405: "client-error-timeout",
    0x0406: "client-error-not-found",
    0x0407: "client-error-gone",
    0x0408: "client-error-request-entity-too-large",
    0x0409: "client-error-request-value-too-long",
    0x040A: "client-error-document-format-not-supported",
    0x040B: "client-error-attributes-or-values-not-supported",
    0x040C: "client-error-uri-scheme-not-supported",
    0x040D: "client-error-charset-not-supported",
    0x0500: "server-error-internal-error",
    0x0501: "server-error-operation-not-supported",
    0x0502: "server-error-service-unavailable",
    0x0503: "server-error-version-not-supported",
    0x0504: "server-error-device-error",
    0x0505: "server-error-temporary-error",
    0x0506: "server-error-not-accepting-jobs",
    0x0507: "server-error-busy",
    0x0508: "server-error-job-canceled",
}
SUCCESSES = range(0x0100)
NOT_FOUND = 0x0406
DENIALS = {0x0401, 0x0402, 0x0403}

Attributes = dict[bytes, list[bytes]]


def talk(check: Ipp, target: Target, secrets: Mapping[str, bytes]) -> Talk:  # noqa: ARG001
    """The talk of an IPP check."""
    return IppTalk(check, target)


class IppTalk:
    """One request, one answer."""

    def __init__(self, check: Ipp, target: Target) -> None:
        self._asks_printer = check.path != "/"
        self._what = f"printer {quoted(check.path)[1:-1]}" if self._asks_printer else "print server"
        self._request = _post(check, target)
        self._http = HttpAnswer()

    def begin(self) -> bytes:
        self._http = HttpAnswer()
        return self._request

    def received(self, data: bytes) -> bytes | Answer:
        whole = self._http.add(data)
        if isinstance(whole, Answer):
            return whole
        return self._verdict() if whole else b""

    def ended(self) -> Answer:
        if self._http.end():
            return self._verdict()
        return down(Reason.CLOSED, "closed before the answer was complete")

    def silent(self) -> str:
        return f"an answer from the {self._what}"

    def _verdict(self) -> Answer:
        status = self._http.status
        if status != 200:
            reason = Reason.DENIED if status in (401, 403) else Reason.WRONG_ANSWER
            return down(reason, f"{self._what}: HTTP status {status}, 200 expected")
        body = self._http.body
        groups = _groups(body)
        if groups is None:
            return down(Reason.GARBLED, f"not IPP: {quoted(body[:200])}")
        code = int.from_bytes(body[2:4], "big")
        if code in SUCCESSES:
            if not self._asks_printer:
                return up("print server: answers")
            return self._state(groups.get(PRINTER_GROUP, {}))
        if code == NOT_FOUND and not self._asks_printer:
            return up("print server: answers, no default printer")
        text = f"{self._what}: {STATUSES.get(code, 'status')} (0x{code:04x})"
        said = groups.get(OPERATION_GROUP, {}).get(b"status-message", [b""])[0]
        if said.strip():
            text += f", {quoted(said)}"
        return down(Reason.DENIED if code in DENIALS else Reason.WRONG_ANSWER, text)

    def _state(self, attributes: Attributes) -> Answer:
        value = attributes.get(b"printer-state", [b""])[0]
        if len(value) != 4:
            return down(Reason.WRONG_ANSWER, f"{self._what}: no printer-state in the answer")
        state = int.from_bytes(value, "big")
        reasons = [reason for reason in attributes.get(b"printer-state-reasons", []) if reason != b"none"]
        because = f", {quoted(b', '.join(reasons))}" if reasons else ""
        if state == STOPPED:
            return down(Reason.WRONG_ANSWER, f"{self._what}: stopped{because}")
        if attributes.get(b"printer-is-accepting-jobs", [b"\x01"])[0] == b"\0":
            return down(Reason.WRONG_ANSWER, f"{self._what}: does not accept jobs{because}")
        return up(f"{self._what}: {STATES.get(state, f'state {state}')}{because}")


def _post(check: Ipp, target: Target) -> bytes:
    """The request, with what carries it."""
    address = f"[{target.address}]" if target.address.version == 6 else str(target.address)
    authority = f"{check.host or address}:{target.port}"
    scheme = "ipp" if check.tls is None else "ipps"
    body = _question(f"{scheme}://{authority}{check.path}" if check.path != "/" else None)
    head = (
        f"POST {check.path} HTTP/1.1\r\nHost: {authority}\r\nContent-Type: application/ipp\r\n"
        f"Content-Length: {len(body)}\r\nUser-Agent: lvsd\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


def _question(printer: str | None) -> bytes:
    """RFC 8010 section 3.1; charset and language come first (RFC 8011 section 4.1.4)."""
    operation = CUPS_GET_DEFAULT if printer is None else GET_PRINTER_ATTRIBUTES
    parts = [
        VERSION + operation.to_bytes(2, "big") + REQUEST.to_bytes(4, "big"),
        bytes((OPERATION_GROUP,)),
        _attribute(CHARSET, "attributes-charset", "utf-8"),
        _attribute(LANGUAGE, "attributes-natural-language", "en"),
    ]
    if printer is None:
        parts.append(_attribute(KEYWORD, "requested-attributes", "printer-name"))
    else:
        parts.append(_attribute(URI, "printer-uri", printer))
        parts.append(_attribute(KEYWORD, "requested-attributes", WANTED[0]))
        parts += [_attribute(KEYWORD, "", name) for name in WANTED[1:]]  # further values of it
    return b"".join(parts) + bytes((END,))


def _attribute(tag: int, name: str, value: str) -> bytes:
    key, content = name.encode(), value.encode()
    return bytes((tag,)) + len(key).to_bytes(2, "big") + key + len(content).to_bytes(2, "big") + content


def _groups(body: bytes) -> dict[int, Attributes] | None:
    """The first group of each kind, its attributes by name; None if these bytes are no answer to ours.

    Members of a collection come out as values of it, which is wrong and not looked at.
    """
    if len(body) < 9 or body[0] not in (1, 2) or int.from_bytes(body[4:8], "big") != REQUEST:
        return None
    found: dict[int, Attributes] = {}
    attributes: Attributes = {}
    values: list[bytes] = []
    at = 8
    while at < len(body):
        tag = body[at]
        if tag == END:
            return found
        if tag < FIRST_VALUE_TAG:
            attributes, values = {}, []
            found.setdefault(tag, attributes)
            at += 1
            continue
        name_end = at + 3 + int.from_bytes(body[at + 1 : at + 3], "big")
        end = name_end + 2 + int.from_bytes(body[name_end : name_end + 2], "big")
        if end > len(body):
            return None
        name = body[at + 3 : name_end]
        if name:
            values = attributes.setdefault(name, [])
        values.append(body[name_end + 2 : end])
        at = end
    return None
