"""What an update says of itself, and whether it is for this machine. Pure.

The manifest is the first thing in an update, its signature the second. All that follows is named in it, with
size and digest: whoever trusts the manifest can check the rest without trusting where it came from.
"""

from __future__ import annotations

import re
from itertools import zip_longest

import msgspec

from lvs.updating.version import newer

FORMAT = 1  # of the manifest
MANIFEST, SIGNATURE = "manifest.json", "manifest.json.sig"
LONGEST = 64 << 10  # bytes of a manifest, and of its signature
LONGEST_PART = 2 << 30
NAMESPACE = "lvs-update"  # of the signature: one made for something else does not count, ssh-keygen(1) -n
KINDS = ("root-verity", "root", "uki")  # in the order in which they come

# What may stand in a file's name, and with `lvs_` and `_verity` in a partition's label of 36 characters.
_VERSION = r"[0-9A-Za-z][0-9A-Za-z.~^-]{0,23}"
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_SHA256 = "^[0-9a-f]{64}$"


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of the update: compressed as it comes, and what it is when it lies in its place."""

    name: str
    size: int
    sha256: str
    unpacked_size: int
    unpacked_sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """Fields that are not known are passed over: a later format says so by its number."""

    format: int
    image: str
    version: str
    architecture: str  # as systemd calls it: x86-64, arm64
    parts: tuple[Part, ...]
    variant: str = ""  # vm, metal; empty: for all


class Machine(msgspec.Struct, frozen=True):
    """What runs here, of os-release(5) and uname(2)."""

    image: str
    version: str
    architecture: str
    variant: str = ""
    firmware: str = "uefi"  # or bios


class ManifestError(Exception):
    """What came is no manifest; the text says why."""


def manifest(content: bytes) -> Manifest:
    """The manifest in a text. Errors: ManifestError."""
    try:
        read = msgspec.json.decode(content, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as fault:
        raise ManifestError(f"its manifest is not understood: {fault}") from fault
    if read.format != FORMAT:
        raise ManifestError(f"its manifest is of format {read.format}, and this lvsd reads format {FORMAT}")
    if not re.fullmatch(_VERSION, read.version):
        raise ManifestError(f"{read.version!r} is no version")
    if len(read.parts) != len(KINDS):
        raise ManifestError(f"it has {len(read.parts)} parts, and an update has {len(KINDS)}")
    for part, pattern in zip_longest(read.parts, _names(read)):
        if not re.fullmatch(pattern, part.name):
            raise ManifestError(f"{part.name!r} is not the name of a part of {read.image} {read.version}")
        if not (0 < part.size <= LONGEST_PART and 0 < part.unpacked_size <= LONGEST_PART):
            raise ManifestError(f"{part.name} has a size that no part has")
        if not (re.match(_SHA256, part.sha256) and re.match(_SHA256, part.unpacked_sha256)):
            raise ManifestError(f"{part.name} has a digest that is none")
    return read


def _names(read: Manifest) -> tuple[str, ...]:
    """How its parts are called: what the transfers in /usr/lib/sysupdate.d look for."""
    stem = re.escape(f"{read.image}_{read.version}")
    return (
        rf"{stem}\.root-verity\.{_UUID}\.raw\.xz",
        rf"{stem}\.root\.{_UUID}\.raw\.xz",
        rf"{stem}\.efi\.xz",
    )


def unfit(update: Manifest, machine: Machine, *, downgrade: bool = False) -> str:
    """Why an update cannot be for this machine; empty if it can."""
    if not machine.image:
        return "this machine does not run the image of a director: it is updated as it was installed"
    if update.image != machine.image:
        return f"it is an update of the image {update.image!r}, and this machine runs {machine.image!r}"
    if update.architecture != machine.architecture:
        return f"it is for {update.architecture}, and this machine is {machine.architecture}"
    if update.variant and machine.variant and update.variant != machine.variant:
        return f"it is for the variant {update.variant!r}, and this machine runs {machine.variant!r}"
    if machine.firmware != "uefi":
        return "this machine was not started by UEFI: it would go on starting what runs now"
    if update.version == machine.version:
        return f"{machine.version} runs already"
    if newer(machine.version, update.version) and not downgrade:
        return f"it is {update.version}, older than {machine.version}, which runs; --downgrade takes it"
    return ""


def needed(update: Manifest) -> int:
    """Bytes that its parts take until they lie in their places."""
    return sum(part.size for part in update.parts)
