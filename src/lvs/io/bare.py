"""The bare repository that takes pushes: made once, its settings kept as they belong.

It belongs to the user `lvs`, whose shell is git-shell: whoever may push can run git-receive-pack and
git-upload-pack in it, and nothing else. Each setting is one of git-config(1).
"""

from __future__ import annotations

import os
import pwd
import shutil
from pathlib import Path

from lvs.errors import Exit, SystemFault
from lvs.io.git import Git

USER = "lvs"
HOOKS = Path("/usr/lib/lvs/hooks")
_NEW = ".new"

SETTINGS = """\
# Written by `lvsd repository init`, which puts it right again; settings of your own belong into config.local.
[core]
	repositoryformatversion = 0
	filemode = true
	bare = true
	hooksPath = {hooks}
	logAllRefUpdates = always
	# The daemon reads it with no more rights than anybody; only its owner writes.
	sharedRepository = 0644
	# A power cut leaves the old commit or the new one.
	fsync = committed,reference
	# What a push may cost in memory: objects larger than this are streamed, packs are mapped in pieces.
	bigFileThreshold = 4m
	packedGitWindowSize = 16m
	packedGitLimit = 128m
[transfer]
	fsckObjects = true
	hideRefs = refs/lvs
[receive]
	fsckObjects = true
	maxInputSize = 16m
	unpackLimit = 500
	denyDeletes = true
	denyNonFastForwards = true
	advertisePushOptions = true
	# The hook proc-receive moves main, when the director runs it.
	procReceiveRefs = refs/heads/main
[pack]
	threads = 1
	windowMemory = 32m
	deltaCacheSize = 16m
[gc]
	# What was pushed is the record of who changed what.
	reflogExpire = never
	reflogExpireUnreachable = never
[include]
	path = config.local
"""


def make(directory: Path, hooks: Path = HOOKS, user: str = USER) -> bool:
    """Have the repository, with its settings; whether it had to be made. Errors: SystemFault."""
    try:
        owner = pwd.getpwnam(user)
    except KeyError as fault:
        raise SystemFault(f"there is no user {user}: systemd-sysusers makes it") from fault
    if os.geteuid() not in (0, owner.pw_uid):
        raise SystemFault(f"be root, or the user {user}", Exit.RIGHTS)
    fresh = not (directory / "HEAD").is_file()
    try:
        if fresh:
            _made(directory, hooks, owner)
        else:
            _set(directory, hooks, owner)
    except OSError as fault:
        raise SystemFault(
            f"cannot make {fault.filename or directory}: {os.strerror(fault.errno or 0).lower()}"
        ) from fault
    return fresh


def _made(directory: Path, hooks: Path, owner: pwd.struct_passwd) -> None:
    """Make it beside its place: there is a whole one, or none."""
    home = directory.parent
    home.mkdir(mode=0o755, parents=True, exist_ok=True)
    home.chmod(0o755)
    os.chown(home, owner.pw_uid, owner.pw_gid)
    new = directory.with_name(directory.name + _NEW)
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o755)
    os.chown(new, owner.pw_uid, owner.pw_gid)
    Git(new).run("init", "--quiet", "--bare", "--initial-branch=main", "--template=", "--shared=0644")
    _set(new, hooks, owner)
    new.rename(directory)
    os.sync()


def _set(directory: Path, hooks: Path, owner: pwd.struct_passwd) -> None:
    config, new = directory / "config", directory / f"config{_NEW}"
    text = SETTINGS.format(hooks=hooks).encode()
    if config.read_bytes() == text:
        return
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    with open(descriptor, "wb") as file:  # noqa: PTH123
        os.fchown(descriptor, owner.pw_uid, owner.pw_gid)
        os.fchmod(descriptor, 0o644)
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    new.replace(config)
