"""YAML as texts with their lines; more than data is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvs.firstboot.document import LONGEST, Reader


def read(text: str) -> tuple[object, list[str]]:
    reader = Reader("x")
    node = reader.read(text.encode())
    return plain(node), [str(problem) for problem in reader.problems]


def plain(node: object) -> object:
    value = getattr(node, "value", None)
    if isinstance(value, dict):
        return {key: plain(below) for key, below in value.items()}
    return [plain(below) for below in value] if isinstance(value, list) else value


def test_scalars_are_what_stands_there() -> None:
    assert read("a: 0123\nb: no\nc: ~\nd: [1.0, '2']\ne: !!binary aGk=\nf: |\n  x\n  y\n") == (
        {"a": "0123", "b": "no", "c": "", "d": ["1.0", "2"], "e": b"hi", "f": "x\ny\n"},
        [],
    )
    assert read("") == ({}, [])
    assert read('{"json": [1, true]}') == ({"json": ["1", "true"]}, [])


def test_lines_and_paths() -> None:
    node = Reader("x").read(b"a:\n  - b: 1\n    c: 2\n")
    assert node is not None
    found = node.value["a"].value[0].value["c"]
    assert (found.line, found.path) == (3, "a[0].c")


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + at)}: &{chr(98 + at)} [{', '.join([f'*{chr(97 + at)}'] * 9)}]\n" for at in range(9)
)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        (BOMB, "x:2: aliases (*a) are not read"),
        ("a: &a {b: 1}\nc:\n  <<: *a\n", "x:3: aliases (*a) are not read"),
        ("[" * 50, "x:1: goes more than 20 levels deep"),
        (
            "a: !!python/object/apply:os.system [ls]\n",
            "x:1: the tag !!python/object/apply:os.system is not read",
        ),
        ("a: !!binary '*'\n", "x:1: !!binary is followed by base64"),
        ("a: 1\nb: [\n", "is no YAML: "),
        ("a: 1\n? [b]\n: 2\n", "x:2: a key is a word"),
        ("a: 1\n---\nb: 2\n", "is no YAML: but found another document"),
        ("a: \x01\n", "is no YAML: "),
        ("a" * (LONGEST + 1), "at most are read"),
    ],
)
def test_refused(text: str, wrong: str) -> None:
    found, said = read(text)
    assert found is None
    assert len(said) == 1
    assert wrong in said[0]


def test_no_text() -> None:
    reader = Reader("x")
    assert reader.read(b"\xff\xfea") is None
    assert "is no UTF-8" in reader.problems[0].message


def test_a_key_that_is_there_twice_is_told_and_the_first_counts() -> None:
    assert read("a: 1\nb: 2\na: 3\n") == ({"a": "1", "b": "2"}, ["x:3: a: is given in line 1 already"])


def test_what_is_asked_for_and_not_there_is_said() -> None:
    reader = Reader("x")
    node = reader.read(b"a: [1]\nb: {c: 1}\nc: 1\n")
    top = reader.table(node)
    assert reader.table(top["a"]) == {}
    assert list(reader.items(top["b"])) == []
    assert reader.text(top["a"]) == ""
    assert reader.truth(top["c"], default=True) is True
    assert [(problem.line, problem.path) for problem in reader.problems] == [
        *((1, "a"), (2, "b"), (1, "a"), (3, "c"))
    ]
    assert reader.table(None) == {}
    assert list(reader.items(None)) == []
    assert reader.truth(None, default=True) is True


@given(st.binary(max_size=200))
def test_whatever_comes_is_read_or_refused(content: bytes) -> None:
    reader = Reader("x")
    assert reader.read(content) is not None or reader.problems
