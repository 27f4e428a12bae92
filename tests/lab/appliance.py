"""Appliances: the image itself, booted in QEMU with its network card in a segment of the lab.

QEMU runs in the segment's own namespace, and the card's end of the cable has the machine's name: all
faults of `Segment` work on it. The disk is a layer over the built one, so each starts as if just flashed.
"""

from __future__ import annotations

import atexit
import base64
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from .channel import LabError
from .guest import acceleration
from .machine import Process, ProgramFailed, Result
from .partitions import named
from .paths import BUILD, CHECKOUT
from .setup import FIRMWARE

if TYPE_CHECKING:
    from .segment import Segment

OUT = CHECKOUT / "build" / "image" / "out"
DISK = OUT / "lvs-vm.raw"
VARIABLES = FIRMWARE.with_name("OVMF_VARS_4M.fd")
ADMIN = "10.0.0.250/24"  # of whoever logs in

TCG = ("-accel", "tcg,thread=multi,tb-size=256", "-cpu", "max,-cx16,-la57")
# Seconds of an emulated boot that protect nothing here; the rest is the image's own.
EXTRA = "nokaslr mitigations=off no_timer_check cryptomgr.notests random.trust_cpu=on"
BOOT_S = 420.0
SSH_OPTIONS = (
    *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"),
    *("-o", "ConnectTimeout=10", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes"),
)


@cache
def workplace() -> Path:
    """Where this process keeps disks and sockets; gone with it."""
    (above := BUILD / "appliances").mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=above, prefix=""))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


@cache
def key() -> Path:
    """The private key of whoever logs in, made once."""
    path = workplace() / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", str(path)], check=True)
    return path


def public_key() -> str:
    """What belongs into an appliance's authorized keys."""
    return key().with_name("key.pub").read_text().strip()


