from __future__ import annotations

from ipaddress import ip_address

import msgspec
import pytest
from hypothesis import given

from lvs.checks import Answer, Ipp, Reason
from lvs.probes import ipp
from lvs.probes.talk import Talk
from probes.played import JUNK, endures, mangled, play, target, verdicts

SERVER = Ipp()
PRINTER = Ipp(path="/printers/office")


def of(check: Ipp) -> Talk:
    return ipp.talk(check, target(check, 631), {})


def field(tag: int, name: bytes, value: bytes) -> bytes:
    return bytes((tag,)) + len(name).to_bytes(2, "big") + name + len(value).to_bytes(2, "big") + value


def body(*groups: bytes, status: int = 0) -> bytes:
    said = b"\1" + field(0x47, b"attributes-charset", b"utf-8") + field(0x48, b"natural-language", b"en")
    return b"\1\1" + status.to_bytes(2, "big") + b"\0\0\0\1" + said + b"".join(groups) + b"\3"


def printer(state: int = 3, *, accepting: bool = True, reasons: tuple[bytes, ...] = (b"none",)) -> bytes:
    named = [
        field(0x44, b"" if at else b"printer-state-reasons", reason) for at, reason in enumerate(reasons)
    ]
    return (
        b"\4"
        + field(0x23, b"printer-state", state.to_bytes(4, "big"))
        + field(0x22, b"printer-is-accepting-jobs", bytes((accepting,)))
        + b"".join(named)
    )


def answer(content: bytes, status: str = "200 OK") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/ipp\r\nContent-Length: {len(content)}\r\n\r\n"
    return head.encode() + content


def test_the_question_is_as_rfc_8010_writes_it() -> None:
    # RFC 8010 appendix A.1, with the operation, path and attributes of this one
    head, _, content = of(PRINTER).begin().partition(b"\r\n\r\n")
    assert head.split(b"\r\n")[:4] == [
        b"POST /printers/office HTTP/1.1",
        b"Host: 192.0.2.1:631",
        b"Content-Type: application/ipp",
        b"Content-Length: %d" % len(content),
    ]
    assert content == (
        b"\x01\x01\x00\x0b\x00\x00\x00\x01"
        b"\x01"
        b"\x47\x00\x12attributes-charset\x00\x05utf-8"
        b"\x48\x00\x1battributes-natural-language\x00\x02en"
        b"\x45\x00\x0bprinter-uri\x00\x26ipp://192.0.2.1:631/printers/office"
        b"\x44\x00\x14requested-attributes\x00\x0dprinter-state"
        b"\x44\x00\x00\x00\x19printer-is-accepting-jobs"
        b"\x44\x00\x00\x00\x15printer-state-reasons"
        b"\x03"
    ).replace(b"\x00\x26ipp", b"\x00\x23ipp")


def test_host_is_named_as_configured_or_by_its_address() -> None:
    assert b"\r\nHost: print.example:631\r\n" in of(Ipp(host="print.example")).begin()
    at = msgspec.structs.replace(target(SERVER, 8631), address=ip_address("2001:db8::1"))
    assert b"\r\nHost: [2001:db8::1]:8631\r\n" in ipp.talk(SERVER, at, {}).begin()


@pytest.mark.parametrize(
    ("check", "said", "ok", "reason", "text"),
    [
        (SERVER, answer(body()), True, Reason.ANSWERED, "print server: answers"),
        (
            SERVER,
            answer(body(status=0x0406)),
            True,
            Reason.ANSWERED,
            "print server: answers, no default printer",
        ),
        (
            SERVER,
            answer(body(status=0x0501)),
            False,
            Reason.WRONG_ANSWER,
            "print server: server-error-operation-not-supported (0x0501)",
        ),
        (PRINTER, answer(body(printer())), True, Reason.ANSWERED, "printer /printers/office: idle"),
        (
            PRINTER,
            answer(body(printer(4, reasons=(b"media-low-warning", b"toner-low-report")))),
            True,
            Reason.ANSWERED,
            'printer /printers/office: processing, "media-low-warning, toner-low-report"',
        ),
        (
            PRINTER,
            answer(body(printer(5, reasons=(b"paused",)))),
            False,
            Reason.WRONG_ANSWER,
            'printer /printers/office: stopped, "paused"',
        ),
        (
            PRINTER,
            answer(body(printer(accepting=False))),
            False,
            Reason.WRONG_ANSWER,
            "printer /printers/office: does not accept jobs",
        ),
        (
            PRINTER,
            answer(body(field(0x41, b"status-message", b"No such printer."), status=0x0406)),
            False,
            Reason.WRONG_ANSWER,
            'printer /printers/office: client-error-not-found (0x0406), "No such printer."',
        ),
        (
            PRINTER,
            answer(body(status=0x0403)),
            False,
            Reason.DENIED,
            "printer /printers/office: client-error-not-authorized (0x0403)",
        ),
        (
            PRINTER,
            answer(body()),
            False,
            Reason.WRONG_ANSWER,
            "printer /printers/office: no printer-state in the answer",
        ),
        (
            PRINTER,
            answer(body(b"\4" + field(0x23, b"printer-state", bytes(30000)))),
            False,
            Reason.WRONG_ANSWER,
            "printer /printers/office: no printer-state in the answer",
        ),
        (
            PRINTER,
            answer(b"", "401 Unauthorized"),
            False,
            Reason.DENIED,
            "printer /printers/office: HTTP status 401, 200 expected",
        ),
        (
            SERVER,
            answer(b"", "404 Not Found"),
            False,
            Reason.WRONG_ANSWER,
            "print server: HTTP status 404, 200 expected",
        ),
        (SERVER, answer(b"<html>It works"), False, Reason.GARBLED, 'not IPP: "<html>It works"'),
        (SERVER, answer(body()[:-1]), False, Reason.GARBLED, None),
        (SERVER, answer(body()).replace(b"\0\0\0\1", b"\0\0\0\2"), False, Reason.GARBLED, None),
        (SERVER, answer(body())[:-1], False, Reason.CLOSED, "closed before the answer was complete"),
        (SERVER, b"", False, Reason.CLOSED, "closed before the answer was complete"),
        (SERVER, b"220 mail.example ESMTP\r\n", False, Reason.GARBLED, 'not HTTP: "220 mail.example ESMTP"'),
    ],
)
def test_verdicts(check: Ipp, said: bytes, ok: bool, reason: Reason, text: str | None) -> None:
    talk = of(check)
    whole = play(talk, [said])
    assert isinstance(whole, Answer)
    assert (whole.ok, whole.reason) == (ok, reason)
    if text is not None:
        assert whole.text == text
    verdict = verdicts(talk, [said])
    assert verdict.ok == ok


def test_a_body_may_end_with_the_connection() -> None:
    verdict = verdicts(of(PRINTER), [b"HTTP/1.1 200 OK\r\n\r\n" + body(printer())])
    assert verdict.text == "printer /printers/office: idle"


@given(JUNK)
def test_junk(junk: list[bytes]) -> None:
    endures(of(PRINTER), junk)
    endures(of(PRINTER), [answer(b"".join(junk))])
    endures(of(PRINTER), [answer(body(b"".join(junk)))])


@given(mangled(answer(body(printer(5, reasons=(b"paused", b"media-empty"))))))
def test_mangled(said: bytes) -> None:
    endures(of(PRINTER), [said])
