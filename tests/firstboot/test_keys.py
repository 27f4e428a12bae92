"""authorized_keys: what is a key, what is not, and what is said of it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstboot.given import public_key
from lvs.config.located import Severity
from lvs.firstboot import keys

GOOD = public_key()


def judged(text: str) -> tuple[tuple[str, ...], list[str]]:
    good, problems = keys.judge(text.encode(), "keys")
    return good, [str(problem) for problem in problems]


def test_good_lines_are_taken_as_they_are() -> None:
    optioned = f'from="10.0.0.0/24,!10.0.0.9",restrict,command="echo \\"a b\\"" {GOOD}'
    assert judged(f"\ufeff# me\n\n  {GOOD}\r\n{optioned}\n") == ((GOOD, optioned), [])


@pytest.mark.parametrize(
    "line",
    [
        public_key("sk-ssh-ed25519@openssh.com", (bytes(32), b"ssh:")),
        public_key("ecdsa-sha2-nistp256", (b"nistp256", b"\4" + bytes(64))),
        public_key("ssh-rsa", (b"\1\0\1", b"\0" + b"\xff" * 256)),
    ],
)
def test_other_types(line: str) -> None:
    assert judged(line) == ((line,), [])


@pytest.mark.parametrize(
    "first",
    [
        "-----BEGIN OPENSSH PRIVATE KEY-----",
        "-----BEGIN RSA PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----",
        "PuTTY-User-Key-File-3: ssh-ed25519",
    ],
)
def test_a_private_key_spoils_the_file_and_is_not_quoted(first: str) -> None:
    good, said = judged(f"{GOOD}\n{first}\nc2VjcmV0\n")
    assert good == ()
    assert len(said) == 1
    assert said[0].startswith("keys:2: is a private key")
    assert "c2VjcmV0" not in said[0]


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        (GOOD[:60], "cut off or damaged"),
        (public_key("ssh-dss", (b"x",)), "ssh-dss is no longer taken"),
        (public_key("ssh-ed25519", (bytes(31),)), "not 32 bytes long"),
        (GOOD.replace("ssh-ed25519", "ssh-rsa", 1), "says ssh-rsa, and the key in it is of type ssh-ed25519"),
        (public_key("ssh-rsa", (b"\1\0\1", b"\x7f" * 64)), "too short for sshd"),
        ("ssh-ed25519", "is not followed by a key"),
        ("correct horse battery staple", "is no public key for ssh"),
        ("---- BEGIN SSH2 PUBLIC KEY ----", "ssh-keygen -i -f FILE"),
        (f"{GOOD}\a", "control character"),
        (f'command="unended {GOOD}', "is no public key for ssh"),
    ],
)
def test_a_bad_line_is_named_and_the_others_count(line: str, wrong: str) -> None:
    good, said = judged(f"{line}\n{GOOD}\n")
    assert good == (GOOD,)
    assert len(said) == 1
    assert said[0].startswith("keys:1: ")
    assert wrong in said[0]


def test_a_weak_key_is_taken_with_a_warning() -> None:
    weak = public_key("ssh-rsa", (b"\1\0\1", b"\0" + b"\xff" * 128))
    good, problems = keys.judge(weak.encode(), "keys")
    assert good == (weak,)
    assert [problem.severity for problem in problems] == [Severity.WARNING]


@pytest.mark.parametrize("content", [b"", b"# nothing\n", b"\xff\xfe\x00", (GOOD.encode() + b"\n") * 1001])
def test_what_holds_no_key_is_refused(content: bytes) -> None:
    good, problems = keys.judge(content, "keys")
    assert good == ()
    assert len(problems) == 1


def test_fingerprint_is_what_ssh_keygen_says(tmp_path: Path) -> None:
    path = tmp_path / "id"
    subprocess.run(("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "me", "-f", path), check=True)
    public = path.with_name("id.pub")
    said = subprocess.run(("ssh-keygen", "-lf", public), capture_output=True, text=True, check=True).stdout
    assert said.split()[1] in keys.fingerprint(public.read_text().strip())
    assert judged(public.read_text())[1] == []
    assert "is a private key" in judged(path.read_text())[1][0]


@given(st.binary(max_size=300))
def test_whatever_comes_is_judged(content: bytes) -> None:
    good, problems = keys.judge(content, "keys")
    assert good or problems
    assert all(keys.fingerprint(line) for line in good)
