"""What `lvsd selftest` checks: that a binary is whole; and what it tells of the machine it runs on.

Every import stands here, or in `lvs.inventory`, in full, for PyInstaller finds what it bundles by
reading. What the machine lacks (a kernel with IPVS, a journal) is told and fails nothing: the binary
is not at fault.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lvs.errors import Exit
from lvs.inventory import modules

# Files that are part of the product, by their place in the repository.
BUNDLED = (
    "lvs.toml.example",
    "appliance/usr/lib/systemd/catalog/lvs.catalog",
    "appliance/usr/lib/systemd/system/lvs.service",
)

JOURNAL_SOCKET = Path("/run/systemd/journal/socket")


def command(_asked: argparse.Namespace) -> int:
    """Print what every check found; the exit code."""
    failed = False
    for name, passed, said in run():
        failed = failed or not passed
        print(f"{'ok  ' if passed else 'FAIL'} {name}{': ' if said else ''}{said}")
    return Exit.FAILED if failed else Exit.OK


def run() -> list[tuple[str, bool, str]]:
    """Every check: its name, whether it passed, and what it found. Errors: none; each is a failed check."""
    return [_checked(name, check) for name, check in CHECKS] + [
        (name, True, _checked(name, look)[2]) for name, look in MACHINE
    ]


def bundled(name: str) -> Path:
    """Where one of `BUNDLED` lies: in the unpacked binary, or in the checkout."""
    return Path(getattr(sys, "_MEIPASS", Path(__file__).parents[2])) / name


def _checked(name: str, check: Callable[[], str]) -> tuple[str, bool, str]:
    try:
        return name, True, check()
    except Exception as fault:  # noqa: BLE001  whatever is broken is what is looked for
        return name, False, f"{type(fault).__name__}: {fault}"


def _interpreter() -> str:
    kind = "one file" if getattr(sys, "frozen", False) else "from source"
    return f"Python {'.'.join(map(str, sys.version_info[:3]))}, {kind}"


def _msgspec() -> str:
    import msgspec

    class Value(msgspec.Struct, frozen=True):
        name: str
        weight: int

    value = Value("web", 1)
    _same(msgspec.json.decode(msgspec.json.encode(value), type=Value), value)
    return msgspec.__version__


def _toml() -> str:
    import toml
    import tomli

    value = {"virtual": [{"name": "wéb", "port": 80}]}
    _same(tomli.loads(toml.dumps(value)), value)
    return "a table to text and back"


def _yaml() -> str:
    from lvs.firstboot.document import Reader

    reader = Reader("selftest")
    read = reader.read(b"a: [{b: 1}]")
    _same(read is not None and read.value["a"].value[0].value["b"].value, "1")
    return "a document to a tree"


def _watchdog() -> str:
    from watchdog.events import FileSystemEventHandler
    from watchdog.observers.inotify import InotifyObserver

    observer = InotifyObserver()
    observer.schedule(FileSystemEventHandler(), "/")
    observer.start()
    observer.stop()
    observer.join(5)
    return "watches a directory"


def _pyroute2() -> str:
    import asyncio

    from lvs.io.links import Links

    async def devices() -> dict[str, Any]:
        links = Links()
        await links.open()
        try:
            return dict(await links.devices())
        finally:
            links.close()

    return f"{len(asyncio.run(devices()))} devices"


def _systemd() -> str:
    from systemd import daemon, journal

    journal.JournalHandler(SYSLOG_IDENTIFIER="lvsd")
    return "systemd runs this machine" if daemon.booted() else "systemd does not run this machine"


def _wire() -> str:
    from lvs.kernel import dumped, encode, wire
    from lvs.kernel.state import ServiceKey, ServiceOptions

    service = ServiceKey(4, 6, bytes((192, 0, 2, 1)), 80, 0), ServiceOptions("wlc", 1, 300, 0xFFFFFFFF, "")
    data = wire.message(0x20, wire.NEW_SERVICE, encode.service_body(*service), 1)
    (found,) = wire.messages(data, len(data))
    _same(dumped.decode_service(data, found), service)
    return "a service to netlink and back"


def _expressions() -> str:
    from lvs.probes.expressions import posix

    _same(bool(posix(b"^HTTP/1[.][[:digit:]] 2").search(b"HTTP/1.1 200 OK")), True)
    return "found as POSIX says"


def _tls() -> str:
    import ssl

    from lvs.probes.tls import context

    client, sent = context(verify=False, authorities=None), ssl.MemoryBIO()
    try:
        client.wrap_bio(ssl.MemoryBIO(), sent, server_hostname="selftest.invalid").do_handshake()
    except ssl.SSLWantReadError:
        _same(sent.read(2), b"\x16\x03")  # a record of a handshake: RFC 8446 section 5.1
    return ssl.OPENSSL_VERSION


def _fetching() -> str:
    from urllib.parse import urlsplit
    from urllib.request import HTTPSHandler, Request, build_opener

    build_opener(HTTPSHandler())
    return f"{urlsplit(Request('https://selftest.invalid').full_url).scheme}, http"


def _git() -> str:
    from lvs.io.child import find_program
    from lvs.io.git import blob_id

    assert blob_id(b"") == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
    return "" if find_program("git") else "there is no git: no pushes, no history"


def _files() -> str:
    missing = [name for name in BUNDLED if not bundled(name).is_file()]
    if missing:
        raise FileNotFoundError(", ".join(missing))
    return ", ".join(BUNDLED)


def _example() -> str:
    from lvs.config.load import load

    loaded = load(bundled("lvs.toml.example").read_bytes(), "lvs.toml")
    if loaded.config is None:
        raise ValueError("; ".join(map(str, loaded.problems)))
    return f"{len(loaded.config.virtual_servers)} virtual servers"


def _same(got: object, wanted: object) -> None:
    """Errors: ValueError. An assert would be gone: the binary is compiled without."""
    if got != wanted:
        raise ValueError(f"{got!r} is not {wanted!r}")


def _ipvs() -> str:
    from lvs.io import modules

    if modules.loaded("ip_vs"):
        return "this kernel runs IPVS"
    if modules.available("ip_vs"):
        return "this kernel can load ip_vs"
    return f"this kernel ({os.uname().release}) has no IPVS, or its modules are not to be seen from here"


def _rights() -> str:
    return "root" if os.geteuid() == 0 else f"user {os.geteuid()}: `lvsd run` needs CAP_NET_ADMIN"


def _authorities() -> str:
    from lvs.probes.tls import context

    known = context(verify=True, authorities=None).cert_store_stats()["x509_ca"]
    return f"{known} trusted for TLS" if known else "none: checks within TLS need ca_file"


def _journal() -> str:
    return "there" if JOURNAL_SOCKET.exists() else f"no {JOURNAL_SOCKET}: events go to standard error"


def _notify() -> str:
    return "there" if os.environ.get("NOTIFY_SOCKET") else "none: systemd did not start this process"


CHECKS: tuple[tuple[str, Callable[[], str]], ...] = (
    ("interpreter", _interpreter),
    ("own modules", modules),
    ("msgspec", _msgspec),
    ("toml", _toml),
    ("yaml", _yaml),
    ("watchdog", _watchdog),
    ("pyroute2", _pyroute2),
    ("systemd", _systemd),
    ("netlink codec", _wire),
    ("expressions", _expressions),
    ("TLS", _tls),
    ("fetching", _fetching),
    ("git", _git),
    ("bundled files", _files),
    ("bundled example", _example),
)
MACHINE: tuple[tuple[str, Callable[[], str]], ...] = (
    ("kernel", _ipvs),
    ("rights", _rights),
    ("authorities", _authorities),
    ("journal", _journal),
    ("notify socket", _notify),
)
