"""Who pushes, and since when: what the processes around a hook tell.

All pushes come as the user `lvs`. With `ExposeAuthInfo yes` sshd notes by which key; the comment of that key
among the authorized ones is a name that people know.
"""

from __future__ import annotations

import base64
import binascii
import os
import time
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from lvs.repository.tree import printable

AUTHORIZED = tuple(Path("/etc/ssh/authorized_keys.d", name) for name in ("lvs", "root"))
_LONGEST = 64 << 10


def pusher(environment: Mapping[str, str], authorized: tuple[Path, ...] = AUTHORIZED) -> str:
    """`alice@laptop from 192.0.2.7`, as far as it can be told. Errors: none."""
    address = environment.get("SSH_CONNECTION", "").split(" ")[0]
    if not address:
        return environment.get("SUDO_USER") or _user()
    key = _key(environment.get("SSH_USER_AUTH", ""))
    return printable(f"{_name(key, authorized)} from {address}")


def _user() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"user {os.getuid()}"


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_LONGEST).decode(errors="replace")
    except OSError:
        return ""


def _key(auth_info: str) -> str:
    """The public key that sshd accepted, in base64; empty if that is not known."""
    for line in _read(Path(auth_info)).splitlines() if auth_info else ():
        words = line.split()
        if len(words) >= 3 and words[0] == "publickey":
            return words[2]
    return ""


def _name(key: str, authorized: tuple[Path, ...]) -> str:
    """The comment of a key, or its fingerprint as `ssh-keygen -l` shows it."""
    if not key:
        return "somebody"
    for line in "\n".join(map(_read, authorized)).splitlines():
        words = line.split()
        if key in words and (comment := " ".join(words[words.index(key) + 1 :])):
            return comment
    try:
        digest = sha256(base64.b64decode(key, validate=True)).digest()
    except (ValueError, binascii.Error):
        return "somebody"
    return f"key SHA256:{base64.b64encode(digest).decode().rstrip('=')}"


def elapsed_s(name: str = "") -> float | None:
    """For how long the nearest process above us of this name has run; without a name: we ourselves.

    Source: proc_pid_stat(5), fields 2, 4 and 22.
    """
    process = os.getpid()
    while process > 1:
        try:
            told = Path(f"/proc/{process}/stat").read_text()
        except OSError:
            return None
        command, _, rest = told.rpartition(")")
        fields = rest.split()
        if not name or command.partition("(")[2].startswith(name):
            began = int(fields[19]) / os.sysconf("SC_CLK_TCK")
            return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - began)
        process = int(fields[1])
    return None
