"""Figures of the image: its size, what an idle director takes, how long it boots, how long a push takes."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import NamedTuple

from bench.measured import Figure, Measured, NotHereError
from lab.appliance import DISK, Appliance
from lab.appliances import Site, introduce, risen, site
from lab.paths import CHECKOUT

MIB = 1 << 20
BOOTS, PUSHES = 3, 5
CLONE = "/tmp/config"
ANSWERED_S = 600.0
LOOK_S = 0.1
# With its peer off, a director of a pair would listen for it first.
ALONE = "s/^backup_active = true/backup_active = false/; s/^serial_no = .*/serial_no = 99/"
CONNECT = "import socket; socket.create_connection(('10.0.0.6', 389), 1)"
# A boot in which nothing of lvsd runs.
WITHOUT = " ".join(
    f"systemd.mask=lvs{unit}.service" for unit in ("", "-firstboot", "-repository", "-healthy")
)


def size_of(profile: str) -> Measured:
    """The compressed disk, as `make image` leaves it."""
    found = sorted((CHECKOUT / "dist").glob(f"lvs-*-{profile}.raw.zst"))
    if not found:
        raise NotHereError(f"no image {profile}: make image")
    return Measured([found[-1].stat().st_size / MIB], [], found[-1].name)


class Pair(NamedTuple):
    """What a pair told: measured once, for all figures that need one."""

    memory_mib: list[float]
    push_s: list[float]
    ours_s: list[float]


@cache
def pair() -> Pair:
    """Boot a pair, and push."""
    with built_site() as built:
        built.power_on()
        memory_mib = [used_mib(director) for director in built.directors]
        took = list(pushes(built))
    return Pair(memory_mib, [whole_s for whole_s, _ in took], [ours_s for _, ours_s in took])


@cache
def boots() -> Measured:
    """Boot a lone director with lvsd and without, one after the other."""
    serving_s, without_s = [], []
    with built_site() as built:
        one = built.directors[0]
        one.power_on()
        one.await_up()
        one.run(f"sed -i '{ALONE}' /etc/lvs/lvs.toml && lvsd reload")
        usual = one.command_line
        for _ in range(BOOTS):
            one.command_line = usual
            serving_s.append(boot(one, lambda: answers(built)))
            one.command_line = f"{usual} {WITHOUT}"
            without_s.append(boot(one, lambda: reached(one)))
    return Measured(serving_s, without_s, "power to a VIP that answers, of a lone director")


@contextmanager
def built_site() -> Iterator[Site]:
    """The deployment, with the image there is."""
    if not DISK.exists():
        raise NotHereError("no image: make image")
    with site() as built:
        yield built


def used_mib(director: Appliance) -> float:
    """What `free` calls used, in MiB."""
    return float(director.run("free -m").out.splitlines()[1].split()[2])


def pushes(built: Site) -> Iterator[tuple[float, float]]:
    """Push one weight after the other: seconds of git, and those that lvsd says it took."""
    client, active = built.client, built.active()
    introduce(built, client)
    client.run("git", "clone", "-q", f"lvs@{active.name}:config.git", CLONE, timeout=300)
    for number in range(PUSHES):
        text = risen(client.read(f"{CLONE}/lvs.toml"))
        text = re.sub(r"(?m)^weight = \d+", f"weight = {number + 2}", text, count=1)
        client.write(f"{CLONE}/lvs.toml", text)
        client.run("git", "commit", "-q", "-a", "-m", "a weight", cwd=CLONE)
        began = time.monotonic()
        said = client.run("git", "push", cwd=CLONE, timeout=300).err
        whole_s = time.monotonic() - began
        took = re.search(r"took [\d.]+ s here, of which lvsd ([\d.]+) s", said)
        assert took, said
        yield whole_s, float(took[1])


def boot(director: Appliance, done: Callable[[], bool]) -> float:
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
    return built.client.run("python3", "-c", CONNECT, check=False).rc == 0


def reached(director: Appliance) -> bool:
    """Whether the boot is done: the console asks who logs in."""
    return "login:" in director.console()


FIGURES = (
    Figure("image_vm_mib", 110, "MiB", lambda: size_of("vm")),
    Figure("image_metal_mib", 130, "MiB", lambda: size_of("metal")),
    Figure("idle_memory_mib", 160, "MiB", lambda: Measured(pair().memory_mib, [])),
    Figure("boot_ratio", 1.5, "of a boot without", boots),
    Figure(
        "push_s",
        2,
        "s",
        lambda: Measured(pair().push_s, [], f"of which lvsd {max(pair().ours_s):.2f} s at most"),
    ),
)
