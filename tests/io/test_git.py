"""The repository through the real git."""

from __future__ import annotations

import getpass
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lvs.io import bare
from lvs.io.git import PENDING, Git, blob_id
from lvs.io.git_program import GitFault, TooMuch
from lvs.repository.history import Person
from lvs.repository.tree import Entry
from lvs.repository.wishes import MAIN
from reach import open_to_all

ALICE = Person("Alice", "alice@example.com")
SCRIPT = """
import sys
from pathlib import Path
from lvs.io.git import Git
from lvs.repository.history import Person

git, alice = Git(Path(sys.argv[1])), Person("Alice", "a@x")
git.unlock()
git.move("made", ("refs/heads/main", git.commit(git.make_tree(()), (), alice, alice, "x"), ""))
print(git.lacking() or git.tip())
"""


def repository(place: Path) -> Git:
    directory = place / "config.git"
    bare.make(directory, place / "hooks", getpass.getuser())
    return Git(directory)


def commit(git: Git, content: bytes, *parents: str, name: bytes = b"lvs.toml") -> str:
    tree = git.make_tree([Entry("100644", "blob", git.write(content), 0, name)])
    return git.commit(tree, parents, ALICE, ALICE, "a change\n", at=1700000000)


def test_what_is_made_is_read(tmp_path: Path) -> None:
    git = repository(tmp_path)
    assert (git.lacking(), git.tip(), git.refs()) == ("", "", {})
    one = commit(git, b"serial_no = 1\n")
    git.move("made", (MAIN, one, ""), (PENDING, one, None))
    assert git.refs() == {MAIN: one, PENDING: one}
    (entry,) = git.tree(one)
    assert entry == Entry("100644", "blob", blob_id(b"serial_no = 1\n"), 14, b"lvs.toml")
    assert git.blob(entry.id) == b"serial_no = 1\n"
    (told,) = git.log("main")
    assert (told.id, told.author, told.at, told.subject) == (one, ALICE, 1700000000, "a change")
    two = commit(git, b"serial_no = 2\n", one)
    assert git.precedes(one, two)
    assert not git.precedes(two, one)
    assert git.has((one, two, "0" * 39 + "1", entry.id)) == (one, two)
    assert (git.whole(one), git.whole(two), git.whole("0" * 39 + "1")) == (True, False, False)
    assert git.recent(two) == (two, one)
    assert (git.named("main"), git.named(one[:7]), git.named("x"), git.named("--all")) == (one, one, "", "")


def test_a_tree_is_what_git_makes_of_it(tmp_path: Path) -> None:
    git = repository(tmp_path)
    blob, below = git.write(b"x"), git.make_tree(())
    names = {b"a.b": "100644", b"a": "040000", b"a0": "100755", "ä".encode(): "100644"}
    found = [
        Entry(mode, "tree" if mode == "040000" else "blob", below if mode == "040000" else blob, 0, path)
        for path, mode in names.items()
    ]
    lines = b"".join(b"%s %s %s\t%s\0" % (*map(str.encode, it[:3]), it.path) for it in found)
    assert git.make_tree(found) == git.run("mktree", "-z", stdin=lines)[1].decode().strip()


def test_refs_move_together_or_not_at_all(tmp_path: Path) -> None:
    git = repository(tmp_path)
    one = commit(git, b"1")
    git.move("made", (MAIN, one, ""))
    two = commit(git, b"2", one)
    with pytest.raises(GitFault):
        git.move("made again", (PENDING, two, None), (MAIN, two, ""))
    with pytest.raises(GitFault):
        git.move("from elsewhere", (PENDING, two, None), (MAIN, two, two))
    assert git.refs() == {MAIN: one}
    git.move("on", (MAIN, two, one))
    said = git.run("reflog", "show", "--format=%gs", "main")[1]
    assert said == b"on\nmade\n"


def test_a_history_goes_from_one_to_the_other(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    here, there = repository(tmp_path / "a"), repository(tmp_path / "b")
    one = commit(here, b"1")
    two = commit(here, b"2", one)
    here.move("made", (MAIN, two, ""))
    there.unpack(here.pack(one, ()), one)
    there.move("came", (MAIN, one, ""))
    there.unpack(here.pack(two, (one,)), two)
    assert there.recent(two) == (two, one)
    with pytest.raises(GitFault):
        there.unpack(here.pack(two, (one,))[:-1], two)
    (tmp_path / "c").mkdir()
    third = repository(tmp_path / "c")
    with pytest.raises(GitFault):  # what it leads to is not there
        third.unpack(here.pack(two, (one,)), two)
    assert third.whole(two) is False


def test_what_git_says_is_bounded(tmp_path: Path) -> None:
    git = repository(tmp_path)
    name = git.write(b"x" * 100_000)
    with pytest.raises(TooMuch):
        git.run("cat-file", "blob", name, most=99_999)
    with pytest.raises(GitFault, match=r"did not end within 0"):
        git.run("cat-file", "blob", name, limit_s=0.0)
    with pytest.raises(GitFault, match=r"git cat-file: .*1111"):
        git.blob("1" * 40)


def test_nothing_around_it_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git = repository(tmp_path)
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text("[alias]\n\tlog = !touch /tmp/x\n[user]\n\tname = Mallory\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "user.name")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "Mallory")
    assert b"Mallory" not in git.run("config", "--list")[1]


def test_without_a_repository_it_says_so(tmp_path: Path) -> None:
    git = Git(tmp_path / "none.git")
    assert git.lacking() == f"there is no repository {tmp_path}/none.git"
    with pytest.raises(GitFault, match="no such file"):
        git.tip()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_root_is_its_owner_for_it(tmp_path: Path) -> None:
    git = repository(tmp_path)
    open_to_all(tmp_path)
    subprocess.run(("chown", "-R", "nobody", git.directory), check=True)
    one = commit(git, b"1")
    git.move("made", (MAIN, one, ""))
    owner = git.directory.stat().st_uid
    assert {path.stat().st_uid for path in git.directory.rglob("*")} == {owner}


def test_locks_of_a_git_that_is_gone_are_removed(tmp_path: Path) -> None:
    git = repository(tmp_path)
    one = commit(git, b"1")
    git.move("made", (MAIN, one, ""), (PENDING, one, None))
    locks = [
        git.directory / f"{name}.lock" for name in (MAIN, PENDING, "packed-refs", "refs/heads/x", "config")
    ]
    for lock in locks:
        lock.touch()
    with pytest.raises(GitFault, match="File exists"):
        git.move("on", (MAIN, commit(git, b"2", one), one))
    os.utime(locks[2], (0, 0))
    git.unlock()
    assert [lock.exists() for lock in locks] == [False, False, False, True, True]
    git.move("on", (MAIN, commit(git, b"2", one), one), (PENDING, "", one))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_a_daemon_without_rights_on_files_of_others_can_use_it(tmp_path: Path) -> None:
    """As systemd starts it: root, but no capability to read and write what is another user's."""
    git = repository(tmp_path)
    open_to_all(tmp_path)
    subprocess.run(("chown", "-R", "nobody:nogroup", git.directory), check=True)
    kept = "-all,+setuid,+setgid,+kill"
    words = (
        "setpriv",
        f"--bounding-set={kept}",
        f"--inh-caps={kept}",
        "--no-new-privs",
        "--clear-groups",
        "--",
    )
    done = subprocess.run(
        (*words, sys.executable, "-c", SCRIPT, git.directory),
        umask=0o077,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == git.tip(), done.stderr
    assert git.tip()
