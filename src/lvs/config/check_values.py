"""Values of the options that only checks have: TOML <-> the types of `lvs.checks`."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any

from lvs.checks import Step
from lvs.config.option import Kind, Option
from lvs.config.refusal import Refused, shown
from lvs.config.values import FROM_TOML

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_STEPS = 64
LONGEST_COMMAND = 4096  # shlex takes a word letter by letter, in time square to its length
# An absolute path, or the name of a systemd credential (lvs.io.secrets)
_CREDENTIAL = r"/.+|[A-Za-z0-9_][A-Za-z0-9._-]{0,254}"
_RANGE = r"([0-9]{3})(?:-([0-9]{3}))?"


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise Refused(f"a text in quotes is asked for, got {shown(value)}")
    return value


def _clean(value: object) -> str:
    text = _text(value)
    if not text.strip() or re.search(r"[\0-\x1f\x7f]", text):
        raise Refused(f"a text without control characters is asked for, got {shown(value)}")
    return text


def _bytes(_: Option, value: object) -> bytes:
    return _text(value).encode()


def _command(_: Option, value: object) -> tuple[str, ...]:
    text = _clean(value)
    if len(text) > LONGEST_COMMAND:
        raise Refused(f"at most {LONGEST_COMMAND} characters are asked for, got {len(text)}")
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise Refused(f"{str(error).lower()} in {shown(value)}") from None
    if not words or not words[0]:
        raise Refused(f"a program is asked for, got {shown(value)}")
    return words


def _credential(_: Option, value: object) -> str:
    text = _clean(value)
    if re.fullmatch(_CREDENTIAL, text) is None:
        raise Refused(
            f"an absolute path, or the name of a credential of systemd, is asked for, got {shown(value)}"
        )
    return text


def _file(_: Option, value: object) -> str:
    text = _clean(value)
    if not text.startswith("/"):
        raise Refused(f"an absolute path is asked for, got {shown(value)}")
    return text


def _status(option: Option, value: object) -> tuple[tuple[int, int], ...]:
    given = value if isinstance(value, list) else [value]
    if not given:
        raise Refused("at least one status is asked for, got none")
    return tuple([_statuses(option, one) for one in given])


def _statuses(option: Option, value: object) -> tuple[int, int]:
    match = None
    if isinstance(value, str | int) and not isinstance(value, bool):
        match = re.fullmatch(_RANGE, str(value))
    if match is None:
        raise Refused(f'statuses such as 200, or "200-399", are asked for, got {shown(value)}')
    low, high = int(match[1]), int(match[2] or match[1])
    if not option.low <= low <= high <= option.high:
        raise Refused(f"statuses of {option.low:g} to {option.high:g}, got {shown(value)}")
    return low, high


def _steps(_: Option, value: object) -> tuple[Step, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(one, dict) for one in value):
        raise Refused(
            f'steps such as [{{expect = "^220", send = "QUIT\\r\\n"}}] are asked for, got {shown(value)}'
        )
    if len(value) > MOST_STEPS:
        raise Refused(f"at most {MOST_STEPS} steps, got {len(value)}")
    return tuple([_step(number, one) for number, one in enumerate(value)])


def _step(number: int, table: dict[str, Any]) -> Step:
    strange = [key for key in table if key not in ("expect", "send")]
    if strange or not table:
        got = f"got {shown(strange[0])}" if strange else "got neither"
        raise Refused(f"step {number} has expect, send, or both; {got}")
    try:
        expect = _text(table["expect"]) if "expect" in table else None
        return Step(expect, _text(table["send"]).encode() if "send" in table else None)
    except Refused as refused:
        raise Refused(f"step {number}: {refused}") from None


READ: dict[Kind, Callable[[Option, object], Any]] = {
    **FROM_TOML,
    Kind.BYTES: _bytes,
    Kind.COMMAND: _command,
    Kind.CREDENTIAL: _credential,
    Kind.FILE: _file,
    Kind.STATUS: _status,
    Kind.STEPS: _steps,
}


def _written_steps(steps: tuple[Step, ...]) -> list[dict[str, str]]:
    written = []
    for step in steps:
        table = {} if step.expect is None else {"expect": step.expect}
        written.append(table if step.send is None else {**table, "send": step.send.decode()})
    return written


WRITTEN: dict[Kind, Callable[[Any], Any]] = {
    Kind.BYTES: bytes.decode,
    Kind.COMMAND: shlex.join,
    Kind.STATUS: lambda ranges: [low if low == high else f"{low}-{high}" for low, high in ranges],
    Kind.STEPS: _written_steps,
}
