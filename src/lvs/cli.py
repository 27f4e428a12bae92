"""`lvsd`: one table of subcommands, one function each.

Commands that look at a running director ask its daemon over the socket and never touch the
kernel. Exit codes are `lvs.errors.Exit`.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from lvs import __version__
from lvs.errors import Exit, LvsError, SystemFault, UsageError
from lvs.model import Format, OnStop

CONFIG_DIRECTORY = Path("/etc/lvs")
CONFIG_NAMES = ("lvs.toml", "lvs.cf")
RUN_DIRECTORY = Path("/run/lvs")
STATE_DIRECTORY = Path("/var/lib/lvs")
REPOSITORY = Path("/var/lib/lvs-git/config.git")


class Command(NamedTuple):
    """A subcommand: its function, one line of help, and its arguments."""

    run: Callable[[argparse.Namespace], int]
    help: str
    arguments: Callable[[argparse.ArgumentParser], object]
    details: str = ""


def main(argv: Sequence[str] | None = None) -> int:
    """Entry of the binary; errors become sentences and exit codes here and nowhere else."""
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["pulse"] and len(argv) == 2 and argv[1].isdigit():  # the daemon's, not a person's
        from lvs import pulsing

        return pulsing.main(int(argv[1]))
    if argv == ["check-programs"]:  # the unit's
        from lvs.io import workshop

        return workshop.main()
    arguments = parser(argv[:1]).parse_args(argv)
    try:
        code = int(COMMANDS[arguments.command].run(arguments))
        sys.stdout.flush()  # here, where a reader that went away is handled
    except LvsError as fault:
        print(f"lvsd: {fault}", file=sys.stderr)
        return int(fault.exit_code)
    except BrokenPipeError:
        # The reader of our output went away, as `| head` does; say no more, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return int(Exit.OK)
    except OSError as fault:  # standard output on a full disk, for one
        print(f"lvsd: {fault.strerror or fault}", file=sys.stderr)
        return int(Exit.FAILED)
    except KeyboardInterrupt:
        return 130
    return code


def parser(asked: Sequence[str] = ()) -> argparse.ArgumentParser:
    """The command line; of one command only if that is `asked`: a third of what a start takes else."""
    top = argparse.ArgumentParser(
        prog="lvsd",
        description="The LVS director: keeps the kernel's IPVS table as lvs.toml or lvs.cf says.",
        epilog="Exit codes: 0 done, 1 failed, 2 problems in the configuration or command line, 3 no daemon "
        "answers, 4 rights are missing, 5 the kernel has no IPVS, 6 another daemon runs.",
    )
    top.add_argument("--version", action="version", version=f"lvsd {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in [name for name in asked if name in COMMANDS] or COMMANDS:
        command = COMMANDS[name]
        described = f"{command.help[0].upper()}{command.help[1:]}. {command.details}".strip()
        command.arguments(commands.add_parser(name, help=command.help, description=described))
    return top


def _file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", type=Path, help="lvs.toml or lvs.cf; - is standard input")
    _format(parser)


def _format(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--format",
        choices=[str(choice) for choice in Format],
        help="language of standard input, needed with -; that of a file is told by its name",
    )


def _socket(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--run-dir",
        metavar="DIR",
        type=Path,
        default=RUN_DIRECTORY,
        help=f"where the daemon's socket is (default {RUN_DIRECTORY})",
    )


def _run_arguments(parser: argparse.ArgumentParser) -> None:
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
    _socket(parser)


def _run(arguments: argparse.Namespace) -> int:
    from lvs import begin
    from lvs.io.systemd import journal_is_ours
    from lvs.kernel.firewall import ports

    to_journal = journal_is_ours() if arguments.log == "auto" else arguments.log == "journal"
    begun = begin.begin(
        begin.Options(
            file=_config_file(arguments.config),
            run_directory=arguments.run_dir,
            on_stop=OnStop(arguments.on_stop) if arguments.on_stop else None,
            to_journal=to_journal,
            state_directory=arguments.state_dir,
            repository=arguments.repository,
            unchecked=arguments.unchecked,
            open_to_all=None if arguments.firewall is None else ports(arguments.firewall),
        )
    )
    from lvs import daemon  # the slow imports; the table stands

    return daemon.run(begun)


def _config_file(given: Path | None) -> Path:
    """The file to serve by: the given one, or the only one in /etc/lvs."""
    if given is not None:
        return given.absolute()
    found = [path for name in CONFIG_NAMES if (path := CONFIG_DIRECTORY / name).exists()]
    if len(found) > 1:
        raise UsageError(f"both {found[0]} and {found[1]} exist: remove one, or name one with --config")
    return found[0] if found else CONFIG_DIRECTORY / CONFIG_NAMES[0]


def _check(arguments: argparse.Namespace) -> int:
    from lvs.config.load import load
    from lvs.events import counted
    from lvs.io import files, requirements

    content, name = _text(arguments, files.read)
    loaded = load(content, name, lacks=None if arguments.elsewhere else requirements.lacks(serving=False))
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


def _check_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--elsewhere",
        action="store_true",
        help="the file is for another machine: its programs, credentials, files and users are not looked for",
    )
    _file(parser)


def _text(arguments: argparse.Namespace, read: Callable[[Path], object]) -> tuple[bytes, str]:
    """The bytes of FILE, and a name that tells their language: `stdin.toml` or `stdin.cf` for `-`."""
    path, language = arguments.file, arguments.format
    if str(path) == "-":
        if language is None:
            raise UsageError(
                "standard input has no name to tell its language: say --format toml or --format cf"
            )
        if sys.stdin is None:
            raise UsageError("standard input is closed")
        return sys.stdin.buffer.read(), f"stdin.{language}"
    _refuse_format(arguments)
    try:
        content: bytes = read(path).content  # type: ignore[attr-defined]
    except SystemFault as fault:
        raise SystemFault(f"cannot read {path}: {fault}") from fault
    return content, str(path)


def _refuse_format(arguments: argparse.Namespace) -> None:
    if arguments.format is not None:
        raise UsageError("--format is for standard input (-); the language of a file is told by its name")


def _convert(arguments: argparse.Namespace) -> int:
    from lvs.config.load import load
    from lvs.config.render import to_cf, to_toml
    from lvs.io import files

    loaded = load(*_text(arguments, files.read))
    for problem in loaded.problems:
        print(problem, file=sys.stderr)
    if loaded.config is None:
        return Exit.PROBLEMS
    convert = to_cf if Format(arguments.to) is Format.LVS_CF else to_toml
    sys.stdout.buffer.write(convert(loaded.config).encode("utf-8", "surrogateescape"))
    return Exit.OK


def _convert_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--to", choices=[str(choice) for choice in Format], required=True)
    _file(parser)


def _plan(arguments: argparse.Namespace) -> int:
    from lvs.io import files
    from lvs.protocol import PlanRequest

    if arguments.file is None:
        _refuse_format(arguments)
        return _ask(arguments, PlanRequest())
    content, name = _text(arguments, files.read)
    return _ask(arguments, PlanRequest(name, content))


def _plan_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file",
        metavar="FILE",
        type=Path,
        nargs="?",
        help="lvs.toml or lvs.cf; - is standard input (default: the daemon's own)",
    )
    _format(parser)
    _socket(parser)


def _status(arguments: argparse.Namespace) -> int:
    from lvs.protocol import StatusRequest

    return _ask(arguments, StatusRequest())


def _status_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="as JSON, for programs")
    _socket(parser)


def _reload(arguments: argparse.Namespace) -> int:
    from lvs.protocol import ReloadRequest

    return _ask(arguments, ReloadRequest())


def _switchover(arguments: argparse.Namespace) -> int:
    from lvs.protocol import SwitchoverRequest

    return _ask(arguments, SwitchoverRequest())


def _pair(arguments: argparse.Namespace) -> int:
    from lvs import joining

    return joining.run(arguments, _config_file(None) if arguments.pair in ("init", "join") else Path())


def _pair_arguments(parser: argparse.ArgumentParser) -> None:
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
        _socket(verb)


def _ask(arguments: argparse.Namespace, request: object) -> int:
    import msgspec

    from lvs.io import control
    from lvs.protocol import SOCKET_NAME

    reply = control.ask(arguments.run_dir / SOCKET_NAME, request)  # type: ignore[arg-type]
    for line in reply.err:
        print(line, file=sys.stderr)
    if getattr(arguments, "json", False) and reply.status is not None:
        print(msgspec.json.format(msgspec.json.encode(reply.status), indent=2).decode())
    else:
        for line in reply.out:
            print(line)
    return reply.exit_code


def _upkeep(arguments: argparse.Namespace) -> int:
    from lvs import upkeep

    verbs = {
        "explain": upkeep.explain,
        "drain": upkeep.drain,
        "disable": upkeep.disable,
        "enable": upkeep.enable,
    }
    return verbs[arguments.command](arguments)


def _server_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("server", metavar="SERVER", help="real server, by name or address")
    parser.add_argument(
        "--virtual", metavar="V", help="in this virtual server only (default: wherever it is)"
    )
    _socket(parser)


def _disable_arguments(parser: argparse.ArgumentParser) -> None:
    _server_arguments(parser)
    parser.add_argument(
        "--for",
        dest="for_",
        metavar="T",
        help="take the order back by itself after this time: 90s, 5m, 2h, 1d",
    )


def _drain_arguments(parser: argparse.ArgumentParser) -> None:
    _disable_arguments(parser)
    parser.add_argument("--deadline", metavar="T", help="end the connections that are left after this time")
    parser.add_argument("--no-wait", action="store_true", help="do not wait for the sessions to end")


def _machine(name: str, said: str, details: str) -> Command:
    """A command that tells machines who they are."""

    def run(arguments: argparse.Namespace) -> int:
        if name == "firstboot":
            from lvs import booting

            return booting.run(arguments)
        if name == "wizard":
            from lvs import asking

            return asking.run(arguments)
        from lvs import preparing

        return preparing.run(arguments, arguments.file or _config_file(None))

    def arguments(parser: argparse.ArgumentParser) -> None:
        from lvs.firstboot import options

        options.OF[name](parser)

    return Command(run, said, arguments, details)


def _record(name: str, said: str, details: str = "") -> Command:
    """A command of `lvs.records`."""

    def run(arguments: argparse.Namespace) -> int:
        from lvs import records

        return records.COMMANDS[name][0](arguments)

    def arguments(parser: argparse.ArgumentParser) -> None:
        from lvs import records

        records.COMMANDS[name][1](parser)

    return Command(run, said, arguments, details)


def _firewall(arguments: argparse.Namespace) -> int:
    from lvs import firewall

    return firewall.run(arguments, arguments.file or _config_file(None))


def _firewall_arguments(parser: argparse.ArgumentParser) -> None:
    from lvs import firewall

    firewall.arguments(parser)


def _update(arguments: argparse.Namespace) -> int:
    if arguments.pair or arguments.resume:
        from lvs import rollout

        return rollout.run(arguments)
    from lvs import update

    return update.run(arguments)


def _update_arguments(parser: argparse.ArgumentParser) -> None:
    from lvs import update

    update.arguments(parser)


def _healthy(arguments: argparse.Namespace) -> int:
    from lvs import update

    return update.healthy(arguments)


def _healthy_arguments(parser: argparse.ArgumentParser) -> None:
    from lvs import update

    update.healthy_arguments(parser)


def _selftest(_arguments: argparse.Namespace) -> int:
    from lvs import selftest

    failed = False
    for name, passed, said in selftest.run():
        failed = failed or not passed
        print(f"{'ok  ' if passed else 'FAIL'} {name}{': ' if said else ''}{said}")
    return Exit.FAILED if failed else Exit.OK


def _completion(arguments: argparse.Namespace) -> int:
    from lvs.completion import script

    print(script(arguments.shell, parser()), end="")
    return Exit.OK


def _completion_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=("bash", "zsh", "fish"))


COMMANDS: dict[str, Command] = {
    "run": Command(
        _run,
        "manage the kernel's table until told to stop",
        _run_arguments,
        "The file is loaded again whenever it changes, on SIGHUP and on `lvsd reload`; a file with problems "
        "changes nothing. Ends on SIGTERM and SIGINT.",
    ),
    "check": Command(_check, "say whether a file is valid, and all that is wrong with it", _check_arguments),
    "plan": Command(
        _plan,
        "show what a file would change in the kernel, and change nothing",
        _plan_arguments,
        "Prints ipvsadm, ip and sysctl lines, each with the connections it would touch.",
    ),
    "convert": Command(
        _convert, "write a file in the other language, canonically, to standard output", _convert_arguments
    ),
    "status": Command(_status, "show the table, with names, connections, and why", _status_arguments),
    "explain": Command(
        _upkeep,
        "say why a real server is as it is",
        _server_arguments,
        "State, since when, what the kernel has, orders, each check with its last answer and the next.",
    ),
    "drain": Command(
        _upkeep,
        "take a real server out gently: no new connections, those that are there may end",
        _drain_arguments,
        "Shows how many sessions are left until there is none; the order stays when you stop looking, over "
        "reload and restart too.",
    ),
    "disable": Command(_upkeep, "take a real server out at once", _disable_arguments),
    "enable": Command(_upkeep, "take a real server back in; its checks decide again", _server_arguments),
    "reload": Command(_reload, "have the daemon read its file now, and say what came of it", _socket),
    "pair": Command(
        _pair,
        "make two directors know each other, and keep one configuration on both",
        _pair_arguments,
        "init, then join on the other director; status and resolve ask the daemon.",
    ),
    "switchover": Command(
        _switchover,
        "have the other director of the pair serve, without a gap",
        _socket,
        "The other one takes over, then this one gives the VIPs up; it may be asked of either.",
    ),
    "history": _record("history", "show what ran, since when, and by whom"),
    "diff": _record("diff", "show what the last commit changed, or what lies between two"),
    "rollback": _record("rollback", "run an earlier commit again, on both directors of a pair"),
    "confirm": _record("confirm", "keep what was pushed on trial"),
    "repository": _record("repository", "make the repository that takes pushes"),
    "pull": _record("pull", "run what a central repository holds"),
    "hook": _record("hook", "what git runs in the repository; not for people"),
    "firstboot": _machine(
        "firstboot",
        "take over what this machine is given, at its boot",
        "From credentials, the partition LVS-CONFIG and NoCloud disks; docs/first-boot.md.",
    ),
    "cloud-init": _machine(
        "cloud-init",
        "print user data for cloud-init that prepares a real server",
        "VIPs, ARP settings, tunnels or gateway, as the forwarding methods of the file ask for.",
    ),
    "wizard": _machine(
        "wizard",
        "make a first configuration by questions at the console",
        "The last resort of an appliance that nobody told who it is; docs/first-boot.md.",
    ),
    "firewall": Command(
        _firewall,
        "print the firewall of a file, as a script for nft",
        _firewall_arguments,
        "`lvsd run --firewall` keeps it; without that no firewall is touched.",
    ),
    "update": Command(
        _update,
        "install another version of the image beside the one that runs",
        _update_arguments,
        "Its signature is verified before anything is written. The next boot starts it; if it does not come "
        "up healthy in three tries, the version before is started again.",
    ),
    "healthy": Command(
        _healthy,
        "say whether this director came up as it should",
        _healthy_arguments,
        "Exits 0 if the kernel holds the configuration, and as one of a pair the role has settled.",
    ),
    "selftest": Command(
        _selftest, "check that this binary is whole, and what this machine offers", lambda _: None
    ),
    "completion": Command(
        _completion,
        "print a completion script for a shell",
        _completion_arguments,
        'For bash: eval "$(lvsd completion bash)".',
    ),
}

if __name__ == "__main__":
    sys.exit(main())
