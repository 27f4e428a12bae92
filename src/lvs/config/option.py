"""What an option is: name, place, kind of value, range, default, one line of help.

Ranges: what the kernel and the protocols can carry. Seconds end at 2147483, which is
INT_MAX / HZ, the limit of IPVS's own timeouts at HZ = 1000.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from lvs.model import Format


class Scope(StrEnum):
    GLOBAL = "global"
    VIRTUAL = "virtual"
    SERVER = "server"


class Kind(StrEnum):
    INTEGER = "whole number"
    SECONDS = "seconds"  # whole in lvs.cf, fractions in lvs.toml
    SWITCH = "switch"
    PORT = "port"  # number, or name of a TCP service
    ADDRESS = "address"
    GROUP = "multicast address"
    ADDRESSES = "addresses"
    DEVICE = "device"  # with or without a label
    INTERFACE = "interface"  # without one
    MASK = "mask"
    CHOICE = "choice"
    FLAGS = "list of words"
    WORD = "word"  # device names, commands: taken as they stand
    TEXT = "text"  # sent and expected: lvs.cf's escapes are decoded
    # Of checks
    BYTES = "text sent"  # as UTF-8
    COMMAND = "command line"  # words, quoted as in a shell
    CREDENTIAL = "credential"  # where a password is, never the password
    FILE = "file"  # that must be there
    STATUS = "status codes"  # ranges
    STEPS = "steps"  # of a dialogue
    UNUSED = "unused"  # in lvs.cf, and read by nothing: a warning


SECONDS_MAX = 2147483


class Option(msgspec.Struct, frozen=True):
    name: str
    scope: Scope
    kind: Kind
    help: str
    cf: Any = None  # default in lvs.cf; None: not set
    toml: Any = None  # default in lvs.toml
    low: float = 0
    high: float = 0
    choices: type[StrEnum] | None = None
    formats: tuple[Format, ...] = (Format.LVS_CF, Format.TOML)
    toml_words: tuple[str, ...] = ()  # those of the choices that lvs.cf does not have
    zero_is_unset: bool = False  # 0.0.0.0 is written for "none"; elsewhere it is refused
    always: bool = False  # written to lvs.toml even when it is the default
    unit: str = ""
    pattern: str = ""  # lvs.toml: what a word is like, as a regular expression
    required: bool = False  # of a check
    field: str = ""  # of a check's struct, if it has another name
    asked: str = ""  # for the message, "an absolute path"

    def default(self, file_format: Format) -> Any:
        return self.cf if file_format is Format.LVS_CF else self.toml


def option_of(scope: Scope, name: str, kind: Kind, text: str, default: Any = None, **more: Any) -> Option:
    more.setdefault("toml", default)
    if kind is Kind.PORT:
        more.update(low=1, high=65535)
    if kind in (Kind.INTEGER, Kind.SECONDS) and "high" not in more:
        more["high"] = SECONDS_MAX
        more["unit"] = "s"
    return Option(name, scope, kind, text, default, **more)
