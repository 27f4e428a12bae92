"""git as a program: what it is granted, and what it says when it fails.

It may say no more, and take no longer, than is asked for; then it is killed. Children stay in the daemon's
session, for `io.processes` ends whatever is in another.
"""

from __future__ import annotations

import os
import re
import resource
import select
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from lvs.errors import SystemFault

# Of git commands that read what nobody has judged yet; getrlimit(2).
LIMITS = {
    "core": (resource.RLIMIT_CORE, 0),
    "cpu": (resource.RLIMIT_CPU, 60),  # seconds
    "as": (resource.RLIMIT_AS, 2 << 30),
    "nofile": (resource.RLIMIT_NOFILE, 256),
    "fsize": (resource.RLIMIT_FSIZE, 256 << 20),
}
_CHUNK = 1 << 16


class GitFault(SystemFault):
    """git refused; the text is what it said."""


class TooMuch(GitFault):
    """It said more than was asked for."""


def run(
    words: Sequence[str], environment: Mapping[str, str], stdin: bytes, most: int, limit_s: float
) -> tuple[int, bytes, bytes]:
    """Exit code, output and complaints of a program that may not say or take more than it is granted."""
    given = os.memfd_create("stdin", os.MFD_CLOEXEC)
    complaints = os.memfd_create("stderr", os.MFD_CLOEXEC)
    try:
        with open(given, "wb", closefd=False) as file:
            file.write(stdin)
        os.lseek(given, 0, os.SEEK_SET)
        process = subprocess.Popen(
            words,
            stdin=given,
            stdout=subprocess.PIPE,
            stderr=complaints,
            env=dict(environment),
            cwd="/",
            umask=0o022,
            process_group=0,
        )
        try:
            out = _output(process, most, time.monotonic() + limit_s, words)
            code = process.wait(timeout=limit_s)
        except BaseException:
            with suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        return code, out, os.pread(complaints, 2000, 0)
    except OSError as fault:
        raise GitFault(f"git cannot be run: {os.strerror(fault.errno or 0).lower()}") from fault
    except subprocess.TimeoutExpired as fault:
        raise GitFault(f"git did not end within {limit_s:.0f} s") from fault
    finally:
        os.close(given)
        os.close(complaints)


def _output(process: subprocess.Popen[bytes], most: int, until: float, words: Sequence[str]) -> bytes:
    """All that it says. Errors: TooMuch, TimeoutExpired."""
    assert process.stdout is not None
    with process.stdout as pipe:
        out = bytearray()
        waiting = select.poll()  # a daemon has more descriptors than select(2) takes
        waiting.register(pipe, select.POLLIN)
        while True:
            left = until - time.monotonic()
            if left <= 0 or not waiting.poll(left * 1000):
                raise subprocess.TimeoutExpired(words, left)
            data = os.read(pipe.fileno(), _CHUNK)
            if not data:
                return bytes(out)
            out += data
            if len(out) > most:
                raise TooMuch(f"git said more than {most} bytes")


def limits() -> Iterable[str]:
    """LIMITS for prlimit(1), or what holds for us if that is less: raising it would take a capability."""
    for name, (kind, most) in LIMITS.items():
        hard = resource.getrlimit(kind)[1]
        yield f"--{name}={most if hard == resource.RLIM_INFINITY else min(most, hard)}"


def reason(words: Sequence[str], code: int, err: bytes) -> str:
    """What git said, in one line."""
    said = " ".join(err.decode(errors="replace").split())
    said = re.sub(r"^(fatal|error): ", "", said)
    if code < 0:
        said = f"killed by {signal.Signals(-code).name}{': ' if said else ''}{said}"
    return f"git {_verb(words)}: {said or f'exit code {code}'}"


def _verb(words: Sequence[str]) -> str:
    """The command among its words: what is neither -c nor behind one."""
    return next(word for before, word in zip(("", *words), words, strict=False) if "-c" not in (before, word))
