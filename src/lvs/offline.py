"""`lvsd check` and `convert`: what is done with a file alone, daemon or not."""

from __future__ import annotations

import argparse
import sys

from lvs.arguments import file, text
from lvs.errors import Exit, SystemFault
from lvs.model import Format


def check_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--elsewhere",
        action="store_true",
        help="the file is for another machine: its programs, credentials, files and users are not looked for",
    )
    file(parser)


def check(asked: argparse.Namespace) -> int:
    """Say what is wrong with a file; the exit code."""
    from lvs.config.load import load
    from lvs.events import counted
    from lvs.io import files, requirements

    content, name = text(asked, files.read)
    loaded = load(content, name, lacks=None if asked.elsewhere else requirements.lacks(serving=False))
    for problem in loaded.problems:
        print(problem, file=sys.stderr)
    if loaded.config is None:
        return Exit.PROBLEMS
    virtual_servers = loaded.config.virtual_servers
    real_servers = sum(len(virtual_server.real_servers) for virtual_server in virtual_servers)
    print(
        f"{name}: valid, serial {loaded.config.serial_no}, "
        f"{counted(len(virtual_servers), 'virtual server')}, {counted(real_servers, 'real server')}"
    )
    return Exit.OK


def convert_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--to", choices=[str(choice) for choice in Format], required=True)
    file(parser)


def convert(asked: argparse.Namespace) -> int:
    """Write a file in the other language; the exit code."""
    from lvs.config.load import line_of, load
    from lvs.config.render import to_cf, to_toml
    from lvs.io import files

    content, name = text(asked, files.read)
    loaded = load(content, name)
    for problem in loaded.problems:
        print(problem, file=sys.stderr)
    if loaded.config is None:
        return Exit.PROBLEMS
    if Format(asked.to) is Format.LVS_CF:
        written = to_cf(loaded.config, name, line_of(loaded))
    else:
        written = to_toml(loaded.config)
    if sys.stdout is None:
        raise SystemFault("standard output is closed")
    sys.stdout.buffer.write(written.encode("utf-8", "surrogateescape"))
    return Exit.OK
