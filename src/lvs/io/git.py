"""The configuration's repository, through the git program.

git runs as the repository's owner, who can do nothing else; with an environment that is ours alone, no
configuration but the repository's own, no hooks, no shell, and limits: what it reads came over the network.
Everything here waits, so it belongs into a thread of the daemon.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from hashlib import sha1
from pathlib import Path

from lvs.io import git_program
from lvs.io.child import PROGRAM_DIRECTORIES, find_program
from lvs.io.git_program import GitFault, TooMuch
from lvs.repository.history import FORMAT, Commit, Person, commits
from lvs.repository.tree import LONGEST, LONGEST_LISTING, Entry, entries
from lvs.repository.wishes import MAIN, NOTHING

DIRECTORY = Path("/var/lib/lvs-git/config.git")
PENDING = "refs/lvs/pending"  # a commit that is being applied
CENTRAL = "refs/lvs/central"  # what was pulled
_OURS = (MAIN, PENDING)
STALE_S = 30.0  # a lock that is older is nobody's: no git of ours takes so long
LIMIT_S = 30.0
MOST = LONGEST  # bytes that a command may say
MOST_PACK = 24 << 20  # bytes of history that go to the other director at a time
# Set by git for its hooks: objects of a push lie in quarantine until it is accepted; git-receive-pack(1).
OF_HOOKS = ("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_QUARANTINE_PATH")
_OID = re.compile(r"[0-9a-f]{40}")


class Git:
    """One repository."""

    def __init__(self, directory: Path = DIRECTORY, quarantine: Mapping[str, str] | None = None) -> None:
        self.directory = directory
        self._more = dict(quarantine or {})

    def lacking(self) -> str:
        """Why there is no repository to work with; empty if there is one."""
        if find_program("git") is None:
            return "there is no git on this machine"
        try:
            (self.directory / "HEAD").stat()
        except FileNotFoundError:
            return f"there is no repository {self.directory}"
        except OSError as fault:
            return f"{self.directory}: {os.strerror(fault.errno or 0).lower()}"
        return ""

    def unlock(self) -> None:
        """Remove locks that a git left which was killed, or lost its power. Errors: GitFault.

        Main and our own refs are moved by the daemon alone, so nobody holds them while it looks; all others
        have to be old.
        """
        found = []
        for place, pattern in ((self.directory, "*.lock"), (self.directory / "refs", "**/*.lock")):
            with suppress(OSError):
                for lock in place.glob(pattern):
                    ours = str(lock.relative_to(self.directory).with_suffix("")) in _OURS
                    if ours or abs(time.time() - lock.stat().st_mtime) > STALE_S:
                        found.append(str(lock))
        if found:
            command = (*self._as_owner("rm"), "-f", "--", *found)
            git_program.run(command, self._environment(), b"", MOST, LIMIT_S)

    def run(
        self,
        *words: str,
        stdin: bytes = b"",
        most: int = MOST,
        limit_s: float = LIMIT_S,
        allowed: tuple[int, ...] = (0,),
        more: Mapping[str, str] | None = None,
        limited: bool = False,
    ) -> tuple[int, bytes]:
        """Exit code and output of a git command; `limited`: what it reads has not been judged yet.

        Errors: GitFault if the code is none of the `allowed`.
        """
        safe = ("-c", f"safe.directory={self.directory}", "-c", "core.hooksPath=/dev/null")
        limited = limited or bool(self._more)
        command = (*self._as_owner(limited=limited), *safe, *words)
        code, out, err = git_program.run(
            command, self._environment() | dict(more or {}), stdin, most, limit_s
        )
        if code not in allowed:
            raise GitFault(git_program.reason(words, code, err))
        return code, out

    def _as_owner(self, program: str = "git", *, limited: bool = False) -> tuple[str, ...]:
        """A program as the one who owns the repository: root has no business with what came from outside."""
        git, prlimit, setpriv = (find_program(name) for name in (program, "prlimit", "setpriv"))
        if git is None:
            raise GitFault(f"there is no {program} on this machine")
        try:
            owner = self.directory.stat()
        except OSError as fault:
            raise GitFault(f"{self.directory}: {os.strerror(fault.errno or 0).lower()}") from fault
        limits = (prlimit, *git_program.limits(), "--") if limited and prlimit is not None else ()
        if owner.st_uid == os.geteuid() or os.geteuid():
            return (*limits, git)
        if setpriv is None:
            raise GitFault("setpriv(1) is missing: git is not run as root")
        ids = (f"--reuid={owner.st_uid}", f"--regid={owner.st_gid}", "--clear-groups", "--no-new-privs", "--")
        return (*limits, setpriv, *ids, git)

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": ":".join(PROGRAM_DIRECTORIES),
            "LC_ALL": "C.UTF-8",
            "HOME": "/nonexistent",
            "GIT_DIR": str(self.directory),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_LITERAL_PATHSPECS": "1",
            "GIT_PAGER": "cat",
            "GIT_ALLOW_PROTOCOL": "",
            "TZ": os.environ.get("TZ", ""),
            **self._more,
        }

    # Looking

    def refs(self) -> dict[str, str]:
        """Commits by ref: main, and what is ours."""
        said = self.run("for-each-ref", "--format=%(refname) %(objectname)", MAIN, "refs/lvs/")[1]
        return dict(line.split(" ", 1) for line in said.decode().splitlines())

    def tip(self) -> str:
        """The commit of main; empty if there is none yet."""
        return self.refs().get(MAIN, "")

    def tree(self, commit: str) -> tuple[Entry, ...]:
        """All files of a commit."""
        return entries(self._listed("-r", commit))

    def top(self, commit: str) -> tuple[Entry, ...]:
        """What lies at the top of a commit's tree."""
        return entries(self._listed(commit))

    def _listed(self, *words: str) -> bytes:
        try:
            return self.run("ls-tree", "-z", "-l", "--full-tree", *words, most=LONGEST_LISTING)[1]
        except TooMuch as fault:
            raise GitFault("too many files") from fault

    def blob(self, name: str) -> bytes:
        """The content of a file."""
        return self.run("cat-file", "blob", name)[1]

    def named(self, words: str) -> str:
        """The commit that an operator means: a name, part of one, `main~2`; empty if there is none such."""
        if words.startswith("-"):
            return ""
        code, out = self.run("rev-parse", "--verify", "--quiet", f"{words}^{{commit}}", allowed=(0, 1, 128))
        found = out.decode().strip()
        return found if code == 0 and _OID.fullmatch(found) else ""

    def has(self, commits: Sequence[str]) -> tuple[str, ...]:
        """Those of these commits that are here."""
        asked = "".join(f"{one}\n" for one in commits).encode()
        said = self.run("cat-file", "--batch-check=%(objectname) %(objecttype)", stdin=asked)[1].decode()
        return tuple(line[:40] for line in said.splitlines() if line.endswith(" commit"))

    def precedes(self, older: str, newer: str) -> bool:
        """Whether one commit is an ancestor of another, or the same. Errors: GitFault if one is no commit."""
        return self.run("merge-base", "--is-ancestor", older, newer, allowed=(0, 1))[0] == 0

    def ran(self, most: int = 256) -> tuple[str, ...]:
        """Where main was, the newest first: what was pushed along with a commit never ran."""
        return tuple(self.run("log", "-g", "--format=%H", f"--max-count={most}", MAIN)[1].decode().split())

    def log(self, *words: str) -> tuple[Commit, ...]:
        """Commits from git log, the newest first."""
        return commits(self.run("log", f"--format={FORMAT}", *words)[1])

    # Making

    def write(self, content: bytes) -> str:
        """Keep a file's content; its name."""
        return self.run("hash-object", "-w", "--stdin", stdin=content)[1].decode().strip()

    def make_tree(self, found: Iterable[Entry]) -> str:
        """A tree of these; its name."""
        # Not git-mktree(1): it reads no configuration, and so leaves what it writes off the disk.
        raw = b"".join(b"%s %s\0%s" % _line(entry) for entry in sorted(found, key=_order))
        return self.run("hash-object", "-w", "-t", "tree", "--stdin", stdin=raw)[1].decode().strip()

    def commit(
        self,
        tree: str,
        parents: Sequence[str],
        author: Person,
        committer: Person,
        message: str,
        *,
        at: int | None = None,
    ) -> str:
        """A new commit; its name. No ref is moved."""
        words = [word for parent in parents for word in ("-p", parent)]
        when = f"@{int(time.time()) if at is None else at} +0000"
        identity = {
            "GIT_AUTHOR_NAME": author.name,
            "GIT_AUTHOR_EMAIL": author.email,
            "GIT_AUTHOR_DATE": when,
            "GIT_COMMITTER_NAME": committer.name,
            "GIT_COMMITTER_EMAIL": committer.email,
            "GIT_COMMITTER_DATE": when,
        }
        said = self.run("commit-tree", tree, *words, stdin=message.encode(), more=identity)[1]
        return said.decode().strip()

    def move(self, reason: str, *changes: tuple[str, str, str | None]) -> None:
        """Move refs, all or none: (ref, to, from); to empty: away with it; from None: from wherever it is.

        Errors: GitFault, if one of them is elsewhere too.
        """
        lines = b""
        for ref, new, old in changes:
            before = b"" if old is None else (old or NOTHING).encode()
            if new:
                lines += b"update %s\0%s\0%s\0" % (ref.encode(), new.encode(), before)
            else:
                lines += b"delete %s\0%s\0" % (ref.encode(), before)
        identity = {"GIT_COMMITTER_NAME": "lvsd", "GIT_COMMITTER_EMAIL": f"lvsd@{os.uname().nodename}"}
        words = ("update-ref", "--create-reflog", "-m", reason, "--stdin", "-z")
        self.run(*words, stdin=lines, more=identity)
        self._settle(ref for ref, _, _ in changes)

    def _settle(self, refs: Iterable[str]) -> None:
        """Names of refs are on the disk, and who moved them: git sees to their content only."""
        places = set()
        for ref in refs:
            for place in (self.directory / ref, self.directory / "logs" / ref):
                places.add(next(parent for parent in place.parents if parent.is_dir()))
            places.add(self.directory / "logs" / ref)
        for place in sorted(places):
            try:
                flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
                descriptor = os.open(place, flags)
            except FileNotFoundError:
                continue
            except OSError as fault:
                raise GitFault(f"{place}: {os.strerror(fault.errno or 0).lower()}") from fault
            try:
                os.fsync(descriptor)
            except OSError as fault:
                raise GitFault(f"{place}: {os.strerror(fault.errno or 0).lower()}") from fault
            finally:
                os.close(descriptor)

    # What goes to the other director, and comes from it

    def pack(self, tip: str, known: Sequence[str]) -> bytes:
        """All that leads to a commit and not to the `known` ones. Errors: GitFault if it is too much."""
        wanted = "".join([f"{tip}\n", *(f"^{one}\n" for one in known)]).encode()
        words = ("pack-objects", "--revs", "--stdout", "--thin", "--quiet", "--threads=1")
        try:
            return self.run(*words, stdin=wanted, most=MOST_PACK, limited=True)[1]
        except TooMuch as fault:
            raise GitFault(f"the history is larger than {MOST_PACK >> 20} MiB") from fault

    def unpack(self, pack: bytes, tip: str) -> None:
        """Take objects in. Errors: GitFault if they are damaged, too many, or do not lead to `tip`."""
        bounded = f"--max-input-size={MOST_PACK}"
        self.run("unpack-objects", "-q", "--strict", bounded, stdin=pack, limited=True)
        self.run("rev-list", "--objects", "--quiet", tip, "--not", "--all", limited=True)

    def whole(self, commit: str) -> bool:
        """Whether a commit is here with all that leads to it: only what is, gets a ref."""
        words = ("rev-list", "--max-count=1", commit, "--not", "--all")
        code, said = self.run(*words, allowed=(0, 128))
        return code == 0 and not said

    def recent(self, tip: str, most: int = 256, *, first_parent: bool = False) -> tuple[str, ...]:
        """The newest commits that lead to this one, itself first."""
        straight = ("--first-parent",) if first_parent else ()
        return tuple(self.run("rev-list", *straight, f"--max-count={most}", tip)[1].decode().split())


def blob_id(content: bytes) -> str:
    """The name that git gives to a file's content."""
    return sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _order(entry: Entry) -> bytes:
    """By what git sorts a tree."""
    return entry.path + b"/" if entry.kind == "tree" else entry.path


def _line(entry: Entry) -> tuple[bytes, bytes, bytes]:
    """As a tree holds it: gitformat-loose does not say, git-cat-file(1) shows it."""
    return entry.mode.lstrip("0").encode(), entry.path, bytes.fromhex(entry.id)
