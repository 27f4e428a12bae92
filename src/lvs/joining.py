"""`lvsd pair`: the key by which two directors know each other, and how their configurations stand.

`init` and `join` write the key's file and need no daemon; a daemon that runs sees the new file within two
seconds. `status` and `resolve` ask the daemon.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from lvs.arguments import config_file, run_directory
from lvs.errors import LvsError, SystemFault, UsageError
from lvs.io import control, files, pairkey
from lvs.model import PAIR_KEY
from lvs.protocol import SOCKET_NAME, PairRequest, ResolveRequest
from lvs.requests import show
from lvs.sync.messages import Use


def arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="pair", metavar="VERB", required=True)
    init = verbs.add_parser("init", help="make the key of the pair, on one director")
    join = verbs.add_parser("join", help="install the key that the other director made")
    join.add_argument(
        "file", metavar="FILE", nargs="?", default="-", help="the key (default: standard input)"
    )
    join.add_argument("--replace", action="store_true", help="put it in the place of another key")
    for verb in (init, join):
        verb.add_argument(
            "--key", metavar="FILE", help="where it belongs (default: pair_key of the configuration)"
        )
    status = verbs.add_parser("status", help="show how the configurations of both directors stand")
    status.add_argument("--json", action="store_true", help="as JSON, for programs")
    resolve = verbs.add_parser("resolve", help="settle a conflict: choose one of the two configurations")
    resolve.add_argument(
        "--use", choices=("here", "there"), required=True, help="this director's, or the other one's"
    )
    for verb in (status, resolve):
        run_directory(verb)


def run(asked: argparse.Namespace) -> int:
    """One of the subcommands; the exit code."""
    match asked.pair:
        case "init":
            return _init(_place(asked))
        case "join":
            return _join(_place(asked), asked.file, replace=asked.replace)
        case "status":
            reply = control.ask(asked.run_dir / SOCKET_NAME, PairRequest())
            return show(reply, reply.pair if asked.json else None)
        case _:
            return show(control.ask(asked.run_dir / SOCKET_NAME, ResolveRequest(Use(asked.use))))


def _place(asked: argparse.Namespace) -> Path:
    """Where the key belongs: where the command line says, or the configuration, or as usual."""
    configured = config_file(None)
    if asked.key is not None:
        return Path(asked.key).absolute()
    from lvs.config.load import load

    try:
        loaded = load(files.read(configured).content, str(configured))
    except LvsError:
        return Path(PAIR_KEY)
    return Path(PAIR_KEY if loaded.config is None else loaded.config.pair.pair_key)


def _init(path: Path) -> int:
    try:
        there = pairkey.read(path)
    except SystemFault:
        pass
    else:
        raise SystemFault(
            f"{path} is there already (fingerprint {there.fingerprint}) and stays as it is; for a new key, "
            "remove it on both directors first"
        )
    key = pairkey.make()
    pairkey.install(path, key)
    print(f"{path}: made, fingerprint {key.fingerprint}")
    print(f"Now bring it to the other director:  ssh root@OTHER lvsd pair join < {path}")
    print("and compare the fingerprint that it shows.")
    return 0


def _join(path: Path, source: str, *, replace: bool) -> int:
    if source == "-":
        if sys.stdin is None or sys.stdin.isatty():
            raise UsageError("the key is read from a file, or from standard input: lvsd pair join < pair.key")
        content = sys.stdin.buffer.read(pairkey.LONGEST + 1)
        name = "standard input"
    else:
        try:
            content, name = files.read(Path(source)).content, source
        except SystemFault as fault:
            raise SystemFault(f"cannot read {source}: {fault}") from fault
    key = pairkey.parse(content, name)
    try:
        there = pairkey.read(path)
    except SystemFault:
        there = None
    if there is not None and there.fingerprint == key.fingerprint:
        print(f"{path}: is there already, fingerprint {key.fingerprint}")
        return 0
    if path.exists() and not replace:
        whose = "is no usable key" if there is None else f"is another key (fingerprint {there.fingerprint})"
        raise SystemFault(f"{path} {whose} and stays as it is; --replace puts the new one in its place")
    pairkey.install(path, key, replace=replace)
    print(f"{path}: installed, fingerprint {key.fingerprint}")
    return 0
