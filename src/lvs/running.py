"""`lvsd run`: the table first, then the daemon that keeps it.

What neither needs to be described is imported when it is its turn: every millisecond of a start counts.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from lvs.arguments import config_file, run_directory
from lvs.model import OnStop

STATE_DIRECTORY = Path("/var/lib/lvs")
REPOSITORY = Path("/var/lib/lvs-git/config.git")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-c", "--config", metavar="FILE", type=Path, help="lvs.toml or lvs.cf (default: the one in /etc/lvs)"
    )
    parser.add_argument(
        "--on-stop",
        choices=[str(choice) for choice in OnStop],
        help="what a stop leaves: the table serving (keep), or an empty one; over the file's on_stop",
    )
    parser.add_argument(
        "--log",
        choices=("auto", "journal", "stderr"),
        default="auto",
        help="where events go (auto: the journal if started by systemd)",
    )
    parser.add_argument(
        "--state-dir",
        metavar="DIR",
        type=Path,
        default=STATE_DIRECTORY,
        help=f"where operators' orders are kept (default {STATE_DIRECTORY})",
    )
    parser.add_argument(
        "--repository",
        metavar="DIR",
        type=Path,
        default=REPOSITORY,
        help=f"git repository that records every change, if there is one (default {REPOSITORY})",
    )
    parser.add_argument(
        "--unchecked",
        action="store_true",
        help="check no real server and take each as up: for when the checks are what is wrong",
    )
    parser.add_argument(
        "--firewall",
        metavar="PORTS",
        nargs="?",
        const="22",
        help="keep a firewall: what the configuration needs is open, and these ports of the director itself, "
        "such as 22,udp/161 (default 22)",
    )
    run_directory(parser)


def run(asked: argparse.Namespace) -> int:
    """Serve until told to stop; the exit code."""
    from lvs import begin
    from lvs.io.systemd import journal_is_ours
    from lvs.kernel.firewall import ports

    to_journal = journal_is_ours() if asked.log == "auto" else asked.log == "journal"
    begun = begin.begin(
        begin.Options(
            file=config_file(None if asked.config is None else asked.config.absolute()),
            run_directory=asked.run_dir,
            on_stop=OnStop(asked.on_stop) if asked.on_stop else None,
            to_journal=to_journal,
            state_directory=asked.state_dir,
            repository=asked.repository,
            unchecked=asked.unchecked,
            open_to_all=None if asked.firewall is None else ports(asked.firewall),
        )
    )
    from lvs import daemon  # the slow imports; the table stands

    return daemon.run(begun)
