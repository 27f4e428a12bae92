from __future__ import annotations

import struct
import time
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvs.checks import Answer, Dns, Reason
from lvs.probes import dns
from probes.played import JUNK, fixed, mangled, play

HERE = IPv4Address("192.0.2.1")
WRONG, GARBLED = Reason.WRONG_ANSWER, Reason.GARBLED
RESPONSE, TRUNCATED = 0x8180, 0x0200
OWNER = b"\xc0\x0c"  # the question's name

NAME = b"\3ns1\7example\0"


def of(random: dns.Random = fixed, **fields: object) -> dns.DnsTalk:
    return dns.talk(Dns(**fields), HERE, 53, random)  # type: ignore[arg-type]


def record(type_: str | int, data: bytes, owner: bytes = OWNER, class_: int = 1) -> bytes:
    number = dns.TYPES[type_] if isinstance(type_, str) else type_
    return owner + struct.pack("!HHIH", number, class_, 300, len(data)) + data


def message(
    name: str, type_: str, *records: bytes, flags: int = RESPONSE, rcode: int = 0, count: int | None = None
) -> bytes:
    header = struct.pack("!HHHHHH", 1, flags | rcode, 1, len(records) if count is None else count, 0, 0)
    return header + dns.question(name, type_) + b"".join(records)


