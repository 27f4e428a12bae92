"""The container, against tar's own."""

from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvs.updating.archive import BLOCK, END, ArchiveError, Entry, entry


def header(**changed: object) -> bytes:
    member = tarfile.TarInfo("manifest.json")
    member.size = 5
    for name, value in changed.items():
        setattr(member, name, value)
    return member.tobuf(tarfile.USTAR_FORMAT)


def test_what_tar_writes_is_read() -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        member = tarfile.TarInfo("lvs_1.root.x.raw.xz")
        member.size = 600
        archive.addfile(member, io.BytesIO(bytes(600)))
    content = made.getvalue()
    found = entry(content[:BLOCK])
    assert found == Entry("lvs_1.root.x.raw.xz", 600)
    assert found.padding == 424
    assert entry(content[BLOCK + 600 + 424 :][:BLOCK]) is None


def test_a_block_of_zeros_is_the_end() -> None:
    assert entry(END) is None
    assert Entry("full", BLOCK).padding == 0


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"type": tarfile.SYMTYPE, "linkname": "/etc/shadow"}, "holds something"),
        ({"type": tarfile.XHDTYPE}, "holds something"),
        ({"type": tarfile.GNUTYPE_LONGNAME}, "holds something"),
        ({"type": tarfile.DIRTYPE}, "holds something"),
        ({"name": "../../etc/passwd"}, "holds something"),
        ({"name": "a/b"}, "holds something"),
        ({"name": "", "type": tarfile.REGTYPE}, "holds something"),
        ({"name": "x" * 120 + "/" + "y" * 90}, "holds something"),
    ],
)
def test_only_plain_files_are_read(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(ArchiveError, match=said):
        entry(header(**wrong))


def test_damage_is_seen() -> None:
    whole = header()
    for at in (0, 30, 130, 200, 300):
        with pytest.raises(ArchiveError, match=r"damaged|no update|holds something"):
            entry(whole[:at] + bytes((whole[at] ^ 1,)) + whole[at + 1 :])
    with pytest.raises(ArchiveError, match="no update"):
        entry(whole[:100])
    negative = whole[:124] + b"\xff" * 12 + whole[136:]
    with pytest.raises(ArchiveError, match="damaged"):
        entry(negative)


@given(st.binary(min_size=BLOCK, max_size=BLOCK))
def test_nothing_else_comes_of_anything(content: bytes) -> None:
    with pytest.raises(ArchiveError):
        entry(b"x" + content[1:])
