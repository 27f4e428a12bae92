"""What a machine says of itself: on the console before the login, and on the partition LVS-CONFIG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from lvs import __version__
from lvs.config.located import Problem, Severity
from lvs.events import counted

if TYPE_CHECKING:
    from lvs.model import Config

MOST_SHOWN = 12  # problems on a console of 24 lines
NOTE_LONGEST = 16384  # characters of what was noted before
HEADING = """\
What the director made of the files here. A file that is changed here is taken over at the next start, and
replaces what the director has by then. A file that stays as it is does nothing more: change the
configuration by git push.

"""
ADDRESS = "\\4"  # agetty(8) puts the address of the first interface here, whenever it gets one


class Machine(msgspec.Struct, frozen=True):
    """How the machine stands once everything is laid down."""

    file: str = ""  # the configuration that is there, valid or not
    config: Config | None = None  # None: there is none, or it is not valid
    problems: tuple[Problem, ...] = ()  # of that file, as `lvsd check` finds them
    keys: bool = False  # somebody can log in as root
    push_keys: bool = False  # somebody can push, who cannot log in
    pair_key: bool = True  # it is there, or not needed
    host_key: str = ""  # fingerprint of the key by which ssh clients know this machine


def missing(machine: Machine) -> tuple[str, ...]:
    """What a director needs and has not, each as part of a sentence."""
    found = []
    if machine.config is None:
        if machine.file:
            wrong = sum(problem.severity is Severity.ERROR for problem in machine.problems)
            found.append(f"a valid configuration ({machine.file} has {counted(wrong, 'problem')})")
        else:
            found.append("a configuration, lvs.toml or lvs.cf")
    if not machine.pair_key:
        found.append("the key of the pair, pair.key")
    if not machine.keys and not machine.push_keys:
        found.append("a public ssh key, authorized_keys")
    return tuple(found)


def issue(machine: Machine, refused: Sequence[Problem]) -> str:
    """What stands above the login prompt (agetty(8), issue.d). `refused` is what was given and is wrong."""
    lines = [f"LVS director, lvsd {__version__}, \\n, {ADDRESS}"]
    lacks = missing(machine)
    problems = [one for one in (*refused, *machine.problems) if one.severity is Severity.ERROR]
    if machine.config is not None:
        servers = counted(len(machine.config.virtual_servers), "virtual server")
        lines.append(_plain(f"{machine.file}: serial {machine.config.serial_no}, {servers}"))
    else:
        lines.append("NOT CONFIGURED: this director serves nothing")
    if lacks:
        lines.append(_plain(f"Missing: {'; '.join(lacks)}"))
    if machine.host_key:
        lines.append(_plain(f"ssh host key: {machine.host_key}"))
    lines += [_plain(f"  {problem}") for problem in problems[:MOST_SHOWN]]
    if len(problems) > MOST_SHOWN:
        lines.append(f"  and {len(problems) - MOST_SHOWN} more: journalctl -u lvs-firstboot")
    if machine.keys or machine.push_keys:
        lines.append(f"Configure it: git clone lvs@{ADDRESS}:config.git, edit, commit, git push")
    if lacks:
        lines += [
            "Give what is missing by one of these, then start the machine again:",
            "  the FAT partition LVS-CONFIG of its disk, or a stick of that name: lvs.toml or lvs.cf,",
            "    authorized_keys; where needed pair.key, hostname, network/NAME.network",
            "  a virtual machine's credentials (SMBIOS type 11): lvs.toml, lvs.authorized_keys, lvs.pair.key",
            "  a NoCloud disk of the name CIDATA",
            "  this console: `lvsd wizard` asks before the login",
        ]
    return "\n".join(lines) + "\n\n"


def note(
    taken: Sequence[tuple[str, str]],
    wiped: Sequence[str],
    problems: Sequence[Problem],
    moment: str,
    before: str = "",
) -> str:
    """What is left on the partition for whoever looks at it next, the newest on top.

    Shape: `taken` is what, and what it is; `before` is what stands there now, and comes back if there is
    nothing new to say.
    """
    listed = (
        ("Taken over, and lived by from now on:", [f"  {what}: {shown}" for what, shown in taken]),
        ("Wiped from here, for they are secrets:", [f"  {what}" for what in wiped]),
        ("Refused, or worth knowing:", [f"  {problem}" for problem in problems]),
    )
    if not taken and not wiped and all(line in before.splitlines() for line in listed[2][1]):
        return before
    lines = [f"--- {moment}, lvsd {__version__}", ""]
    for title, items in listed:
        lines += [title, *items, ""] if items else []
    older = "".join(before.partition("--- ")[1:])[:NOTE_LONGEST]
    return HEADING + "\n".join(lines) + "\n" + older


def _plain(text: str) -> str:
    """A line that agetty shows as it is: backslashes are its own, and nothing else may steer a terminal."""
    return "".join(c if c.isprintable() else "?" for c in text).replace("\\", "\\\\")