def framed(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data


def verdict(
    name: str, type_: str, *records: bytes, answer: str | None = None, flags: int = RESPONSE
) -> Answer:
    """The same over UDP and TCP, in one piece and bytewise."""
    sent = message(name, type_, *records, flags=flags)
    found = play(of(name=name, type=type_, answer=answer), [sent])
    assert isinstance(found, Answer)
    tcp = of(name=name, type=type_, answer=answer, tcp=True)
    assert play(tcp, [framed(sent)]) == found
    assert play(tcp, [bytes((byte,)) for byte in framed(sent)]) == found
    assert fit(found)
    return found


def fit(answer: Answer) -> bool:
    """As `sound`, but the dot of a name may end a sentence."""
    return answer.text.isprintable() and len(answer.text) < 250


def test_the_question() -> None:
    asked = b"\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + b"\7example\3org\0\0\x1c\0\1"
    assert of(name="example.org", type="AAAA").begin() == asked
    assert of(name="example.org.", type="AAAA", tcp=True).begin() == b"\0\x1d" + asked
    assert of().begin()[12:] == b"\0\0\6\0\1"
    assert of().silent() == "the answer to . SOA"


def test_each_question_has_its_identifier() -> None:
    numbers = iter((b"\1\2", b"\3\4"))
    asking = of(lambda _: next(numbers))
    assert (asking.begin()[:2], asking.begin()[:2]) == (b"\1\2", b"\3\4")
    assert len({dns.talk(Dns(), HERE, 53).begin() for _ in range(20)}) > 1


@pytest.mark.parametrize(
    ("name", "type_", "said"),
    [
        ("a." * 126 + "aa", "A", "more than 255 bytes"),
        ("a" * 64, "A", "label of more than 63 bytes"),
        ("a..b", "A", "empty label"),
        (".a", "A", "empty label"),
        ("", "A", "no domain name"),
        ("a b", "A", "no domain name"),
        ("a\\.b", "A", "no domain name"),
        ("bücher.example", "A", "xn--"),
        ("example", "RRSIG", "type RRSIG is not known: A, NS"),
    ],
)
def test_no_question(name: str, type_: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        dns.question(name, type_)
    with pytest.raises(ValueError, match=said):
        of(name=name, type=type_)


def test_no_rcode() -> None:
    with pytest.raises(ValueError, match="rcode NOPE is not known"):
        of(rcode="NOPE")


def test_longest_names() -> None:
    assert len(dns.question("a." * 127, "A")) == 255 + 4
    assert dns.question("a" * 63, "A")[0] == 63


@pytest.mark.parametrize(
    ("type_", "data", "answers", "shown"),
    [
        ("A", bytes((192, 0, 2, 7)), ("192.0.2.7",), "192.0.2.7"),
        ("AAAA", IPv6Address("2001:db8::1").packed, ("2001:db8::1", "2001:DB8:0::1"), "2001:db8::1"),
        ("NS", NAME, ("ns1.example.", "NS1.example"), "ns1.example."),
        ("CNAME", b"\3www" + OWNER, ("www.example.org",), "www.example.org."),
        ("PTR", NAME, ("ns1.example",), "ns1.example."),
        ("SOA", NAME + NAME + bytes(20), ("ns1.example.",), "ns1.example."),
        ("MX", b"\0\x0a" + NAME, ("10 ns1.example.", "10 NS1.EXAMPLE"), "10 ns1.example."),
        ("TXT", b"\6v=spf1\5 -all", ("v=spf1 -all", '"v=spf1 -all"'), "v=spf1 -all"),
        ("SRV", b"\0\0\0\5\x13\xc4" + NAME, ("0 5 5060 ns1.example.",), "0 5 5060 ns1.example."),
        ("CAA", b"\0\5issueca.example", ("0 issue ca.example", '0 issue "ca.example"'), "0 issue ca.example"),
        ("NS", b"\4a.b\\\3\0\xffc\0", ("a\\.b\\\\.\\000\\255c.",), "a\\.b\\\\.\\000\\255c."),
        ("NS", b"\0", (".",), "."),
    ],
)
def test_values(type_: str, data: bytes, answers: tuple[str, ...], shown: str) -> None:
    for answer in (None, *answers):
        found = verdict("example.org", type_, record(type_, data), answer=answer)
        assert found == Answer(ok=True, reason=Reason.ANSWERED, text=f"NOERROR, {shown}")
    wrong = verdict("example.org", type_, record(type_, data), answer="other.example.")
    assert (wrong.ok, wrong.reason) == (False, WRONG)
    assert wrong.text == f"no answer record other.example., got {shown}"


def test_texts_are_compared_by_case() -> None:
    assert not verdict("example.org", "TXT", record("TXT", b"\2OK"), answer="ok").ok
    assert not verdict("example.org", "TXT", record("TXT", b"\3ok."), answer="ok").ok


def test_any_record_of_the_answer_counts() -> None:
    answer = (record("CNAME", NAME), *(record("A", bytes((192, 0, 2, last))) for last in (1, 2, 3)))
    assert verdict("example.org", "A", *answer, answer="192.0.2.3").text == "NOERROR, 192.0.2.3"
    assert verdict("example.org", "A", *answer, answer="ns1.example").text == "NOERROR, ns1.example."
    assert verdict("example.org", "A", *answer).text == "NOERROR, 192.0.2.1 and 3 more"
    wrong = verdict("example.org", "A", *answer, answer="192.0.2.4")
    assert wrong.text == "no answer record 192.0.2.4, got 192.0.2.1, 192.0.2.2 and 2 more"


def test_records_of_no_known_type_or_class() -> None:
    assert verdict("example.org", "ANY", record(46, b"signed")).text == "NOERROR, TYPE46"
    assert not verdict("example.org", "ANY", record(46, b"signed"), answer="signed").ok
    assert not verdict("example.org", "A", record("A", bytes(4), class_=3), answer="0.0.0.0").ok


def test_no_record() -> None:
    assert verdict("example.org", "A").text == "NOERROR"
    none = verdict("example.org", "A", answer="192.0.2.1")
    assert (none.reason, none.text) == (WRONG, "no answer record 192.0.2.1, got none")


def test_rcodes() -> None:
    failed = play(of(), [message(".", "SOA", rcode=2)])
    assert failed == Answer(ok=False, reason=WRONG, text="rcode SERVFAIL, NOERROR expected")
    unknown = play(of(), [message(".", "SOA", rcode=15)])
    assert unknown == Answer(ok=False, reason=WRONG, text="rcode 15, NOERROR expected")
    refused = play(of(rcode="REFUSED"), [message(".", "SOA", rcode=5)])
    assert refused == Answer(ok=True, reason=Reason.ANSWERED, text="REFUSED")
    bare = struct.pack("!HHHHHH", 1, 0x8001, 0, 0, 0, 0)  # an error may come without the question
    malformed = play(of(), [bare])
    assert malformed == Answer(ok=False, reason=WRONG, text="rcode FORMERR, NOERROR expected")


@pytest.mark.parametrize(
    "stray",
    [
        b"",
        b"\0\1",
        b"\0\2" + message(".", "SOA")[2:],  # another identifier
        message(".", "SOA", flags=0x0100),  # a question
        message("example", "SOA"),
        message(".", "NS"),
        struct.pack("!HHHHHH", 1, 0x8180, 0, 0, 0, 0),  # no error, and no question
        struct.pack("!HHHHHH", 1, 0x8180, 2, 0, 0, 0) + dns.question(".", "SOA") * 2,
    ],
)
def test_what_is_not_ours_is_passed_over(stray: bytes) -> None:
    asking = of()
    asking.begin()
    assert asking.received(stray) == b""
    answer = asking.received(message(".", "SOA"))
    assert isinstance(answer, Answer)
    assert answer.ok


@pytest.mark.parametrize(
    ("said", "reason", "text"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n", GARBLED, 'not DNS: "HTTP/1.1 400 B"'),
        (framed(b"short"), Reason.CLOSED, "closed in the middle of an answer"),
        (framed(message("example", "SOA")), GARBLED, "an answer to another question"),
        (framed(message(".", "SOA"))[:-1], Reason.CLOSED, "closed in the middle of an answer"),
        (b"", Reason.CLOSED, "closed without an answer"),
    ],
)
def test_streams_of_another_kind(said: bytes, reason: Reason, text: str) -> None:
    asking = of(tcp=True)
    for cut in ([said], [bytes((byte,)) for byte in said]):
        assert play(asking, cut) == Answer(ok=False, reason=reason, text=text)


def test_the_names_of_a_question_may_change_their_case() -> None:
    asking = of(name="example.org", type="A")
    answer = play(asking, [message("EXAMPLE.org", "A", record("A", bytes(4)))])
    assert isinstance(answer, Answer)
    assert answer.ok


LOOP = b"\xc0\x29"  # the record's own data begins at 12 + 17 + 12


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (record("NS", LOOP), "NOERROR, but a name's pointers lead nowhere"),
        (record("NS", b"\1a" + LOOP), "NOERROR, but a name's pointers lead nowhere"),
        (record("NS", b"\xff\xff"), "NOERROR, but a name's pointers lead nowhere"),
        (record("NS", b"\x40" + bytes(65)), "NOERROR, but a name is too long or malformed"),
        (record("NS", b"\x3fa\0"), "NOERROR, but a name has no end"),
        (record("NS", b"\1a"), "NOERROR, but a name has no end"),
        (record("NS", b"\1a") + b"\1b\0", "NOERROR, but a name is longer than its record"),
        (record("NS", b"\x3f" + b"a" * 63) + b"\0", "NOERROR, but a name is longer than its record"),
        (record("NS", (b"\x3f" + b"a" * 63) * 4 + b"\0"), "NOERROR, but a name is too long or malformed"),
        (record("A", bytes(5)), "NOERROR, but a record has the wrong length"),
        (record("MX", b"\0"), "NOERROR, but a record has the wrong length"),
        (record("CAA", b"\0\x09issue"), "NOERROR, but a record has the wrong length"),
        (record("TXT", b"\x05four"), "NOERROR, but a text is longer than its record"),
        (record("A", bytes(4))[:-1], "NOERROR, but the answer is cut off"),
        (record("A", bytes(4))[:8], "NOERROR, but the answer is cut off"),
        (b"", "NOERROR, but a name has no end"),
    ],
)
def test_malformed(answer: bytes, text: str) -> None:
    said = message("example.org", "NS", answer)
    found = play(of(name="example.org", type="NS"), [said])
    assert found == Answer(ok=False, reason=GARBLED, text=text)


