"""The key by which ssh clients know this machine: one, ed25519, made at the first boot.

It is made beside its place and takes its name when it is whole: ssh-keygen writes in place, and a machine
that lost power between would have a key that sshd refuses, and makes none anew.
"""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from pathlib import Path

from lvs.errors import SystemFault
from lvs.firstboot import keys
from lvs.io.child import child_environment, find_program
from lvs.io.durable import settle

PLACE = Path("etc/ssh/ssh_host_ed25519_key")
_END = b"-----END OPENSSH PRIVATE KEY-----"


def ensure(root: Path) -> None:
    """Make the key if there is none that is whole. Errors: SystemFault."""
    place = root / PLACE
    public = place.with_name(place.name + ".pub")
    program = find_program("ssh-keygen")
    if program is None or not place.parent.is_dir():  # no sshd either
        return
    if _whole(place) and fingerprint(root):
        return
    beside = place.with_name(".lvs_host_key")
    beside_public = beside.with_name(beside.name + ".pub")
    try:
        for path in (beside, beside_public):
            path.unlink(missing_ok=True)
        if _whole(place):  # only the public half is missing
            said = _ran((program, "-y", "-f", str(place)))
            beside_public.write_bytes(said)
        else:
            _ran((program, "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(beside)))
        for path, final in ((beside_public, public), (beside, place)):
            if path.exists():
                _settled(path)
                path.replace(final)
        settle(place.parent)
    except OSError as fault:
        raise SystemFault(f"{place} cannot be made: {str(fault.strerror).lower()}") from fault
    finally:
        for path in (beside, beside_public):
            with suppress(OSError):
                path.unlink(missing_ok=True)


def fingerprint(root: Path) -> str:
    """`ssh-ed25519 SHA256:...`; empty if there is no key."""
    try:
        line = (root / PLACE).with_name(PLACE.name + ".pub").read_bytes()
    except OSError:
        return ""
    good, _ = keys.judge(line, "")
    return keys.fingerprint(good[0]) if good else ""


def _whole(place: Path) -> bool:
    with suppress(OSError):
        return place.read_bytes().rstrip().endswith(_END)
    return False


def _settled(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _ran(words: tuple[str, ...]) -> bytes:
    done = subprocess.run(
        words, stdin=subprocess.DEVNULL, capture_output=True, env=child_environment(), check=False, timeout=60
    )
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise SystemFault(f"ssh-keygen failed: {said[-1] if said else done.returncode}")
    return done.stdout
