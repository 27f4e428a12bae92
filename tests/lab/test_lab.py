"""The lab itself: machines, programs, files, the agent's patience, and that nothing is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from . import setup
from .lab import Lab
from .machine import ProgramFailed, ProgramTimedOut
from .paths import CHECKOUT

pytestmark = pytest.mark.netns


def test_setup_is_quick_when_all_is_there(lab: Lab) -> None:
    assert lab.machines == {}
    began = time.monotonic()
    setup.ensure()
    assert time.monotonic() - began < 0.5


def test_ipvs_is_real_and_each_machine_has_its_own(lab: Lab) -> None:
    one, other = lab.machine("one"), lab.machine("other")
    one.run("ipvsadm", "-A", "-t", "10.0.0.5:631", "-s", "wlc", root="tree")
    assert "10.0.0.5:631 wlc" in one.run("ipvsadm", "-Ln", root="tree").out
    assert "10.0.0.5" not in other.run("ipvsadm", "-Ln", root="tree").out


@pytest.mark.parametrize("folder", ["/run", "/tmp", "/etc", "/etc/lvs", "/var/lib/lvs"])
def test_files_are_a_machines_own(lab: Lab, folder: str) -> None:
    one, other = lab.machine("one"), lab.machine("other")
    path = f"{folder}/made-in-one"
    one.write(path, "here")
    one.write(path, "in the tree", root="tree")
    assert one.read(path) == "here"
    assert one.read(path, root="tree") == "in the tree"
    assert other.run("test", "-e", path, check=False).rc == 1
    assert other.run("test", "-e", path, root="tree", check=False).rc == 1
    assert not Path(path).exists()


def test_a_machine_knows_its_name_its_links_and_the_checkout(lab: Lab) -> None:
    machine = lab.machine("director1")
    assert machine.run("hostname").out == "director1\n"
    links = machine.run("ls", "/sys/class/net").out.split()
    # Tunnel modules, once loaded, give every namespace a device of their own.
    assert [link for link in links if not link.endswith("0") or link == "eth0"] == ["lo"]
    assert "UP" in machine.run("ip", "-brief", "link", "show", "lo").out.replace("UNKNOWN", "UP")
    readme = CHECKOUT / "tests" / "lab" / "README.md"
    assert machine.read(str(readme)) == readme.read_text()
    assert machine.run(sys.executable, "-c", "import sys; print(sys.prefix)").out.strip() == sys.prefix


def test_run_tells_how_a_program_ended(lab: Lab) -> None:
    machine = lab.machine("one")
    script = "cat; pwd; echo $WORD; echo oops >&2; exit 3"
    result = machine.run("sh", "-c", script, stdin="in ", env={"WORD": "x"}, cwd="/etc", check=False)
    assert (result.rc, result.out, result.err) == (3, "in /etc\nx\n", "oops\n")
    assert machine.run("sh", "-c", "kill -9 $$", check=False).rc == -signal.SIGKILL
    with pytest.raises(ProgramFailed, match="no such program"):
        machine.run("no-such-program")
    with pytest.raises(ProgramTimedOut, match="begun"):
        machine.run("sh", "-c", "echo begun; sleep 60", timeout=0.5)
    # A daemon keeps its output open; its starter has ended nevertheless.
    assert machine.run("sh", "-c", "sleep 60 & echo done", timeout=10).out == "done\n"


def test_many_programs_at_once(lab: Lab) -> None:
    machine = lab.machine("one")
    pending = [machine.begin("echo", str(number)) for number in range(40)]
    assert [it.result().out for it in pending] == [f"{number}\n" for number in range(40)]


def test_a_background_program(lab: Lab) -> None:
    machine = lab.machine("one")
    process = machine.spawn("sh", "-c", "trap 'echo caught; exit 5' TERM; echo up; sleep 60 & wait")
    process.expect("up")
    assert process.alive
    process.signal(signal.SIGTERM)
    assert process.wait() == 5
    assert process.output() == "up\ncaught\n"
    process.signal(signal.SIGKILL)  # too late, and harmless


def test_files_of_any_size_and_mode(lab: Lab) -> None:
    machine = lab.machine("one")
    content = os.urandom(1 << 20) * 5
    machine.write("/tmp/deep/down/big", content, 0o750)
    assert machine.read_bytes("/tmp/deep/down/big") == content
    assert machine.run("stat", "-c", "%a", "/tmp/deep/down/big").out == "750\n"
    assert machine.sysctl("net.ipv4.ip_forward", 1) == "1"


def test_the_agent_survives_noise(lab: Lab) -> None:
    before = lab.channel.ask("ping")["noise"]
    lab.channel.send_noise(b"\0\xff{}\n" + b'{"id": 1}\n[]\n"' + b"x" * 1000 + b'"\n')
    lab.channel.send_noise(b'{"id": 1, "do": "launch"}\n' + b"[" * 5000 + b"\n")
    lab.channel.send_noise(b"y" * (17 << 20) + b"\n")  # dropped as it comes, uncounted
    assert lab.channel.ask("ping")["noise"] == before + 6
    assert lab.machine("one").run("echo", "well").out == "well\n"


def test_endless_output_is_cut_and_its_program_killed(lab: Lab) -> None:
    result = lab.machine("one").run("yes", check=False)
    assert result.rc == -signal.SIGKILL
    assert len(result.out) == 8 << 20


def test_reset_leaves_nothing(lab: Lab) -> None:
    lab.segment("lan", {"one": "10.0.0.1/24", "other": "10.0.0.2/24"})
    lab.machine("one").spawn("sleep", "600")
    lab.machine("one").write("/run/mark", "")
    lab.reset()
    assert lab.channel.ask("ping")["jobs"] == 0
    lab.segment("lan", {"one": "10.0.0.1/24"})
    assert lab.machine("one").run("test", "-e", "/run/mark", check=False).rc == 1


@pytest.mark.parametrize("how", ["close", "kill"])
@pytest.mark.parametrize("mode", ["guest", "local"])
def test_nothing_outlives_the_test(lab: Lab, mode: str, how: str) -> None:
    if mode == "guest" and lab.mode == "local":
        pytest.skip("this kernel needs no guest")
    program = f"""
