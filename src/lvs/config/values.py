"""One value of one option: a word of lvs.cf or a value of lvs.toml -> the model's own type.

A value is taken or `Refused` with the sentence that its author reads; nothing is repaired. What
is taken although it deserves a remark comes with a warning.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from lvs.config.addresses import addresses, cf_address, cf_mask, group, toml_address, toml_mask
from lvs.config.option import Kind, Option
from lvs.config.refusal import Refused, shown
from lvs.config.services import TCP_SERVICES
from lvs.config.unknown import TOML_ADVICE, suggestion

if TYPE_CHECKING:
    from collections.abc import Callable


class Device(msgspec.Struct, frozen=True, gc=False):
    """A device as an operator writes it: eth0, or eth0:1."""

    name: str
    label: str | None


# --- numbers

# Patterns are compiled when first used: a start does not pay for those that only errors need.
_DIGITS = r"[+-]?[0-9]+"
_INTEGER = r"([+-]?)(?:0[xX]([0-9a-fA-F]+)|(0[0-7]*)|([1-9][0-9]*))"


def _in_range(option: Option, value: float, low: float | None = None) -> None:
    low = option.low if low is None else low
    if not low <= value <= option.high:  # not-a-number neither
        raise Refused(f"{low:g} to {option.high:.0f}, got {shown(value)}")


def _whole(option: Option, word: str) -> tuple[int, str]:
    """Read a number as C's strtol does with base 0, in the range of `option`."""
    text = word.lstrip(" \t")
    if not text:
        return 0, "an empty number is read as 0"
    match = re.fullmatch(_INTEGER, text)
    if match is None:
        why = "; comments stand on a line of their own" if "#" in text else ""
        if re.fullmatch(_DIGITS, text):
            why = "; a leading zero makes it octal, and 8 and 9 are no octal digits"
        raise Refused(f"a whole number is asked for, got {shown(word)}{why}")
    if len(text) > 40:
        raise Refused(f"{option.low:g} to {option.high:.0f}, got a number of more than 40 digits")
    sign, hexadecimal, octal, decimal = match.groups()
    if decimal:
        return int(text), ""
    value = int(hexadecimal, 16) if hexadecimal else int(octal, 8)
    value = -value if sign == "-" else value
    if text == "0":
        return 0, ""
    return value, f"{text} is {'hexadecimal' if hexadecimal else 'octal'}, that is {value}; write it so"


def _cf_integer(option: Option, word: str) -> tuple[int, str]:
    value, warning = _whole(option, word)
    _in_range(option, value)
    return value, warning


def _cf_seconds(option: Option, word: str) -> tuple[float, str]:
    value, warning = _whole(option, word)
    _in_range(option, value, low=1)
    return float(value), warning


def _cf_switch(option: Option, word: str) -> tuple[bool, str]:
    if word in ("0", "1"):
        return word == "1", ""
    if word.lower() in ("yes", "on", "true", "no", "off", "false"):
        raise Refused(f"0 or 1, got {shown(word)}; write {int(word.lower() in ('yes', 'on', 'true'))}")
    value, warning = _whole(option, word)
    if value not in (0, 1) and option.name != "monitor_links":  # there any number but 0 was on
        raise Refused(f"0 or 1, got {shown(value)}")
    return bool(value), warning


def _cf_port(option: Option, word: str) -> tuple[int, str]:
    number = TCP_SERVICES.get(word)
    if number is not None:
        return number, ""
    if word[:1].isalpha():
        raise Refused(_no_service(word))
    return _cf_integer(option, word)


def _no_service(name: str) -> str:
    lower = suggestion(name, list(TCP_SERVICES), 0.9)
    return f"no TCP service of the name {shown(name)} is known{lower or '; write its number'}"


def _toml_integer(option: Option, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise Refused(f"a whole number is asked for, got {shown(value)}{_unquote(value)}")
    _in_range(option, value)
    return value


def _unquote(value: object) -> str:
    return f"; write {int(value)}" if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,12}", value) else ""


