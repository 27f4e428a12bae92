"""Who is logged in."""

from __future__ import annotations

import os
from pathlib import Path

from lvs.io.sessions import users


def test_sessions_of_people_count(tmp_path: Path) -> None:
    (tmp_path / "1").write_text("# private\nUID=1000\nUSER=alice\nCLASS=user\n")
    (tmp_path / "2").write_text("USER=alice\nCLASS=user\n")
    (tmp_path / "3").write_text("USER=gdm\nCLASS=greeter\n")
    (tmp_path / "4").write_text("USER=root\nCLASS=manager\n")
    (tmp_path / "1.ref").symlink_to("nowhere")
    os.mkfifo(tmp_path / "2.ref")  # nobody writes to it, and nobody waits for that
    assert users(tmp_path) == {"alice"}
    assert users(tmp_path / "none") == frozenset()
