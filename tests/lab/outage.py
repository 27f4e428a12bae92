"""A director at work until its power goes, and all that its disk was told to write meanwhile."""

from __future__ import annotations

import base64
import ctypes
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from lvs.io import pairkey

from . import setup, writelog
from .appliance import BOOT_S, SSH_OPTIONS, Appliance, flashed, key, network_file, public_key, workplace
from .lab import Lab
from .machine import Machine
from .partitions import named
from .segment import Segment
from .writelog import Cut

ADDRESS, VIP, OPERATOR, GATEWAY = "10.0.0.1", "10.0.0.5", "10.0.0.100", "10.0.0.254"
NAME = "power"
DISK_BYTES = 2 << 30
PUSHES = 10
BY_HAND = 4  # before that push
LONG_BOOT_S = 3 * BOOT_S  # several at once
NO_FAVOURS = "noauto_da_alloc"
AT_ONCE = 2  # cuts that are judged
CLONE_NEWNS = 0x20000  # sched.h
BACK = 6  # before that push, by a rollback
BESIDE = 7  # that push changes another file than the configuration
CLONE = "/tmp/clone"
# Where things are on the state partition.
ETC, GIT, STATE = "lib/overlay/etc/upper", "lib/lvs-git/config.git", "lib/lvs"
FILE = f"{ETC}/lvs/lvs.toml"
KEPT = tuple(
    f"{ETC}/{name}"
    for name in ("lvs/pair.key", "ssh/authorized_keys.d/root", "ssh/ssh_host_ed25519_key", "machine-id")
)


def configuration(serial: int) -> str:
    """One virtual server of a director without another; what the kernel holds tells the serial number.

    Shape: several blocks of the disk, and of another length than the one before.
    """
    told = "".join(f"# Line {line} of version {serial}.\n" for line in range(200 + 37 * serial % 300))
    return f"""\
serial_no = {serial}
primary = "{ADDRESS}"
network = "direct"
{told}
[[virtual]]
name = "web"
address = "{VIP}"
device = "eth0:1"
port = 80
persistent = {persistence(serial)}
[[virtual.server]]
name = "real1"
address = "10.0.0.3"
"""


def persistence(serial: int) -> int:
    """Seconds, by which the kernel tells one version from another."""
    return 1000 + serial


@dataclass(frozen=True)
class Change:
    """A version of the configuration. Units: bytes of the log when it was begun, and acknowledged."""

    text: str
    begun: int
    acknowledged: int | None
    commit: str  # empty: the director makes it

    @property
    def serial(self) -> int:
        return serial_of(self.text)

    @property
    def persistence(self) -> int:
        """What the kernel says of it; `persistence`."""
        found = re.search(r"(?m)^persistent = (\d+)$", self.text)
        assert found
        return int(found[1])


def serial_of(text: str) -> int:
    """The serial number that a configuration says."""
    found = re.search(r"(?m)^serial_no = (\d+)$", text)
    assert found
    return int(found[1])


class Recording:
    """What was done to a director, and the log of its disk. Units: bytes."""

    def __init__(self, base: Path, log: Path, changes: Sequence[Change], state: tuple[int, int]) -> None:
        self.base, self.log, self.changes = base, log, changes
        self.entries = writelog.read(log)
        self._state = state  # partition: start, length
        self.kept: dict[str, bytes] = {}  # files that stay as they are, by path below /var

    def count(self, moment: int) -> int:
        """How many requests the disk had got at a moment."""
        return sum(entry.end <= moment for entry in self.entries)

    def state(self, file: Path) -> writelog.Region:
        """The state partition, from the beginning of the log on."""
        return writelog.Region(file, self.base, *self._state)

    def disk(self, file: Path) -> writelog.Region:
        """The whole disk."""
        return writelog.Region(file, self.base, 0, sum(self._state))

    def told(self, cut: Cut, wrong: Sequence[str]) -> str:
        """What is wrong after a cut, and which one it was."""
        kind = f"{cut.requests} of {len(self.entries)} requests, {cut.arrived.value} of the last"
        return f"{kind}: {'; '.join(wrong)}"

    def allowed(self, cut: Cut) -> Sequence[Change]:
        """What the director may come up with: the last one that was acknowledged, or what was begun since."""
        moment = self.entries[cut.requests - 1].end if cut.requests else 0
        last = max(n for n, it in enumerate(self.changes) if (it.acknowledged or 1 << 62) <= moment or not n)
        return [it for n, it in enumerate(self.changes) if n >= last and it.begun <= moment]


