"""A director that follows a central repository: real git, real sshd, real TLS, no kernel."""

from __future__ import annotations

import asyncio
import getpass
import http.server
import os
import socket
import ssl
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from http.client import parse_headers
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import pytest

from lvs import pulling
from lvs.errors import ConfigError, SystemFault
from lvs.io.git import Git
from lvs.io.git_program import GitFault
from lvs.protocol import RollbackRequest
from probes.authority import Authority
from pushing import Copy, PushedTo
from stand import until
from test_changes import director, text

pytestmark = pytest.mark.native

SSHD = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {host_key}
AuthorizedKeysFile {authorized}
PidFile none
UsePAM yes
StrictModes no
PasswordAuthentication no
PermitRootLogin prohibit-password
"""
OWN_RUN = 'mount -t tmpfs run /run && mkdir -m 0755 /run/sshd && exec "$0" "$@"'


class Pulled(NamedTuple):
    """A director, the working copy of whoever pushes to the central repository, and pull.toml."""

    one: PushedTo
    away: Copy
    file: Path

    async def pull(self) -> int:
        """Errors: as `pulling.pull`."""
        return await asyncio.to_thread(pulling.pull, self.one.keeper.git, self.file, self.one.place)

    async def push(self, content: str) -> str:
        """To the central repository; the commit."""
        commit = await self.away.commit(content)
        await self.away.push()
        return commit

    async def comes_here(self) -> None:
        """What is pushed there runs here."""
        commit = await self.push(text(2, weight=5))
        assert await self.pull() == 0
        await until(lambda: (self.one.keeper.tip, self.one.weight) == (commit, 5))


@asynccontextmanager
async def following(place: Path) -> AsyncIterator[Pulled]:
    """A director, and a central repository in central.git."""
    async with director(place) as (one, copy):
        central = place / "central.git"
        await copy.git("clone", "--quiet", "--bare", str(one.repository), str(central))
        away = Copy(copy.place, central)
        await away.git("remote", "set-url", "origin", str(central))
        yield Pulled(one, away, place / "pull.toml")


def ssh_key(path: Path) -> str:
    """A new private key; its public half."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path.with_suffix(".pub").read_text()


