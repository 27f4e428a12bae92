"""What the partition LVS-CONFIG and systemd's credentials call things, and what we call them.

Names that mean nothing to us are told, for somebody meant something by them; only what operating systems
leave on every stick they see is passed over.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import NamedTuple

from lvs.config.located import Problem, Severity
from lvs.firstboot.values import (
    CONFIG_NAMES,
    HOSTNAME,
    KEYS,
    NETWORK,
    PAIR_KEY,
    PUSH_KEYS,
    SECRETS,
    Offered,
    Source,
)

NAMES = (*CONFIG_NAMES, KEYS, PUSH_KEYS, PAIR_KEY, HOSTNAME)
FOLDERS = (NETWORK, SECRETS)
NOTE = "taken-over.txt"  # what we leave on the partition
LABEL = "LVS-CONFIG"

# Credential -> name. ssh.authorized_keys.root is also what systemd's own tmpfiles lay below /root.
CREDENTIALS = {
    "lvs.toml": "lvs.toml",
    "lvs.cf": "lvs.cf",
    "lvs.pair.key": PAIR_KEY,
    "lvs.hostname": HOSTNAME,
    "lvs.authorized_keys": KEYS,
    "ssh.authorized_keys.root": KEYS,
    "lvs.authorized_keys.lvs": PUSH_KEYS,
    "ssh.authorized_keys.lvs": PUSH_KEYS,
}
CREDENTIAL_FOLDERS = {"lvs.network.": NETWORK, "lvs.secrets.": SECRETS}

_LEFT_BY_OTHERS = re.compile(
    r"[._].*|README.*|System Volume Information|\$RECYCLE\.BIN|desktop\.ini|Thumbs\.db|autorun\.inf"
    r"|FOUND\.\d+|FSCK\d+\.REC",
    re.IGNORECASE,
)


class Found(NamedTuple):
    """What a source has for us, and what it has that means nothing to us."""

    offered: tuple[Offered, ...]
    problems: tuple[Problem, ...] = ()


def readable(path: str) -> bool:
    """Whether a file of the partition means something to us, so that it is worth reading."""
    return bool(_canonical(path))


def from_partition(files: Mapping[str, bytes], origin: str = "") -> Found:
    """What the partition has for us; FAT does not tell cases apart.

    Shape: `files` by their path there, as written, those of no meaning without content; `origin` tells
    the partition from others of its name.
    """
    offered: dict[str, Offered] = {}
    problems: list[Problem] = []
    for path in sorted(files):
        where = f"{LABEL}/{path}"
        name = _canonical(path)
        if name in offered:
            problems.append(Problem(where, 0, "", f"is there twice: {offered[name].where} is read"))
        elif name:
            offered[name] = Offered(Source.PARTITION, name, files[path], where, origin)
        elif path.lower() != NOTE and not _LEFT_BY_OTHERS.fullmatch(path.split("/")[0]):
            problems.append(Problem(where, 0, "", _unknown(path, (*NAMES, *FOLDERS)), Severity.WARNING))
    return Found(tuple(offered.values()), tuple(problems))


def _canonical(path: str) -> str:
    if path.lower() in NAMES:
        return path.lower()
    for folder in FOLDERS:
        if path.lower().startswith(folder) and "/" not in path[len(folder) :]:
            rest = path[len(folder) :]
            if folder == NETWORK:
                rest = rest.lower() if rest.isupper() else rest
            return folder + rest if not rest.startswith((".", "_")) else ""
    return ""


def from_credentials(credentials: Mapping[str, bytes]) -> Found:
    """Shape: `credentials` by name, as in $CREDENTIALS_DIRECTORY."""
    offered: dict[str, Offered] = {}
    problems: list[Problem] = []
    for credential in sorted(credentials):
        where = f"credential {credential}"
        name = CREDENTIALS.get(credential, "")
        for prefix, folder in CREDENTIAL_FOLDERS.items():
            if credential.startswith(prefix):
                name = folder + credential.removeprefix(prefix)
        if not name:
            problems.append(Problem(where, 0, "", _unknown(credential, tuple(CREDENTIALS)), Severity.WARNING))
        elif name in offered:
            problems.append(Problem(where, 0, "", f"means the same as {offered[name].where}, which is read"))
        else:
            offered[name] = Offered(Source.CREDENTIALS, name, credentials[credential], where)
    return Found(tuple(offered.values()), tuple(problems))


def _unknown(name: str, known: tuple[str, ...]) -> str:
    stem = re.sub(r"\.(txt|bak|old|orig)$", "", name.lower())
    close = [stem] if stem in known else difflib.get_close_matches(stem, known, 1, 0.75)
    hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}"
    return f"is nothing that is read here; {hint}"