import sys, time
from {Lab.__module__.rpartition(".")[0]} import Lab
lab = Lab.start({mode!r})
lab.machine("one").spawn("sleep", "654321")
print(*(process.pid for process in lab._processes), flush=True)
time.sleep(600) if {how!r} == "kill" else lab.close()
"""
    path = os.pathsep.join(filter(None, sys.path))
    environment = os.environ | {"PYTHONPATH": path}
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment) as child:
        assert child.stdout is not None
        pids = [int(word) for word in child.stdout.readline().split()]
        if how == "kill":
            child.kill()
    assert pids
    deadline = time.monotonic() + 10
    while any(_runs(pid) for pid in pids) or _sleepers():
        assert time.monotonic() < deadline, "still there"
        time.sleep(0.05)


def _runs(pid: int) -> bool:
    """Whether a process is there and not merely unburied."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _sleepers() -> list[Path]:
    """Local mode's spawned programs are the host's processes, too."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found += [path] if b"654321" in path.read_bytes().split(b"\0") else []
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def test_counting_instructions_repeats() -> None:
    program = "import time; c = time.process_time_ns(); sum(range(99999)); print(time.process_time_ns() - c)"
    with Lab.start(icount=True) as counting:
        machine = counting.machine("one")
        counting.preload(machine, "/usr/lib/os-release")
        argv = (os.path.realpath(sys.executable), "-I", "-S", "-c", program)
        first, second = (int(machine.run(*argv).out) for _ in range(2))
    assert abs(first - second) < 0.1 * first


def test_a_segment_and_its_faults(lab: Lab) -> None:
    addresses = {"one": ["10.0.0.1/24", "fd00::1/64"], "other": ["10.0.0.2/24", "fd00::2/64"]}
    lan = lab.segment("lan", addresses)
    one = lab.machine("one")

    def reached(address: str) -> bool:
        return one.run("ping", "-c1", "-W1", address, root="tree", check=False).rc == 0

    assert reached("10.0.0.2")
    assert reached("fd00::2")
    lan.cut("other")
    assert lab.machine("other").read("/sys/class/net/eth0/carrier") == "0\n"
    assert not reached("10.0.0.2")
    lan.mend("other")
    assert reached("10.0.0.2")
    if lab.mode == "guest":  # not every host's kernel has the filter
        for fault in (lan.mute, lan.deafen, lan.isolate):
            fault("other")
            assert not reached("10.0.0.2")
            lan.mend("other")
            assert reached("10.0.0.2")
    lan.remove("other")
    assert not lab.machine("other").read("/proc/net/dev").count("eth0")
    lab.remove("other")  # its power is off
    lab.machine("other")
    lan.join("other", addresses["other"])
    one.run("ip", "neigh", "flush", "dev", "eth0")  # its interface is another one
    assert reached("10.0.0.2")
