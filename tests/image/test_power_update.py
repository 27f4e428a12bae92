"""Power cuts while the image is updated: at whatever moment, what the loader comes to is whole.

A director is recorded while it installs an update, starts it and proves it. Its disk is then made as it is if
the power had gone at other moments. A boot takes minutes, so most are followed by hand: the loader starts the
first file that has tries left, and that must be whole, with its root and hash tree, or be counted, so that
the loader comes to the next one. Some are booted.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from lab import outage, updates
from lab.appliance import Appliance
from lab.lab import Lab
from lab.outage import Outage, Recording
from lab.partitions import Partition, named, partitions
from lab.writelog import Arrived, Cut
from lvs.updating.slots import slots

pytestmark = [pytest.mark.image, pytest.mark.long]

CUTS = int(os.environ.get("POWER_CUTS", "200"))
SEED = int(os.environ.get("POWER_SEED", "1"))
BOOTED = 2
NEW = "0.2.0"
LABELS = 1 << 20  # the partitions' names are in the first of the disk, and in the last
LOADERS = ("EFI/BOOT/BOOTX64.EFI", "EFI/systemd/systemd-bootx64.efi", "loader/loader.conf")


class Known(NamedTuple):
    """SHA-256 of what a version consists of."""

    kernel: str
    partitions: dict[str, str]  # by unique identity, which the kernel image's root hash tells


class Recorded(NamedTuple):
    """An update, from the moment before it on."""

    recording: Recording
    versions: dict[str, Known]
    loaders: dict[str, str]
    begun: int  # request


def sha256(disk: Path, part: Partition) -> str:
    """Of a partition."""
    found = hashlib.sha256()
    with disk.open("rb") as file:
        file.seek(part.at)
        left = part.length
        while left and (content := file.read(min(left, 1 << 20))):
            found.update(content)
            left -= len(content)
    return found.hexdigest()


def kernels(disk: Path) -> Sequence[str]:
    """Files that the loader sees. Errors: CalledProcessError."""
    esp = f"{disk}@@{named(disk, 'lvs-esp').at}"
    listed = subprocess.run(
        ["mdir", "-b", "-i", esp, "::EFI/Linux"], capture_output=True, text=True, check=True
    )
    return [line.rpartition("/")[2] for line in listed.stdout.splitlines()]


def on_esp(disk: Path, path: str) -> str:
    """SHA-256 of a file that firmware or loader start; empty if it cannot be read."""
    esp = f"{disk}@@{named(disk, 'lvs-esp').at}"
    read = subprocess.run(["mcopy", "-n", "-i", esp, f"::{path}", "-"], capture_output=True, check=False)
    return "" if read.returncode else hashlib.sha256(read.stdout).hexdigest()


def as_built(update: Path) -> Known:
    """What an update's manifest says."""
    with tarfile.open(update) as tar:
        file = tar.extractfile("manifest.json")
        assert file
        parts = json.load(file)["parts"]
    told = {part["name"].removesuffix(".raw.xz"): part["unpacked_sha256"] for part in parts}
    (kernel,) = (it for name, it in told.items() if name.endswith(".efi.xz"))
    return Known(kernel, {name.rpartition(".")[2]: it for name, it in told.items() if ".root" in name})


def as_flashed(disk: Path, version: str) -> Known:
    """The same of what was flashed."""
    own = [named(disk, f"lvs_{version}"), named(disk, f"lvs_{version}_verity")]
    return Known(on_esp(disk, f"EFI/Linux/lvs_{version}.efi"), {it.uuid: sha256(disk, it) for it in own})


@pytest.fixture(scope="module")
def outage_(lab: Lab) -> Iterator[Outage]:
    one = Outage(lab, memory_mb=768)
    try:
        yield one
    finally:
        one.close()


@pytest.fixture(scope="module")
def recorded(outage_: Outage) -> Recorded:
    """A push, an update beside another push, its start and its proof; then the power goes."""
    update, director = updates.build(NEW), outage_.director
    outage_.begin()
    version = json.loads(director.run("lvsd update --status --json").out)["running"]["version"]
    versions = {version: as_flashed(outage_.base, version), NEW: as_built(update)}
    outage_.push()
    begun = outage_.now()
    updates.PLACE.mkdir(parents=True, exist_ok=True)
    outage_.operator.spawn("python3", "-m", "http.server", "8000", "--directory", str(updates.PLACE))
    url = f"http://{outage.OPERATOR}:8000/{update.relative_to(updates.PLACE)}"
    director.run(f"systemd-run --unit=updating lvsd update {url}")
    outage_.push()
    director.await_true('lvsd update --status --json | grep -q \'"stage": *"laid"\'', 600)
    director.reboot(outage.LONG_BOOT_S)
    director.await_true('lvsd update --status --json | grep -q \'"end": *"proved"\'', 400)
    outage_.push()
    director.power_off()
    recording = outage_.recording({})
    loaders = {path: found for path in LOADERS if (found := on_esp(outage_.base, path))}
    assert loaders
    return Recorded(recording, versions, loaders, recording.count(begun))


