"""The table of types of checks, and what the documentation says of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest

from config import golden
from lvs import checks
from lvs.config.check_types import TYPES, Type, Wraps, unknown_option, unknown_type
from lvs.config.check_values import READ
from lvs.config.option import Kind, Option

DOCS = Path(__file__).parent.parent.parent / "docs" / "configuration.md"
# Options that say how a field comes about, and are none.
NO_FIELD = {"tls", "starttls", "verify", "server_name", "ca_file", "expires_days"}


def test_every_check_has_its_type() -> None:
    assert {one.struct for one in TYPES.values()} == {*get_args(checks.Check)} - {checks.Load}


@pytest.mark.parametrize("one", TYPES.values(), ids=lambda one: one.name)
def test_defaults_are_those_of_the_fields(one: Type) -> None:
    defaults = dict(
        zip(one.struct.__struct_fields__[::-1], one.struct.__struct_defaults__[::-1], strict=False)
    )
    if one.preset is not None:
        return  # its fields are known
    defaults |= {"name": None} if one.struct is checks.Dialogue else {}
    for name, option in one.options.items():
        assert option.kind in READ
        field = option.field or name
        if name in NO_FIELD or name in ("udp", "tcp"):
            continue
        assert field in one.struct.__struct_fields__
        assert option.required == (field not in defaults)
        if not option.required:
            assert option.toml == defaults[field]


def test_tls_options_are_those_of_tls() -> None:
    options = TYPES["https"].options
    assert {
        options[name].field or name for name in ("verify", "server_name", "ca_file", "expires_days")
    } == set(checks.Tls.__struct_fields__)
    tls = checks.Tls()
    assert (options["verify"].toml, options["expires_days"].toml) == (tls.verify, tls.expires_days)


def test_words_that_are_none() -> None:
    assert unknown_type("pots") == f'unknown type "pots"; one of {", ".join(TYPES)}'
    assert unknown_option("secret", TYPES["radius"]).startswith("unknown option; secrets are never")
    assert unknown_option("xyzzy", TYPES["icmp"]) == "unknown option; type icmp has none"


# --- docs/configuration.md


def _default(option: Option, value: Any) -> str:
    if option.required:
        return "required"
    if option.name == "port":
        return "the real server's"
    if option.name in ("udp", "tcp"):
        return "as the virtual server"
    if option.kind is Kind.STATUS:
        return f'`["{value[0][0]}-{value[0][1]}"]`'
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return f"`{value}`".lower()
    return f"`{value}`"


def reference() -> str:
    lines = ["| type | good if | within TLS |", "| --- | --- | --- |"]
    within = {
        Wraps.NEVER: "no",
        Wraps.ALWAYS: "always",
        Wraps.MAY: "with `{}`",
    }
    for one in TYPES.values():
        begins = "` or `".join(name for name in ("tls", "starttls", "starttls_after") if name in one.options)
        lines.append(f"| `{one.name}` | {one.help} | {within[one.wraps].format(begins)} |")
    lines += ["", "| option | types | default | meaning |", "| --- | --- | --- | --- |"]
    rows: dict[tuple[str, str, str], list[str]] = {}
    for one in TYPES.values():
        for name, option in one.options.items():
            rows.setdefault((name, _default(option, option.toml), option.help), []).append(one.name)
    for (name, default, text), types in sorted(rows.items(), key=lambda row: row[0][0]):
        if name in ("verify", "server_name", "ca_file", "expires_days"):
            words = "all within TLS"
        elif name == "port":
            words = "all but " + ", ".join(
                f"`{one.name}`" for one in TYPES.values() if "port" not in one.options
            )
        else:
            words = ", ".join(f"`{word}`" for word in types)
        lines.append(f"| `{name}` | {words} | {default} | {text} |")
    return "\n".join(lines) + "\n"


def test_reference_is_the_table() -> None:
    begin, end = "<!-- checks -->\n", "<!-- end of checks -->\n"
    text = DOCS.read_text()
    before, rest = text.split(begin)
    table, after = rest.split(end)
    if table != reference() and golden.REWRITE:
        DOCS.write_text(before + begin + reference() + end + after)
        table = reference()
    assert table == reference()
