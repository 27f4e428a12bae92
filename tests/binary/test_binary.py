"""dist/lvsd: whole, on its own, quick, and gone without a trace."""

from __future__ import annotations

import getpass
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lvs import __version__
from lvs.pulse.line import Privileges, Seen, Way, Wiring, encode, from_pulse
from lvs.pulse.words import Terms

pytestmark = pytest.mark.binary

ROOT = Path(__file__).parents[2]
LVSD = ROOT / "dist" / "lvsd"
EXAMPLE = ROOT / "lvs.toml.example"

# What the binary asks of its host: the C library, and zlib, which Debian's dpkg cannot do without.
HOST_LIBRARIES = (
    "ld-linux",
    "libc.so",
    "libm.so",
    "libdl.so",
    "libpthread.so",
    "librt.so",
    "libutil.so",
    "libz.so",
)
LIBRARY_DIRECTORIES = ("/lib64", "/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu", "/lib")


def lvsd(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run it with no environment but the given one."""
    return subprocess.run(
        (LVSD, *arguments), env=environment, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """The example under the name that an operator gives it."""
    return Path(shutil.copy(EXAMPLE, tmp_path / "lvs.toml"))


def quickest_s(*arguments: str | Path) -> float:
    """The best of some runs: what it costs, not what else the machine does."""

    def took_s() -> float:
        began = time.monotonic()
        lvsd(*arguments)
        return time.monotonic() - began

    return min(took_s() for _ in range(7))


def until(holds: Callable[[], object], within_s: float = 20.0) -> None:
    end = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_its_hooks_are_gits(tmp_path: Path) -> None:
    """A push is refused in words where no daemon answers."""
    hooks, central, copy = tmp_path / "hooks", tmp_path / "config.git", tmp_path / "copy"
    hooks.mkdir()
    for name in ("pre-receive", "proc-receive"):
        (hooks / name).write_text(f"#!/bin/sh\nexec {LVSD} hook --run-dir {tmp_path} {name}\n")
        (hooks / name).chmod(0o755)
    words = ("--repository", central, "--hooks", hooks, "--user", getpass.getuser())
    assert "made" in lvsd("repository", "init", *words).stdout

    def git(*words: str | Path) -> subprocess.CompletedProcess[str]:
        whom = ("-c", "user.name=Alice", "-c", "user.email=alice@example.com", "-c", "safe.directory=*")
        return subprocess.run(("git", *whom, *words), capture_output=True, text=True, check=False)

    git("init", "--quiet", "--initial-branch=main", copy)
    shutil.copy(EXAMPLE, copy / "lvs.toml")
    git("-C", copy, "add", "lvs.toml")
    assert git("-C", copy, "commit", "--quiet", "-m", "the first").returncode == 0
    done = git("-C", copy, "push", central, "main")
    assert done.returncode == 1
    assert "no lvsd answers" in done.stderr
    assert lvsd("history", "--repository", central).stdout == "there is no commit yet\n"


def test_version() -> None:
    assert lvsd("--version").stdout == f"lvsd {__version__}\n"


def test_selftest_passes_without_an_environment() -> None:
    done = lvsd("selftest")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "FAIL" not in done.stdout
    assert "one file" in done.stdout


def test_check_of_a_good_and_of_a_bad_file(example: Path) -> None:
    assert lvsd("check", "--elsewhere", example).returncode == 0
    example.write_text(example.read_text() + "\nno_such_option = 1\n")
    done = lvsd("check", "--elsewhere", example)
    assert done.returncode == 2
    assert "no_such_option" in done.stderr


def test_text_is_utf_8_in_any_locale(tmp_path: Path) -> None:
    file = tmp_path / "lvs.toml"
    file.write_text('"wéb" = 1\n', encoding="utf-8")
    for locale in ("C", "POSIX", "de_DE.ISO-8859-1", "ja_JP.EUC-JP", "C.UTF-8"):
        done = lvsd("check", file, LC_ALL=locale)
        assert (done.returncode, "wéb" in done.stderr) == (2, True), (locale, done.stderr)


@pytest.mark.skipif(os.geteuid() != 0, reason="chroot takes root")
def test_host_needs_no_python_and_no_library_but_libc_and_zlib(tmp_path: Path) -> None:
    for directory in map(Path, LIBRARY_DIRECTORIES):
        for library in directory.glob("*.so*") if directory.is_dir() else ():
            if library.name.startswith(HOST_LIBRARIES):
                target = tmp_path / directory.relative_to("/")
                target.mkdir(parents=True, exist_ok=True)
                shutil.copy(library, target)
    (tmp_path / "tmp").mkdir()
    shutil.copy(LVSD, tmp_path)
    shutil.copy(EXAMPLE, tmp_path / "lvs.toml")
    for arguments in (("selftest",), ("check", "--elsewhere", "lvs.toml")):
        done = subprocess.run(
            (shutil.which("chroot") or "chroot", tmp_path, "/lvsd", *arguments),
            env={},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert not list((tmp_path / "tmp").iterdir())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_reaches_lvsd_and_nothing_is_left(tmp_path: Path, number: signal.Signals) -> None:
    with subprocess.Popen(
        # What runs in the background of a shell ignores SIGINT, and so would its children.
        ("/usr/bin/env", "--default-signal=INT", LVSD, "check", "-", "--format", "toml"),
        env={"TMPDIR": str(tmp_path)},
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        # The parent unpacks and waits; its child is lvsd, here once it reads its input.
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        until(children.read_text)
        child = Path("/proc") / children.read_text().strip()
        until(lambda: (child / "wchan").read_text().startswith(("pipe_read", "anon_pipe_read")))
        process.send_signal(number)
        assert process.wait(20) != 0
        assert not child.exists()
    assert not list(tmp_path.iterdir())


def test_nothing_needless_inside() -> None:
    bundled = subprocess.run(
        (ROOT / ".venv/bin/pyi-archive_viewer", "-l", "-r", LVSD), capture_output=True, text=True, check=True
    ).stdout
    assert all(name in bundled for name in ("libpython", "libssl", "_ssl"))
    assert not [name for name in ("libsqlite", "'tkinter'", "'pydoc'") if name in bundled]


def test_tls_is_there_and_knows_the_systems_authorities() -> None:
    done = lvsd("selftest")
    assert "ok   TLS: OpenSSL" in done.stdout
    if Path("/etc/ssl/certs/ca-certificates.crt").exists():
        assert re.search(r"authorities: \d+ trusted for TLS", done.stdout)


def test_it_makes_a_key_for_a_pair(tmp_path: Path) -> None:
    key = tmp_path / "pair.key"
    made = lvsd("pair", "init", "--key", key)
    assert made.returncode == 0, made.stderr
    assert key.stat().st_mode & 0o777 == 0o600
    assert "PRIVATE KEY" in key.read_text()


def test_it_is_its_own_pulse() -> None:
    """The daemon starts the very same file once more, for the heartbeat alone."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(30)
    words = (LVSD, "pulse", str(theirs.fileno()))
    with ours, subprocess.Popen(words, pass_fds=(theirs.fileno(),), env={}) as pulse:
        theirs.close()
        way = Way("public", "127.0.0.1", "127.0.0.78")
        ours.send(encode(Wiring((way,), 47540, b"k" * 32, Terms(True, 1.0, 600.0))))
        said = [from_pulse.decode(ours.recv(1 << 16)) for _ in range(2)]
        assert [type(one) for one in said] == [Privileges, Seen], said
        ours.shutdown(socket.SHUT_RDWR)
        assert pulse.wait(30) == 0


def test_size() -> None:
    assert LVSD.stat().st_size < 28_000_000


def test_starts_quickly(example: Path) -> None:
    assert quickest_s("--version") < 0.4
    assert quickest_s("check", "--elsewhere", example) < 0.6
