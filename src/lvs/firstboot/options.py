"""Arguments of `lvsd firstboot`, `wizard` and `cloud-init`.

They stand apart from what these import: the command line is described at every start.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from lvs.arguments import file_here


def wizard(parser: argparse.ArgumentParser) -> None:
    _root(parser)
    parser.add_argument(
        "--offer", metavar="S", type=int, help="begin only if somebody presses Enter within so many seconds"
    )
    parser.add_argument("--piped", action="store_true", help="take answers that no terminal gives")


def _root(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--root",
        metavar="DIR",
        type=Path,
        default=Path("/"),
        help="the system to lay files down in (default /)",
    )


def firstboot(parser: argparse.ArgumentParser) -> None:
    _root(parser)
    parser.add_argument(
        "--from",
        dest="given",
        metavar="DIR",
        type=Path,
        help="take this directory for the partition LVS-CONFIG, or a NoCloud disk, and look for none",
    )


def cloud_init(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("server", metavar="SERVER", help="real server, by name or address")
    file_here(parser)
    parser.add_argument(
        "--redirect",
        action="store_true",
        help="direct routing without VIPs on the real server: what comes for one is redirected",
    )
