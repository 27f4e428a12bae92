"""Debian's own servers, run as processes of this host without being installed.

Their packages, and what they depend on and this host lacks, are downloaded and unpacked below
`build/`: nothing is configured, started at boot, or left behind in the system. A program that is
installed already is run from where it is. Every server listens on a free port of 127.0.0.1.
"""

from __future__ import annotations

import fcntl
import os
import platform
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

PLACE = Path(__file__).resolve().parents[2] / "build" / "services"
PATIENCE_S = 30.0

# With their dependencies; without: what of CUPS is not the scheduler, for its filters are 80 MB, and a
# news server, whose mail server nobody needs to be greeted
WHOLE = (
    "slapd",
    "cups-daemon",
    "postgresql",
    "mariadb-server-core",
    "freeradius",
    "kamailio",
    "clamav-daemon",
)
ALONE = ("cups", "sn")


def programs() -> Path:
    """The directory in which all of it is unpacked. Errors: CalledProcessError."""
    PLACE.mkdir(parents=True, exist_ok=True)
    recipe = repr((WHOLE, ALONE, platform.freedesktop_os_release().get("VERSION_ID")))
    root, stamp = PLACE / "root", PLACE / "stamp"
    with _only_one():
        if not stamp.exists() or stamp.read_text() != recipe:
            for stale in (root, PLACE / "packages"):
                shutil.rmtree(stale, ignore_errors=True)
            root.mkdir()
            _unpack(root, PLACE / "packages")
            stamp.write_text(recipe)
    return root


@contextmanager
def _only_one() -> Iterator[None]:
    with (PLACE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _unpack(root: Path, packages: Path) -> None:
    (packages / "partial").mkdir(parents=True)
    options = ("-qq", "-y", "-o", f"Dir::Cache::archives={packages}", "-o", "APT::Sandbox::User=root")
    whole = ("apt-get", *options, "--no-install-recommends", "--download-only", "install", *WHOLE)
    alone = ("apt-get", *options, "download", *ALONE)
    try:
        _apt(whole, packages)
    except subprocess.CalledProcessError:
        _apt(("apt-get", "-qq", "update"), packages)
        _apt(whole, packages)
    _apt(alone, packages)
    for package in sorted(packages.glob("*.deb")):
        subprocess.run(("dpkg-deb", "-x", package, root), check=True)
    shutil.rmtree(packages)


def _apt(command: tuple[str, ...], directory: Path) -> None:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(command, cwd=directory, env=environment, stdin=subprocess.DEVNULL, check=True)


def environment(root: Path) -> dict[str, str]:
    """What lets the unpacked programs find their libraries."""
    triplet = f"{platform.machine()}-linux-gnu"
    places = [f"usr/lib/{triplet}", f"lib/{triplet}", "usr/lib/freeradius"]
    return os.environ | {"LD_LIBRARY_PATH": ":".join(str(root / place) for place in places)}


def find(root: Path, pattern: str) -> Path:
    """A file of the unpacked packages, or of this host; the newest if there are several."""
    for top in (root, Path("/")):
        found = sorted(top.glob(pattern))
        if found:
            return found[-1]
    raise FileNotFoundError(pattern)


def as_nobody(*words: str | Path) -> tuple[str | Path, ...]:
    """A command that is not root's, which PostgreSQL insists on, but reads and writes whatever root does."""
    rights = ("--inh-caps=+dac_override", "--ambient-caps=+dac_override")
    return ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *rights, *words)


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Server:
    """A server that can be stopped and started again."""

    def __init__(
        self,
        port: int,
        command: tuple[str | Path, ...],
        directory: Path,
        env: Mapping[str, str],
        ready: Callable[[], bool] | None = None,
    ) -> None:
        self.port = port
        self._command, self._directory, self._env = command, directory, dict(env)
        self._ready = ready or self._listens
        self.log = directory / "log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._directory,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + PATIENCE_S
        while not self._ready():
            assert self._process.poll() is None, self.log.read_text(errors="replace")
            assert time.monotonic() < deadline, self.log.read_text(errors="replace")
            time.sleep(0.05)

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self) -> None:
        """End it, with all its children, and wait until it is gone."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    def _listens(self) -> bool:
        with socket.socket() as sock:
            sock.settimeout(1)
            return sock.connect_ex(("127.0.0.1", self.port)) == 0


class Inetd:
    """Starts a program for each connection, which is its standard input and output."""

    def __init__(self, port: int, command: tuple[str | Path, ...], env: Mapping[str, str]) -> None:
        self.port = port
        self._command, self._env = command, dict(env)
        self._socket: socket.socket | None = None

    def start(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._serve, args=(self._socket,), daemon=True).start()

    def stop(self) -> None:
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)  # which ends `accept`
            self._socket.close()
            self._socket = None

    def _serve(self, listening: socket.socket) -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                done = subprocess.Popen(
                    self._command,
                    env=self._env,
                    stdin=connection.fileno(),
                    stdout=connection.fileno(),
                    stderr=subprocess.DEVNULL,
                )
            done.wait(PATIENCE_S)