def cuts(made: Recorded) -> list[Cut]:
    """Half of them at random, half of them while a loader's file or the table of partitions is written."""
    chance, entries = random.Random(SEED), made.recording.entries
    esp = named(made.recording.base, "lvs-esp")
    delicate = [
        number
        for number, it in enumerate(entries, 1)
        if number >= made.begun
        and (it.at < LABELS or it.at >= outage.DISK_BYTES - LABELS or esp.at <= it.at < esp.at + esp.length)
    ]
    assert delicate
    drawn = [chance.randint(made.begun, len(entries)) for _ in range(CUTS // 2)]
    drawn += [min(len(entries), chance.choice(delicate) + chance.randint(0, 1)) for _ in range(CUTS // 2)]
    found = [Cut(count, list(Arrived)[n % 3], chance.getrandbits(32)) for n, count in enumerate(drawn)]
    return sorted(found, key=lambda it: it.requests)


def unstartable(disk: Path, made: Recorded) -> list[str]:
    """What is wrong with what firmware and loader do with a disk."""
    wrong = [f"{path} is not what it was" for path, it in made.loaders.items() if on_esp(disk, path) != it]
    there = {it.uuid: it for it in partitions(disk)}
    said = []
    for slot in slots("lvs", kernels(disk)):
        known = made.versions[slot.version]
        lost = [
            uuid
            for uuid, it in known.partitions.items()
            if uuid not in there or sha256(disk, there[uuid]) != it
        ]
        whole = on_esp(disk, f"EFI/Linux/{slot.file}") == known.kernel
        if whole and not lost:
            return wrong
        said.append(f"{slot.file}: {'whole' if whole else 'torn'}, without {lost}")
        if slot.left is None:
            break
    return [*wrong, f"nothing starts: {said}"]


def unsettled(disk: Path, made: Recorded, cut: Cut, place: Path) -> list[str]:
    """What is wrong with the configuration."""
    at = named(disk, "lvs-state").at
    allowed = made.recording.allowed(cut)
    with outage.mounted(disk, place, f"nodev,nosuid,offset={at}") as var:
        content = (var / outage.FILE).read_text()
    return [] if content in {it.text for it in allowed} else [f"serial {outage.serial_of(content)} came up"]


def test_every_cut_of_an_update(recorded: Recorded, tmp_path: Path) -> None:
    found = outage.judged(partial(judged, recorded), recorded.recording, cuts(recorded), tmp_path)
    assert not found, "\n".join(found)


def judged(made: Recorded, recording: Recording, share: Sequence[Cut], place: Path) -> list[str]:
    """What is wrong after these cuts, one after the other."""
    region, found, disk = recording.disk(place / "disk"), [], place / "cut"
    for cut in share:
        region.cut(recording.log, recording.entries, cut, disk)
        try:
            wrong = unstartable(disk, made) + unsettled(disk, made, cut, place / "var")
        except subprocess.CalledProcessError as fault:
            wrong = [f"{fault}: {fault.stderr}"]
        if wrong:
            found.append(recording.told(cut, wrong))
    return found


def test_some_are_booted(lab: Lab, outage_: Outage, recorded: Recorded) -> None:
    place = outage_.director.place.with_name("update-cut")
    place.mkdir(exist_ok=True)
    recording = recorded.recording
    drawn = sorted(random.Random(SEED).sample(cuts(recorded), BOOTED), key=lambda it: it.requests)
    region, started = recording.disk(place / "disk"), []
    try:
        for number, cut in enumerate(drawn):
            region.cut(recording.log, recording.entries, cut, disk := place / f"{number}.raw")
            segment = lab.segment(f"cut{number}", {})
            one = outage.appliance(segment, f"updated{number}", disk, memory_mb=768)
            started.append((one, {it.persistence for it in recording.allowed(cut)}))
            one.power_on()
        for one, allowed in started:
            one.await_up(outage.LONG_BOOT_S)
            await_served(one, allowed)
    finally:
        for one, _ in started:
            one.close()


def await_served(director: Appliance, allowed: set[int]) -> None:
    """It serves one of these versions of the configuration, and stays with the slot it came up with."""
    served = "|".join(f"-p {it}" for it in sorted(allowed))
    director.await_true(f"ipvsadm -Sn | grep -E -- '-t {outage.VIP}:80 .*({served})'", 180)
    director.await_true("systemctl show -P SubState lvs-healthy | grep -qx exited", 300)
