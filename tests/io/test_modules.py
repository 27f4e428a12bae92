"""Modules with a modprobe of our own; no kernel is asked."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lvs.io import modules

PROC = (
    "ip_vs_wlc 12288 0 - Live 0x0000000000000000\n"
    "ip_vs 212992 2 ip_vs_wlc, Live 0x0000000000000000\n"
    "ip_vs_mh 16384 0 - Loading 0x0000000000000000\n"
)


class Machine:
    """Where modules live, and a modprobe that obeys `script` and notes how it was called."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = path
        self.monkeypatch = monkeypatch
        self.modprobe("exit 0")

    def modprobe(self, script: str) -> None:
        program = self.path / "modprobe"
        program.write_text(
            f'#!/bin/sh\necho "$@" >>{self.path}/calls\nenv | sort >{self.path}/env\n{script}\n'
        )
        program.chmod(0o755)
        self.monkeypatch.setattr(modules, "find_program", lambda _: str(program))

    def calls(self) -> list[str]:
        calls = self.path / "calls"
        return calls.read_text().splitlines() if calls.exists() else []


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    (tmp_path / "proc").write_text(PROC)
    (tmp_path / "sys" / "ipv6").mkdir(parents=True)
    (tmp_path / "sys" / "ip_vs_mh").mkdir()
    library = tmp_path / "lib"
    library.mkdir()
    (library / "modules.builtin").write_text("kernel/net/netfilter/ipvs/ip_vs_rr.ko\n")
    (library / "modules.dep").write_text(
        "kernel/net/netfilter/ipvs/ip_vs_sh.ko.xz: kernel/net/netfilter/ipvs/ip_vs.ko.xz\n"
        "kernel/net/some-thing.ko.zst:\n"
    )
    monkeypatch.setattr(modules, "PROC_MODULES", tmp_path / "proc")
    monkeypatch.setattr(modules, "SYS_MODULE", tmp_path / "sys")
    monkeypatch.setattr(modules, "module_directory", lambda: library)
    monkeypatch.setattr(modules, "in_container", lambda: False)
    monkeypatch.setattr(modules, "may_load", lambda: True)
    return Machine(tmp_path, monkeypatch)


def test_what_is_there_is_not_asked_for(machine: Machine) -> None:
    assert modules.load(["ip_vs", "ip-vs-wlc", "ipv6", "ip_vs_rr"]) == {}
    assert machine.calls() == []


def test_all_at_once(machine: Machine) -> None:
    assert modules.load(["ip_vs", "ip_vs_sh", "ip_vs_mh", "ip_vs_sh"]) == {}
    assert machine.calls() == ["-a ip_vs_sh ip_vs_mh"]


def test_one_by_one_for_the_reasons(machine: Machine) -> None:
    machine.modprobe('case "$*" in *bad*) echo "modprobe: ERROR: could not insert bad" >&2; exit 1;; esac')
    assert modules.load(["ip_vs_sh", "bad"]) == {"bad": "could not insert bad"}
    assert machine.calls() == ["-a ip_vs_sh bad", "ip_vs_sh", "bad"]


def test_no_shell_and_no_options(machine: Machine) -> None:
    assert set(modules.load(["-r", "a b", "x;y", "../x", ""])) == {"-r", "a b", "x;y", "../x", ""}
    assert machine.calls() == []


def test_the_environment_is_clean(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODPROBE_OPTIONS", "-r")
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/x")
    assert modules.load(["ip_vs_sh"]) == {}
    environment = (machine.path / "env").read_text()
    assert "MODPROBE_OPTIONS" not in environment
    assert "NOTIFY_SOCKET" not in environment
    assert "LC_ALL=C\n" in environment


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("ERROR: could not insert 'ip_vs_sh': Operation not permitted", "with CAP_SYS_MODULE"),
        ("ERROR: could not insert 'ip_vs_sh': Key was rejected by service", "Secure Boot"),
        ("FATAL: Module ip_vs_sh not found in directory /lib/modules/6", "apt install linux-image-"),
    ],
)
def test_reasons_say_what_to_do(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, said: str, sentence: str
) -> None:
    monkeypatch.setattr(modules, "_distribution", lambda: "debian")
    machine.modprobe(f'echo "modprobe: {said}" >&2; exit 1')
    [reason] = modules.load(["ip_vs_sh"]).values()
    assert sentence in reason
    assert not reason.startswith("modprobe")


def test_packages(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    release = os.uname().release
    machine.modprobe('echo "modprobe: FATAL: Module x not found in directory /lib" >&2; exit 1')
    for distribution, sentence in (
        ("ubuntu", f"apt install linux-modules-extra-{release}"),
        ("fedora", f"dnf install kernel-modules-{release}"),
        ("", "install the package with the kernel's further modules"),
    ):
        monkeypatch.setattr(modules, "_distribution", lambda found=distribution: found)
        assert sentence in modules.load(["x"])["x"]


def test_modules_of_another_kernel(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.modprobe('echo "modprobe: FATAL: Module x not found in directory /lib" >&2; exit 1')
    monkeypatch.setattr(modules, "module_directory", lambda: machine.path / "kernels" / "6.1.0")
    assert "there are no modules for this kernel" in modules.load(["x"])["x"]
    (machine.path / "kernels" / "6.12.1").mkdir(parents=True)
    assert "reboot into 6.12.1" in modules.load(["x"])["x"]
    (machine.path / "proc").unlink()
    assert "built without loadable modules" in modules.load(["x"])["x"]


def test_in_a_container(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modules, "in_container", lambda: True)
    machine.modprobe('echo "modprobe: FATAL: Module x not found in directory /lib" >&2; exit 1')
    assert "the host must load it: modprobe x" in modules.load(["x"])["x"]
    monkeypatch.setattr(modules, "find_program", lambda _: None)
    assert "the host must load the module" in modules.load(["x"])["x"]


def test_without_modprobe(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modules, "find_program", lambda _: None)
    assert modules.load(["ip_vs", "x"]) == {
        "x": "modprobe is missing (package kmod), and the module is not loaded"
    }


@pytest.mark.parametrize(
    ("script", "sentence"),
    [("sleep 60", "no end after"), ("exit 3", "exit status 3"), ("#", None)],
)
def test_odd_ends(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, script: str, sentence: str | None
) -> None:
    monkeypatch.setattr(modules, "LONGEST_S", 0.05)
    machine.modprobe(f"exec {script}" if script.startswith("sleep") else script)
    if sentence is None:
        (machine.path / "modprobe").chmod(0o644)
        sentence = "Permission denied"
    assert sentence in modules.load(["x"])["x"]


def test_without_the_right(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Schedulers and engines are the kernel's own business then; all else is told with its remedy."""
    monkeypatch.setattr(modules, "may_load", lambda: False)
    failed = modules.load(["ip_vs_sh", "ip-vs-lblc", "ip_vs_pe_sip", "ip_vs_wlc", "ip_vs_ftp", "nf_tables"])
    assert machine.calls() == []
    assert list(failed) == ["ip_vs_ftp", "nf_tables"]
    assert "modprobe nf_tables, and name it in /etc/modules-load.d" in failed["nf_tables"]


def test_available(machine: Machine) -> None:
    found = ["ip_vs", "ip-vs-wlc", "ip_vs_rr", "ip_vs_sh", "some_thing", "some-thing", "ipv6"]
    assert all(modules.available(name) for name in found)
    assert not modules.available("ip_vs_nq")


def test_the_real_directory_is_a_path() -> None:
    assert modules.module_directory().name == os.uname().release
    assert isinstance(modules.in_container(), bool)
    assert isinstance(modules._distribution(), str)
