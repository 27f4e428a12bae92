"""Updates from files, standard input, and a web server."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from lvs.errors import SystemFault, UsageError
from lvs.io.fetching import called, is_url, opened


class Server(BaseHTTPRequestHandler):
    pages: ClassVar[dict[str, bytes]] = {"/update": b"all of it", "/short": b"half"}

    def do_GET(self) -> None:
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/update")
            self.end_headers()
            return
        if self.path not in self.pages:
            self.send_error(404)
            return
        content = self.pages[self.path]
        self.send_response(200)
        self.send_header("Content-Length", str(len(content) * (2 if self.path == "/short" else 1)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def site() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def read(name: str) -> bytes:
    with opened(name) as source:
        return b"".join(iter(lambda: source.read(4), b""))


def test_a_file(tmp_path: Path) -> None:
    (tmp_path / "update").write_bytes(b"all of it")
    assert read(str(tmp_path / "update")) == b"all of it"
    with pytest.raises(SystemFault, match=r"cannot read .*: no such file"):
        read(str(tmp_path / "none"))


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"all of it")))
    assert read("-") == b"all of it"
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(UsageError, match="standard input"):
        read("-")


def test_a_web_server(site: str) -> None:
    assert read(f"{site}/update") == b"all of it"
    assert read(f"{site}/moved") == b"all of it"


def test_a_web_server_that_fails(site: str) -> None:
    with pytest.raises(SystemFault, match=r"cannot fetch .*/none: .*(404|Not Found)"):
        read(f"{site}/none")
    with pytest.raises(SystemFault, match="ended before all of it"):
        read(f"{site}/short")
    with pytest.raises(SystemFault, match="cannot fetch"):
        read("http://127.0.0.1:1/update")


def test_other_ways_are_refused() -> None:
    assert is_url("https://host/x")
    assert not is_url("/srv/x.update")
    assert (called("-"), called("/srv/x.update")) == ("standard input", "/srv/x.update")
    for url in ("ftp://host/x", "file:///etc/shadow"):
        with pytest.raises(UsageError, match="by http or https"):
            read(url)
