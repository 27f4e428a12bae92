"""Completion scripts: what bash does with one, and that every shell's has everything."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from lvs import cli
from lvs.completion import script
from lvs.errors import Exit
from lvs.subcommands import COMMANDS, parser

SHELLS = ("bash", "zsh", "fish")


@pytest.mark.parametrize("shell", SHELLS)
def test_every_command_and_option_is_there(shell: str) -> None:
    made = script(shell, parser())
    assert made.endswith("\n")
    assert all(name in made for name in COMMANDS)
    for option in ("config", "on-stop", "run-dir", "json", "to"):
        assert f"--{option}" in made or f"-l {option}" in made


def test_as_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["completion", "bash"]) == Exit.OK
    assert capsys.readouterr().out == script("bash", parser())


def run(shell: str, text: str, home: Path) -> str:
    """What a shell of nobody's says to a script, in an empty home directory."""
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"no {shell} here; .ci/setup installs it, as root")
    bare = {"zsh": ("-f",), "fish": ("--no-config",)}.get(shell, ())
    home.mkdir(exist_ok=True)
    done = subprocess.run(
        (program, *bare),
        input=text,
        capture_output=True,
        text=True,
        check=False,
        cwd=home,
        env={"HOME": str(home), "PATH": "/usr/bin:/bin"},
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("shell", SHELLS)
def test_the_shell_takes_it(shell: str, tmp_path: Path) -> None:
    (tmp_path / "made").write_text(script(shell, parser()))
    assert run(shell, f"{shell} -n {tmp_path}/made", tmp_path / "home") == ""


def test_another_shell_is_not_known() -> None:
    with pytest.raises(KeyError):
        script("tcsh", parser())


OFFERED = {
    "lvsd ": {*COMMANDS, "--help", "--version"},
    "lvsd convert --to ": {"cf", "toml"},
    "lvsd check --format ": {"cf", "toml"},
    "lvsd run --on-stop ": {"keep", "empty"},
    "lvsd run --log ": {"auto", "journal", "stderr"},
    "lvsd completion ": {"bash", "zsh", "fish", "-h", "--help"},
    "lvsd status --": {"--help", "--json", "--run-dir"},
    "lvsd run -c lvs": {"lvs.toml"},
    "lvsd status --run-dir lvs": {"lvs.toml"},
    "lvsd check lvs": {"lvs.toml"},
    "lvsd status lvs": set[str](),
}


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        *OFFERED.items(),
        ("lvsd st", {"status"}),
        ("lvsd run --on-stop k", {"keep"}),
        ("lvsd run --o", {"--on-stop"}),
        ("lvsd completion z", {"zsh"}),
    ],
)
def test_what_bash_offers(typed: str, offered: set[str], tmp_path: Path) -> None:
    if typed != "lvsd " and "lvs.toml".startswith(typed.rpartition(" ")[2]):
        offered = offered | {"lvs.toml"}  # it is offered everywhere
    words = " ".join(f"'{word}'" for word in typed.split(" "))
    driver = (
        f"{script('bash', parser())}\nCOMP_WORDS=({words}) COMP_CWORD={typed.count(' ')}\n"
        "_lvsd\nprintf '%s\\n' \"${COMPREPLY[@]}\"\n"
    )
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "lvs.toml").touch()
    assert set(run("bash", driver, tmp_path / "home").split()) == offered


def test_what_fish_offers(tmp_path: Path) -> None:
    (tmp_path / "made").write_text(script("fish", parser()))
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "lvs.toml").touch()
    asked = "".join(f"echo '== {typed}'; complete -C '{typed}'\n" for typed in OFFERED)
    said = run("fish", f"source {tmp_path}/made\n{asked}", tmp_path / "home")
    found = _answers(said)
    assert found.keys() == OFFERED.keys()
    for typed, offered in OFFERED.items():
        # fish shows options behind a dash only.
        assert found[typed] == {word for word in offered if typed.endswith("-") or word[0] != "-"}


# What zsh's own functions would show; outside of a line that is being edited they refuse to work.
SHOWING = """
compadd() { shift; print -l -- "$@" }
_describe() { print -l -- "${(@)commands%%:*}" }
_files() { print -l -- lvs* }
"""


@pytest.mark.parametrize("how", ["source", "fpath"])
def test_what_zsh_offers(how: str, tmp_path: Path) -> None:
    """Sourced, or found by its first line in a directory of $fpath."""
    (tmp_path / "_lvsd").write_text(script("zsh", parser()))
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "lvs.toml").touch()
    load = "autoload -Uz compinit; compinit -u -D\n"
    load = f"{load}. {tmp_path}/_lvsd\n" if how == "source" else f"fpath=({tmp_path} $fpath)\n{load}"
    asked = ""
    for typed in OFFERED:
        words = " ".join(f"'{word}'" for word in typed.split(" "))
        asked += f"words=({words}); CURRENT=$#words; print '== {typed}'; $_comps[lvsd]\n"
    said = run("zsh", f"{load}{SHOWING}{asked}", tmp_path / "home")
    found = _answers(said)
    assert found.keys() == OFFERED.keys()
    for typed, offered in OFFERED.items():
        beginning = typed.rpartition(" ")[2]  # zsh itself leaves out what begins otherwise
        assert {word for word in found[typed] if word.startswith(beginning)} == offered


def _answers(said: str) -> dict[str, set[str]]:
    """First words of the lines behind each `== question`."""
    found: dict[str, set[str]] = {}
    for block in said.split("== ")[1:]:
        typed, *lines = block.split("\n")
        found[typed] = {line.split("\t")[0] for line in lines if line}
    return found