def test_truncated_is_judged_on_what_is_there() -> None:
    whole, half = record("A", bytes(4)), record("A", bytes(4))[:-1]
    cut = RESPONSE | TRUNCATED
    assert verdict("example.org", "A", whole, half, answer="0.0.0.0", flags=cut).ok
    missing = verdict("example.org", "A", whole, half, answer="1.1.1.1", flags=cut)
    assert (missing.reason, missing.text) == (WRONG, "no answer record 1.1.1.1, got 0.0.0.0, truncated")
    assert verdict("example.org", "A", flags=cut).ok


def test_chains_of_pointers_have_an_end() -> None:
    """The largest message of records whose names are chains takes no time to speak of."""
    chain = b"".join((0xC000 | 28 + 2 * index).to_bytes(2, "big") for index in range(4000))
    hostile = message("example.org", "NS", count=65535) + record(99, b"\0" + chain)
    hostile += record("NS", b"\xc0\x2a") * 4000
    began = time.process_time()
    found = play(of(name="example.org", type="NS", answer="x"), [hostile])
    assert time.process_time() - began < 0.5
    assert isinstance(found, Answer)
    assert not found.ok


def test_long_values_are_cut() -> None:
    data = b"".join(b"\x3f" + bytes((letter,)) * 63 for letter in b"abc") + b"\0"
    found = verdict("example.org", "NS", *[record("NS", data)] * 5, answer="x" * 250)
    assert not found.ok
    assert found.text.count("...") == 3


@given(JUNK)
def test_endures_anything(junk: list[bytes]) -> None:
    for tcp in (False, True):
        found = play(of(tcp=tcp), junk)
        assert isinstance(found, Answer)
        assert not found.ok
        assert fit(found)


ANSWER = message(
    "example.org", "MX", record("MX", b"\0\x0a" + NAME), record("TXT", b"\2ok"), record("CAA", b"\0\1ab")
)


@given(mangled(ANSWER), st.integers(0, len(ANSWER)))
def test_endures_mangled_answers(said: bytes, cut: int) -> None:
    for answer in (None, "10 ns1.example."):
        for tcp in (False, True):
            found = play(
                of(name="example.org", type="MX", answer=answer, tcp=tcp), [framed(said) if tcp else said]
            )
            assert isinstance(found, Answer)
            assert fit(found)
        found = play(of(name="example.org", type="MX", answer=answer), [said[:cut]])
        assert isinstance(found, Answer)


@given(st.lists(st.binary(min_size=1, max_size=63), max_size=3))
def test_names_in_presentation_form_are_one_line(labels: list[bytes]) -> None:
    wire = b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
    name, behind = dns.name_at(wire, 0)
    assert behind == len(wire)
    assert name.isascii()
    assert name.isprintable()
    assert name.endswith(".")
