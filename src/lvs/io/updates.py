"""An update on this machine: read, trusted, laid down, handed to systemd-sysupdate, read back.

Nothing is written before the signature of the manifest is verified, by ssh-keygen(1), and before it is known
that the update is for this machine and that there is room. Every part is compared with the manifest as it
comes, and again as it lies in its slot. What runs is in the other slot and is not touched at any point: after
an interruption the same update can be installed again.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

import msgspec

from lvs.errors import SystemFault
from lvs.io.child import child_environment, find_program
from lvs.io.signature import verified
from lvs.updating import archive, slots
from lvs.updating.manifest import (
    LONGEST,
    MANIFEST,
    SIGNATURE,
    Machine,
    Manifest,
    ManifestError,
    Part,
    manifest,
    needed,
    unfit,
)
from lvs.updating.slots import Slot

CHUNK = 1 << 20
SPARE = 16 << 20  # bytes that are left free: the journal and the configuration are on the same partition
SETTLE_S = 20.0  # until a partition that was just written is there by its new name
_ARCHITECTURES = {"x86_64": "x86-64", "aarch64": "arm64"}


class Places(msgspec.Struct, frozen=True):
    """Where everything is; another one for tests."""

    directory: Path = Path("/var/lib/lvs-updates")
    os_release: Path = Path("/etc/os-release")
    firmware: Path = Path("/sys/firmware/efi")
    esp: tuple[Path, ...] = (Path("/efi"), Path("/boot"), Path("/boot/efi"))
    partitions: Path = Path("/dev/disk/by-partuuid")
    # What the loader is told to start whatever is newer, Boot Loader Interface
    chosen: Path = Path("/sys/firmware/efi/efivars/LoaderEntryDefault-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f")
    signers: tuple[Path, ...] = (Path("/usr/lib/lvs/update-signers"), Path("/etc/lvs/update-signers"))
    sysupdate: tuple[str, ...] = ("/usr/lib/systemd/systemd-sysupdate", "--verify=no")

    @property
    def parts(self) -> Path:
        """Where parts wait for systemd-sysupdate, as its transfers say."""
        return self.directory / "parts"


class Trusted(msgspec.Struct, frozen=True):
    """An update whose manifest is signed by somebody who may."""

    manifest: Manifest
    signer: str
    source: BinaryIO  # behind the signature


Progress = Callable[[str], None]


# This machine


def machine(places: Places) -> Machine:
    """What runs here. Errors: SystemFault."""
    try:
        lines = places.os_release.read_text(errors="replace").splitlines()
    except OSError as fault:
        raise SystemFault(f"cannot read {places.os_release}: {_why(fault)}") from fault
    said = dict(line.split("=", 1) for line in lines if re.match(r"[A-Z_]+=", line))
    said = {name: value.strip().strip("\"'") for name, value in said.items()}
    hardware = os.uname().machine
    return Machine(
        said.get("IMAGE_ID", ""),
        said.get("IMAGE_VERSION", ""),
        _ARCHITECTURES.get(hardware, hardware),
        said.get("VARIANT_ID", ""),
        "uefi" if places.firmware.is_dir() else "bios",
    )


def boot_id() -> str:
    """Of this boot, random(4)."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def esp(places: Places) -> Path | None:
    """The directory of the files that the firmware's loader can start; None if there is none."""
    directories = (one / "EFI" / "Linux" for one in places.esp)
    return next((one for one in directories if one.is_dir()), None)


def found(places: Places, image: str) -> tuple[Slot, ...]:
    """The slots of this machine, the one that is started next first."""
    directory = esp(places)
    if directory is None:
        return ()
    try:
        return slots.slots(image, sorted(os.listdir(directory)))  # noqa: PTH208  names are all it takes
    except OSError as fault:
        raise SystemFault(f"cannot read {directory}: {_why(fault)}") from fault


# What comes


def trusted(source: BinaryIO, name: str, places: Places) -> Trusted:
    """The manifest of an update, its signature verified. Errors: SystemFault."""
    content = _small(source, name, MANIFEST)
    signature = _small(source, name, SIGNATURE)
    signer = verified(content, signature, places.signers)
    try:
        return Trusted(manifest(content), signer, source)
    except ManifestError as fault:
        raise SystemFault(f"{name}: {fault}") from fault