def _toml_seconds(option: Option, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refused(f"a number of seconds is asked for, got {shown(value)}")
    _in_range(option, value)
    return float(value)


def _toml_switch(_: Option, value: object) -> bool:
    if isinstance(value, bool):
        return value
    word = value.lower() if isinstance(value, str) else value
    if word in (0, 1, "0", "1", "yes", "no", "on", "off", "true", "false"):
        truth = "true" if word in (1, "1", "yes", "on", "true") else "false"
        raise Refused(f"true or false, got {shown(value)}; write {truth}")
    raise Refused(f"true or false, got {shown(value)}")


def _toml_port(option: Option, value: object) -> int:
    if isinstance(value, str) and value[:1].isalpha():
        number = TCP_SERVICES.get(value)
        if number is None:
            raise Refused(_no_service(value))
        return number
    return _toml_integer(option, value)


# --- devices

# The kernel takes nearly anything (dev_valid_name); what a shell would read otherwise is refused, since
# `lvsd plan` prints lines to be pasted.
_DEVICE = r"(?!\.{1,2}$)[A-Za-z0-9_.@+-]+"


@lru_cache(1024)
def _device(word: str) -> Device:
    name, colon, suffix = word.partition(":")
    if not re.fullmatch(_DEVICE, name) or (colon and not re.fullmatch(r"[A-Za-z0-9_.:@+-]+", suffix)):
        raise Refused(f"a device such as eth0, or eth0:1, is asked for, got {shown(word)}")
    if len(word.encode("utf-8", "replace")) > 15:
        raise Refused(f"a device with its label has at most 15 characters, got {shown(word)}")
    return Device(name, word if colon else None)


def _interface(word: str) -> str:
    device = _device(word)
    if device.label is not None:
        raise Refused(f"a device without a label is asked for, got {shown(word)}; write {device.name}")
    return device.name


# --- words

_ESCAPE = r"(?s)\\(.?)"
_ESCAPES = {"\\": "\\", "r": "\r", "n": "\n", "t": "\t", "'": "'", '"': '"'}


def decoded(text: str) -> tuple[str, list[str]]:
    """Decode lvs.cf's escapes; also return those that it does not know, which stay as they are."""
    if len(text) < 2 or "\\" not in text:
        return text, []
    strange: list[str] = []

    def replace(match: re.Match[str]) -> str:
        known = _ESCAPES.get(match[1])
        if known is None:
            strange.append(match[0])
            return match[0]
        return known

    return re.sub(_ESCAPE, replace, text), strange


def _cf_text(_: Option, word: str) -> tuple[str, str]:
    text, strange = decoded(word)
    if not strange:
        return text, ""
    return text, f"unknown escape {shown(strange[0])} is kept as it stands (nanny hung on it)"


def _plain(value: str) -> str | None:
    if not value.isprintable() and re.search(r"[\0-\x1f\x7f]", value):
        raise Refused(f"control characters are refused, got {shown(value)}")
    return value if value.strip() else None  # of blanks only: as empty


def _word(option: Option, value: object) -> str | None:
    word = _plain(_string(value))
    if word is not None and option.pattern and re.fullmatch(option.pattern, word) is None:
        raise Refused(f"{option.asked} is asked for, got {shown(word)}")
    return word


def _choice(option: Option, word: str) -> Any:
    assert option.choices is not None
    try:
        return option.choices(word)
    except ValueError:
        if option.name == "service" and word == "fos":
            raise Refused(
                "failover services are not supported, only virtual servers are: "
                "a cluster manager such as Pacemaker does what fos did"
            ) from None
        words = [str(choice) for choice in option.choices]
        raise Refused(
            f"unknown {'flag' if option.kind is Kind.FLAGS else option.name} {shown(word)}"
            + (suggestion(word, words) or "; one of " + ", ".join(words))
        ) from None


def _cf_choice(option: Option, word: str) -> tuple[Any, str]:
    if word in option.toml_words:
        raise Refused(f"{word} is known in lvs.toml only: {TOML_ADVICE}")
    return _choice(option, word), ""


def _toml_flags(option: Option, value: object) -> frozenset[Any]:
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise Refused(f'a list of words such as ["sh-port"] is asked for, got {shown(value)}')
    return frozenset(_choice(option, word) for word in value)


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise Refused(f"a text in quotes is asked for, got {shown(value)}")
    return value


FROM_WORD: dict[Kind, Callable[[Option, str], tuple[Any, str]]] = {
    Kind.INTEGER: _cf_integer,
    Kind.SECONDS: _cf_seconds,
    Kind.SWITCH: _cf_switch,
    Kind.PORT: _cf_port,
    Kind.ADDRESS: cf_address,
    Kind.DEVICE: lambda _, word: (_device(word), ""),
    Kind.INTERFACE: lambda _, word: (_interface(word), ""),
    Kind.MASK: cf_mask,
    Kind.CHOICE: _cf_choice,
    Kind.WORD: lambda _, word: (_plain(word), ""),
    Kind.TEXT: _cf_text,
}

FROM_TOML: dict[Kind, Callable[[Option, object], Any]] = {
    Kind.INTEGER: _toml_integer,
    Kind.SECONDS: _toml_seconds,
    Kind.SWITCH: _toml_switch,
    Kind.PORT: _toml_port,
    Kind.ADDRESS: toml_address,
    Kind.GROUP: group,
    Kind.ADDRESSES: addresses,
    Kind.DEVICE: lambda _, value: _device(_string(value)),
    Kind.INTERFACE: lambda _, value: _interface(_string(value)),
    Kind.MASK: toml_mask,
    Kind.CHOICE: lambda option, value: _choice(option, _string(value)),
    Kind.FLAGS: _toml_flags,
    Kind.WORD: _word,
    Kind.TEXT: lambda _, value: _string(value),
}
