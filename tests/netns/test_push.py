"""A director is configured by git push, on real kernels: B38, and what a pair makes of it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from lab import Lab, Result
from lab.paths import LVSD

from .director import Director, until
from .test_pair_config import Pair
from .test_pair_config import text as fast

pytestmark = [pytest.mark.netns, pytest.mark.long]  # tests/image/test_site.py pushes to images

HOME = "/var/lib/lvs-git"
SLOWLY_S = 280.0  # a push in an emulated guest whose host is busy
COPY = "/tmp/copy"
# As sshd does for the user lvs: the words behind the host name go to its shell.
SSH = f"""\
#!/bin/sh
for words; do :; done
export SSH_CONNECTION='192.0.2.7 50000 10.0.0.1 22'
cd {HOME} && exec setpriv --reuid=lvs --regid=lvs --init-groups git-shell -c "$words"
"""
AS = ("env", "GIT_SSH_COMMAND=/etc/lvs/ssh", "HOME=/tmp", "git", "-C", COPY)
WHO = ("-c", "user.name=Alice", "-c", "user.email=alice@example.com")


def text(serial: int, weight: int = 1, more: str = "") -> str:
    """Nothing is to fail over here, however late the machine is."""
    whole = fast(serial, weight, more)
    return whole.replace('network = "direct"', 'network = "direct"\nkeepalive = 2\ndeadtime = 30')


def prepare(director: Director) -> None:
    """What the appliance's files do."""
    machine = director.machine
    machine.run("useradd", "--system", "--home-dir", HOME, "--shell", "/usr/bin/git-shell", "lvs")
    for name in ("pre-receive", "proc-receive"):
        machine.write(f"/etc/lvs/hooks/{name}", f"#!/bin/sh\nexec {LVSD} hook {name}\n", 0o755)
    machine.write("/etc/lvs/ssh", SSH, 0o755)
    machine.run(LVSD, "repository", "init", "--hooks", "/etc/lvs/hooks")


def git(director: Director, *words: str, check: bool = True) -> Result:
    return director.machine.run(*AS, *words, check=check, timeout=SLOWLY_S)


def push(director: Director, content: str, *options: str) -> tuple[int, str]:
    """Commit a file in this machine's working copy and push it to this director."""
    director.machine.write(f"{COPY}/lvs.toml", content)
    git(director, *WHO, "commit", "--quiet", "--all", "-m", "another weight")
    done = git(director, "push", *options, "origin", "main", check=False)
    print(done.out, done.err)
    return done.rc, done.err


def tip(director: Director) -> str:
    place = f"{HOME}/config.git"
    words = ("git", "-c", "safe.directory=*", "-C", place, "rev-parse", "--verify", "-q", "main")
    return director.machine.run(*words, check=False).out.strip()


def clone(director: Director) -> None:
    words = ("env", "GIT_SSH_COMMAND=/etc/lvs/ssh", "HOME=/tmp", "git", "clone", "--quiet")
    director.machine.run(*words, "lvs@localhost:config.git", COPY)


@pytest.fixture
def pair(lab: Lab) -> Iterator[Pair]:
    made = Pair(lab)
    try:
        for director in made.directors:
            prepare(director)
        for director in made.directors:
            director.start(text(1))
        made.agreed("serial 1")
        until(lambda: [tip(one) for one in made.directors], lambda tips: bool(tips[0]) and tips[0] == tips[1])
        yield made
    finally:
        for director in made.directors:
            if director.process is not None:
                print(f"--- {director.machine.name}\n{director.said}")


def test_b38_a_push_is_judged_applied_and_answered(pair: Pair) -> None:
    one, two = pair.directors
    clone(one)
    before = tip(one)
    code, said = push(one, text(2, weight=-4))
    assert code == 1
    problem = re.search(r"lvs\.toml:\d+: virtual\[0\]\.server\[0\]\.weight: 0 to 65535, got -4", said)
    assert problem is not None
    one.machine.write("/tmp/bad/lvs.toml", text(2, weight=-4))
    assert problem[0] in one.lvsd("check", "/tmp/bad/lvs.toml", check=False)
    assert pair.weights() == ["1", "1"]
    assert [tip(each) for each in pair.directors] == [before] * 2
    # A check program that is on this one only: the other one is asked before anything is taken.
    one.machine.write("/etc/lvs/check-web", "#!/bin/sh\nexit 0\n", 0o755)
    code, said = push(one, text(2, 5, 'send_program = "/etc/lvs/check-web %h"'))
    assert code == 1
    assert "director2: /etc/lvs/lvs.toml:" in said
    assert pair.weights() == ["1", "1"]
    code, said = push(one, text(2, weight=5))
    assert code == 0
    for words in (
        "lvs.toml: valid, serial 1 -> 2",
        "ipvsadm -e -t 10.0.0.5:80 -r 10.0.0.3:80 -g -w 5",
        "applied in",
        "director2 runs it, too",
        "of which lvsd",
    ):
        assert words in said
    assert pair.weights() == ["5", "5"]
    commit = git(one, "rev-parse", "HEAD").out.strip()
    until(lambda: [tip(each) for each in pair.directors], lambda tips: tips == [commit] * 2)
    assert "push: commit" in one.said
    assert "somebody from 192.0.2.7" in one.said
    assert "other director: commit" in two.said
    # And back, from the other one.
    said = two.machine.run(LVSD, "rollback", timeout=SLOWLY_S).out
    assert "director1 runs it, too" in said
    assert pair.weights() == ["1", "1"]
    until(lambda: tip(one), lambda at: at == tip(two))
    history = one.machine.run(LVSD, "history", timeout=SLOWLY_S).out.splitlines()
    assert history[1].split()[3] == "3"  # below it, what was refused, too: it was pushed along
    assert "2" in [line.split()[3] for line in history[2:]]
    assert "-serial_no = 2" in one.lvsd("diff")
    git(one, "pull", "--quiet", "--rebase", "origin", "main", check=False)
    assert "Fault" not in one.said + two.said


def test_what_is_not_confirmed_is_taken_back_on_both(pair: Pair) -> None:
    one, two = pair.directors
    clone(two)
    code, said = push(two, text(2, weight=5), "-o", "confirm=60")
    assert code == 0
    assert "on trial" in said
    assert pair.weights() == ["5", "5"]
    until(pair.weights, lambda found: found == ["1", "1"])
    until(lambda: tip(one), lambda at: at == tip(two))
    assert "not confirmed, back to" in two.lvsd("history")
