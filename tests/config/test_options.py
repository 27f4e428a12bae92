"""The table of options, and what the documentation says of it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest

from config import golden
from lvs.config.load import load
from lvs.config.option import Kind, Option, Scope
from lvs.config.options import BY_SCOPE, OPTIONS
from lvs.model import Format

DOCS = Path(__file__).parent.parent.parent / "docs" / "configuration.md"


def test_names_are_unique_within_their_scope() -> None:
    assert sum(len(options) for options in BY_SCOPE.values()) == len(OPTIONS)


def test_numbers_have_ranges_and_choices_have_words() -> None:
    for option in OPTIONS:
        if option.kind in (Kind.INTEGER, Kind.SECONDS, Kind.PORT):
            assert option.low < option.high
        assert (option.choices is not None) == (option.kind in (Kind.CHOICE, Kind.FLAGS))
        assert option.help


@pytest.mark.parametrize("file_format", Format)
def test_defaults_are_values_of_their_option(file_format: Format) -> None:
    for option in OPTIONS:
        value = option.default(file_format)
        if value is None:
            continue
        if option.choices is not None and option.kind is Kind.CHOICE:
            assert isinstance(value, option.choices)
        if option.kind in (Kind.INTEGER, Kind.SECONDS, Kind.PORT):
            assert option.low <= value <= option.high


# --- docs/configuration.md


def _default(option: Option, value: Any) -> str:
    if option.name == "backup_active" and value is None:
        return "`true` if `backup` is given"
    if option.name == "port" and option.scope is Scope.VIRTUAL and value is None:
        return "required"
    if option.name == "port" and option.scope is Scope.SERVER:
        return "the virtual server's"
    if value is None:
        return "-"
    if option.kind in (Kind.FLAGS, Kind.ADDRESSES):
        return "none"
    if isinstance(value, bool):
        return ("`true`" if value else "`false`") if option.formats == (Format.TOML,) else f"`{int(value)}`"
    if isinstance(value, float):
        return f"`{value:g}`"
    return f"`{value}`"


def _values(option: Option) -> str:
    if option.choices is not None:
        words = list[StrEnum](option.choices)
        return ", ".join(f"`{word}`" + (" (toml)" if word in option.toml_words else "") for word in words)
    if option.kind is Kind.PORT:
        return "1 to 65535, or a TCP service name"
    if option.kind in (Kind.INTEGER, Kind.SECONDS):
        unit = f" {option.unit}" if option.unit else ""
        both = Format.LVS_CF in option.formats
        whole = ", lvs.cf: whole" if option.kind is Kind.SECONDS and both else ""
        return f"{option.low:g} to {option.high:.0f}{unit}{whole}"
    return {
        Kind.SWITCH: "switch",
        Kind.ADDRESS: "address",
        Kind.GROUP: "multicast address",
        Kind.ADDRESSES: "addresses",
        Kind.DEVICE: "device, device:label",
        Kind.INTERFACE: "device",
        Kind.MASK: "mask",
    }.get(option.kind, "text")


def reference(scope: Scope) -> str:
    lines = [
        "| option | values | lvs.cf default | lvs.toml default | meaning |",
        "| --- | --- | --- | --- | --- |",
    ]
    for option in BY_SCOPE[scope].values():
        if option.kind is Kind.UNUSED:
            continue
        cf, toml = (_default(option, option.default(file_format)) for file_format in Format)
        if option.kind is Kind.SWITCH:
            toml = {"`0`": "`false`", "`1`": "`true`"}.get(toml, toml)
        if Format.LVS_CF not in option.formats:
            cf = "no such option"
        if option.name in ("device", "nat_router_device"):
            cf = "second word of the address"
        lines.append(f"| `{option.name}` | {_values(option)} | {cf} | {toml} | {option.help} |")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("scope", Scope)
def test_reference_is_the_table(scope: Scope) -> None:
    begin, end = f"<!-- {scope} options -->\n", f"<!-- end of {scope} options -->\n"
    text = DOCS.read_text()
    before, rest = text.split(begin)
    table, after = rest.split(end)
    if table != reference(scope) and golden.REWRITE:
        DOCS.write_text(before + begin + reference(scope) + end + after)
        table = reference(scope)
    assert table == reference(scope)


def test_examples_in_the_documentation_load() -> None:
    text = DOCS.read_text()
    count = 0
    for language, name in (("toml", "lvs.toml"), ("text", "lvs.cf")):
        for piece in text.split(f"```{language}\n")[1:]:
            example = piece.split("```")[0]
            if "serial_no" not in example:
                continue
            loaded = load(example, name)
            assert loaded.config is not None, [str(problem) for problem in loaded.problems]
            count += 1
    assert count >= 2