@contextmanager
def sshd(place: Path, authorized: str) -> Iterator[int]:
    """The real one on a port of loopback."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    ssh_key(place / "host")
    (place / "authorized").write_text(authorized)
    settings = SSHD.format(port=port, host_key=place / "host", authorized=place / "authorized")
    (place / "sshd_config").write_text(settings)
    # It wants /run/sshd, which only a unit of its makes.
    command = ("unshare", "--mount", "sh", "-c", OWN_RUN, "/usr/sbin/sshd", "-D", "-e")
    with subprocess.Popen((*command, "-f", place / "sshd_config"), stderr=subprocess.PIPE) as server:
        assert server.stderr is not None
        while b"Server listening" not in (said := server.stderr.readline()):
            assert said, "sshd has ended"
        try:
            yield port
        finally:
            server.terminate()


class Backend(http.server.BaseHTTPRequestHandler):
    """Hands requests to git-http-backend(1), as a web server does."""

    protocol_version = "HTTP/1.1"
    root = Path()

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        length = int(self.headers.get("Content-Length") or 0)
        told = {
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(length),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        asked = self.rfile.read(length)
        said = subprocess.run(
            ["git", "http-backend"],
            env={**os.environ, **told},
            input=asked,
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
        answer = BytesIO(said)
        fields = parse_headers(answer)
        body = answer.read()
        self.send_response(int(fields.get("Status", "200").split()[0]))
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815 (the name that http.server calls)


@contextmanager
def https(place: Path, chain: Path) -> Iterator[int]:
    """Repositories of a folder, on a port of loopback."""
    handler = type("Here", (Backend,), {"root": place, "log_message": lambda *_: None})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def test_it_follows_by_ssh(tmp_path: Path) -> None:
    async def run() -> None:
        async with following(tmp_path) as it:
            key, hosts = tmp_path / "key", tmp_path / "known_hosts"
            with sshd(tmp_path, ssh_key(key)) as port:
                hosts.write_text(f"[127.0.0.1]:{port} {(tmp_path / 'host.pub').read_text()}")
                url = f"ssh://{getpass.getuser()}@127.0.0.1:{port}{tmp_path}/central.git"
                it.file.write_text(f'url = "{url}"\nknown_hosts = "{hosts}"\nssh_key = "{key}"\n')
                await it.comes_here()
                hosts.write_text(f"[127.0.0.1]:{port} {ssh_key(tmp_path / 'another')}")
                with pytest.raises(GitFault, match=r"REMOTE HOST IDENTIFICATION HAS CHANGED|Host key verif"):
                    await it.pull()
                hosts.write_text(f"[127.0.0.1]:{port} {(tmp_path / 'host.pub').read_text()}")
                (tmp_path / "authorized").write_text("")
                with pytest.raises(GitFault, match="Permission denied"):
                    await it.pull()

    asyncio.run(run())


def test_it_follows_by_https(tmp_path: Path) -> None:
    ours, theirs = Authority(tmp_path), Authority(tmp_path, "another")

    async def run() -> None:
        async with following(tmp_path) as it:
            with https(tmp_path, ours.issue("git", "IP:127.0.0.1")) as port:
                url = f"https://127.0.0.1:{port}/central.git"
                it.file.write_text(f'url = "{url}"\nca_file = "{ours.pem}"\n')
                await it.comes_here()
                it.file.write_text(f'url = "{url}"\nca_file = "{theirs.pem}"\n')
                with pytest.raises(GitFault, match="certificate"):
                    await it.pull()

    asyncio.run(run())


def test_what_was_pushed_there_runs_here(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def run() -> None:
        async with following(tmp_path) as it:

            async def pulled() -> tuple[int, str]:
                code = await it.pull()
                told = capsys.readouterr()
                return code, told.out + told.err

            url = f"file://{tmp_path}/central.git"
            it.file.write_text(f'url = "{url}s"\n')
            with pytest.raises(GitFault, match="git fetch: "):
                await pulled()
            it.file.write_text(f'url = "{url}"\n')
            assert (await pulled()) == (0, f"{url}: nothing new\n")
            await it.comes_here()
            assert "-w 5" in capsys.readouterr().out
            await it.one.changes.rollback(RollbackRequest(), "root")
            await it.push(text(4, weight=6))
            code, said = await pulled()
            assert code == 2
            assert "it does not contain commit" in said
            assert it.one.weight == 1
            await it.push(text(5, weight=-1))
            code, said = await pulled()
            assert code == 2
            assert "0 to 65535, got -1" in said

    asyncio.run(run())


def test_what_is_wrong_with_the_file_is_said_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "pull.toml"
    with pytest.raises(SystemFault, match=r"cannot read .*docs/git.md has an example"):
        pulling.read(file)
    file.write_text('# from there\nurl = "ftp://x/y"\nbrunch = "x"\n')
    with pytest.raises(ConfigError) as caught:
        pulling.read(file)
    first, second = caught.value.problems
    assert str(first).startswith(f"{file}:2: url: ssh://")
    assert str(second).startswith(f"{file}:3: brunch: there is no such key")
    file.write_text("url = [")
    with pytest.raises(ConfigError):
        pulling.read(file)


def test_a_key_that_others_may_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    key = tmp_path / "key"
    key.write_text("")
    key.chmod(0o644)
    file = tmp_path / "pull.toml"
    file.write_text(f'url = "ssh://a/b"\nknown_hosts = "/etc/k"\nssh_key = "{key}"\n')
    with pytest.raises(SystemFault, match="is to belong to user lvs alone"):
        pulling.fetch(Git(tmp_path), pulling.read(file))
