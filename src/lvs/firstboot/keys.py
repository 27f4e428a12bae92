"""authorized_keys: public keys only, each by its type (sshd(8), AUTHORIZED_KEYS FILE FORMAT).

A good line counts, whatever stands beside it: one that is mistyped must not lock everybody out of a machine
that has no other door. Only a private key spoils the whole file: whoever put it there has to know.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import struct

from lvs.config.located import Problem, Severity

# What OpenSSH 10 takes; RFC 4253 section 6.6, RFC 5656, RFC 8709, OpenSSH's PROTOCOL.u2f.
TYPES = (
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
)
_OLD = "ssh-dss"  # OpenSSH 10 has forgotten it
WEAK_RSA_BITS = 2048
MOST = 1000  # lines

_PRIVATE = re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY|PuTTY-User-Key-File-\d|SSH PRIVATE KEY FILE FORMAT")
_OPTION = re.compile(r'[A-Za-z0-9-]+(="(?:[^"\\]|\\.)*")?')


def judge(content: bytes, where: str) -> tuple[tuple[str, ...], tuple[Problem, ...]]:
    """The good lines, and what is wrong with the others. No message quotes more than the type of a key."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return (), (Problem(where, 0, "", "is no text: one public key a line is asked for"),)
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        if _PRIVATE.search(line):
            message = (
                "is a private key, which belongs on no other machine: none of this file is taken. Put the "
                "public one here (its name ends in .pub), and make a new pair of keys: this one was disclosed"
            )
            return (), (Problem(where, number, "", message),)
    if len(lines) > MOST:
        return (), (Problem(where, 0, "", f"has {len(lines)} lines, {MOST} at most are read"),)
    good: list[str] = []
    problems: list[Problem] = []
    for number, line in enumerate(lines, 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        wrong, severity = _line(stripped)
        if wrong:
            problems.append(Problem(where, number, "", wrong, severity))
        if severity is Severity.WARNING:
            good.append(stripped)
    if not good and not problems:
        problems.append(Problem(where, 0, "", "holds no key: one public key a line is asked for"))
    return tuple(good), tuple(problems)


def fingerprint(line: str) -> str:
    """`ssh-ed25519 SHA256:... comment` of a good line, as `ssh-keygen -l` shows it."""
    words = _without_options(line).split(None, 2)
    found = base64.b64encode(hashlib.sha256(base64.b64decode(words[1])).digest()).decode().rstrip("=")
    return " ".join([words[0], f"SHA256:{found}", *words[2:]])


def _line(line: str) -> tuple[str, Severity]:
    """What is wrong with a line, if anything; a warning if it is a key all the same."""
    if line.startswith("---- BEGIN SSH2"):
        return "this is RFC 4716's form; `ssh-keygen -i -f FILE` prints what is asked for", Severity.ERROR
    if any(ord(character) < 32 and character != "\t" for character in line):
        return "has a control character in it", Severity.ERROR
    words = _without_options(line).split(None, 2)
    kind = words[0] if words else ""
    if kind not in TYPES:
        known = f"{_OLD} is no longer taken by sshd" if kind == _OLD else f"of type {', '.join(TYPES)}"
        return (
            f"is no public key for ssh: {known}; lines look like `ssh-ed25519 AAAA... name`",
            Severity.ERROR,
        )
    if len(words) < 2:
        return f"{kind} is not followed by a key", Severity.ERROR
    try:
        blob = base64.b64decode(words[1], validate=True)
        fields = _fields(blob)
    except (binascii.Error, ValueError):
        return f"the key behind {kind} is cut off or damaged: copy the line anew, whole", Severity.ERROR
    if fields[0] != kind.encode():
        said = fields[0].decode("ascii", "replace")[:40]
        return f"says {kind}, and the key in it is of type {said}", Severity.ERROR
    if kind == "ssh-ed25519" and (len(fields) != 2 or len(fields[1]) != 32):
        return "the key behind ssh-ed25519 is not 32 bytes long: copy the line anew, whole", Severity.ERROR
    if kind == "ssh-rsa":
        bits = int.from_bytes(fields[2]).bit_length() if len(fields) == 3 else 0
        if bits < 1024:
            return "the key behind ssh-rsa is cut off, or too short for sshd to take", Severity.ERROR
        if bits < WEAK_RSA_BITS:
            return f"an RSA key of {bits} bits is weak; make one of type ssh-ed25519", Severity.WARNING
    return "", Severity.WARNING


def _fields(blob: bytes) -> list[bytes]:
    """The strings that a key is made of (RFC 4251 section 5). Errors: ValueError."""
    found: list[bytes] = []
    at = 0
    while at < len(blob):
        if at + 4 > len(blob):
            raise ValueError
        (length,) = struct.unpack_from("!I", blob, at)
        at += 4
        if at + length > len(blob):
            raise ValueError
        found.append(blob[at : at + length])
        at += length
    if len(found) < 2:
        raise ValueError
    return found


def _without_options(line: str) -> str:
    """The line from its key type on; as it is if it begins with one, or with nothing that is an option."""
    if line.split(None, 1)[0] in (*TYPES, _OLD):
        return line
    at = 0
    while match := _OPTION.match(line, at):
        at = match.end()
        if at < len(line) and line[at] == ",":
            at += 1
            continue
        return line[at:].lstrip() if at < len(line) and line[at] in " \t" else line
    return line
