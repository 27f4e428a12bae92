"""`lvsd pull`: what a central repository holds goes the way of a push."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from lvs.config import toml, toml_lines
from lvs.config.located import BadSyntaxError, Place, Problem
from lvs.errors import ConfigError, Exit, SystemFault
from lvs.io import control, files
from lvs.io.git import CENTRAL, Git
from lvs.protocol import SOCKET_NAME, ExamineRequest, PushRequest
from lvs.repository.central import Central, environment, judge, words
from lvs.repository.history import Way
from lvs.repository.tree import Chosen
from lvs.repository.tree import judge as judge_tree
from lvs.requests import show

LIMIT_S = 120.0


def pull(git: Git, file: Path, run_directory: Path) -> int:
    """Fetch, and have the director run what came; exit code. Errors: ConfigError, SystemFault, GitFault."""
    central = read(file)
    fetch(git, central)
    commit = git.refs().get(CENTRAL, "")
    tip = git.tip()
    if tip and git.precedes(commit, tip):
        print(f"{central.url}: nothing new")
        return Exit.OK
    found = judge_tree(git.tree(commit))
    if not isinstance(found, Chosen):
        print(*found, sep="\n", file=sys.stderr)
        return Exit.PROBLEMS
    socket = run_directory / SOCKET_NAME
    # The empty name of the commit before: from wherever main is; whether it follows is judged by the daemon.
    examined = control.ask(socket, ExamineRequest(commit, "", found.name, git.blob(found.blob)), LIMIT_S)
    if show(examined):
        return examined.exit_code
    return show(control.ask(socket, PushRequest(commit, "", central.url, way=Way.PULL), LIMIT_S))


def read(file: Path) -> Central:
    """What pull.toml says. Errors: SystemFault if it cannot be read, ConfigError with all that is wrong."""
    try:
        text = files.read(file).content.decode()
    except SystemFault as fault:
        raise SystemFault(f"cannot read {file}: {fault}; docs/git.md has an example") from fault
    except UnicodeDecodeError as fault:
        raise ConfigError((Problem(str(file), 0, "", "TOML is UTF-8, and this is not"),)) from fault
    try:
        central = judge(toml.parsed(text))
    except BadSyntaxError as fault:
        raise ConfigError((Problem(str(file), fault.line, fault.place.path(), str(fault)),)) from fault
    if isinstance(central, Central):
        return central
    lines = toml_lines.locate(text)
    raise ConfigError(
        sorted(Problem(str(file), lines.get(Place(key), 0), key, said) for key, said in central.items())
    )


def fetch(git: Git, central: Central) -> None:
    """Bring its branch to CENTRAL. Errors: GitFault."""
    if central.ssh_key and os.geteuid() == 0:
        _fit(Path(central.ssh_key), git.directory)
    git.run(*words(central, CENTRAL), more=environment(central), limit_s=LIMIT_S, limited=True)


def _fit(key: Path, directory: Path) -> None:
    """Whether ssh will take the key; it says less. Errors: SystemFault."""
    try:
        status, owner = key.stat(), directory.stat().st_uid
    except OSError as fault:
        raise SystemFault(f"{key}: {os.strerror(fault.errno or 0).lower()}") from fault
    if status.st_uid != owner or status.st_mode & 0o077:
        raise SystemFault(f"{key} is to belong to user lvs alone: chown lvs {key}; chmod 0600 {key}")
