"""NoCloud: what a cloud gives a new machine on a disk of the name CIDATA, as far as a director can use it.

Three files are read: meta-data, user-data (of the kind #cloud-config) and network-config. Every key
that is read stands in a table here; every other one is told, because a machine that silently does
half of what it was told is worse than one that says so.
Source: https://docs.cloud-init.io/en/latest/reference/datasources/nocloud.html and modules.html.
"""

from __future__ import annotations

import base64
import binascii
import posixpath
from collections.abc import Mapping

from lvs.config.located import Problem, Severity
from lvs.firstboot import netplan
from lvs.firstboot.document import LONGEST, Node, Reader
from lvs.firstboot.netplan import unknown
from lvs.firstboot.sources import Found
from lvs.firstboot.values import (
    CONFIG_NAMES,
    ETC,
    HOSTNAME,
    KEYS,
    OTHERS,
    PAIR_KEY,
    PUSH_KEYS,
    SECRETS,
    Offered,
    Source,
)

LABEL = "CIDATA"
FILES = ("meta-data", "user-data", "network-config")
READ_BYTES = LONGEST

META = ("instance-id", "local-hostname", "public-keys", "public-ssh-keys")
USER_DATA = ("hostname", "fqdn", "ssh_authorized_keys", "users", "write_files")
USER = ("name", "ssh_authorized_keys", "ssh-authorized-keys")
USERS = {"root": KEYS, "lvs": PUSH_KEYS}
WRITE_FILE = ("path", "content", "encoding", "permissions", "owner", "append", "defer")
_NONE_HERE = {
    "password": "nobody logs in with a password here: give ssh_authorized_keys",
    "chpasswd": "nobody logs in with a password here: give ssh_authorized_keys",
    "ssh_pwauth": "nobody logs in with a password here",
    "runcmd": "nothing is run; an appliance has no shell scripts of yours",
    "bootcmd": "nothing is run; an appliance has no shell scripts of yours",
    "packages": "nothing is installed: the system is read-only and updated as a whole",
    "network": "it belongs in the file network-config",
}


def readable(name: str) -> bool:
    return name in FILES


def from_disk(files: Mapping[str, bytes]) -> Found:
    """What such a disk has for us. Shape: `files` by their name on it."""
    reading = _Reading()
    if "meta-data" in files:
        reading.meta_data(files["meta-data"])
    if "user-data" in files:
        reading.user_data(files["user-data"])
    if "network-config" in files:
        where = f"{LABEL}/network-config"
        offered, problems = netplan.read(files["network-config"], where, reading.origin)
        reading.offered += offered
        reading.problems += problems
    if "vendor-data" in files:
        message = "is not read: what a director needs to know stands in user-data"
        reading.problems.append(Problem(f"{LABEL}/vendor-data", 0, "", message, Severity.WARNING))
    return Found((*reading.offered, *reading.gathered()), tuple(reading.problems))


