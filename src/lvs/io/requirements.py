"""Whether this machine has what a configuration needs: programs, credentials, files, users.

What cannot work is an error when the file is read, with its line, and not an alarm at night. Who is
not root may not see what the daemon will: what is hidden from them is not judged.
"""

from __future__ import annotations

import os
import stat
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from lvs.config.needs import Need, NeedKind
from lvs.errors import Exit, SystemFault
from lvs.io import secrets
from lvs.io.runnable import check_user, fit

if TYPE_CHECKING:
    from lvs.config.needs import Lacks


def lacks(*, serving: bool) -> Lacks:
    """What `lvs.config.load.load` asks about this machine.

    Shape: `serving` is whether we are the daemon, for whom systemd puts credentials in place.
    """
    return partial(_lacks, serving=serving)


def _lacks(need: Need, *, serving: bool) -> str:
    match need.kind:
        case NeedKind.PROGRAM:
            return _program(need)
        case NeedKind.COMMAND | NeedKind.REMOTE_SHELL:
            return fit((need.name,), None)
        case NeedKind.CREDENTIAL:
            return _credential(need.name, serving=serving)
        case NeedKind.FILE:
            return _authorities(need.name)
        case NeedKind.USER:
            return _user(need.name)
        case NeedKind.PAIR_KEY:
            return _pair_key(need.name)
        case _:
            assert_never(need.kind)


def _program(need: Need) -> str:
    try:
        return fit((need.name,), check_user(need.user))
    except SystemFault:
        return fit((need.name,), None)  # the user is told of anyway


def _pair_key(path: str) -> str:
    from lvs.io import pairkey  # TLS comes with it: only for a pair

    try:
        pairkey.read(Path(path))
    except SystemFault as fault:
        return "" if fault.exit_code is Exit.RIGHTS and os.geteuid() != 0 else str(fault)
    return ""


def _user(name: str) -> str:
    try:
        check_user(name)
    except SystemFault as fault:
        return str(fault)
    return ""


def _credential(name: str, *, serving: bool) -> str:
    if not name.startswith("/") and not serving and "CREDENTIALS_DIRECTORY" not in os.environ:
        return ""  # systemd's, and there for the daemon only
    try:
        secrets.read(name)
    except SystemFault as fault:
        hidden = isinstance(fault.__cause__, PermissionError) and os.geteuid() != 0
        return "" if hidden else str(fault)
    return ""


def _authorities(path: str) -> str:
    """Why a file is none of authorities for TLS."""
    import ssl

    try:
        with open(path, "rb", opener=_at_once) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return f"{path} is not a regular file"
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError:
        return f"{path} holds no certificates in PEM"
    except PermissionError as fault:
        return "" if os.geteuid() else f"{path}: {os.strerror(fault.errno or 0).lower()}"
    except OSError as fault:
        return f"{path}: {os.strerror(fault.errno or 0).lower()}"
    return ""


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)
