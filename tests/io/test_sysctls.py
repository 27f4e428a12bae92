"""Settings in a directory that looks like /proc/sys; the real one is in netns/test_links.py."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from lvs.errors import Exit, KernelError
from lvs.io import sysctls

DOTTED_DEVICE = ("net", "ipv4", "conf", "eth0.10", "promote_secondaries")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, value in {
        "net/ipv4/ip_forward": "0\n",
        "net/ipv4/tcp_rmem": "4096\t131072\t6291456\n",
        "net/ipv4/conf/eth0.10/promote_secondaries": "0\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("net.ipv4.ip_forward", ("net", "ipv4", "ip_forward")),
        ("net/ipv4/ip_forward", ("net", "ipv4", "ip_forward")),
        ("net/ipv4/conf/eth0.10/promote_secondaries", DOTTED_DEVICE),
        ("net.ipv4.conf.eth0/10.promote_secondaries", DOTTED_DEVICE),
        ("net.ipv4.conf.eth0.10.promote_secondaries", DOTTED_DEVICE),
        ("net.ipv6.conf.a.b.c.disable_ipv6", ("net", "ipv6", "conf", "a.b.c", "disable_ipv6")),
        ("net.ipv4.vs.conntrack", ("net", "ipv4", "vs", "conntrack")),
        # `..` and what becomes one lead nowhere, whichever separator is meant.
        ("net/../../etc/passwd", None),
        ("net/ipv4/conf/../ip_forward", None),
        ("net.//.ipv4", None),
        ("net..ipv4", None),
        ("/net/ipv4", None),
        ("net/ipv4/", None),
        (".", None),
        ("net", None),
        ("", None),
        ("net/ipv4\0/x", None),
    ],
)
def test_names(name: str, expected: tuple[str, ...] | None) -> None:
    assert sysctls.parts(name) == expected


def test_read(root: Path) -> None:
    names = ["net/ipv4/ip_forward", "net.ipv4.tcp_rmem", "net.ipv4.none", "net/../x", "net/ipv4/conf"]
    assert sysctls.read(names, root) == {
        "net/ipv4/ip_forward": "0",
        "net.ipv4.tcp_rmem": "4096 131072 6291456",
    }


def test_write_then_read(root: Path) -> None:
    sysctls.write("net.ipv4.conf.eth0/10.promote_secondaries", "1", root)
    name = "net/ipv4/conf/eth0.10/promote_secondaries"
    assert sysctls.read([name], root) == {name: "1"}


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("net.ipv4.vs.conntrack", "the module ip_vs is not loaded (modprobe ip_vs)"),
        ("net/ipv4/conf/eth9/promote_secondaries", "there is no device eth9"),
        ("net/ipv4/conf/eth0.10/wrong", "this kernel has no such setting"),
        ("net.ipv6.conf.all.forwarding", "this kernel runs without IPv6"),
        ("net.ipv4.none", "this kernel has no such setting"),
    ],
)
def test_missing_settings(root: Path, name: str, sentence: str) -> None:
    with pytest.raises(KernelError) as caught:
        sysctls.write(name, "1", root)
    assert str(caught.value).startswith(f"{name} = 1: ")
    assert sentence in str(caught.value)
    assert caught.value.errno == errno.ENOENT


@pytest.mark.parametrize(
    ("code", "sentence", "exit_code"),
    [
        (errno.EACCES, "not permitted; run as root", Exit.RIGHTS),
        (errno.EPERM, "not permitted; run as root", Exit.RIGHTS),
        (errno.EROFS, "read-only, as in most containers", Exit.FAILED),
        (errno.EINVAL, "the kernel refuses this value", Exit.FAILED),
        (errno.EIO, "Input/output error", Exit.FAILED),
    ],
)
def test_refusals(
    root: Path, monkeypatch: pytest.MonkeyPatch, code: int, sentence: str, exit_code: Exit
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(KernelError) as caught:
        sysctls.write("net.ipv4.ip_forward", "1", root)
    assert sentence in str(caught.value)
    assert (caught.value.errno, caught.value.exit_code) == (code, exit_code)


def test_a_name_that_leads_away(root: Path) -> None:
    (root.parent / "outside").write_text("untouched")
    with pytest.raises(KernelError, match="no name of a setting"):
        sysctls.write("net/../../outside", "1", root)
    assert (root.parent / "outside").read_text() == "untouched"
