"""`lvsd firewall`: the ruleset of a file, to be read, or to be put in place by hand."""

from __future__ import annotations

import argparse
import sys

from lvs.arguments import config_file, content_of, file_here
from lvs.config.load import load
from lvs.errors import Exit
from lvs.io import files
from lvs.kernel.firewall import ports, ruleset


def arguments(parser: argparse.ArgumentParser) -> None:
    file_here(parser)
    parser.add_argument(
        "--open",
        metavar="PORTS",
        default="22",
        help="ports of the director itself that anybody may reach, such as 22,udp/161 (default 22)",
    )


def run(asked: argparse.Namespace) -> int:
    """Print it; problems of the file go to standard error."""
    file = asked.file or config_file(None)
    opened = ports(asked.open)
    loaded = load(content_of(file, files.read), str(file))
    for problem in loaded.problems:
        print(problem, file=sys.stderr)
    if loaded.config is None:
        return Exit.PROBLEMS
    print(ruleset(loaded.config, opened), end="")
    return Exit.OK
