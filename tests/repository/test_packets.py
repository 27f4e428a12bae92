"""pkt-lines of the hook proc-receive."""

from __future__ import annotations

from io import BytesIO

import pytest

from lvs.repository.packets import (
    FLUSH,
    GREETING,
    greeted,
    packet,
    section,
    takes_options,
    update,
    verdict,
)
from lvs.repository.wishes import Update


def test_sections_are_read_until_a_flush() -> None:
    stream = BytesIO(packet(GREETING) + FLUSH + packet(b"a b c\n") + FLUSH)
    assert section(stream) == [GREETING]
    assert section(stream) == [b"a b c\n"]
    with pytest.raises(ValueError):
        section(stream)


@pytest.mark.parametrize("data", [b"", b"00", b"zzzz", b"0001", b"000ahalf", packet(b"x"), b"0005x" * 2000])
def test_what_is_no_section(data: bytes) -> None:
    with pytest.raises(ValueError):
        section(BytesIO(data))


def test_greeting() -> None:
    assert greeted([b"version=1\0push-options atomic\n"])
    assert takes_options([b"version=1\0push-options atomic\n"])
    assert not takes_options([b"version=1\0atomic"])
    assert not greeted([b"version=2"])
    assert not greeted([])


def test_commands_and_verdicts() -> None:
    assert update(b"1 2 refs/heads/main\n") == Update("1", "2", "refs/heads/main")
    assert verdict("refs/heads/main", "") == b"0016ok refs/heads/main"
    assert verdict("r", "no") == b"000bng r no"
