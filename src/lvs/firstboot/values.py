"""What is given to a new machine, and what becomes of it.

Whatever brings it (credentials, a disk, a person at the console) is brought to the same few names, those
of the files on the partition LVS-CONFIG: `lvs.toml` or `lvs.cf`, `authorized_keys`, `authorized_keys.lvs`,
`pair.key`, `hostname`, `network/NAME`, `secrets/NAME`.
"""

from __future__ import annotations

from enum import StrEnum
from hashlib import blake2b

import msgspec

from lvs.config.located import Problem

CONFIG_NAMES = ("lvs.toml", "lvs.cf")
KEYS, PUSH_KEYS, PAIR_KEY, HOSTNAME = "authorized_keys", "authorized_keys.lvs", "pair.key", "hostname"
NETWORK, SECRETS, OTHERS = "network/", "secrets/", "etc-lvs/"  # what follows is a file's name
ETC = "/etc/lvs"


class Source(StrEnum):
    """Where something comes from. Of several that are new at once, the one that stands first here counts."""

    CONSOLE = "console"  # a person answered the wizard
    CREDENTIALS = "credentials"  # who starts the machine says so, at this very start
    PARTITION = "LVS-CONFIG"
    NOCLOUD = "NoCloud"


class Offered(msgspec.Struct, frozen=True):
    """One text that a source has."""

    source: Source
    name: str
    content: bytes
    where: str  # for people: LVS-CONFIG/lvs.toml, credential lvs.toml, CIDATA/user-data:7
    origin: str = ""  # which of several disks
    mode: int = 0o644  # asked for, where the name does not say it

    @property
    def key(self) -> str:
        """What its digest is remembered under."""
        return f"{self.source}:{self.origin}:{self.name}"

    @property
    def digest(self) -> str:
        """Of the content."""
        return digest(self.content)

    @property
    def secret(self) -> bool:
        return self.name == PAIR_KEY or self.name.startswith(SECRETS)


class Memory(msgspec.Struct, frozen=True):
    """What was taken over so far; kept on the state partition."""

    taken: dict[str, str] = {}  # Offered.key -> digest of what was taken last, or had to stand back
    laid: dict[str, str] = {}  # path -> digest of what was laid down there last


class Laid(msgspec.Struct, frozen=True):
    """A file to lay down."""

    path: str
    content: bytes
    mode: int
    offered: Offered
    shown: str  # what it is, for people: 2 keys, fingerprint 3f2a ...
    instead: str = ""  # a file of the same meaning that gives way: lvs.cf for lvs.toml


class Decision(msgspec.Struct, frozen=True):
    """What follows from all that is given."""

    files: tuple[Laid, ...] = ()
    problems: tuple[Problem, ...] = ()
    wipe: tuple[Offered, ...] = ()  # secrets of the partition, once `files` are laid down
    memory: Memory = Memory()  # to be kept, once `files` are laid down


def digest(content: bytes) -> str:
    return blake2b(content, digest_size=16).hexdigest()
