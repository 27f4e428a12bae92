"""Commits as they are read and shown."""

from __future__ import annotations

from lvs.repository.history import Commit, Person, Row, commits, message, person, table

ONE = Commit("1" * 40, ("2" * 40, "3" * 40), Person("Alice", "a@x"), 1700000000, "web: more weight")


def test_log_is_read() -> None:
    one = [b"1" * 40, b"2" * 40 + b" " + b"3" * 40, b"Alice", b"a@x", b"1700000000", b"web: more weight"]
    other = [b"\n" + b"4" * 40, b"", b"\x1b[31m", b"", b"", b"\xff", b"\n"]
    said = b"\0".join((*one, *other))
    first, second = commits(said)
    assert first == ONE
    assert second == Commit("4" * 40, (), Person("\\x1b[31m", ""), 0, "\ufffd")
    assert commits(b"") == ()


def test_table() -> None:
    head, line = table([Row(ONE, "9", "joins two histories")])
    assert head.split() == ["COMMIT", "WHEN", "SERIAL", "AUTHOR", "WHAT"]
    assert line.startswith("1111111111  2023-11-1")
    assert line.endswith("9       Alice   web: more weight (joins two histories)")


def test_a_first_commit_has_no_time() -> None:
    _, line = table([Row(Commit("1" * 40, (), Person("lvsd", "l@h"), 0, "as it was"), "1")])
    assert "1970" not in line


def test_person_is_one_that_git_takes() -> None:
    assert person("DOM\\alice <x>\n", "lb1") == Person("DOM\\alice x\\n", "DOM\\alice.x\\n@lb1")
    assert person("", "lb1").name == "unknown"


def test_message() -> None:
    assert message("a", "b", trailers=(("Key", "value"),)) == "a\n\nb\n\nKey: value\n"
