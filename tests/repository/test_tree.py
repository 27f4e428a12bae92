"""What a pushed tree may hold."""

from __future__ import annotations

import pytest

from lvs.repository.tree import LONGEST, MOST_FILES, Chosen, Entry, entries, judge, printable

ONE = b"100644 blob " + b"a" * 40 + b"      12\tlvs.toml\0"
OTHER = b"040000 tree " + b"b" * 40 + b"       -\tdir\0"


def file(path: bytes, mode: str = "100644", kind: str = "blob", size: int = 1) -> Entry:
    return Entry(mode, kind, "c" * 40, size, path)


def test_listing_is_read() -> None:
    assert entries(ONE + OTHER) == (
        Entry("100644", "blob", "a" * 40, 12, b"lvs.toml"),
        Entry("040000", "tree", "b" * 40, 0, b"dir"),
    )
    assert entries(b"") == ()


def test_the_configuration_is_chosen() -> None:
    assert judge((file(b"README"), file(b"lvs.cf", size=7), file(b"old/lvs.toml"))) == Chosen(
        "lvs.cf", "c" * 40, 7
    )


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ((), "neither lvs.toml nor lvs.cf"),
        ((file(b"lvs.toml"), file(b"lvs.cf")), "both lvs.toml and lvs.cf"),
        ((file(b"lvs.toml", "120000"),), "lvs.toml: a symbolic link"),
        ((file(b"lvs.toml"), file(b"x", "160000", "commit")), "x: a submodule"),
        ((file(b"lvs.toml"), file(b"x", "140000")), "x: of mode 140000"),
        ((file(b"lvs.toml", size=LONGEST + 1),), "larger than 16 MiB"),
        ((file(b"lvs.toml"),) * (MOST_FILES + 1), "1001 files"),
        ((file(b"\x1b[2J\n", "120000"), file(b"lvs.toml")), "\\x1b[2J\\n: a symbolic link"),
    ],
)
def test_what_is_refused(found: tuple[Entry, ...], said: str) -> None:
    judged = judge(found)
    assert not isinstance(judged, Chosen)
    assert said in "\n".join(judged)


def test_many_problems_are_counted() -> None:
    judged = judge((file(b"lvs.toml"), *(file(b"%d" % number, "120000") for number in range(30))))
    assert judged[-1] == "and 20 more"


def test_printable_keeps_letters_and_no_commands() -> None:
    assert printable("Zoë") == "Zoë"
    assert printable(b"\xff\x07") == "\\xff\\x07"
    assert printable("a\udcff") == "a\\udcff"