class _Reading:
    """What was read so far."""

    def __init__(self) -> None:
        self.offered: list[Offered] = []
        self.problems: list[Problem] = []
        self.origin = ""  # the instance: another one is told everything anew
        self.hostname: tuple[str, str] = ("", "")  # and where it stands
        self.keys: dict[str, list[str]] = {}
        self.keys_where: dict[str, str] = {}

    def gathered(self) -> list[Offered]:
        """What several keys say together."""
        found = [
            Offered(Source.NOCLOUD, name, "".join(f"{line}\n" for line in lines).encode(), where, self.origin)
            for name, lines in self.keys.items()
            if (where := self.keys_where[name])
        ]
        name, where = self.hostname
        if name:
            found.append(Offered(Source.NOCLOUD, HOSTNAME, name.encode(), where, self.origin))
        return found

    def meta_data(self, content: bytes) -> None:
        reader = Reader(f"{LABEL}/meta-data")
        top = reader.table(reader.read(content))
        unknown(reader, top, META)
        self.origin = reader.text(top.get("instance-id"))[:100]
        self.hostname = reader.text(top.get("local-hostname")), f"{reader.where}:local-hostname"
        for name in ("public-keys", "public-ssh-keys"):
            if name in top:
                value = top[name].value
                lines = list(reader.table(top[name]).values()) if isinstance(value, dict) else None
                self._keys(reader, KEYS, top[name], lines)
        self.problems += reader.problems

    def user_data(self, content: bytes) -> None:
        reader = Reader(f"{LABEL}/user-data")
        first = content.removeprefix(b"\xef\xbb\xbf").split(b"\n", 1)[0].strip()
        if first != b"#cloud-config":
            if content.strip():
                said = "#cloud-config is asked for in the first line; nothing of this file is taken"
                self.problems.append(Problem(reader.where, 1, "", said))
            return
        top = reader.table(reader.read(content))
        for name, why in _NONE_HERE.items():
            if name in top:
                reader.odd(top.pop(name), why)
        unknown(reader, top, USER_DATA)
        for name in ("fqdn", "hostname"):
            if name in top:
                self.hostname = reader.text(top[name]), f"{reader.where}:{name}"
        if "ssh_authorized_keys" in top:
            self._keys(reader, KEYS, top["ssh_authorized_keys"])
        for node in reader.items(top.get("users")):
            self._user(reader, node)
        for node in reader.items(top.get("write_files")):
            self._write_file(reader, node)
        self.problems += reader.problems

    def _keys(self, reader: Reader, name: str, node: Node, nodes: list[Node] | None = None) -> None:
        lines = [reader.text(one) for one in (reader.items(node) if nodes is None else nodes)]
        # Each is a line of its own: none may bring others along.
        self.keys.setdefault(name, []).extend(" ".join(line.split("\n")) for line in lines if line.strip())
        self.keys_where.setdefault(name, f"{reader.where}:{node.path}")

    def _user(self, reader: Reader, node: Node) -> None:
        if isinstance(node.value, str):
            reader.odd(node, f"there is no user {node.value[:40]} here: only root and lvs")
            return
        user = reader.table(node)
        name = reader.text(user.get("name"))
        if name not in USERS:
            reader.odd(user.get("name", node), f"there are only root and lvs here, got {name[:40]!r}")
            return
        unknown(reader, user, USER)
        for key in USER[1:]:
            if key in user:
                self._keys(reader, USERS[name], user[key])

    def _write_file(self, reader: Reader, node: Node) -> None:
        file = reader.table(node)
        unknown(reader, file, WRITE_FILE)
        path = reader.text(file.get("path"))
        if posixpath.normpath(path) != path or not path.startswith(f"{ETC}/"):
            reader.wrong(file.get("path", node), f"only files below {ETC} are laid down, got {path[:80]!r}")
            return
        if reader.truth(file.get("append"), default=False):
            reader.wrong(file["append"], "files are laid down whole; nothing is appended")
            return
        owner = reader.text(file.get("owner"))
        if owner not in ("", "root", "root:root"):
            reader.odd(file["owner"], "all of it belongs to root")
        content = self._content(reader, file)
        mode = self._mode(reader, file)
        name = path.removeprefix(f"{ETC}/")
        if content is None or mode is None:
            return
        if name in (*CONFIG_NAMES, PAIR_KEY) or name.startswith(SECRETS):
            if name not in CONFIG_NAMES:
                message = f"{path} is a secret, and stays on this disk for all to read: detach it afterwards"
                reader.odd(file["path"], message)
        else:
            name = f"{OTHERS}{name}"
        where = f"{reader.where}:{node.path}.content"
        self.offered.append(Offered(Source.NOCLOUD, name, content, where, self.origin, mode))

    def _content(self, reader: Reader, file: Mapping[str, Node]) -> bytes | None:
        node = file.get("content")
        if node is None:
            return b""
        content = node.value if isinstance(node.value, bytes) else reader.text(node).encode()
        encoding = reader.text(file.get("encoding"))
        if encoding in ("b64", "base64"):
            try:
                return base64.b64decode(b"".join(content.split()), validate=True)
            except binascii.Error:
                reader.wrong(node, f"is no base64, and encoding is {encoding}")
                return None
        if encoding not in ("", "text/plain"):
            reader.wrong(file["encoding"], f"b64 or none is read, got {encoding[:40]!r}")
            return None
        return content

    def _mode(self, reader: Reader, file: Mapping[str, Node]) -> int | None:
        said = reader.text(file.get("permissions")) or "0644"
        try:
            mode = int(said, 8)
        except ValueError:
            mode = -1
        if mode < 0 or mode & ~0o755 or not mode & 0o400:
            reader.wrong(
                file["permissions"], f"0600, 0644, 0755 and the like are asked for, got {said[:20]!r}"
            )
            return None
        return mode
