"""The table of subcommands: that every name in it is a function, and what a start imports."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from lvs import __version__, cli
from lvs.errors import Exit
from lvs.subcommands import COMMANDS, named, parser


@pytest.mark.parametrize("name", COMMANDS)
def test_every_name_is_a_function(name: str) -> None:
    command = COMMANDS[name]
    assert callable(named(command.run))
    assert not command.arguments or callable(named(command.arguments))


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--version"], ["--help"], *([name, "--help"] for name in COMMANDS)):
        with pytest.raises(SystemExit) as caught:
            cli.main(words)
        assert caught.value.code == 0
    said = " ".join(capsys.readouterr().out.split())
    assert said.startswith(f"lvsd {__version__} ")
    assert all(command.help in said for command in COMMANDS.values())


def test_help_names_every_exit_code() -> None:
    epilog = parser().epilog or ""
    assert [int(number) for number in re.findall(r"\d+", epilog)] == [int(code) for code in Exit]


@pytest.mark.parametrize(
    ("words", "needed"),
    [
        (["--version"], ""),
        (["run", "--help"], "arguments checks model running"),
        (["check", "--help"], "arguments checks model offline"),
    ],
)
def test_a_start_imports_what_it_needs(words: list[str], needed: str) -> None:
    asked = f"from lvs.cli import main\nmain({words})"
    said = subprocess.run(
        (sys.executable, "-v", "-c", asked), capture_output=True, text=True, check=True, encoding="utf-8"
    ).stderr
    found = set(re.findall(r"^import 'lvs\.(\S+)'", said, re.MULTILINE))
    always = {"cli", "errors", "io", "io.standard", "subcommands"}
    assert found == always.union(needed.split())
