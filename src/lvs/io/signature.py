"""Whose signature is it: ssh-keygen(1) -Y verify, on bytes that are nowhere but in memory.

OpenSSH is on every director; its keys may lie on a token or behind an agent, and its file of who may sign
says for what and until when. Source: PROTOCOL.sshsig of OpenSSH.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lvs.errors import SystemFault
from lvs.io.child import child_environment, find_program
from lvs.updating.manifest import NAMESPACE


def verified(content: bytes, signature: bytes, signers: tuple[Path, ...]) -> str:
    """Who signed a manifest. Errors: SystemFault if nobody did who may.

    Shape: `signers` are files of who may, ssh-keygen(1) ALLOWED SIGNERS; one that is missing names nobody.
    """
    program = find_program("ssh-keygen")
    if program is None:
        raise SystemFault("there is no ssh-keygen here to verify a signature")
    said = "it bears no signature"
    for allowed in signers:
        if not allowed.exists():
            continue
        with _held(signature) as file:
            known = _run((program, "-Y", "find-principals", "-s", file, "-f", str(allowed)), b"", file)
            if known.returncode:
                said = f"whoever signed it is not in {' or '.join(map(str, signers))}"
                continue
            signer = known.stdout.decode(errors="replace").split("\n")[0].split(",")[0]
            command = (program, "-Y", "verify", "-n", NAMESPACE, "-I", signer, "-s", file, "-f", str(allowed))
            done = _run(command, content, file)
        if not done.returncode:
            return signer
        said = (done.stderr or done.stdout).decode(errors="replace").strip().split("\n")[-1]
    raise SystemFault(f"the update is not signed by anybody who may: {said}")


@contextmanager
def _held(content: bytes) -> Iterator[str]:
    """A name for bytes in memory, for a child process: nothing is written anywhere yet."""
    descriptor = os.memfd_create("lvs-update", 0)
    try:
        os.write(descriptor, content)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _run(command: tuple[str, ...], content: bytes, file: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        command,
        input=content,
        capture_output=True,
        check=False,
        env=child_environment(),
        pass_fds=(int(file.rsplit("/", 1)[1]),),
    )
