"""Real updates, signed by real keys, onto a machine of directories."""

from __future__ import annotations

import fcntl
import io
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lvs.errors import SystemFault
from lvs.io import updates
from lvs.io.updates import Places
from lvs.updating.manifest import Machine
from lvs.updating.slots import Slot
from updating.packing import PIECES, ROOT, ROOT_UUID, allowed, key, pack, places

pytestmark = pytest.mark.native


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keys, who may sign, and an update."""
    directory = tmp_path_factory.mktemp("made")
    release, stranger = key(directory, "release"), key(directory, "stranger")
    allowed(directory / "signers", release)
    pack(directory / "good", "0.2.0", release)
    pack(directory / "strange", "0.2.0", stranger)
    pack(directory / "old", "0.0.9", release)
    pack(directory / "metal", "0.2.0", release, "metal")
    return directory


@pytest.fixture
def machine(made: Path, tmp_path: Path) -> Places:
    return places(tmp_path / "machine", made / "signers")


def installed(update: Path | io.BytesIO, machine: Places, *, downgrade: bool = False) -> list[str]:
    """Install it; what was told meanwhile."""
    told: list[str] = []
    source = io.BytesIO(update.read_bytes()) if isinstance(update, Path) else update
    with updates.alone(machine):
        runs = updates.machine(machine)
        found = updates.trusted(source, "the update", machine)
        updates.fits(found.manifest, runs, machine, downgrade=downgrade)
        updates.lay(found, "the update", machine, told.append)
        updates.install(found.manifest, runs, machine, told.append)
    return told


def changed(update: Path, change: Callable[[str, bytes], tuple[str, bytes] | None]) -> io.BytesIO:
    """The update with its files changed, or left out."""
    out = io.BytesIO()
    with tarfile.open(update) as old, tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as new:
        for member in old:
            file = old.extractfile(member)
            assert file is not None
            kept = change(member.name, file.read())
            if kept is not None:
                member.name, member.size = kept[0], len(kept[1])
                new.addfile(member, io.BytesIO(kept[1]))
    out.seek(0)
    return out


def untouched(machine: Places) -> bool:
    """Nothing but what runs is there, and nothing was tried."""
    return (
        [one.file for one in updates.found(machine, "lvs")] == ["lvs_0.1.0.efi"]
        and not list(machine.partitions.iterdir())
        and not machine.parts.exists()
        and not (machine.partitions.parent / "asked").exists()
    )


def test_what_runs(machine: Places) -> None:
    runs = updates.machine(machine)
    assert (runs.image, runs.version, runs.variant, runs.firmware) == ("lvs", "0.1.0", "vm", "uefi")
    machine.firmware.rmdir()
    machine.os_release.write_text("ID=debian\n")
    assert updates.machine(machine) == Machine("", "", runs.architecture, firmware="bios")


def test_an_update_is_installed_beside_what_runs(made: Path, machine: Places) -> None:
    told = installed(made / "good/lvs-0.2.0.update", machine)
    assert updates.found(machine, "lvs") == (
        Slot("0.2.0", "lvs_0.2.0+3-0.efi", 3),
        Slot("0.1.0", "lvs_0.1.0.efi"),
    )
    content = (machine.partitions / ROOT_UUID).read_bytes()
    assert content.startswith(PIECES[f"root.{ROOT_UUID.replace('-', '')}.raw"])
    assert not machine.parts.exists()
    asked = (machine.partitions.parent / "asked").read_text().splitlines()
    assert asked == ["--instances-max=1 vacuum", "update 0.2.0"]
    assert told[0].startswith("receiving lvs_0.2.0.root-verity.")
    assert told[-1] == "reading it back"


def test_tar_lists_it(made: Path) -> None:
    update = made / "good/lvs-0.2.0.update"
    listed = subprocess.run(("tar", "tf", update), check=True, capture_output=True, text=True).stdout.split()
    assert listed[:2] == ["manifest.json", "manifest.json.sig"]
    assert len(listed) == 5


def test_the_same_update_can_come_again(made: Path, machine: Places) -> None:
    for _ in range(2):
        installed(made / "good/lvs-0.2.0.update", machine)
    failed = machine.esp[1] / "EFI/Linux/lvs_0.2.0+0-3.efi"
    (machine.esp[1] / "EFI/Linux/lvs_0.2.0+3-0.efi").rename(failed)
    machine.parts.mkdir()
    (machine.parts / "left over").write_text("by a power cut")
    installed(made / "good/lvs-0.2.0.update", machine)
    assert updates.found(machine, "lvs")[0] == Slot("0.2.0", "lvs_0.2.0+3-0.efi", 3)


# Refused before anything is written


def test_a_stranger_signed_it(made: Path, machine: Places) -> None:
    with pytest.raises(SystemFault, match="not signed by anybody who may: whoever signed it is not in"):
        installed(made / "strange/lvs-0.2.0.update", machine)
    assert untouched(machine)


def test_nobody_may_sign(made: Path, machine: Places) -> None:
    nobody = msgspec.structs.replace(machine, signers=(machine.directory / "nobody",))
    with pytest.raises(SystemFault, match="not signed by anybody who may"):
        installed(made / "good/lvs-0.2.0.update", nobody)


def test_a_signature_for_something_else_does_not_count(made: Path, machine: Places) -> None:
    def change(name: str, content: bytes) -> tuple[str, bytes]:
        if name == "manifest.json.sig":
            command = ("ssh-keygen", "-q", "-Y", "sign", "-f", made / "release", "-n", "git")
            content = subprocess.run(command, input=manifest, check=True, capture_output=True).stdout
        return name, content

    with tarfile.open(made / "good/lvs-0.2.0.update") as archive:
        file = archive.extractfile("manifest.json")
        assert file is not None
        manifest = file.read()
    with pytest.raises(SystemFault, match="not signed by anybody who may"):
        installed(changed(made / "good/lvs-0.2.0.update", change), machine)


@pytest.mark.parametrize("signature", [b"", b"none", b"-----BEGIN SSH SIGNATURE-----\nAAAA\n"])
def test_it_bears_no_signature(made: Path, machine: Places, signature: bytes) -> None:
    def change(name: str, content: bytes) -> tuple[str, bytes]:
        return name, signature if name.endswith(".sig") else content

    with pytest.raises(SystemFault, match=r"not signed by anybody who may|0 bytes"):
        installed(changed(made / "good/lvs-0.2.0.update", change), machine)
    assert untouched(machine)


def test_the_manifest_was_changed(made: Path, machine: Places) -> None:
    def change(name: str, content: bytes) -> tuple[str, bytes]:
        return name, content.replace(b'"vm"', b'""') + b" " if name == "manifest.json" else content

    with pytest.raises(SystemFault, match="not signed by anybody who may"):
        installed(changed(made / "good/lvs-0.2.0.update", change), machine)
    assert untouched(machine)


def test_one_without_a_signature_at_all(made: Path, machine: Places) -> None:
    bare = changed(made / "good/lvs-0.2.0.update", lambda n, c: None if n.endswith(".sig") else (n, c))
    with pytest.raises(SystemFault, match=r"does not begin with manifest.json and its signature"):
        installed(bare, machine)
    assert untouched(machine)


@pytest.mark.parametrize("content", [b"", b"PK\3\4" + bytes(600), b"not an update" * 100])
def test_what_is_no_update(machine: Places, content: bytes) -> None:
    with pytest.raises(SystemFault, match=r"no update|truncated"):
        installed(io.BytesIO(content), machine)
    assert untouched(machine)


@pytest.mark.parametrize(
    ("name", "said"), [("old/lvs-0.0.9", "older than 0.1.0"), ("metal/lvs-0.2.0-metal", "variant 'metal'")]
)
def test_what_is_not_for_this_machine(made: Path, machine: Places, name: str, said: str) -> None:
    with pytest.raises(SystemFault, match=said):
        installed(made / f"{name}.update", machine)
    assert untouched(machine)


def test_an_older_one_when_told(made: Path, machine: Places) -> None:
    installed(made / "old/lvs-0.0.9.update", machine, downgrade=True)
    assert updates.found(machine, "lvs")[1].version == "0.0.9"


def test_none_over_a_trial(made: Path, machine: Places) -> None:
    runs = machine.esp[1] / "EFI/Linux/lvs_0.1.0.efi"
    runs.rename(runs.with_name("lvs_0.1.0+2-1.efi"))
    with pytest.raises(SystemFault, match="on trial itself"):
        installed(made / "good/lvs-0.2.0.update", machine)
    runs.with_name("lvs_0.1.0+2-1.efi").unlink()
    with pytest.raises(SystemFault, match="nothing could be fallen back on"):
        installed(made / "good/lvs-0.2.0.update", machine)


def test_a_full_disk(made: Path, machine: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(machine.directory)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=updates.SPARE + 100))
    with pytest.raises(SystemFault, match=r"no room for the update: .* of which 0 MiB are to be had"):
        installed(made / "good/lvs-0.2.0.update", machine)
    assert untouched(machine)


def test_two_at_once(made: Path, machine: Places) -> None:
    with (machine.directory / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(SystemFault, match="another update is being installed"):
            installed(made / "good/lvs-0.2.0.update", machine)
    installed(made / "good/lvs-0.2.0.update", machine)


# Refused as it comes: what runs is what starts


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.6, 0.9, 0.995])
def test_it_is_truncated(made: Path, machine: Places, share: float) -> None:
    whole = (made / "good/lvs-0.2.0.update").read_bytes()
    end = sum(1 for _ in whole.rstrip(b"\0"))  # the archive ends with zeros, which nobody needs
    with pytest.raises(SystemFault, match="truncated"):
        installed(io.BytesIO(whole[: int(end * share)]), machine)
    assert untouched(machine)


def test_a_part_is_damaged(made: Path, machine: Places) -> None:
    def change(name: str, content: bytes) -> tuple[str, bytes]:
        return name, content[:-5] + b"wrong" if ".root." in name else content

    with pytest.raises(SystemFault, match=r"damaged: lvs_0.2.0.root"):
        installed(changed(made / "good/lvs-0.2.0.update", change), machine)
    assert untouched(machine)


@pytest.mark.parametrize("lost", [".root-verity.", ".root.", ".efi"])
def test_a_part_is_missing(made: Path, machine: Places, lost: str) -> None:
    less = changed(made / "good/lvs-0.2.0.update", lambda n, c: None if lost in n else (n, c))
    with pytest.raises(SystemFault, match="does not hold what its manifest names"):
        installed(less, machine)
    assert untouched(machine)


def test_there_is_more_than_was_signed(made: Path, machine: Places) -> None:
    def twice(name: str, content: bytes) -> tuple[str, bytes]:
        return name, content

    more = changed(made / "good/lvs-0.2.0.update", twice).getvalue()
    end = len(more) - len(more) % 512
    while more[end - 512 : end] == bytes(512):
        end -= 512
    extra = changed(made / "good/lvs-0.2.0.update", lambda n, c: (n, c) if n == "manifest.json" else None)
    with pytest.raises(SystemFault, match="more than its manifest names"):
        installed(io.BytesIO(more[:end] + extra.getvalue()), machine)
    assert untouched(machine)


def test_a_read_that_fails(machine: Places) -> None:
    class Broken(io.BytesIO):
        def read(self, _size: Any = -1) -> bytes:
            raise OSError(5, "Input/output error")

    with pytest.raises(SystemFault, match="cannot read the update: input/output error"):
        installed(Broken(), machine)


def test_it_is_read_whole_without_being_kept(made: Path, machine: Places) -> None:
    whole = (made / "good/lvs-0.2.0.update").read_bytes()
    source = io.BytesIO(whole)
    updates.examined(updates.trusted(source, "it", machine), "it")
    source = io.BytesIO(whole[:100_000])
    with pytest.raises(SystemFault, match="truncated"):
        updates.examined(updates.trusted(source, "it", machine), "it")
    assert untouched(machine)


# Refused by the disk


def test_systemd_sysupdate_fails(made: Path, machine: Places) -> None:
    (machine.partitions.parent / "broken").touch()
    with pytest.raises(SystemFault, match=r"systemd-sysupdate failed: .*No space left on device"):
        installed(made / "good/lvs-0.2.0.update", machine)
    assert [one.version for one in updates.found(machine, "lvs")] == ["0.1.0"]
    gone = msgspec.structs.replace(machine, sysupdate=("/nowhere/systemd-sysupdate",))
    with pytest.raises(SystemFault, match="cannot run /nowhere/systemd-sysupdate: no such file"):
        installed(made / "good/lvs-0.2.0.update", gone)


def test_a_disk_that_does_not_keep_what_is_written(made: Path, machine: Places) -> None:
    (machine.partitions.parent / "bad disk").touch()
    with pytest.raises(SystemFault, match="the disk does not hold what was written to it"):
        installed(made / "good/lvs-0.2.0.update", machine)
    assert [one.version for one in updates.found(machine, "lvs")] == ["0.1.0"]


# Which is started


def test_the_loader_chooses_the_newest_by_itself(made: Path, machine: Places) -> None:
    installed(made / "good/lvs-0.2.0.update", machine)
    runs = updates.machine(machine)
    updates.start_next(machine, runs, "0.2.0")  # bootctl is not asked
    updates.keep_starting(machine, msgspec.structs.replace(runs, version="0.2.0"))
    with pytest.raises(SystemFault, match=r"there is no 0.3.0"):
        updates.start_next(machine, runs, "0.3.0")


def test_without_files_of_a_loader(machine: Places) -> None:
    nowhere = msgspec.structs.replace(machine, esp=(machine.directory / "nowhere",))
    assert updates.esp(nowhere) is None
    assert updates.found(nowhere, "lvs") == ()


def test_a_slot_that_the_kernel_does_not_ask_for_is_not_packed(made: Path, tmp_path: Path) -> None:
    for name, content in PIECES.items():
        (tmp_path / f"lvs.{name}").write_bytes(content.replace(b"roothash=1", b"roothash=2"))
    command = (sys.executable, ROOT / ".ci/pack-update", tmp_path, "0.2.0", made / "release")
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode
    assert "which the kernel image asks for" in done.stderr