class Outage:
    """The director, and its operator."""

    def __init__(self, lab: Lab, *, memory_mb: int = 512) -> None:
        place = workplace() / f"{NAME}-flashed"
        files = {
            "lvs.toml": configuration(1).encode(),
            "authorized_keys": f"{public_key()}\n".encode(),
            "pair.key": pairkey.make().text,
            "network/lan.network": network_file(f"{ADDRESS}/24", GATEWAY),
        }
        self.base = flashed(place, files)
        self.log = place / "writes"
        self.log.unlink(missing_ok=True)
        lan = lab.segment("lan", {"operator": f"{OPERATOR}/24"})
        self.operator = lab.machine("operator")
        self.director = appliance(lan, NAME, self.base, memory_mb=memory_mb)
        self.director.write_log = self.log
        self.changes = [Change(configuration(1), 0, 0, "")]

    def now(self) -> int:
        """What moments are told by: the size of the log."""
        return self.log.stat().st_size

    def begin(self) -> None:
        """Boot, and give the operator a clone."""
        self.director.power_on()
        self.director.await_up(LONG_BOOT_S)
        self.director.await_true("lvsd history -n 1 | grep -v 'no commit'", 180)
        introduce(self.operator)
        self.git("clone", "-q", f"lvs@{ADDRESS}:config.git", CLONE, cwd="/")

    def work(self) -> dict[str, bytes]:
        """Boot, push, edit; the files that must stay, as they are, by path."""
        self.begin()
        read = {path: self.director.run(f"base64 -w0 /var/{path}").out for path in KEPT}
        for number in range(PUSHES):
            if number == BY_HAND:
                self.edit()
            if number == BACK:
                self.go_back()
            self.push(beside=number == BESIDE)
        return {path: base64.b64decode(content) for path, content in read.items()}

    def git(self, *words: str, cwd: str = CLONE) -> str:
        """What git says on its standard output."""
        return self.operator.run("git", *words, cwd=cwd, timeout=180).out.strip()

    def next_text(self) -> str:
        return configuration(self.changes[-1].serial + 1)

    def commit(self, *, beside: bool = False) -> Change:
        """The next version in the operator's clone, or another file."""
        text = self.changes[-1].text if beside else self.next_text()
        self.operator.write(f"{CLONE}/{'notes' if beside else 'lvs.toml'}", text)
        self.git("add", "--all")
        self.git("commit", "-q", "-m", "a change")
        return Change(text, self.now(), None, self.git("rev-parse", "HEAD"))

    def push(self, *, beside: bool = False) -> None:
        """One that is acknowledged."""
        made = self.commit(beside=beside)
        self.git("push", "-q", "origin", "HEAD:main")
        self.changes.append(Change(made.text, made.begun, self.now(), made.commit))

    def edit(self) -> None:
        """By hand, on the director, as editors do; it counts as soon as it is a commit."""
        text, begun = self.next_text(), self.now()
        command = "cd /etc/lvs && cat > .lvs.toml.edited && mv .lvs.toml.edited lvs.toml"
        self.director.run(command, stdin=text)
        self.director.await_true(f"lvsd history -n 1 | grep -w {serial_of(text)}")
        self.changes.append(Change(text, begun, self.now(), ""))
        self.git("pull", "-q", "--rebase", "origin", "main")

    def go_back(self) -> None:
        """To the version before, which gets a number of its own."""
        begun = self.now()
        self.director.run("lvsd rollback")
        acknowledged = self.now()
        text = self.director.run("cat /etc/lvs/lvs.toml").out
        self.git("pull", "-q", "--rebase", "origin", "main")
        self.changes.append(Change(text, begun, acknowledged, self.git("rev-parse", "HEAD")))

    def cut_a_push(self) -> None:
        """The power goes in the middle of a push."""
        made = self.commit()
        pushing = self.operator.spawn("git", "push", "origin", "HEAD:main", cwd=CLONE)
        pushing.expect("valid, serial", 120)  # its examination is over, nothing is applied yet
        self.director.power_off()
        assert pushing.alive, f"the push was over, nothing was cut: {pushing.output()}"
        pushing.signal(signal.SIGKILL, group=True)
        pushing.wait()
        self.changes.append(made)

    def recording(self, kept: dict[str, bytes]) -> Recording:
        """All of it; the power is off."""
        start = named(self.base, "lvs-state").at
        made = Recording(self.base, self.log, [*self.changes], (start, DISK_BYTES - start))
        made.kept = kept
        return made

    def close(self) -> None:
        self.director.close()


