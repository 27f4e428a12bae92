from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvs.probes import ber
from lvs.probes.ldap_filter import DEEPEST, filter_of


def octets(text: str, tag: int = 4) -> bytes:
    return bytes((tag, len(text.encode()))) + text.encode()


def built(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return bytes((tag, len(content))) + content


EQUAL_X = built(0xA3, octets("a"), octets("x"))

# The texts are the examples of RFC 4515 section 4, its escapes included.
EXAMPLES = {
    "(objectClass=*)": octets("objectClass", 0x87),
    "(cn=Babs Jensen)": built(0xA3, octets("cn"), octets("Babs Jensen")),
    "(!(cn=Tim Howes))": built(0xA2, built(0xA3, octets("cn"), octets("Tim Howes"))),
    "(&(objectClass=Person)(|(sn=Jensen)(cn=Babs J*)))": built(
        0xA0,
        built(0xA3, octets("objectClass"), octets("Person")),
        built(
            0xA1,
            built(0xA3, octets("sn"), octets("Jensen")),
            built(0xA4, octets("cn"), built(0x30, octets("Babs J", 0x80))),
        ),
    ),
    "(o=univ*of*mich*)": built(
        0xA4, octets("o"), built(0x30, octets("univ", 0x80), octets("of", 0x81), octets("mich", 0x81))
    ),
    "(seeAlso=)": built(0xA3, octets("seeAlso"), octets("")),
    "(cn:caseExactMatch:=Fred Flintstone)": built(
        0xA9, octets("caseExactMatch", 0x81), octets("cn", 0x82), octets("Fred Flintstone", 0x83)
    ),
    "(cn:=Betty Rubble)": built(0xA9, octets("cn", 0x82), octets("Betty Rubble", 0x83)),
    "(sn:dn:2.4.6.8.10:=Barney Rubble)": built(
        0xA9, octets("2.4.6.8.10", 0x81), octets("sn", 0x82), octets("Barney Rubble", 0x83), b"\x84\x01\xff"
    ),
    "(o:dn:=Ace Industry)": built(0xA9, octets("o", 0x82), octets("Ace Industry", 0x83), b"\x84\x01\xff"),
    "(:1.2.3:=Wilma Flintstone)": built(0xA9, octets("1.2.3", 0x81), octets("Wilma Flintstone", 0x83)),
    "(:DN:2.4.6.8.10:=Dino)": built(0xA9, octets("2.4.6.8.10", 0x81), octets("Dino", 0x83), b"\x84\x01\xff"),
    r"(o=Parens R Us \28for all your parenthetical needs\29)": built(
        0xA3, octets("o"), octets("Parens R Us (for all your parenthetical needs)")
    ),
    r"(cn=*\2A*)": built(0xA4, octets("cn"), built(0x30, octets("*", 0x81))),
    r"(filename=C:\5cMyFile)": built(0xA3, octets("filename"), octets("C:\\MyFile")),
    r"(bin=\00\00\00\04)": built(0xA3, octets("bin"), b"\x04\x04\x00\x00\x00\x04"),
    r"(sn=Lu\c4\8di\c4\87)": built(0xA3, octets("sn"), octets("Lučić")),
    r"(1.3.6.1.4.1.1466.0=\04\02\48\69)": built(
        0xA3, octets("1.3.6.1.4.1.1466.0"), b"\x04\x04\x04\x02\x48\x69"
    ),
    # and what its grammar has besides
    "(a>=x)": built(0xA5, octets("a"), octets("x")),
    "(a<=x)": built(0xA6, octets("a"), octets("x")),
    "(a~=x)": built(0xA8, octets("a"), octets("x")),
    "(cn;lang-de=ä)": built(0xA3, octets("cn;lang-de"), octets("ä")),
    "(a=*x)": built(0xA4, octets("a"), built(0x30, octets("x", 0x82))),
    "(&)": b"\xa0\x00",  # RFC 4526
    "(|)": b"\xa1\x00",
    "(a=x=y)": built(0xA3, octets("a"), octets("x=y")),
}


@pytest.mark.parametrize("text", EXAMPLES)
def test_examples(text: str) -> None:
    assert filter_of(text) == EXAMPLES[text]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "a filter begins with ( at character 1"),
        ("cn=x", "a filter begins with ( at character 1"),
        ("(cn=x", "a filter ends with ) at character 6"),
        ("(cn=x))", "the filter ends at character 6, and more follows"),
        ("(cn=x)(sn=y)", "the filter ends at character 6, and more follows"),
        ("()", "attribute=value is expected at character 2"),
        ("(cn)", "attribute=value is expected at character 2"),
        ("(=x)", "attribute=value or attribute:rule:=value is expected at character 2"),
        ("(cn:dn=x)", "attribute=value or attribute:rule:=value is expected at character 2"),
        ("(:=x)", "an attribute or a matching rule is expected at character 2"),
        ("(!)", "a filter follows ! at character 3"),
        ("(!(a=x)(a=y))", "a filter ends with ) at character 8"),
        ("(&(a=x)b)", "a filter ends with ) at character 8"),
        ("(a=x(y)", "a filter ends with ) at character 5"),
        (r"(a=\4)", r"two hexadecimal digits follow \ in the value at character 4"),
        ("(a=x\\)", r"two hexadecimal digits follow \ in the value at character 4"),
        ("(a=x**y)", "something stands between two * at character 4"),
        ("(a>=x*)", r"* is written \2a in the value at character 5"),
        ("(a=\0)", "a filter ends with ) at character 4"),
        ("(" * 40, "attribute=value is expected at character 2"),
        ("(&" * 40 + "(a=x)" + ")" * 40, f"filters are within each other more than {DEEPEST} deep"),
    ],
)
def test_refusals(text: str, sentence: str) -> None:
    with pytest.raises(ValueError) as refused:
        filter_of(text)
    assert str(refused.value) == sentence


@given(st.text(st.sampled_from("()&|!=*\\a1:;<>~. é\0"), max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        read = filter_of(text)
        assert ber.size(read) == len(read)


@given(st.text(max_size=20))
def test_any_value_can_be_written(value: str) -> None:
    escaped = "".join(f"\\{octet:02x}" for octet in value.encode(errors="ignore"))
    wanted = octets("a"), ber.encode(ber.OCTETS, value.encode(errors="ignore"))
    assert filter_of(f"(a={escaped})") == built(0xA3, *wanted)


def test_not_holds_its_filter() -> None:
    assert filter_of("(!(a=x))") == built(0xA2, EQUAL_X)
