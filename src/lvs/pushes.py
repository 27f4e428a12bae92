"""`lvsd hook`: what git runs in the repository when somebody pushes; githooks(5).

pre-receive judges, while what was pushed lies in quarantine: what is refused leaves nothing behind.
proc-receive has the daemon apply what was accepted; the daemon moves the branch, and git tells the client
what came of it, so that `git push` fails if the director does not run what was pushed.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import BinaryIO

from lvs.arguments import run_directory
from lvs.errors import Exit, LvsError
from lvs.io import control
from lvs.io.git import OF_HOOKS, Git
from lvs.io.git_program import GitFault
from lvs.io.pusher import elapsed_s, pusher
from lvs.protocol import SOCKET_NAME, ExamineRequest, PushRequest, Reply
from lvs.repository.packets import FLUSH, GREETING, greeted, packet, section, takes_options, update, verdict
from lvs.repository.tree import Chosen, judge
from lvs.repository.wishes import NOTHING, Update, Wishes, refused, updates, wishes

HOOKS = ("pre-receive", "proc-receive")
WAIT_S = 120.0  # for the daemon: longer than it waits for anything
_LONGEST = 1 << 20  # bytes of standard input
_RECEIVER = "git"  # git-receive-pack, or git receive-pack


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("hook", metavar="NAME", choices=HOOKS)
    run_directory(parser)


def hook(asked: argparse.Namespace) -> int:
    """Do what git asks for; exit code 0: go on."""
    git = Git(
        Path(os.environ.get("GIT_DIR", ".")).absolute(),
        {name: os.environ[name] for name in OF_HOOKS if name in os.environ},
    )
    socket = asked.run_dir / SOCKET_NAME
    if asked.hook == "pre-receive":
        return pre_receive(git, socket, sys.stdin.buffer.read(_LONGEST))
    return proc_receive(socket, sys.stdin.buffer, sys.stdout.buffer)


def _say(*lines: str) -> None:
    """To whoever pushes."""
    for line in lines:
        print(line, file=sys.stderr)
    sys.stderr.flush()


def _refuse(*lines: str) -> int:
    _say(*lines, "refused: nothing was changed")
    return Exit.FAILED


def _options() -> list[str]:
    count = os.environ.get("GIT_PUSH_OPTION_COUNT", "0")
    return [os.environ.get(f"GIT_PUSH_OPTION_{number}", "") for number in range(int(count))]


def pre_receive(git: Git, socket: Path, said: bytes) -> int:
    """Judge a push, and show what it would do."""
    wanted = updates(said)
    if why := refused(wanted):
        return _refuse(why)
    asked = wishes(_options())
    if not isinstance(asked, Wishes):
        return _refuse(asked)
    push = wanted[0]
    try:
        found = _judged(git, push)
        if not isinstance(found, Chosen):
            return _refuse(*found)
        content = git.blob(found.blob)
    except GitFault as fault:
        return _refuse(str(fault))
    request = ExamineRequest(push.new, push.old, found.name, content, elapsed_s() or 0.0)
    reply = _asked(socket, request)
    _say(*reply.out, *reply.err)
    if reply.exit_code:
        return _refuse()
    if asked.dry_run:
        _say("dry run: nothing was changed, and the push is refused on purpose")
        return Exit.FAILED
    return Exit.OK


def _judged(git: Git, push: Update) -> Chosen | tuple[str, ...]:
    """The configuration that is pushed, or what speaks against the commit."""
    if push.old == NOTHING:
        if not git.has((push.new,)):
            return ("main can only be a commit",)
    elif not git.precedes(push.old, push.new):
        return ("it does not contain what runs: git pull --rebase, look at it, and push again",)
    return judge(git.tree(push.new))


def _asked(socket: Path, request: ExamineRequest | PushRequest) -> Reply:
    try:
        return control.ask(socket, request, WAIT_S)
    except LvsError as fault:
        return Reply(fault.exit_code, err=(str(fault),))


def proc_receive(socket: Path, stdin: BinaryIO, stdout: BinaryIO) -> int:
    """Have the daemon apply a push, and tell git what came of it."""
    try:
        greeting = section(stdin)
        if not greeted(greeting):
            raise ValueError("git speaks another version")  # noqa: TRY301
        stdout.write(packet(GREETING) + FLUSH)
        stdout.flush()
        pushed = [update(line) for line in section(stdin)]
        given = section(stdin) if takes_options(greeting) else []
        options = [line.decode(errors="replace").strip() for line in given]
    except ValueError as fault:
        _say(f"git and lvsd do not understand each other: {fault}")
        return Exit.FAILED
    stdout.writelines(verdict(push.ref, _applied(socket, push, options)) for push in pushed)
    stdout.write(FLUSH)
    stdout.flush()
    return Exit.OK


def _applied(socket: Path, push: Update, options: list[str]) -> str:
    """Why a push was refused after all; empty if the director runs it."""
    asked = wishes(options)
    if why := refused((push,)):
        return why
    if not isinstance(asked, Wishes):
        return asked
    since_s = elapsed_s() or 0.0
    reply = _asked(socket, PushRequest(push.new, push.old, pusher(os.environ), confirm_s=asked.confirm_s))
    _say(*reply.out, *reply.err)
    if reply.exit_code == Exit.NO_DAEMON:
        _say("lvsd did not say what became of it; `lvsd history` on the director does")
    if reply.exit_code:
        return reply.err[0] if reply.err else "refused"
    whole_s = elapsed_s(_RECEIVER)
    ours_s = since_s + (reply.took_s or 0.0)
    if whole_s is not None:
        _say(f"took {whole_s:.2f} s here, of which lvsd {ours_s:.2f} s")
    return ""