def appliance(lan: Segment, name: str, disk: Path, *, memory_mb: int = 512) -> Appliance:
    """The director on a disk."""
    return Appliance(lan, name, ADDRESS, disk=disk, disk_size=str(DISK_BYTES), memory_mb=memory_mb)


def introduce(machine: Machine) -> None:
    """Have git on a machine log in to the director."""
    settings = [it.replace("=", " ", 1) for it in SSH_OPTIONS if it != "-o"]
    lines = [f"Host {ADDRESS}", f"IdentityFile {key()}", *settings]
    machine.write("/etc/ssh/ssh_config.d/lab.conf", "\n".join(lines) + "\n")
    machine.write("/etc/gitconfig", "[user]\nname = Operator\nemail = operator@lab.example\n")


def private() -> ProcessPoolExecutor:
    """Processes with mounts of their own, which nobody else keeps from being unmounted."""
    return ProcessPoolExecutor(AT_ONCE, get_context("fork"), _own_mounts)


def judged(
    judge: Callable[[Recording, Sequence[Cut], Path], list[str]],
    recording: Recording,
    cuts: Sequence[Cut],
    place: Path,
) -> list[str]:
    """What is wrong after these cuts, which are in order; each share of them has a folder of its own."""
    with private() as pool:
        shares = []
        for number in range(AT_ONCE):
            (folder := place / str(number)).mkdir()
            shares.append(pool.submit(judge, recording, cuts[number::AT_ONCE], folder))
        return [line for share in shares for line in share.result()]


def _own_mounts() -> None:
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), "unshare")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)


@contextmanager
def mounted(image: Path, place: Path, options: str = "nodev,nosuid") -> Iterator[Path]:
    """A file system in a file, with its journal replayed."""
    place.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "ext4", "-o", f"loop,{options}", str(image), str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


@contextmanager
def logged(image: Path, log: Path, place: Path) -> Iterator[Path]:
    """A file system in a file, mounted, with all that is written to it in a log.

    Shape: it does nothing for whoever relies on its favour, and not on fsync(2): ext4(5), auto_da_alloc.
    """
    setup.ensure()
    disk, process = place.with_suffix(".disk"), place.with_suffix(".pid")
    place.mkdir()
    disk.touch()
    log.touch()
    command = [
        *("qemu-storage-daemon", "--daemonize", "--pidfile", str(process)),
        *("--blockdev", f"driver=file,node-name=image,filename={image}"),
        *("--blockdev", f"driver=file,node-name=log,filename={log}"),
        *("--blockdev", "driver=blklogwrites,node-name=logged,file=image,log=log"),
        *("--export", f"type=fuse,id=disk,node-name=logged,mountpoint={disk},writable=on"),
    ]
    subprocess.run(command, check=True)
    try:
        with mounted(disk, place, NO_FAVOURS):
            yield place
    finally:
        os.kill(int(process.read_text()), signal.SIGTERM)


@contextmanager
def overlaid(var: Path, place: Path) -> Iterator[Path]:
    """/etc as the image has it, from a state partition."""
    place.mkdir()
    lower, upper, work = place.with_suffix(".lower"), var / ETC, var / "lib/overlay/etc/work"
    lower.mkdir()
    options = f"lowerdir={lower},upperdir={upper},workdir={work}"
    subprocess.run(["mount", "-t", "overlay", "-o", options, "overlay", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)
