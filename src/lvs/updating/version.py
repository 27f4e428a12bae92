"""Which of two versions is the newer one: as systemd-boot and systemd-sysupdate see it. Pure.

Where lvsd and systemd-boot disagreed, an update would be installed and never started.
Source: UAPI.10 Version Format Specification; `systemd-analyze compare-versions`.
"""

from __future__ import annotations

import re
from itertools import takewhile

_STRANGE = re.compile(r"[^0-9A-Za-z~^.-]+")


def newer(one: str, other: str) -> bool:
    """Whether `one` is newer than `other`."""
    return compare(one, other) > 0


def compare(one: str, other: str) -> int:
    """-1, 0 or 1."""
    a, b = one, other
    while a or b:
        a, b = _trimmed(a), _trimmed(b)
        for sign in "~-^.":  # what comes before a release (~) is older than it, what comes after newer
            if sign == "-" and not (a and b):
                return bool(a) - bool(b)
            if sign in (a[:1], b[:1]):
                if a[:1] != b[:1]:
                    return -1 if a[:1] == sign else 1
                a, b = a[1:], b[1:]
        kind = str.isdigit if a[:1].isdigit() or b[:1].isdigit() else str.isalpha
        run, against = "".join(takewhile(kind, a)), "".join(takewhile(kind, b))
        a, b = a[len(run) :], b[len(against) :]
        if bool(run) != bool(against):  # a number is newer than letters
            return 1 if run else -1
        left, right = (int(run), int(against)) if kind is str.isdigit else (run, against)
        if left != right:
            return 1 if left > right else -1  # type: ignore[operator]
    return 0


def _trimmed(version: str) -> str:
    found = _STRANGE.match(version)
    return version[found.end() :] if found else version