def _small(source: BinaryIO, name: str, wanted: str) -> bytes:
    entry = _entry(source, name)
    if entry is None or entry.name != wanted:
        raise SystemFault(f"{name} is no update: it does not begin with {MANIFEST} and its signature")
    if not 0 < entry.size <= LONGEST:
        raise SystemFault(f"{name} is no update: its {wanted} has {entry.size} bytes")
    content = _exactly(source, entry.size, name)
    _exactly(source, entry.padding, name)
    return content


def _entry(source: BinaryIO, name: str) -> archive.Entry | None:
    try:
        return archive.entry(_exactly(source, archive.BLOCK, name))
    except archive.ArchiveError as fault:
        raise SystemFault(f"{name}: {fault}") from fault


def _exactly(source: BinaryIO, size: int, name: str) -> bytes:
    """So many bytes. Errors: SystemFault if there are fewer."""
    held = bytearray()
    while len(held) < size:
        try:
            data = source.read(size - len(held))
        except OSError as fault:
            raise SystemFault(f"cannot read {name}: {_why(fault)}") from fault
        if not data:
            raise SystemFault(f"{name} is truncated: it ends before all of the update has come")
        held += data
    return bytes(held)


def examined(update: Trusted, name: str) -> None:
    """Read all parts, and keep none. Errors: SystemFault for one that is not as the manifest says."""
    for part in update.manifest.parts:
        _part(update.source, part, name, None)
    _end(update.source, name)


# Into the slot


