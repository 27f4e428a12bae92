"""Expressions: POSIX's language, in time linear to what is searched."""

from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from growth import is_no_square
from lvs.probes.expressions import LONGEST, posix


@pytest.mark.parametrize(
    ("expression", "good", "bad"),
    [
        (b"^HTTP/1\\.[01] 2[0-9]{2} ", b"HTTP/1.1 204 ", b"HTTP/1x1 204 "),
        (b"[[:digit:]]{3}$", b"is 123", b"is 123."),
        (b"[[:alpha:]_-]+:", b"a_-:", b"1:"),
        (b"[]a]", b"]", b"b"),
        (b"[^]a]", b"b", b"]a"),
        (b'\\{"status": ?"ok"\\}', b'{"status":"ok"}', b'{"status":"no"}'),
        (b"\\(\\.\\)\\\\", b"(.)\\", b"().\\"),
        (b"a.c", b"a\nc", b"ac"),
        (b"^b", b"b", b"a\nb"),
        (b"b$", b"b", b"b\n"),
        (b"a|b", b"b", b"c"),
        (b"caf\xc3\xa9", b"caf\xc3\xa9", b"cafe"),
        # beyond POSIX: what GNU or Perl make of a backslash
        (b"\\d\\b", b"a1 ", b"d "),
        (b"^\\w+\\s\\S$", b"ab c", b"ab  "),
        (b"\\r\\n\\x41", b"\r\nA", b"rnx41"),
        # what looks like a lazy repetition, and is none
        (b"[*+?]?x", b"x", b"y"),
        (b"^a\\+?b", b"ab", b"aab"),
        (b"[[:alpha:]+]?=", b"=", b"+"),
        (b"[]+?]", b"?", b"a"),
        (b"a{2}b?", b"aa", b"ab"),
        (b"A", b"A", b"a"),
        (b"(a|b)*c", b"ababc", b"abab"),
    ],
)
def test_means_what_posix_says(expression: bytes, good: bytes, bad: bytes) -> None:
    assert posix(expression).search(good) is not None
    assert posix(expression).search(bad) is None


@pytest.mark.parametrize(
    "expression",
    [b"(", b"a)", b"[a", b"*", b"(a)\\1", b"[b-a]", b"(?=a)", b"a{2,1}", b"((((a{99}){99}){99}){99})"],
)
def test_refused_with_a_sentence(expression: bytes) -> None:
    with pytest.raises(ValueError, match=r"^not a POSIX extended regular expression: \S"):
        posix(expression)


@pytest.mark.parametrize("expression", [b"a+?", b"a*?b", b"(ab)??", b"[a]{2,}?", b"[]?]+?", b"\\d{3}?$"])
def test_lazy_repetitions_mean_two_things(expression: bytes) -> None:
    with pytest.raises(ValueError, match=r"`.*\?` is two repetitions; which counts\?$"):
        posix(expression)


@pytest.mark.parametrize("end", [b"", b"]", b":]"])
@pytest.mark.parametrize("piece", [b"[", b"[[:", b"[[:a", b"[a-z]", b"[[:alpha:]]", b"(", b"a*", b"[^]"])
def test_no_expression_takes_long(piece: bytes, end: bytes) -> None:
    def compiled(expression: bytes) -> None:
        with contextlib.suppress(ValueError):
            posix.__wrapped__(expression)

    is_no_square(lambda pieces: piece * pieces + end, compiled, 100)


def test_expressions_have_an_end() -> None:
    assert posix(b"a" * LONGEST).search(b"a" * LONGEST)
    with pytest.raises(ValueError, match="at most 4096 bytes, but of 4097"):
        posix(b"a" * 4097)


def test_no_answer_takes_long() -> None:
    began = time.process_time()
    for expression in (b"(a+)+b", b"a.*b.*c.*d", b"(a|b)*a(a|b){50}c"):
        assert posix(expression).search(b"abbaababbbabaabba" * 4000) is None or expression == b"(a+)+b"
    assert time.process_time() - began < 1


@given(st.binary(max_size=20), st.binary(max_size=40))
def test_any_bytes_are_compiled_or_refused(expression: bytes, data: bytes) -> None:
    try:
        compiled = posix(expression)
    except ValueError as fault:
        assert str(fault).startswith("not a POSIX")  # noqa: PT017
        return
    compiled.search(data)
