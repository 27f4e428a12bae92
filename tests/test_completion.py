"""Completion scripts: what bash does with one, and that every shell's has everything."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from lvs.cli import COMMANDS, parser
from lvs.completion import script

SHELLS = ("bash", "zsh", "fish")


@pytest.mark.parametrize("shell", SHELLS)
def test_every_command_and_option_is_there(shell: str) -> None:
    made = script(shell, parser())
    assert made.endswith("\n")
    assert all(name in made for name in COMMANDS)
    for option in ("config", "on-stop", "run-dir", "json", "to"):
        assert f"--{option}" in made or f"-l {option}" in made


@pytest.mark.parametrize("shell", SHELLS)
def test_the_shell_takes_it(shell: str) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"no {shell} here")
    done = subprocess.run(
        (program, "-n"), input=script(shell, parser()), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_another_shell_is_not_known() -> None:
    with pytest.raises(KeyError):
        script("tcsh", parser())


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        (("lvsd", ""), {*COMMANDS, "--help", "--version"}),
        (("lvsd", "st"), {"status"}),
        (("lvsd", "convert", "--to", ""), {"cf", "toml"}),
        (("lvsd", "run", "--on-stop", "k"), {"keep"}),
        (("lvsd", "run", "--o"), {"--on-stop"}),
        (("lvsd", "completion", "z"), {"zsh"}),
        (("lvsd", "status", "--"), {"--help", "--json", "--run-dir"}),
    ],
    ids=" ".join,
)
def test_what_bash_offers(typed: tuple[str, ...], offered: set[str], tmp_path: object) -> None:
    words = " ".join(f"'{word}'" for word in typed)
    driver = (
        f"{script('bash', parser())}\nCOMP_WORDS=({words}) COMP_CWORD={len(typed) - 1}\n"
        "_lvsd\nprintf '%s\\n' \"${COMPREPLY[@]}\"\n"
    )
    done = subprocess.run(
        ("bash",), input=driver, capture_output=True, text=True, check=True, cwd=str(tmp_path)
    )
    assert done.stderr == ""
    assert set(done.stdout.split()) == offered
