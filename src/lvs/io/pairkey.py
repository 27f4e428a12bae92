"""The pair key: one file, the same on both directors, by which they know each other.

PEM blocks: a private key and its certificate, which both present within TLS and of which each accepts
just this one, and LVS HEARTBEAT KEY, 32 random bytes for the heartbeat. What it holds is never
printed, logged or quoted in an error; people compare the fingerprint.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import secrets
import stat
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from lvs.errors import Exit, SystemFault
from lvs.io import durable
from lvs.io.child import child_environment, find_program

# image/lvsd.py keeps ssl from asyncio, which has no use for it; this has.
if sys.modules.get("ssl", sys) is None:
    del sys.modules["ssl"]
import ssl

HEARTBEAT = "LVS HEARTBEAT KEY"
HEARTBEAT_BYTES = 32
LONGEST = 16384  # bytes
_DAYS = "36500"  # nobody goes by it: what is accepted is this certificate, whatever the clocks say
_BLOCK = re.compile(r"-----BEGIN ([A-Z ]+)-----\n(.*?)-----END \1-----\n?", re.DOTALL)
# openssl/x509_vfy.h; not in Python's ssl. A director whose clock has lost its battery is still the other one.
_NO_CHECK_TIME = 0x200000


@dataclass(frozen=True)
class PairKey:
    """A pair key that is whole."""

    text: bytes = field(repr=False)  # the file's
    certificate: bytes = field(repr=False)  # DER
    heartbeat: bytes = field(repr=False)  # 32 bytes

    @property
    def fingerprint(self) -> str:
        """`3f2a 91c0 5e77 d104 8b6e`: of all of it, so that two files with the same one are the same key."""
        found = hashlib.sha256(self.certificate + self.heartbeat).hexdigest()
        return " ".join(found[at : at + 4] for at in range(0, 20, 4))

    def context(self, *, server: bool) -> ssl.SSLContext:
        """A context that presents this certificate and trusts no other, TLS 1.3 only.

        Its user must compare the other's certificate with `certificate`, too: whoever holds the key
        could sign another. Errors: ssl.SSLError if key and certificate are none or no pair.
        """
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
        made.minimum_version = ssl.TLSVersion.TLSv1_3
        made.check_hostname = False  # it has no name: it is the key itself that is known
        made.verify_mode = ssl.CERT_REQUIRED
        made.verify_flags |= ssl.VerifyFlags(_NO_CHECK_TIME)
        made.load_verify_locations(cadata=self.certificate)
        if server:
            made.num_tickets = 0
        # ssl reads a chain from a file only; this one is in memory, and what was judged is what it reads.
        descriptor = os.memfd_create("pair.key", os.MFD_CLOEXEC)
        try:
            with open(descriptor, "wb", closefd=False) as file:
                file.write(self.text)
            made.load_cert_chain(f"/proc/self/fd/{descriptor}", password=_no_password)
        finally:
            os.close(descriptor)
        return made


def _no_password() -> str:
    """Nobody is asked at a terminal."""
    return ""


def read(path: Path) -> PairKey:
    """The pair key in a file that nobody else can read. Errors: SystemFault, a sentence with the remedy."""
    try:
        # A FIFO in its place must not hang the daemon, hence O_NONBLOCK.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError as fault:
        raise SystemFault(
            f"{path} is not there: `lvsd pair init` makes it on one director, "
            "`lvsd pair join` takes it on the other"
        ) from fault
    except OSError as fault:
        code = Exit.RIGHTS if isinstance(fault, PermissionError) else Exit.FAILED
        remedy = f"; be root, and chown root {path}" if code is Exit.RIGHTS else ""
        raise SystemFault(f"{path} cannot be read: {_why(fault)}{remedy}", code) from fault
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise SystemFault(f"{path} is not a regular file")
        if status.st_uid not in (0, os.geteuid()):
            raise SystemFault(f"{path} belongs to another user, who could replace it; chown root {path}")
        if status.st_mode & 0o077:
            mode = stat.S_IMODE(status.st_mode)
            raise SystemFault(f"{path} is open to others (mode {mode:04o}); chmod 600 {path}")
        content = os.read(descriptor, LONGEST + 1)
    except OSError as fault:
        raise SystemFault(f"{path} cannot be read: {_why(fault)}") from fault
    finally:
        os.close(descriptor)
    return parse(content, str(path))


def parse(content: bytes, name: str) -> PairKey:
    """The pair key in a text. Errors: SystemFault that names what is missing or wrong, and quotes nothing."""
    remedy = "copy the file anew from the other director, or make a new pair of them with `lvsd pair init`"
    if len(content) > LONGEST:
        raise SystemFault(f"{name} is no pair key: longer than {LONGEST} bytes")
    try:
        blocks = _BLOCK.findall(content.decode("ascii").replace("\r\n", "\n"))
    except UnicodeDecodeError as fault:
        raise SystemFault(f"{name} is no pair key: not even text; {remedy}") from fault
    for block in ("PRIVATE KEY", "CERTIFICATE", HEARTBEAT):
        number = sum(found == block for found, _ in blocks)
        if number != 1:
            said = "is missing" if not number else "is there more than once"
            raise SystemFault(f"{name} is no whole pair key: its block {block} {said}; {remedy}")
    held = dict(blocks)
    try:
        certificate = base64.b64decode("".join(held["CERTIFICATE"].split()), validate=True)
        heartbeat = base64.b64decode("".join(held[HEARTBEAT].split()), validate=True)
    except binascii.Error as fault:
        raise SystemFault(f"{name} is damaged: a block is not base64; {remedy}") from fault
    if len(heartbeat) != HEARTBEAT_BYTES:
        asked = f"{len(heartbeat)} bytes, {HEARTBEAT_BYTES} are asked for"
        raise SystemFault(f"{name} is damaged: {HEARTBEAT} is {asked}; {remedy}")
    found = PairKey(content, certificate, heartbeat)
    try:
        found.context(server=True)
    except ssl.SSLError as fault:
        raise SystemFault(
            f"{name} is damaged: private key and certificate do not fit together; {remedy}"
        ) from fault
    return found


def make() -> PairKey:
    """A new pair key. Errors: SystemFault if there is no openssl, or it fails."""
    private = _openssl(("genpkey", "-algorithm", "ed25519"))
    words = (
        "req",
        "-x509",
        "-new",
        "-batch",
        "-key",
        "/proc/self/fd/0",
        "-days",
        _DAYS,
        "-subj",
        "/CN=lvs pair",
    )
    certificate = _openssl(words, private)
    random = base64.b64encode(secrets.token_bytes(HEARTBEAT_BYTES)).decode()
    block = f"-----BEGIN {HEARTBEAT}-----\n{random}\n-----END {HEARTBEAT}-----\n"
    return parse(private + certificate + block.encode(), "the key that openssl made")


def _openssl(words: tuple[str, ...], given: bytes = b"") -> bytes:
    program = find_program("openssl")
    if program is None:
        raise SystemFault(
            "openssl is not installed; apt-get install openssl, or lay down a key from elsewhere"
        )
    done = subprocess.run(
        (program, *words), input=given, capture_output=True, env=child_environment(), check=False, timeout=60
    )
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise SystemFault(f"openssl {words[0]} failed: {said[-1] if said else done.returncode}")
    return done.stdout


def install(path: Path, key: PairKey, *, replace: bool = False) -> None:
    """Write a pair key, mode 0600, whole and on the disk. Errors: SystemFault, if one is there already."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            temporary.unlink()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        descriptor = os.open(temporary, flags, 0o600)
        try:
            with open(descriptor, "wb") as file:  # noqa: PTH123
                file.write(key.text)
                file.flush()
                os.fsync(file.fileno())
            if replace:
                temporary.replace(path)
            else:
                path.hardlink_to(temporary)
            durable.settle(path.parent)
        finally:
            with suppress(FileNotFoundError):
                temporary.unlink()
    except FileExistsError as fault:
        if not path.exists():
            raise SystemFault(f"cannot write {path}: {path.parent} is not a directory") from fault
        raise SystemFault(f"{path} is there already and stays as it is") from fault
    except OSError as fault:
        code = Exit.RIGHTS if isinstance(fault, PermissionError) else Exit.FAILED
        raise SystemFault(f"cannot write {path}: {durable.why(fault, path.parent)}", code) from fault


def _why(fault: OSError) -> str:
    return os.strerror(fault.errno or 0).lower()
