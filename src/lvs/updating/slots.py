"""The two slots, as the files say that the firmware's loader starts. Pure.

Each slot has one file, `lvs_VERSION.efi`; while it is on trial its name counts: `lvs_VERSION+LEFT-DONE.efi`.
systemd-boot counts a try before it starts it, and passes over a file that has none left as long as there is
another one; systemd-bless-boot takes the numbers away when the boot was good.
Source: systemd.io, Automatic Boot Assessment; systemd-bless-boot.service(8).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cmp_to_key

import msgspec

from lvs.events import counted
from lvs.updating.version import compare

TRIES = 3  # as image/mkosi.extra/usr/lib/sysupdate.d/70-uki.transfer says

_FILE = re.compile(
    r"(?P<image>[^_]+)_(?P<version>[0-9A-Za-z.~^-]+?)(?:\+(?P<left>\d+)(?:-(?P<done>\d+))?)?\.efi"
)


class Slot(msgspec.Struct, frozen=True):
    """What can be started."""

    version: str
    file: str
    left: int | None = None  # tries; None: it was good once
    done: int = 0

    def text(self) -> str:
        if self.left is None:
            return f"{self.version}, was started well"
        if not self.left:
            return f"{self.version}, failed {counted(self.done, 'time')}"
        if not self.done:
            return f"{self.version}, not started yet"
        return f"{self.version}, on trial: {counted(self.left, 'more try').replace('trys', 'tries')}"


def slots(image: str, files: Iterable[str]) -> tuple[Slot, ...]:
    """The slots that these files of /EFI/Linux speak of, the one that is started next first."""
    found = []
    for file in files:
        match = _FILE.fullmatch(file)
        if match is not None and match["image"] == image:
            left, done = match["left"], match["done"]
            found.append(Slot(match["version"], file, None if left is None else int(left), int(done or 0)))
    found.sort(key=cmp_to_key(lambda a, b: compare(b.version, a.version)))
    found.sort(key=lambda one: one.left == 0)
    return tuple(found)


def other(found: Iterable[Slot], running: str) -> Slot | None:
    """The slot that does not run."""
    return next((one for one in found if one.version != running), None)


def own(found: Iterable[Slot], running: str) -> Slot | None:
    """The slot that runs."""
    return next((one for one in found if one.version == running), None)
