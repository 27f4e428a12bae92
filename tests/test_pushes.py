"""The hooks by themselves; real pushes are in test_changes.py."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest

from lvs.pushes import proc_receive
from lvs.repository.packets import FLUSH, GREETING, packet
from lvs.repository.wishes import MAIN, NOTHING

ONE = "1" * 40
HELLO = packet(b"version=1\0push-options atomic\n") + FLUSH


def said(stdin: bytes, tmp_path: Path) -> tuple[int, bytes]:
    out = BytesIO()
    return proc_receive(tmp_path / "no socket", BytesIO(stdin), out), out.getvalue()


def test_without_a_daemon_the_push_is_refused_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    push = packet(f"{NOTHING} {ONE} {MAIN}\n".encode()) + FLUSH + packet(b"confirm=60") + FLUSH
    code, out = said(HELLO + push, tmp_path)
    assert code == 0
    assert out.startswith(packet(GREETING) + FLUSH)
    assert f"ng {MAIN} no lvsd answers".encode() in out
    assert "lvsd did not say what became of it" in capsys.readouterr().err


def test_what_pre_receive_would_not_pass_is_refused_here_too(tmp_path: Path) -> None:
    for command, options, why in (
        (f"{NOTHING} {ONE} refs/heads/x", b"", b"one branch"),
        (f"{ONE} {NOTHING} {MAIN}", b"", b"cannot be deleted"),
        (f"{NOTHING} {ONE} {MAIN}", packet(b"force"), b"not known"),
    ):
        push = packet(command.encode()) + FLUSH + options + FLUSH
        assert why in said(HELLO + push, tmp_path)[1]


@pytest.mark.parametrize("stdin", [b"", packet(b"version=9") + FLUSH, HELLO, HELLO + packet(b"odd") + FLUSH])
def test_a_git_that_is_not_understood(stdin: bytes, tmp_path: Path) -> None:
    code, out = said(stdin, tmp_path)
    assert code == 1
    assert b"ok " not in out
