"""The one table of subcommands: where the code of each is, and how it is described.

A command's module is imported when that command is asked for, and no other: a start takes what it
has to. Hence names in place of functions; `lvs.selftest` imports every module, for PyInstaller finds
what it bundles by reading, and a test asks each name for its function.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, NamedTuple

from lvs import __version__


class Command(NamedTuple):
    """A subcommand: its function and that of its arguments, each as MODULE:NAME, and what help says."""

    run: str  # (argparse.Namespace) -> exit code
    arguments: str  # (argparse.ArgumentParser) -> None; empty: it takes none
    help: str
    details: str = ""


COMMANDS = {
    "run": Command(
        "lvs.running:run",
        "lvs.running:arguments",
        "manage the kernel's table until told to stop",
        "The file is loaded again whenever it changes, on SIGHUP and on `lvsd reload`; a file with problems "
        "changes nothing. Ends on SIGTERM and SIGINT.",
    ),
    "check": Command(
        "lvs.offline:check",
        "lvs.offline:check_arguments",
        "say whether a file is valid, and all that is wrong with it",
    ),
    "plan": Command(
        "lvs.requests:plan",
        "lvs.requests:plan_arguments",
        "show what a file would change in the kernel, and change nothing",
        "Prints ipvsadm, ip and sysctl lines, each with the connections it would touch.",
    ),
    "convert": Command(
        "lvs.offline:convert",
        "lvs.offline:convert_arguments",
        "write a file in the other language, canonically, to standard output",
    ),
    "status": Command(
        "lvs.requests:status",
        "lvs.requests:status_arguments",
        "show the table, with names, connections, and why",
    ),
    "explain": Command(
        "lvs.upkeep:explain",
        "lvs.upkeep:arguments",
        "say why a real server is as it is",
        "State, since when, what the kernel has, orders, each check with its last answer and the next.",
    ),
    "drain": Command(
        "lvs.upkeep:drain",
        "lvs.upkeep:drain_arguments",
        "take a real server out gently: no new connections, those that are there may end",
        "Shows how many sessions are left until there is none; the order stays when you stop looking, over "
        "reload and restart too.",
    ),
    "disable": Command(
        "lvs.upkeep:disable", "lvs.upkeep:disable_arguments", "take a real server out at once"
    ),
    "enable": Command(
        "lvs.upkeep:enable", "lvs.upkeep:arguments", "take a real server back in; its checks decide again"
    ),
    "reload": Command(
        "lvs.requests:reload",
        "lvs.arguments:run_directory",
        "have the daemon read its file now, and say what came of it",
    ),
    "pair": Command(
        "lvs.joining:run",
        "lvs.joining:arguments",
        "make two directors know each other, and keep one configuration on both",
        "init, then join on the other director; status and resolve ask the daemon.",
    ),
    "switchover": Command(
        "lvs.requests:switchover",
        "lvs.arguments:run_directory",
        "have the other director of the pair serve, without a gap",
        "The other one takes over, then this one gives the VIPs up; it may be asked of either.",
    ),
    "history": Command(
        "lvs.records:history", "lvs.records:history_arguments", "show what ran, since when, and by whom"
    ),
    "diff": Command(
        "lvs.records:diff",
        "lvs.records:diff_arguments",
        "show what the last commit changed, or what lies between two",
    ),
    "rollback": Command(
        "lvs.records:rollback",
        "lvs.records:rollback_arguments",
        "run an earlier commit again, on both directors of a pair",
    ),
    "confirm": Command("lvs.records:confirm", "lvs.arguments:run_directory", "keep what was pushed on trial"),
    "repository": Command(
        "lvs.records:repository",
        "lvs.records:repository_arguments",
        "make the repository that takes pushes",
    ),
    "pull": Command("lvs.records:pull", "lvs.records:pull_arguments", "run what a central repository holds"),
    "hook": Command(
        "lvs.pushes:hook", "lvs.pushes:arguments", "what git runs in the repository; not for people"
    ),
    "firstboot": Command(
        "lvs.booting:run",
        "lvs.firstboot.options:firstboot",
        "take over what this machine is given, at its boot",
        "From credentials, the partition LVS-CONFIG and NoCloud disks; docs/first-boot.md.",
    ),
    "cloud-init": Command(
        "lvs.preparing:run",
        "lvs.firstboot.options:cloud_init",
        "print user data for cloud-init that prepares a real server",
        "VIPs, ARP settings, tunnels or gateway, as the forwarding methods of the file ask for.",
    ),
    "wizard": Command(
        "lvs.asking:run",
        "lvs.firstboot.options:wizard",
        "make a first configuration by questions at the console",
        "The last resort of an appliance that nobody told who it is; docs/first-boot.md.",
    ),
    "firewall": Command(
        "lvs.firewall:run",
        "lvs.firewall:arguments",
        "print the firewall of a file, as a script for nft",
        "`lvsd run --firewall` keeps it; without that no firewall is touched.",
    ),
    "update": Command(
        "lvs.rollout:command",
        "lvs.update:arguments",
        "install another version of the image beside the one that runs",
        "Its signature is verified before anything is written. The next boot starts it; if it does not come "
        "up healthy in three tries, the version before is started again.",
    ),
    "healthy": Command(
        "lvs.update:healthy",
        "lvs.update:healthy_arguments",
        "say whether this director came up as it should",
        "Exits 0 if the kernel holds the configuration, and as one of a pair the role has settled.",
    ),
    "selftest": Command(
        "lvs.selftest:command", "", "check that this binary is whole, and what this machine offers"
    ),
    "completion": Command(
        "lvs.completion:command",
        "lvs.completion:arguments",
        "print a completion script for a shell",
        'For bash: eval "$(lvsd completion bash)".',
    ),
}


def named(name: str) -> Callable[..., Any]:
    """The function that MODULE:NAME names."""
    module, _, function = name.partition(":")
    found: Callable[..., Any] = getattr(import_module(module), function)
    return found


def run(asked: argparse.Namespace) -> int:
    """Run the command that was asked for; its exit code."""
    return int(named(COMMANDS[asked.command].run)(asked))


def parser(argv: Sequence[str] | None = None) -> argparse.ArgumentParser:
    """The command line; None: all of it, else as much as it takes to read these words."""
    top = argparse.ArgumentParser(
        prog="lvsd",
        description="The LVS director: keeps the kernel's IPVS table as lvs.toml or lvs.cf says.",
        epilog="Exit codes: 0 done, 1 failed, 2 problems in the configuration or command line, 3 no daemon "
        "answers, 4 rights are missing, 5 the kernel has no IPVS, 6 another daemon runs.",
    )
    top.add_argument("--version", action="version", version=f"lvsd {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    only = [] if argv is None else [name for name in argv[:1] if name in COMMANDS]
    for name in only or COMMANDS:
        command = COMMANDS[name]
        described = f"{command.help[0].upper()}{command.help[1:]}. {command.details}".strip()
        below = commands.add_parser(name, help=command.help, description=described)
        if command.arguments and (argv is None or name in argv):
            named(command.arguments)(below)
    return top
