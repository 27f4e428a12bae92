"""Words and statements of lvs.cf; what is said of bad ones is in fixtures/messages.txt."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvs.config.option import Scope
from lvs.config.refusal import Refused
from lvs.config.statements import SET, WRONG, Lines, words


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('send = "GET / HTTP/1.0"', ["send", "=", "GET / HTTP/1.0"]),
        ('send = "GET / HTTP/1.0"   ', ["send", "=", "GET / HTTP/1.0"]),
        ('send = "quit"', ["send", "=", "quit"]),
        ('send = "quit" ', ["send", "=", "quit"]),
        ('send = "a\\"b"', ["send", "=", 'a\\"b']),
        ('send = "a \\"b c"', ["send", "=", 'a \\"b c']),
        ('send = "say \\"hi\\""', ["send", "=", 'say \\"hi\\"']),
        ('send = "a"b"', ["send", "=", 'a"b']),
        ('send = "a"b c"', ["send", "=", 'a"b c']),
        ('send = "C:\\"', ["send", "=", "C:\\"]),
        ('send = "a\\\\"', ["send", "=", "a\\\\"]),
        ('send = "a b" "c d"', ["send", "=", "a b", "c d"]),
        ('send = ""', ["send", "=", ""]),
        ('send = "it\'s"', ["send", "=", "it's"]),
        ("send = 'a\"b'", ["send", "=", 'a"b']),
        ('send = "a # b"', ["send", "=", "a # b"]),
        ('"keepalive" = 9', ["keepalive", "=", "9"]),
        ('a"b c"d', ['a"b', 'c"d']),
        ("\t a \t b", ["a", "b"]),
    ],
)
def test_words(line: str, expected: list[str]) -> None:
    assert words(line) == expected


@pytest.mark.parametrize("line", ['"', '"GET /', '"a b"c', '"a b""c d"', "'it", 'x "'])
def test_broken_quotes(line: str) -> None:
    with pytest.raises(Refused):
        words(line)


@given(st.text(st.sampled_from("ab \t\"'\\#={}")))
def test_any_line_has_one_meaning(line: str) -> None:
    for scope in Scope:
        lines = Lines(scope)
        what, key, _ = lines[line]
        assert what >= SET
        assert lines[line] is lines[line]
        assert what != SET or key in lines.readers


@pytest.mark.parametrize(
    "line", ["weight = 5", "  weight = 5", "\tweight\t=\t5 ", 'weight = "5"', "weight  =  5"]
)
def test_ways_to_write_a_statement(line: str) -> None:
    assert Lines(Scope.SERVER)[line] == (SET, "weight", 5)


@pytest.mark.parametrize("line", ["weight = 5 6", "weight = 5#", "weight=5", "weight = 5\0", "weight = "])
def test_ways_not_to(line: str) -> None:
    assert Lines(Scope.SERVER)[line][0] == WRONG
