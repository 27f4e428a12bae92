"""What is said of words that are no options."""

from __future__ import annotations

from lvs.config.option import Scope
from lvs.config.options import OPTIONS
from lvs.config.unknown import suggestion, unknown, unknown_block
from lvs.model import Format


def test_suggestions() -> None:
    assert suggestion("sheduler", ["scheduler", "port"]) == '; did you mean "scheduler"?'
    assert suggestion("xyzzy", ["scheduler", "port"]) == ""
    assert suggestion("s" * 100_000, ["s" * 100_000]) == ""


def test_unknown_says_where_an_option_belongs() -> None:
    assert "in a server block" in unknown("weight", Scope.VIRTUAL, Format.LVS_CF)
    assert "[[virtual.server]]" in unknown("weight", Scope.VIRTUAL, Format.TOML)
    assert "above the first [[virtual]]" in unknown("primary", Scope.SERVER, Format.TOML)
    assert "lvs.toml only" in unknown("conntrack", Scope.GLOBAL, Format.LVS_CF)


def test_an_option_of_another_block_is_suggested_if_it_is_nearly_the_same() -> None:
    for word in ("wieght", "weigth"):
        assert unknown(word, Scope.VIRTUAL, Format.TOML) == (
            'unknown option; did you mean "weight", which belongs in [[virtual.server]]?'
        )
    assert "outside all blocks" in unknown("prmary", Scope.SERVER, Format.LVS_CF)
    assert unknown("adress", Scope.SERVER, Format.TOML) == 'unknown option; did you mean "address"?'
    assert unknown("nmask", Scope.SERVER, Format.TOML) == "unknown option"


def test_blocks() -> None:
    assert unknown_block("servers") == "unknown block; did you mean [[virtual.server]]?"
    assert unknown_block("xyzzy") == ""


def test_every_option_can_be_misspelt() -> None:
    for option in OPTIONS:
        if Format.TOML in option.formats and len(option.name) > 4:
            message = unknown(option.name[:-2] + option.name[-1], option.scope, Format.TOML)
            assert "did you mean" in message or "belongs" in message, option.name