class Appliance:
    """A machine that runs the image."""

    def __init__(
        self,
        lan: Segment,
        name: str,
        address: str,
        *,
        disk: Path = DISK,
        disk_size: str = "2G",
        memory_mb: int = 512,
        cpus: int = 1,
        metal: bool = False,
    ) -> None:
        self.lan, self.name, self.address = lan, name, address
        self.credentials: dict[str, bytes] = {}
        self.command_line = EXTRA
        self.seeds: list[Path] = []  # further disks
        self.write_log: Path | None = None  # where all that is written to its disk is noted: lab.writelog
        self._memory_mb, self._cpus = memory_mb, cpus
        # What a hypervisor offers its guests, or what a server has.
        self._card, self._bus = (
            ("e1000e", "nvme,serial=lvs") if metal else ("virtio-net-pci", "virtio-blk-pci")
        )
        self._qemu: Process | None = None
        self.place = workplace() / name
        shutil.rmtree(self.place, ignore_errors=True)
        self.place.mkdir(parents=True)
        self.disk, self.console_log = self.place / "disk.qcow2", self.place / "console.log"
        self.console_socket = self.place / "console"
        create = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(disk), str(self.disk)]
        subprocess.run([*create, disk_size], check=True)
        shutil.copy(VARIABLES, self.place / "variables.fd")
        number = sum(name.encode()) + sum(address.encode())
        self._mac = f"52:54:00:00:{number >> 8:02x}:{number & 255:02x}"
        switch = lan.switch
        switch.run("ip", "tuntap", "add", name, "mode", "tap")
        switch.run("ip", "link", "set", name, "master", "br0", "up")
        switch.run("ip", "address", "replace", ADMIN, "dev", "br0")

    def power_on(self) -> None:
        """Start it; `await_up` waits."""
        self.console_log.unlink(missing_ok=True)
        machine = acceleration() if "kvm" in acceleration() else (*TCG, "-smp", str(self._cpus))
        smbios = [
            f"type=11,value=io.systemd.credential.binary:{name}={base64.b64encode(value).decode()}"
            for name, value in self.credentials.items()
        ]
        smbios.append(f"type=11,value=io.systemd.stub.kernel-cmdline-extra={self.command_line}")
        console = (
            f"socket,id=console,path={self.console_socket},server=on,wait=off,logfile={self.console_log}"
        )
        flash = f"if=pflash,format=raw,file={self.place / 'variables.fd'}"
        command = [
            *("qemu-system-x86_64", *machine, "-machine", "q35", "-m", str(self._memory_mb)),
            *("-nodefaults", "-nographic", "-serial", "chardev:console", "-chardev", console),
            *("-drive", f"if=pflash,format=raw,readonly=on,file={FIRMWARE}", "-drive", flash),
            *("-drive", f"{self._drive()},if=none,id=disk", "-device", f"{self._bus},drive=disk"),
            *(
                argument
                for seed in self.seeds
                for argument in ("-drive", f"file={seed},if=virtio,format=raw")
            ),
            *("-device", "virtio-rng-pci", "-device", "i6300esb"),
            *("-netdev", f"tap,id=n,ifname={self.name},script=no,downscript=no"),
            *("-device", f"{self._card},netdev=n,mac={self._mac},romfile="),
            *(argument for one in smbios for argument in ("-smbios", one)),
        ]
        self._qemu = self.lan.switch.spawn(*command)

    def _drive(self) -> str:
        if self.write_log is None:
            return f"file={self.disk},format=qcow2,discard=unmap"
        self.write_log.touch()
        logged = (
            f"file.driver=qcow2,file.file.filename={self.disk},log.driver=file,log.filename={self.write_log}"
        )
        return f"driver=blklogwrites,{logged}"

    def power_off(self) -> None:
        """Its power is gone, in the middle of whatever it does."""
        self.forget()
        if self._qemu is not None:
            self._qemu.signal(signal.SIGKILL)
            self._qemu.wait()
            self._qemu = None

    def reboot(self, limit_s: float = BOOT_S) -> None:
        """Have it start anew in an orderly way, and wait until it has."""
        before = self.run("cat /proc/sys/kernel/random/boot_id").out
        self.run("systemctl reboot", check=False)
        self.forget()
        self.await_true(f"test $(cat /proc/sys/kernel/random/boot_id) != {before.strip()}", limit_s)

    def console(self) -> str:
        """What it has shown on its serial console."""
        return self.console_log.read_text(errors="replace") if self.console_log.exists() else ""

    def run(
        self,
        command: str,
        *,
        user: str = "root",
        check: bool = True,
        timeout: float = 120,
        stdin: str | bytes | None = None,
    ) -> Result:
        """Run a shell command in it, by SSH."""
        multiplexed = ("ControlMaster=auto", "ControlPersist=600", f"ControlPath={self.place}/ssh-%r")
        options = [argument for option in multiplexed for argument in ("-o", option)]
        ssh = ["ssh", *options, *SSH_OPTIONS, "-i", str(key()), f"{user}@{self.address}"]
        return self.lan.switch.run(*ssh, command, check=check, timeout=timeout, stdin=stdin)

    def forget(self) -> None:
        """Close the connection that further commands would use."""
        for path in self.place.glob("ssh-*"):
            self.lan.switch.run(
                "ssh", "-O", "exit", "-o", f"ControlPath={path}", self.address, check=False, timeout=10
            )
            path.unlink(missing_ok=True)

    def await_up(self, limit_s: float = BOOT_S) -> None:
        """Wait until it can be logged in to. Errors: LabError with the console."""
        self.await_true("true", limit_s)

    def await_true(self, command: str, limit_s: float = 60) -> Result:
        """Wait until a command in it succeeds. Errors: LabError with what it said last, and the console."""
        deadline = time.monotonic() + limit_s
        while True:
            try:
                return self.run(command, timeout=60)
            except ProgramFailed as failed:
                if time.monotonic() > deadline or self._qemu is None or not self._qemu.alive:
                    said = self._qemu.output() if self._qemu is not None else ""
                    text = f"{self.name}: {command}: {failed}\n{said}\n{self.console()[-4000:]}"
                    raise LabError(text) from None
                time.sleep(0.5)

    def close(self) -> None:
        """End it and remove its disk."""
        self.forget()
        self.power_off()
        self.lan.switch.run("ip", "link", "del", self.name, check=False)
        shutil.rmtree(self.place, ignore_errors=True)


def network_file(address: str, gateway: str) -> bytes:
    """A .network file with one address, as docs/first-boot.md advises."""
    return (
        f"[Match]\nType=ether\n\n[Network]\nAddress={address}\nGateway={gateway}\n"
        "IPv6AcceptRA=no\nLinkLocalAddressing=no\nKeepConfiguration=static\n"
    ).encode()


def flashed(place: Path, files: Mapping[str, bytes]) -> Path:
    """A disk image with files on LVS-CONFIG, as a laptop lays them there after flashing."""
    place.mkdir(parents=True, exist_ok=True)
    disk = place / "flashed.raw"
    subprocess.run(["cp", "--sparse=always", "--reflink=auto", str(DISK), str(disk)], check=True)
    partition = f"{disk}@@{named(disk, 'LVS-CONFIG').at}"
    for folder in sorted({str(Path(name).parent) for name in files} - {"."}):
        subprocess.run(["mmd", "-i", partition, f"::{folder}"], check=True)
    for name, content in files.items():
        subprocess.run(["mcopy", "-i", partition, "-", f"::{name}"], input=content, check=True)
    return disk
