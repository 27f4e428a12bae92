"""`lvsd firstboot` with real FAT file systems: found by label, mounted, read, wiped, noted."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from firstboot.given import TOML, public_key
from lab import Lab
from lab.machine import Machine, Result
from lvs.io import pairkey

pytestmark = pytest.mark.netns

MIB = 1 << 20


def card(path: Path, label: str, files: dict[str, bytes], size: int = 8 * MIB) -> Path:
    """A FAT file system, as somebody's laptop would leave it."""
    with path.open("wb") as file:
        file.truncate(size)
    subprocess.run(("mformat", "-i", path, "-v", label, "::"), check=True)
    for folder in sorted({name.split("/")[0] for name in files if "/" in name}):
        subprocess.run(("mmd", "-i", path, f"::{folder}"), check=True)
    for name, content in files.items():
        subprocess.run(("mcopy", "-i", path, "-", f"::{name}"), input=content, check=True)
    return path


class Booting:
    """A machine, a system within it to lay files down in, and the cards that are in its slots."""

    def __init__(self, lab: Lab) -> None:
        self.machine: Machine = lab.machine("new")
        self.machine.run("modprobe", "-a", "loop", "vfat")
        self.machine.run("mkdir", "-p", "/tmp/root/etc/ssh")

    def insert(self, image: Path) -> None:
        self.machine.write(f"/tmp/{image.name}", image.read_bytes())
        self.machine.run("losetup", "-f", f"/tmp/{image.name}")

    def eject(self) -> None:
        self.machine.run("losetup", "-D")

    def boot(self) -> Result:
        return self.machine.run(
            *(sys.executable, "-m", "lvs.cli", "firstboot", "--root", "/tmp/root"), check=False, timeout=120
        )

    def bytes_of(self, image: Path) -> str:
        """Where the pair key's block begins in the card, if anywhere."""
        return self.machine.run("grep", "-ac", "PRIVATE KEY", f"/tmp/{image.name}", check=False).out.strip()


@pytest.fixture
def booting(lab: Lab) -> Iterator[Booting]:
    made = Booting(lab)
    yield made
    made.eject()


def test_a_card_is_taken_over_and_its_secret_is_gone_from_it(booting: Booting, tmp_path: Path) -> None:
    key = pairkey.make().text
    image = card(
        tmp_path / "card.img",
        "LVS-CONFIG",
        {
            "LVS.TOML": TOML.encode(),
            "authorized_keys": public_key().encode(),
            "pair.key": key,
            "network/10-lan.network": b"[Match]\nName=eth0\n[Network]\nDHCP=yes\nKeepConfiguration=static\n",
        },
    )
    booting.insert(image)
    assert booting.bytes_of(image) == "2"
    done = booting.boot()
    assert done.rc == 0, done.err
    machine = booting.machine
    assert machine.read("/tmp/root/etc/lvs/lvs.toml") == TOML
    assert machine.read("/tmp/root/etc/lvs/pair.key").encode() == key
    assert "Name=eth0" in machine.read("/tmp/root/etc/systemd/network/10-lan.network")
    assert "wiped: LVS-CONFIG/pair.key" in done.err
    # nowhere on the medium, not only out of its directory
    machine.run("sync")
    assert booting.bytes_of(image) == "0"
    noted = machine.run("grep", "-ac", "Wiped from here", f"/tmp/{image.name}").out.strip()
    assert noted == "1"
    assert "/run/lvs-" not in machine.run("cat", "/proc/self/mounts").out

    again = booting.boot()
    assert (again.rc, again.err) == (0, "")


def test_a_cloud_disk_and_one_that_is_damaged(booting: Booting, tmp_path: Path) -> None:
    user_data = f"#cloud-config\nhostname: cloudy\nssh_authorized_keys: ['{public_key()}']\n"
    files = {"meta-data": b"instance-id: i-1\n", "user-data": user_data.encode()}
    booting.insert(card(tmp_path / "seed.img", "cidata", files))
    damaged = card(tmp_path / "damaged.img", "LVS-CONFIG", {})
    with damaged.open("r+b") as file:  # the label stands, the number of FATs does not
        file.seek(16)
        file.write(b"\0")
    booting.insert(damaged)
    done = booting.boot()
    assert booting.machine.read("/tmp/root/etc/hostname") == "cloudy\n"
    assert "this director serves nothing: a configuration, lvs.toml or lvs.cf" in done.err
    assert "NOT CONFIGURED" in booting.machine.read("/tmp/root/run/issue.d/90-lvs.issue")
    if "LVS-CONFIG" in booting.machine.run("blkid", "-c", "/dev/null", "-o", "export", check=False).out:
        assert "(LVS-CONFIG) cannot be mounted: " in done.err
        assert done.rc == 2


def test_a_state_partition_that_is_full(booting: Booting, tmp_path: Path) -> None:
    key = pairkey.make().text
    booting.insert(card(tmp_path / "card.img", "LVS-CONFIG", {"lvs.toml": TOML.encode(), "pair.key": key}))
    machine = booting.machine
    full = "mount -t tmpfs -o size=64k tmpfs /tmp/root/etc && dd if=/dev/zero of=/tmp/root/etc/filler bs=4k"
    machine.run("sh", "-c", full, check=False)
    machine.run("mkdir", "-p", "/tmp/root/etc/ssh", check=False)
    done = booting.boot()
    assert done.rc == 1
    assert "nothing is taken over: " in done.err
    assert "no space left on device; make room on the state partition" in done.err
    assert machine.run("find", "/tmp/root/etc", "-type", "f").out.split() == ["/tmp/root/etc/filler"]
    assert booting.bytes_of(tmp_path / "card.img") == "2"

    machine.run("rm", "/tmp/root/etc/filler")
    assert booting.boot().rc == 0
    assert machine.read("/tmp/root/etc/lvs/lvs.toml") == TOML
    machine.run("sync")
    assert booting.bytes_of(tmp_path / "card.img") == "0"
