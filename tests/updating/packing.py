"""Updates as `.ci/pack-update` makes them, signed by keys of ssh-keygen, and a machine to install them on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from lvs.io.updates import Places

ROOT = Path(__file__).parents[2]
ROOT_UUID = "11111111-2222-4333-8444-555555555555"
VERITY_UUID = "21111111-2222-4333-8444-555555555555"
ROOT_HASH = f"{ROOT_UUID}{VERITY_UUID}".replace("-", "")
PIECES = {
    f"root-verity.{VERITY_UUID}.raw": os.urandom(3000),
    f"root.{ROOT_UUID.replace('-', '')}.raw": os.urandom(200_000),  # mkosi writes it either way
    "efi": os.urandom(50_000) + f"console=ttyS0 roothash={ROOT_HASH} quiet".encode(),
}

# What systemd-sysupdate does with these transfers, so far as lvsd sees it: parts go into partitions and the
# file of the loader gets tries. tests/image has the real one.
SYSUPDATE = """#!/usr/bin/python3
import lzma, os, sys
from pathlib import Path

machine = Path(sys.argv[1])
with (machine / "asked").open("a") as asked:
    print(*sys.argv[2:], file=asked)
if "update" in sys.argv:
    if (machine / "broken").exists():
        sys.exit("No space left on device")
    for part in sorted((machine / "updates/parts").iterdir(), key=lambda one: one.name.endswith(".efi.xz")):
        content = lzma.decompress(part.read_bytes())
        if part.name.endswith(".efi.xz"):
            target = machine / "efi/EFI/Linux" / part.name.replace(".efi.xz", "+3-0.efi")
        else:
            target = machine / "partitions" / part.name.split(".raw")[0][-36:]
            content += bytes(4096)
        if (machine / "bad disk").exists():
            content = bytes(100) + content[100:]
        target.write_bytes(content)
        print("Successfully installed", part)
"""


def key(directory: Path, name: str) -> Path:
    """A new key."""
    path = directory / name
    subprocess.run(("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", path), check=True)
    return path


def allowed(path: Path, *keys: Path) -> Path:
    """A file of who may sign."""
    lines = [f'{one.name} namespaces="lvs-update" {one.with_suffix(".pub").read_text()}' for one in keys]
    path.write_text("".join(lines))
    return path


def pack(directory: Path, version: str, signer: Path, variant: str = "") -> Path:
    """An update of the pieces."""
    directory.mkdir(exist_ok=True)
    for name, content in PIECES.items():
        (directory / f"{'-'.join(filter(None, ('lvs', variant)))}.{name}").write_bytes(content)
    command = (ROOT / ".ci/pack-update", directory, version, signer, variant)
    subprocess.run((sys.executable, *command), check=True, capture_output=True)
    (update,) = directory.glob(f"lvs-{version}*.update")
    return update


def places(machine: Path, signers: Path, *, runs: str = "0.1.0") -> Places:
    """A machine that runs a version."""
    for name in ("efi/EFI/Linux", "partitions", "firmware", "updates"):
        (machine / name).mkdir(parents=True)
    release = f'NAME="Debian"\nIMAGE_ID=lvs\nIMAGE_VERSION="{runs}"\nVARIANT_ID=vm\n'
    (machine / "os-release").write_text(release)
    (machine / f"efi/EFI/Linux/lvs_{runs}.efi").write_bytes(b"runs")
    program = machine / "sysupdate"
    program.write_text(SYSUPDATE)
    program.chmod(0o755)
    return Places(
        directory=machine / "updates",
        os_release=machine / "os-release",
        firmware=machine / "firmware",
        esp=(machine / "nowhere", machine / "efi"),
        partitions=machine / "partitions",
        chosen=machine / "chosen",
        signers=(machine / "none", signers),
        sysupdate=(str(program), str(machine)),
    )
