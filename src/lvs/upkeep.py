"""`lvsd drain`, `disable`, `enable`, `explain`: taking real servers out and in, and why they are as they are.

Each asks the daemon; a drain then shows how many sessions are left until there is none. Whoever
stops looking does not take the order back.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from pathlib import Path

from lvs.arguments import run_directory
from lvs.errors import Exit, UsageError
from lvs.events import counted
from lvs.io import control
from lvs.protocol import (
    SOCKET_NAME,
    DisableRequest,
    DrainRequest,
    EnableRequest,
    ExplainRequest,
    Reply,
    Request,
    SessionsRequest,
)
from lvs.requests import show

LOOK_EVERY_S = 1.0
TELL_EVERY_S = 10.0  # where no bar can be drawn
_UNITS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_WIDTH = 40


def seconds(text: str) -> float:
    """A time as operators write it: `90`, `90s`, `5m`, `2h`, `1d`. Errors: UsageError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]*)", text.strip())
    if match is None or match[2] not in _UNITS:
        raise UsageError(f"a time such as 90s, 5m, 2h or 1d is asked for, got {text!r}")
    return float(match[1]) * _UNITS[match[2]]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Of `lvsd explain` and `enable`."""
    parser.add_argument("server", metavar="SERVER", help="real server, by name or address")
    parser.add_argument(
        "--virtual", metavar="V", help="in this virtual server only (default: wherever it is)"
    )
    run_directory(parser)


def disable_arguments(parser: argparse.ArgumentParser) -> None:
    arguments(parser)
    parser.add_argument(
        "--for",
        dest="for_",
        metavar="T",
        help="take the order back by itself after this time: 90s, 5m, 2h, 1d",
    )


def drain_arguments(parser: argparse.ArgumentParser) -> None:
    disable_arguments(parser)
    parser.add_argument("--deadline", metavar="T", help="end the connections that are left after this time")
    parser.add_argument("--no-wait", action="store_true", help="do not wait for the sessions to end")


def drain(asked: argparse.Namespace) -> int:
    """Take a real server out gently, and show how it empties."""
    deadline = None if asked.deadline is None else seconds(asked.deadline)
    lasting = None if asked.for_ is None else seconds(asked.for_)
    request = DrainRequest(asked.server, asked.virtual, deadline, lasting)
    reply = _asked(asked.run_dir, request)
    if reply.exit_code or asked.no_wait:
        return reply.exit_code
    return _watch(asked)


def disable(asked: argparse.Namespace) -> int:
    lasting = None if asked.for_ is None else seconds(asked.for_)
    request = DisableRequest(asked.server, asked.virtual, lasting)
    return _asked(asked.run_dir, request).exit_code


def enable(asked: argparse.Namespace) -> int:
    return _asked(asked.run_dir, EnableRequest(asked.server, asked.virtual)).exit_code


def explain(asked: argparse.Namespace) -> int:
    return _asked(asked.run_dir, ExplainRequest(asked.server, asked.virtual)).exit_code


def _asked(run_directory: Path, request: Request) -> Reply:
    reply = control.ask(run_directory / SOCKET_NAME, request)
    show(reply)
    print(end="", flush=True)  # what is watched next may take an hour
    return reply


def _watch(asked: argparse.Namespace) -> int:
    """Show the sessions that are left until there is none, or the order is no more."""
    drawn = sys.stdout is not None and sys.stdout.isatty()
    most, told_at = 0, -TELL_EVERY_S
    try:
        while True:
            reply = control.ask(asked.run_dir / SOCKET_NAME, SessionsRequest(asked.server, asked.virtual))
            left = reply.sessions or 0
            most = max(most, left)
            if drawn and not reply.exit_code:
                print(f"\r\033[K{bar(left, most)}", end="" if left else "\n", flush=True)
            elif drawn:
                print(flush=True)
            elif time.monotonic() - told_at >= TELL_EVERY_S and left:
                told_at = time.monotonic()
                print(f"{asked.server}: {counted(left, 'session')} left", flush=True)
            if not left:
                return show(reply)
            time.sleep(LOOK_EVERY_S)
    except KeyboardInterrupt:
        print(f"\n{asked.server}: goes on draining; `lvsd enable {asked.server}` takes it back")
        return Exit.OK


def bar(left: int, most: int) -> str:
    """`[##########----------] 12 sessions left`; full when none is."""
    done = _WIDTH if most == 0 else _WIDTH * (most - left) // most
    return f"[{'#' * done}{'-' * (_WIDTH - done)}] {counted(left, 'session')} left"
