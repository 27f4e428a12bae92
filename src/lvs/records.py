"""`lvsd history`, `diff`, `rollback`, `confirm`, `repository`: what ran, since when, by whom, and back to it.

History and diff read the repository themselves, daemon or not; what changes something asks the daemon.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from lvs.arguments import run_directory
from lvs.errors import Exit, SystemFault, UsageError
from lvs.io import bare, control
from lvs.io.git import DIRECTORY, Git
from lvs.io.git_program import GitFault
from lvs.io.pusher import pusher
from lvs.protocol import SOCKET_NAME, ConfirmRequest, Request, RollbackRequest
from lvs.repository.history import Row, table
from lvs.repository.tree import Chosen, judge, printable
from lvs.repository.wishes import seconds
from lvs.requests import show

PULL_FILE = Path("/etc/lvs/pull.toml")
SHOWN = 20  # commits


def _repository(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--repository", metavar="DIR", type=Path, default=DIRECTORY, help=f"default {DIRECTORY}"
    )


def _opened(directory: Path) -> Git:
    git = Git(directory)
    if lacking := git.lacking():
        raise SystemFault(
            f"{lacking}; with git installed, `lvsd repository init` makes one, and from then on "
            "every change is a commit"
        )
    return git


# history


def history_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-n", metavar="N", type=int, default=SHOWN, help=f"commits to show (default {SHOWN})")
    _repository(parser)


def history(arguments: argparse.Namespace) -> int:
    """Show what ran, the newest first."""
    if arguments.n < 1:
        raise UsageError("-n: a number of commits is asked for")
    git = _opened(arguments.repository)
    if not git.tip():
        print("there is no commit yet")
        return Exit.OK
    rows = [
        Row(commit, _serial(git, commit.id), "joins two histories" if len(commit.parents) > 1 else "")
        for commit in git.log(f"--max-count={arguments.n}", "main")
    ]
    for line in table(rows):
        print(line)
    return Exit.OK


def _serial(git: Git, commit: str) -> str:
    from lvs.config.load import load

    try:
        found = judge(git.tree(commit))
        if isinstance(found, Chosen):
            config = load(git.blob(found.blob), found.name).config
            return "-" if config is None else str(config.serial_no)
    except GitFault:
        pass
    return "-"


# diff


def diff_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("a", metavar="A", nargs="?", help="commit to begin with (default: the one before)")
    parser.add_argument("b", metavar="B", nargs="?", help="commit to end with (default: what runs)")
    _repository(parser)


def diff(arguments: argparse.Namespace) -> int:
    """Show what changed between two commits."""
    git = _opened(arguments.repository)
    ends = []
    for words in (arguments.a or "main~1", arguments.b or "main"):
        commit = git.named(words)
        if not commit:
            raise UsageError(
                f"there is no commit {words}; `lvsd history` names them"
                if words != "main~1"
                else "there is no commit before this one"
            )
        ends.append(commit)
    said = git.run("diff", "--no-ext-diff", "--no-textconv", "--no-color", *ends, "--")[1]
    for line in said.split(b"\n")[:-1]:
        print(printable(line.replace(b"\t", b"    ")))
    return Exit.OK


# What changes something


def rollback_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("commit", metavar="COMMIT", nargs="?", default="", help="default: the one before")
    parser.add_argument("--confirm", metavar="T", help="take it back unless `lvsd confirm` comes within T")
    run_directory(parser)


def rollback(arguments: argparse.Namespace) -> int:
    within = None
    if arguments.confirm is not None and (within := seconds(arguments.confirm)) is None:
        raise UsageError(f"a time such as 60, 90s or 5m is asked for, got {arguments.confirm!r}")
    return _ask(arguments, RollbackRequest(arguments.commit, _author(), within))


def confirm(arguments: argparse.Namespace) -> int:
    return _ask(arguments, ConfirmRequest(_author()))


def _author() -> str:
    """Who is at the keyboard, if root is not all that can be said: sudo(8), proc_pid_loginuid(5)."""
    if name := os.environ.get("SUDO_USER", ""):
        return name
    if os.environ.get("SSH_USER_AUTH"):  # over SSH as the user lvs, which many may be
        return pusher(os.environ)
    try:
        import pwd

        return pwd.getpwuid(int(Path("/proc/self/loginuid").read_text())).pw_name
    except (OSError, ValueError, KeyError, OverflowError):
        return ""


def _ask(arguments: argparse.Namespace, request: Request) -> int:
    return show(control.ask(arguments.run_dir / SOCKET_NAME, request, 120.0))


# The repository itself


def repository_arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    init = verbs.add_parser("init", help="make the repository, or put its settings right")
    init.add_argument("--hooks", metavar="DIR", type=Path, default=bare.HOOKS, help=f"default {bare.HOOKS}")
    init.add_argument("--user", default=bare.USER, help=f"whose it is (default {bare.USER})")
    _repository(init)


def repository(arguments: argparse.Namespace) -> int:
    made = bare.make(arguments.repository.absolute(), arguments.hooks, arguments.user)
    print(f"{arguments.repository}: {'made' if made else 'is there, its settings are right'}")
    return Exit.OK


def pull_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--from", dest="file", metavar="FILE", type=Path, default=PULL_FILE, help=f"default {PULL_FILE}"
    )
    _repository(parser)
    run_directory(parser)


def pull(arguments: argparse.Namespace) -> int:
    from lvs import pulling

    return pulling.pull(_opened(arguments.repository), arguments.file, arguments.run_dir)
