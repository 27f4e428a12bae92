"""Who pushes, told by sshd."""

from __future__ import annotations

import getpass
import os
from pathlib import Path

from lvs.io.pusher import elapsed_s, pusher

KEY = "AAAAC3NzaC1lZDI1NTE5AAAAIGQ0Y2Q0ZGY0ZGY0ZGY0ZGY0ZGY0ZGY0ZGY0ZGY0ZGY0"


def test_a_key_has_the_name_of_its_comment(tmp_path: Path) -> None:
    info, authorized = tmp_path / "info", tmp_path / "authorized"
    info.write_text(f"publickey ssh-ed25519 {KEY}\n")
    authorized.write_text(
        f'# ours\nssh-rsa AAAA bob\nno-pty,from="a b" ssh-ed25519 {KEY} alice@laptop \x1b[1m\n'
    )
    environment = {"SSH_CONNECTION": "192.0.2.7 5000 192.0.2.1 22", "SSH_USER_AUTH": str(info)}
    assert pusher(environment, (tmp_path, authorized)) == "alice@laptop \\x1b[1m from 192.0.2.7"
    said = pusher(environment, (tmp_path / "none",))
    assert said.startswith("key SHA256:")
    assert said.endswith(" from 192.0.2.7")


def test_without_a_key_at_least_from_where(tmp_path: Path) -> None:
    assert pusher({"SSH_CONNECTION": "2001:db8::1 1 ::1 22"}, ()) == "somebody from 2001:db8::1"


def test_on_the_machine_itself(tmp_path: Path) -> None:
    assert pusher({}, ()) == getpass.getuser()
    assert pusher({"SUDO_USER": "alice"}, ()) == "alice"


def test_elapsed() -> None:
    mine = elapsed_s()
    assert mine is not None
    assert mine >= 0.0
    assert elapsed_s("no such program") is None
    name = Path(f"/proc/{os.getpid()}/comm").read_text().strip()
    assert elapsed_s(name) is not None
