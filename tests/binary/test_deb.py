"""The Debian package: the same bytes each time, installed, removed and purged on a Debian of its own."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import setup
from lab.paths import TREE
from lvs import __version__

pytestmark = [
    pytest.mark.binary,
    pytest.mark.skipif(os.geteuid() != 0, reason="a system of its own needs root"),
]

ROOT = Path(__file__).parents[2]
NAME = "lvs-director"


def package() -> Path:
    (found,) = (ROOT / "dist").glob(f"{NAME}_{__version__}_*.deb")
    return found


def said(*command: str | Path) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_the_same_bytes_each_time() -> None:
    before = package().read_bytes()
    subprocess.run((ROOT / ".ci" / "deb",), check=True, capture_output=True, umask=0o077)
    assert package().read_bytes() == before


def test_what_is_in_it() -> None:
    listed = [line.split(None, 5) for line in said("dpkg-deb", "-c", package()).splitlines()]
    assert {line[1] for line in listed} == {"root/root"}
    modes = {line[5].removeprefix("."): line[0] for line in listed}
    for path in (path for path in (ROOT / "appliance").rglob("*") if path.is_file()):
        assert f"/{path.relative_to(ROOT / 'appliance')}" in modes
    assert modes["/usr/bin/lvsd"] == modes["/usr/lib/lvs/hooks/pre-receive"] == "-rwxr-xr-x"
    assert {mode for path, mode in modes.items() if path.endswith(".md")} == {"-rw-r--r--"}
    assert not [path for path, mode in modes.items() if "s" in mode[1:] or mode[8] == "w"]
    conffiles = said("dpkg-deb", "-I", package(), "conffiles").split()
    assert conffiles == sorted(path for path in modes if path.startswith("/etc/") and path[-1] != "/")
    # what only an image wants
    assert not [path for path in modes if "firstboot" in path or "wizard" in path or "sysupdate" in path]


def test_control() -> None:
    control = said("dpkg-deb", "-f", package())
    assert f"Version: {__version__}\n" in control
    assert "@" not in re.sub(r"Maintainer: .*", "", control)
    assert re.search(r"^Depends: libc6 \(>= 2\.\d+\), zlib1g, openssl, systemd", control, re.MULTILINE)


class System:
    """A Debian on a writable layer of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            ("chroot", self.root, *command),
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive"},
        )
        assert done.returncode == 0 or not check, done.stdout + done.stderr
        return done

    def has(self, path: str) -> bool:
        return os.path.lexists(self.root / path.lstrip("/"))

    def write(self, path: str, text: str) -> None:
        place = self.root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    setup.ensure()
    for name in ("upper", "work", "root"):
        (tmp_path / name).mkdir()
    options = f"lowerdir={TREE},upperdir={tmp_path}/upper,workdir={tmp_path}/work"
    root = tmp_path / "root"
    subprocess.run(("mount", "-t", "overlay", "overlay", "-o", options, root), check=True)
    try:
        subprocess.run(("mount", "-t", "proc", "proc", root / "proc"), check=True)
        try:
            (root / "tmp/it.deb").write_bytes(package().read_bytes())
            yield System(root)
        finally:
            subprocess.run(("umount", "-l", root / "proc"), check=True)
    finally:
        subprocess.run(("umount", "-l", root), check=True)


def test_a_life_of_it(system: System) -> None:
    enabled = "/etc/systemd/system/multi-user.target.wants/lvs.service"
    repository = enabled.replace("lvs.service", "lvs-repository.service")
    system.run("dpkg", "-i", "/tmp/it.deb")
    assert system.run("lvsd", "--version").stdout == f"lvsd {__version__}\n"
    assert "lvs-check:" in system.run("getent", "passwd", "lvs-check").stdout
    assert "lvs:" in system.run("getent", "group", "lvs").stdout
    assert system.has(enabled)
    assert system.has(repository)
    home = system.run("stat", "-c", "%a %U:%G", "/var/lib/lvs-git").stdout
    assert home == "755 lvs:lvs\n"
    assert "LVS director runs" in system.run("journalctl", "--list-catalog").stdout
    assert (
        system.run("systemd-analyze", "verify", "lvs.service", check=False).stderr.count("lvs.service") == 0
    )

    # again, as an upgrade; what is configured stays
    system.write("/etc/lvs/lvs.toml", (ROOT / "lvs.toml.example").read_text())
    system.write("/var/lib/lvs/orders.json", "{}")
    system.run("lvsd", "check", "--elsewhere", "/etc/lvs/lvs.toml")
    system.run("dpkg", "-i", "/tmp/it.deb")
    assert system.has(enabled)

    system.run("dpkg", "-r", NAME)
    assert not system.has("/usr/bin/lvsd")
    assert not system.has("/usr/lib/systemd/system/lvs.service")
    assert system.has("/etc/lvs/lvs.toml")
    assert system.has("/var/lib/lvs/orders.json")

    # an operator who had disabled it finds it disabled
    system.run("dpkg", "-i", "/tmp/it.deb")
    system.run("systemctl", "disable", "lvs.service")
    system.run("dpkg", "-i", "/tmp/it.deb")
    assert not system.has(enabled)

    system.run("dpkg", "-P", NAME)
    for path in (
        "/etc/lvs",
        "/var/lib/lvs",
        "/var/lib/lvs-git",
        "/etc/ssh/sshd_config.d/lvs.conf",
        enabled,
        repository,
    ):
        assert not system.has(path), path
    assert system.run("dpkg", "-l", NAME, check=False).stdout.count("ii  lvs") == 0
