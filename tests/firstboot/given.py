"""What tests give a machine."""

from __future__ import annotations

import base64
import struct

from lvs.firstboot.values import Offered, Source

TOML = """\
serial_no = 7

[[virtual]]
name = "web"
address = "192.0.2.1"
device = "eth0:1"
port = 80

[[virtual.server]]
name = "real1"
address = "10.0.0.3"
"""


def public_key(kind: str = "ssh-ed25519", fields: tuple[bytes, ...] = (bytes(32),), name: str = "me") -> str:
    """A line of authorized_keys, made by RFC 4251 section 5 and not by the code under test."""
    blob = b"".join(struct.pack("!I", len(field)) + field for field in (kind.encode(), *fields))
    return f"{kind} {base64.b64encode(blob).decode()} {name}"


def offer(
    name: str, content: str | bytes, source: Source = Source.PARTITION, where: str = "", origin: str = ""
) -> Offered:
    raw = content.encode() if isinstance(content, str) else content
    return Offered(source, name, raw, where or f"{source}/{name}", origin)
