"""`lvsd pair`: the key by which two directors know each other, and how their configurations stand.

`init` and `join` write the key's file and need no daemon; a daemon that runs sees the new file within two
seconds. `status` and `resolve` ask the daemon.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import msgspec

from lvs.errors import LvsError, SystemFault, UsageError
from lvs.io import control, files, pairkey
from lvs.model import PAIR_KEY
from lvs.protocol import SOCKET_NAME, PairRequest, Reply, Request, ResolveRequest
from lvs.sync.messages import Use


def run(arguments: argparse.Namespace, configured: Path) -> int:
    """One of the subcommands; `configured` is the configuration that may name the key's file."""
    match arguments.pair:
        case "init":
            return _init(_place(arguments, configured))
        case "join":
            return _join(_place(arguments, configured), arguments.file, replace=arguments.replace)
        case "status":
            return _shown(control.ask(arguments.run_dir / SOCKET_NAME, PairRequest()), json=arguments.json)
        case _:
            request: Request = ResolveRequest(Use(arguments.use))
            return _shown(control.ask(arguments.run_dir / SOCKET_NAME, request))


def _place(arguments: argparse.Namespace, configured: Path) -> Path:
    """Where the key belongs: where the command line says, or the configuration, or as usual."""
    if arguments.key is not None:
        return Path(arguments.key).absolute()
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


def _shown(reply: Reply, *, json: bool = False) -> int:
    for line in reply.err:
        print(line, file=sys.stderr)
    if json and reply.pair is not None:
        print(msgspec.json.format(msgspec.json.encode(reply.pair), indent=2).decode())
    else:
        for line in reply.out:
            print(line)
    return reply.exit_code
