"""What tests of the command line share: a file, standard input, and a daemon that answers."""

from __future__ import annotations

import io
from pathlib import Path

from lvs.protocol import Reply, Request

VALID = """\
serial_no = 7
primary = "10.0.0.1"
keepalive = 6
deadtime = 18

[[virtual]]
name = "web"
address = "192.0.2.1"
device = "eth0:1"
port = 44380
scheduler = "wlc"

[[virtual.server]]
name = "real1"
address = "10.0.0.3"
weight = 1
"""


class Standard:
    """Standard input or output of bytes."""

    def __init__(self, content: bytes = b"") -> None:
        self.buffer = io.BytesIO(content)

    def flush(self) -> None:
        """All of it is there already."""


# Valid in both languages, with other defaults.
BOTH = b'serial_no = 3\nnetwork = "direct"\n'


class Asked:
    """A daemon that gives one reply and keeps what it was asked."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.requests: list[tuple[Path, Request]] = []

    def __call__(self, path: Path, request: Request) -> Reply:
        self.requests.append((path, request))
        return self.reply
