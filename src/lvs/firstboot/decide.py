"""From all that is given to what is laid down.

A text is taken over once: when it differs from what was taken last from the same place. Whoever changes a
file on the partition, or a credential, means it, so it replaces what the machine has, and what was edited
there since is kept beside it. A text that was taken stays taken, whatever the machine has by now: the
partition is a way in, not the place where the configuration lives. What is refused is refused again at
each start, and changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from lvs.config.load import format_of, load
from lvs.config.located import Problem, Severity
from lvs.events import counted
from lvs.firstboot import keys, network
from lvs.firstboot.values import (
    CONFIG_NAMES,
    ETC,
    HOSTNAME,
    KEYS,
    NETWORK,
    OTHERS,
    PAIR_KEY,
    PUSH_KEYS,
    SECRETS,
    Decision,
    Laid,
    Memory,
    Offered,
    Source,
    digest,
)
from lvs.model import PAIR_KEY as PAIR_KEY_PATH

if TYPE_CHECKING:
    from lvs.model import Config

# What lvs.io.pairkey says of a pair key: its fingerprint, or what is wrong with it.
JudgeKey = Callable[[bytes, str], tuple[str, str]]

KEYS_DIRECTORY = "/etc/ssh/authorized_keys.d"
NETWORK_DIRECTORY = "/etc/systemd/network"
HOSTNAME_PATH = "/etc/hostname"
STOOD_BACK = "-"  # before a digest: another source had more to say
PUBLIC, SECRET = 0o644, 0o600
# Above any honest text, and little enough that ten of them do no harm to a state partition.
LONGEST = {"config": 16 << 20, "": 256 << 10}  # bytes

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
HOSTNAME_NAME = re.compile(rf"(?=.{{1,64}}$){_LABEL}(?:\.{_LABEL})*")  # hostname(7); Linux takes 64
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
# A sector of nothing, or all of it: what a wipe leaves that power interrupted. No text has that.
_WIPED = re.compile(rb"\x00{512}")


def decide(
    offered: Sequence[Offered], memory: Memory, running: Config | None, judge_key: JudgeKey
) -> Decision:
    """What to lay down, what is wrong, what to wipe. `running` is what the machine is to do by now."""
    half_wiped = [one for one in offered if one.secret and is_wiped(one.content)]
    whole = [one for one in offered if one not in half_wiped]
    made = _Making(memory, running, judge_key)
    slots: dict[str, list[Offered]] = {}
    for one in whole:
        slots.setdefault("config" if one.name in CONFIG_NAMES else one.name, []).append(one)
    # The configuration first: it says what the VIPs are, and where the pair key belongs.
    for slot in sorted(slots, key=lambda slot: (slot != "config", slot)):
        made.slot(slot, slots[slot])
    wipe = [one for one in whole if one.secret and made.is_taken(one)] + half_wiped
    return Decision(
        tuple(made.files),
        tuple(sorted(made.problems)),
        tuple(one for one in wipe if one.source is Source.PARTITION),
        Memory(made.taken, {**memory.laid, **{laid.path: digest(laid.content) for laid in made.files}}),
    )


def is_wiped(content: bytes) -> bool:
    """Whether this is what is left of a secret that power interrupted the wiping of."""
    return bool(content) and (not content.strip(b"\0") or _WIPED.search(content) is not None)


class _Making:
    """A decision as it grows, slot by slot."""

    def __init__(self, memory: Memory, config: Config | None, judge_key: JudgeKey) -> None:
        self.taken = dict(memory.taken)
        self.config = config
        self.judge_key = judge_key
        self.files: list[Laid] = []
        self.problems: list[Problem] = []

    def is_taken(self, one: Offered) -> bool:
        return self.taken.get(one.key) == one.digest

    def had_its_turn(self, one: Offered) -> bool:
        return self.is_taken(one) or self.taken.get(one.key) == f"{STOOD_BACK}{one.digest}"

    def slot(self, slot: str, offered: list[Offered]) -> None:
        """Take what is new, of the source that counts."""
        fresh = sorted(
            (one for one in offered if not self.had_its_turn(one)),
            key=lambda one: list(Source).index(one.source),
        )
        if not fresh:
            return
        first, others = fresh[0], fresh[1:]
        if any(one.source is first.source for one in others):
            names = " and ".join(one.where for one in fresh if one.source is first.source)
            self._refuse(first, f"{names} are both there: leave one of them, none is taken")
            return
        longest = LONGEST.get(slot, LONGEST[""])
        if len(first.content) > longest:
            self._refuse(first, f"is {len(first.content)} bytes long, {longest} at most are read")
            return
        laid = self._judged(first)
        if laid is None:
            return
        self.files.append(laid)
        self.taken[first.key] = first.digest
        for one in others:
            if one.content != first.content:
                message = f"is not used: {first.where} says the same thing, and counts"
                self.problems.append(Problem(one.where, 0, "", message, Severity.WARNING))
            self.taken[one.key] = one.digest if one.content == first.content else f"{STOOD_BACK}{one.digest}"

    def _judged(self, one: Offered) -> Laid | None:
        if one.name in CONFIG_NAMES:
            return self._config(one)
        for folder, judge in ((NETWORK, self._network), (SECRETS, self._secret), (OTHERS, self._other)):
            if one.name.startswith(folder):
                return judge(one, one.name.removeprefix(folder))
        return {
            KEYS: self._keys,
            PUSH_KEYS: self._keys,
            PAIR_KEY: self._pair_key,
            HOSTNAME: self._hostname,
        }[one.name](one)

    def _config(self, one: Offered) -> Laid | None:
        loaded = load(one.content, one.where, format_of(one.name))
        self.problems += loaded.problems
        if loaded.config is None:
            return None
        self.config = loaded.config
        other = next(name for name in CONFIG_NAMES if name != one.name)
        servers = counted(len(loaded.config.virtual_servers), "virtual server")
        shown = f"serial {loaded.config.serial_no}, {servers}"
        return Laid(f"{ETC}/{one.name}", one.content, PUBLIC, one, shown, instead=f"{ETC}/{other}")

    def _keys(self, one: Offered) -> Laid | None:
        good, problems = keys.judge(one.content, one.where)
        self.problems += problems
        if not good:
            return None
        user = "root" if one.name == KEYS else "lvs"
        content = "".join(f"{line}\n" for line in good).encode()
        shown = "; ".join(keys.fingerprint(line) for line in good)
        return Laid(f"{KEYS_DIRECTORY}/{user}", content, PUBLIC, one, shown)

    def _pair_key(self, one: Offered) -> Laid | None:
        fingerprint, wrong = self.judge_key(one.content, one.where)
        if wrong:
            self.problems.append(Problem(one.where, 0, "", wrong.removeprefix(f"{one.where} ")))
            return None
        path = PAIR_KEY_PATH if self.config is None else self.config.pair.pair_key
        return Laid(path, one.content, SECRET, one, f"fingerprint {fingerprint}")

    def _hostname(self, one: Offered) -> Laid | None:
        name = one.content.decode("utf-8-sig", "replace").strip()
        if not HOSTNAME_NAME.fullmatch(name):
            self._refuse(
                one, f"is no host name: letters, digits, dashes and dots, 64 at most, got {name[:70]!r}"
            )
            return None
        return Laid(HOSTNAME_PATH, f"{name}\n".encode(), PUBLIC, one, name)

    def _network(self, one: Offered, name: str) -> Laid | None:
        problems = network.judge(one.content, name, one.where, network.vips(self.config))
        self.problems += problems
        if any(problem.severity is Severity.ERROR for problem in problems):
            return None
        return Laid(f"{NETWORK_DIRECTORY}/{name}", one.content, PUBLIC, one, "for systemd-networkd")

    def _secret(self, one: Offered, name: str) -> Laid | None:
        if not _NAME.fullmatch(name):
            self._refuse(one, "a name of letters, digits, dots and dashes is asked for")
            return None
        return Laid(f"{ETC}/secrets/{name}", one.content, SECRET, one, "a secret")

    def _other(self, one: Offered, name: str) -> Laid | None:
        if not all(_NAME.fullmatch(part) for part in name.split("/")):
            self._refuse(one, "names of letters, digits, dots and dashes are asked for")
            return None
        return Laid(f"{ETC}/{name}", one.content, one.mode, one, "a file")

    def _refuse(self, one: Offered, message: str) -> None:
        self.problems.append(Problem(one.where, 0, "", message))
