"""What is written says the same when it is read."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from config import golden
from config.strategies import EXAMPLES, configs
from lvs.config.load import line_of, load
from lvs.config.render import to_cf, to_toml
from lvs.errors import ConfigError
from lvs.model import Config, Format


def read(text: str, file_format: Format) -> Config:
    loaded = load(text, "again", file_format)
    assert loaded.config is not None, ([str(problem) for problem in loaded.problems], text)
    return loaded.config


@given(configs())
@settings(max_examples=EXAMPLES)
def test_toml_says_the_same(config: Config) -> None:
    text = to_toml(config)
    assert read(text, Format.TOML) == config
    assert to_toml(read(text, Format.TOML)) == text


@given(configs(plain=True))
@settings(max_examples=EXAMPLES)
def test_cf_says_the_same(config: Config) -> None:
    try:
        text = to_cf(config)
    except ConfigError as error:  # the only thing here that lvs.cf cannot say
        assert all("no way to write" in problem.message for problem in error.problems)  # noqa: PT017
        return
    assert read(text, Format.LVS_CF) == config


@given(configs())
@settings(max_examples=EXAMPLES)
def test_cf_says_the_same_or_nothing(config: Config) -> None:
    try:
        text = to_cf(config)
    except ConfigError:
        return
    assert read(text, Format.LVS_CF) == config


@pytest.mark.parametrize("name", ["deployment.cf", "everything.toml"])
def test_rendered(name: str) -> None:
    loaded = load((golden.FIXTURES / name).read_bytes(), name)
    assert loaded.config is not None, [str(problem) for problem in loaded.problems]
    golden.check(f"{name}.to_toml", to_toml(loaded.config))
    try:
        text = to_cf(loaded.config, name, line_of(loaded))
    except ConfigError as error:
        text = f"{error}\n"
    golden.check(f"{name}.to_cf", text)