@contextmanager
def alone(places: Places) -> Iterator[None]:
    """The only update on this machine. Errors: SystemFault if there is another one."""
    try:
        places.directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        descriptor = os.open(places.directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as fault:
        raise SystemFault(f"cannot use {places.directory}: {_why(fault)}") from fault
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise SystemFault("another update is being installed on this machine") from None
    finally:
        os.close(descriptor)


def fits(update: Manifest, runs: Machine, places: Places, *, downgrade: bool) -> None:
    """Errors: SystemFault if it cannot be installed here, or not now."""
    if reason := unfit(update, runs, downgrade=downgrade):
        raise SystemFault(f"the update is not installed: {reason}")
    there = slots.own(found(places, runs.image), runs.version)
    if there is None:
        raise SystemFault(
            f"no file lvs_{runs.version}.efi is in {' or '.join(map(str, places.esp))}: without it "
            "nothing could be fallen back on"
        )
    if there.left is not None:
        raise SystemFault(
            f"{runs.version} is on trial itself and may have to be given up for the other slot, into which "
            "the update would go; wait until it has proved itself (`lvsd update --status`)"
        )
    discard(places)
    free = shutil.disk_usage(places.directory).free
    if free < needed(update) + SPARE:
        raise SystemFault(
            f"there is no room for the update: it takes {needed(update) >> 20} MiB below {places.directory}, "
            f"of which {max(0, free - SPARE) >> 20} MiB are to be had"
        )


def lay(update: Trusted, name: str, places: Places, tell: Progress) -> None:
    """Write the parts where systemd-sysupdate finds them. Errors: SystemFault; nothing is left then."""
    try:
        places.parts.mkdir(mode=0o700, parents=True, exist_ok=True)
        for part in update.manifest.parts:
            tell(f"receiving {part.name}, {part.size / 1e6:.1f} MB")
            with (places.parts / part.name).open("xb") as file:
                _part(update.source, part, name, file)
                file.flush()
                os.fsync(file.fileno())
        _end(update.source, name)
    except OSError as fault:
        discard(places)
        raise SystemFault(f"cannot write below {places.parts}: {_why(fault)}") from fault
    except BaseException:
        discard(places)
        raise


def _part(source: BinaryIO, part: Part, name: str, file: BinaryIO | None) -> None:
    entry = _entry(source, name)
    if entry is None or (entry.name, entry.size) != (part.name, part.size):
        raise SystemFault(
            f"{name} does not hold what its manifest names: {part.name} is not where it belongs"
        )
    digest, left = sha256(), part.size
    while left:
        data = _exactly(source, min(CHUNK, left), name)
        digest.update(data)
        left -= len(data)
        if file is not None:
            file.write(data)
    if digest.hexdigest() != part.sha256:
        raise SystemFault(f"{name} is damaged: {part.name} is not what was signed")
    _exactly(source, entry.padding, name)


def _end(source: BinaryIO, name: str) -> None:
    if _entry(source, name) is not None:
        raise SystemFault(f"{name} holds more than its manifest names")


def discard(places: Places) -> None:
    """Remove what an update left for systemd-sysupdate."""
    with suppress(FileNotFoundError):
        shutil.rmtree(places.parts)


def install(update: Manifest, runs: Machine, places: Places, tell: Progress) -> None:
    """Have systemd-sysupdate put the parts into the other slot, and read them back.

    What is there goes first, that which starts it before all else, so that no boot finds half of anything.
    Errors: SystemFault with what systemd-sysupdate said last.
    """
    directory = esp(places)
    assert directory is not None, "it was looked for before"
    for slot in found(places, runs.image):
        if slot.version != runs.version:
            _unlink(directory / slot.file)
    _sysupdate(places, ("--instances-max=1", "vacuum"), lambda _: None)
    _sysupdate(places, ("update", update.version), tell)
    tell("reading it back")
    try:
        _read_back(update, places, directory)
    except SystemFault:
        for slot in found(places, runs.image):
            if slot.version != runs.version:
                _unlink(directory / slot.file)
        raise
    discard(places)


def _unlink(path: Path) -> None:
    try:
        path.unlink()
        os.sync()
    except OSError as fault:
        raise SystemFault(f"cannot remove {path}: {_why(fault)}") from fault


def _sysupdate(places: Places, verb: tuple[str, ...], tell: Progress) -> None:
    said = [""]
    try:
        with subprocess.Popen(
            (*places.sysupdate, *verb),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=child_environment(),
            text=True,
            errors="replace",
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                said.append(line.strip())
                if line.startswith(("Importing", "Wrote", "Successfully installed")):
                    tell(line.strip())
    except OSError as fault:
        raise SystemFault(f"cannot run {places.sysupdate[0]}: {_why(fault)}") from fault
    if process.returncode:
        raise SystemFault(f"systemd-sysupdate failed: {'; '.join(said[-3:]).strip('; ')}")


def _read_back(update: Manifest, places: Places, directory: Path) -> None:
    """Compare what lies in the slot with the manifest. Errors: SystemFault."""
    for part in update.parts:
        uuid = re.search(r"\.([0-9a-f-]{36})\.raw\.xz$", part.name)
        if uuid is not None:
            path = places.partitions / uuid[1]
        else:
            path = directory / f"{update.image}_{update.version}+{slots.TRIES}-0.efi"
        deadline = time.monotonic() + SETTLE_S
        while not path.exists() and time.monotonic() < deadline:  # udev names a partition when it has heard
            time.sleep(0.1)
        try:
            digest = _digest(path, part.unpacked_size)
        except OSError as fault:
            raise SystemFault(f"cannot read {path} back: {_why(fault)}") from fault
        if digest != part.unpacked_sha256:
            raise SystemFault(f"the disk does not hold what was written to it: {part.name} differs")


def _digest(path: Path, size: int) -> str:
    """Of the first bytes, as they are on the disk."""
    digest = sha256()
    with path.open("rb", buffering=0) as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        left = size
        while left and (data := file.read(min(CHUNK, left))):
            digest.update(data)
            left -= len(data)
    return digest.hexdigest()


def start_next(places: Places, runs: Machine, version: str) -> None:
    """Have the loader start this version next; one that it would not choose is told to it, for one try.

    Errors: SystemFault.
    """
    there = found(places, runs.image)
    slot = next((one for one in there if one.version == version), None)
    if slot is None:
        raise SystemFault(f"there is no {version} to start")
    if slot is not there[0]:
        _bootctl("set-oneshot", slot.file)
    elif places.chosen.exists():
        _bootctl("set-default", "")


def keep_starting(places: Places, runs: Machine) -> None:
    """Have the loader go on starting what runs and has proved itself, though the other slot is newer.

    Errors: SystemFault.
    """
    there = found(places, runs.image)
    if there and there[0].version != runs.version:
        _bootctl("set-default", f"{runs.image}_{runs.version}.efi")
    elif places.chosen.exists():
        _bootctl("set-default", "")


def _bootctl(*words: str) -> None:
    program = find_program("bootctl")
    if program is None:
        raise SystemFault("there is no bootctl here to tell the loader what to start")
    done = subprocess.run((program, *words), capture_output=True, check=False, env=child_environment())
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().split("\n")[-1]
        raise SystemFault(f"bootctl {' '.join(words)}: {said}")


def _why(fault: OSError) -> str:
    return os.strerror(fault.errno or 0).lower() if fault.errno else str(fault)
