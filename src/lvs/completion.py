"""Shell completion scripts, made of the command line's own description."""

from __future__ import annotations

import argparse
from typing import Any

from lvs.errors import Exit
from lvs.subcommands import parser


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=("bash", "zsh", "fish"))


def command(asked: argparse.Namespace) -> int:
    """Print the script for a shell; the exit code."""
    print(script(asked.shell, parser()), end="")
    return Exit.OK


def script(shell: str, parser: argparse.ArgumentParser) -> str:
    """The completion script for bash, zsh or fish. Errors: KeyError for another shell."""
    return _SHELLS[shell](_commands(parser))


def _commands(parser: argparse.ArgumentParser) -> dict[str, tuple[str, list[argparse.Action]]]:
    """Subcommand to (help, actions)."""
    (subparsers,) = (action for action in parser._actions if isinstance(action, _SUBPARSERS))  # noqa: SLF001
    helps = {choice.dest: choice.help or "" for choice in subparsers._choices_actions}  # noqa: SLF001
    return {name: (helps[name], sub._actions) for name, sub in subparsers.choices.items()}  # noqa: SLF001


_SUBPARSERS: Any = argparse._SubParsersAction  # noqa: SLF001


def _words(actions: list[argparse.Action]) -> list[str]:
    """Options and fixed words of a subcommand."""
    words = [option for action in actions for option in action.option_strings]
    for action in actions:
        if action.choices and not action.option_strings:
            words += [str(choice) for choice in action.choices]
    return words


def _choices(actions: list[argparse.Action]) -> dict[str, list[str]]:
    """Values of the options that take one of a few."""
    return {
        option: [str(choice) for choice in action.choices]
        for action in actions
        if action.choices
        for option in action.option_strings
    }


def _with_files(actions: list[argparse.Action]) -> tuple[list[str], bool]:
    """Options whose value is a file or directory, and whether an argument is one."""
    free = [action for action in actions if not action.choices and action.nargs != 0]
    options = [option for action in free for option in action.option_strings]
    return options, any(not action.option_strings for action in free)


def _bash(commands: dict[str, tuple[str, list[argparse.Action]]]) -> str:
    lines = [
        "_lvsd() {",
        "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words=",
        "    COMPREPLY=()",
        '    if [ "$COMP_CWORD" -eq 1 ]; then',
        f"        mapfile -t COMPREPLY < <(compgen -W '{' '.join(commands)} --help --version' -- \"$cur\")",
        "        return",
        "    fi",
        '    case "${COMP_WORDS[1]} $prev" in',
    ]
    for name, (_, actions) in commands.items():
        for option, choices in _choices(actions).items():
            lines.append(f"        '{name} {option}') words='{' '.join(choices)}' ;;")
    lines += ["        *)", '            case "${COMP_WORDS[1]}" in']
    for name, (_, actions) in commands.items():
        lines.append(f"                {name}) words='{' '.join(_words(actions))}' ;;")
    lines += [
        "            esac ;;",
        "    esac",
        '    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur"; compgen -f -- "$cur")',
        "}",
        "complete -o filenames -F _lvsd lvsd",
    ]
    return "\n".join(lines) + "\n"


def _zsh(commands: dict[str, tuple[str, list[argparse.Action]]]) -> str:
    lines = ["#compdef lvsd", "_lvsd() {", "    if (( CURRENT == 2 )); then", "        local -a commands=("]
    for name, (said, _) in commands.items():
        described = said.replace(":", "\\:").replace("'", "'\\''")
        lines.append(f"            '{name}:{described}'")
    lines += [
        "        )",
        "        _describe command commands",
        "        compadd -- --help --version",
        "        return",
        "    fi",
        '    case "$words[2] $words[CURRENT-1]" in',
    ]
    for name, (_, actions) in commands.items():
        for option, choices in _choices(actions).items():
            lines.append(f"        '{name} {option}') compadd -- {' '.join(choices)}; return ;;")
        for option in _with_files(actions)[0]:
            lines.append(f"        '{name} {option}') _files; return ;;")
    lines += ["    esac", "    case $words[2] in"]
    for name, (_, actions) in commands.items():
        files = "; _files" if _with_files(actions)[1] else ""
        lines.append(f"        {name}) compadd -- {' '.join(_words(actions))}{files} ;;")
    # The first completion loads a file of $fpath, and asks what is in it at once.
    lines += [
        "    esac",
        "}",
        'if [[ $funcstack[1] == _lvsd ]]; then _lvsd "$@"; else compdef _lvsd lvsd; fi',
    ]
    return "\n".join(lines) + "\n"


def _fish(commands: dict[str, tuple[str, list[argparse.Action]]]) -> str:
    first = "complete -c lvsd -n __fish_use_subcommand -f"
    lines = [f"{first} -l help", f"{first} -l version"]
    for name, (help_text, actions) in commands.items():
        said = help_text.replace("'", "\\'")
        lines.append(f"{first} -a {name} -d '{said}'")
        here = f"complete -c lvsd -n '__fish_seen_subcommand_from {name}'"
        valued, takes_file = _with_files(actions)
        if not takes_file:
            lines.append(f"{here} -f")
        for action in actions:
            for option in action.option_strings:
                flag = f"-l {option[2:]}" if option.startswith("--") else f"-s {option[1:]}"
                values = f" -x -a '{' '.join(map(str, action.choices))}'" if action.choices else ""
                files = " -r -F" if option in valued else ""
                lines.append(f"{here} {flag}{values}{files}")
        if words := [word for word in _words(actions) if not word.startswith("-")]:
            lines.append(f"{here} -f -a '{' '.join(words)}'")
    return "\n".join(lines) + "\n"


_SHELLS = {"bash": _bash, "zsh": _zsh, "fish": _fish}
