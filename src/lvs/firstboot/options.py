"""Arguments of `lvsd firstboot`, apart from what it imports: the command line is described at every start."""

from __future__ import annotations

import argparse
from pathlib import Path


def firstboot(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--root",
        metavar="DIR",
        type=Path,
        default=Path("/"),
        help="the system to lay files down in (default /)",
    )
    parser.add_argument(
        "--from",
        dest="given",
        metavar="DIR",
        type=Path,
        help="take this directory for the partition LVS-CONFIG, or a NoCloud disk, and look for none",
    )
