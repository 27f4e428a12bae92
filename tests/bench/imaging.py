"""Figures of the image: its size, what an idle director takes, how long it boots, how long a push takes."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from functools import cache

from bench.measured import Figure, Measured, NotHereError
from lab.appliance import DISK, Appliance
from lab.appliances import Site, introduce, risen, site
from lab.paths import CHECKOUT

MIB = 1 << 20
BOOTS, PUSHES = 3, 5
CLONE = "/tmp/config"
ANSWERED_S = 600.0
LOOK_S = 0.1
# Before lvsd is started nothing of it runs but what takes the machine's files over.
WITHOUT = "systemd.mask=lvs.service systemd.mask=lvs-healthy.service"


def size_of(profile: str) -> Measured:
    """The compressed disk, as `make image` leaves it."""
    found = sorted((CHECKOUT / "dist").glob(f"lvs-*-{profile}.raw.zst"))
    if not found:
        raise NotHereError(f"no image {profile}: make image")
    return Measured([found[-1].stat().st_size / MIB], [], found[-1].name)


class Seen:
    """What one site told: measured once, for all figures that need one."""

    def __init__(self) -> None:
        self.memory_mib: list[float] = []
        self.serving_s: list[float] = []
        self.without_s: list[float] = []
        self.push_s: list[float] = []
        self.ours_s: list[float] = []


@cache
def seen() -> Seen:
    """Boot a pair, push, then boot one of them alone with lvsd and without."""
    if not DISK.exists():
        raise NotHereError("no image: make image")
    told = Seen()
    with site() as built:
        built.power_on()
        for director in built.directors:
            told.memory_mib.append(used_mib(director))
        push(built, told)
        first, second = built.directors
        second.power_off()
        for _ in range(BOOTS):
            told.serving_s.append(boot(built, first, lambda: answers(built)))
            usual = first.command_line
            first.command_line += f" {WITHOUT}"
            told.without_s.append(boot(built, first, lambda: reached(first)))
            first.command_line = usual
    return told


def used_mib(director: Appliance) -> float:
    """What `free` calls used, in MiB."""
    return float(director.run("free -m").out.splitlines()[1].split()[2])


def push(built: Site, told: Seen) -> None:
    """Push one weight after the other: git's own time, and what lvsd says it took."""
    client, active = built.client, built.active()
    introduce(built, client)
    client.run("git", "clone", "-q", f"lvs@{active.name}:config.git", CLONE, timeout=300)
    for number in range(PUSHES):
        text = client.read(f"{CLONE}/lvs.toml")
        client.write(
            f"{CLONE}/lvs.toml", re.sub(r"(?m)^weight = \d+", f"weight = {number + 2}", risen(text), count=1)
        )
        client.run("git", "commit", "-q", "-a", "-m", "a weight", cwd=CLONE)
        began = time.monotonic()
        said = client.run("git", "push", cwd=CLONE, timeout=300).err
        told.push_s.append(time.monotonic() - began)
        took = re.search(r"took [\d.]+ s here, of which lvsd ([\d.]+) s", said)
        assert took, said
        told.ours_s.append(float(took[1]))


def boot(built: Site, director: Appliance, done: Callable[[], bool]) -> float:
    """Power to what is waited for, in seconds."""
    director.power_off()
    began = time.monotonic()
    director.power_on()
    while not done():
        if time.monotonic() - began > ANSWERED_S:
            raise AssertionError(f"no answer\n{director.console()[-2000:]}")
        time.sleep(LOOK_S)
    return time.monotonic() - began


def answers(built: Site) -> bool:
    """Whether a client can connect to a VIP."""
    return built.client.run("nc", "-z", "-w", "1", "10.0.0.6", "389", root="tree", check=False).rc == 0


def reached(director: Appliance) -> bool:
    """Whether the boot is done: the console asks who logs in."""
    return "login:" in director.console()


FIGURES = (
    Figure("image_vm_mib", 110, "MiB", lambda: size_of("vm")),
    Figure("image_metal_mib", 130, "MiB", lambda: size_of("metal")),
    Figure("idle_memory_mib", 160, "MiB", lambda: Measured(seen().memory_mib, [])),
    Figure(
        "boot_ratio",
        1.5,
        "of a boot without",
        lambda: Measured(seen().serving_s, seen().without_s, "power to a VIP that answers"),
    ),
    Figure(
        "push_s",
        2,
        "s",
        lambda: Measured(seen().push_s, [], f"of which lvsd {max(seen().ours_s):.2f} s at most"),
    ),
)
