"""`lvsd status`, `plan`, `reload`, `switchover`: one question to the daemon, and its reply as it is told."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import msgspec

from lvs.arguments import language, refuse_language, run_directory, text
from lvs.io import control, files
from lvs.protocol import SOCKET_NAME, PlanRequest, ReloadRequest, Reply, StatusRequest, SwitchoverRequest
from lvs.status import table


def show(reply: Reply, structured: object = None) -> int:
    """Print a reply: its lines, or as JSON what it holds besides, if that is asked for; its exit code."""
    for line in reply.err:
        print(line, file=sys.stderr)
    if structured is not None:
        print(msgspec.json.format(msgspec.json.encode(structured), indent=2).decode())
    else:
        for line in reply.out:
            print(line)
    return reply.exit_code


def status_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="as JSON, for programs")
    run_directory(parser)


def status(asked: argparse.Namespace) -> int:
    """Show the table, drawn here: the daemon has better things to do."""
    reply = control.ask(asked.run_dir / SOCKET_NAME, StatusRequest())
    if reply.status is None or asked.json:
        return show(reply, reply.status)
    return show(msgspec.structs.replace(reply, out=tuple(table(reply.status))))


def plan_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file",
        metavar="FILE",
        type=Path,
        nargs="?",
        help="lvs.toml or lvs.cf; - is standard input (default: the daemon's own)",
    )
    language(parser)
    run_directory(parser)


def plan(asked: argparse.Namespace) -> int:
    """Show what a file would change: the given one, or the daemon's own."""
    if asked.file is None:
        refuse_language(asked)
        request = PlanRequest()
    else:
        content, name = text(asked, files.read)
        request = PlanRequest(name, content)
    return show(control.ask(asked.run_dir / SOCKET_NAME, request))


def reload(asked: argparse.Namespace) -> int:
    """Have the daemon read its file now."""
    return show(control.ask(asked.run_dir / SOCKET_NAME, ReloadRequest()))


def switchover(asked: argparse.Namespace) -> int:
    """Have the other director serve."""
    return show(control.ask(asked.run_dir / SOCKET_NAME, SwitchoverRequest()))
