"""B4 to B7: whose table it is; and what becomes of it when lvsd stops, dies, or meets a fault."""

from __future__ import annotations

import signal
from collections import Counter

import pytest

import big
from lab import Lab
from lab.paths import LVSD
from lab.peers import traffic

from .director import SLOWEST_S, Director, until
from .nlmon import Witness, doom
from .test_reload import FILE, VIP2, real_server

pytestmark = pytest.mark.netns

REPAIRED_S = 5.0
FOREIGN = "-A -t 10.9.9.9:99 -s rr"


@pytest.fixture
def director(lab: Lab) -> Director:
    members = {"d1": "10.0.0.1/24", "real1": "10.0.0.3/24", "real2": "10.0.0.4/24", "client": "10.0.0.100/24"}
    lab.segment("lan", members)
    for name in ("real1", "real2"):
        real_server(lab.machine(name), ("10.0.0.5/32", "10.0.0.6/32"))
    return Director(lab.machine("d1"))


def ipvsadm(director: Director, *arguments: str) -> None:
    director.machine.run("ipvsadm", *arguments, root="tree")


DRIFTS = {
    "table cleared": ("ipvsadm", "-C"),
    "real server removed": ("ipvsadm", "-d", "-t", "10.0.0.5:80", "-r", "10.0.0.3"),
    "weight changed": ("ipvsadm", "-e", "-t", "10.0.0.5:80", "-r", "10.0.0.3", "-g", "-w", "77"),
    "thresholds set": (
        "ipvsadm",
        "-e",
        "-t",
        "10.0.0.5:80",
        "-r",
        "10.0.0.3",
        "-g",
        "-w",
        "1",
        "-x",
        "9",
        "-y",
        "3",
    ),
    "scheduler changed": ("ipvsadm", "-E", "-t", "10.0.0.5:80", "-s", "rr"),
    "real server added": ("ipvsadm", "-a", "-t", "10.0.0.5:80", "-r", "10.0.0.99", "-g"),
    "VIP removed": ("ip", "address", "del", "10.0.0.5/24", "dev", "eth0"),
    "timeouts changed": ("ipvsadm", "--set", "1234", "0", "0"),
    "setting changed": ("sysctl", "-w", "net.ipv4.vs.expire_nodest_conn=0"),
}


def test_b4_drift_is_repaired_and_told_once(director: Director) -> None:
    director.start("tcp_timeout = 600\n" + FILE)
    table, addresses = director.table(), director.addresses()

    def whole() -> tuple[list[str], set[str], str, str]:
        timeouts = director.machine.run("ipvsadm", "-l", "--timeout", root="tree").out
        return (director.table(), director.addresses(), timeouts, director.machine.sysctl(SETTING))

    good = whole()
    assert good[:2] == (table, addresses)
    assert "600" in good[2]
    for what, command in DRIFTS.items():
        since = len(director.said)
        director.machine.run(*command, root="tree")
        assert until(whole, lambda now: now == good, REPAIRED_S) == good, what
        director.wait_for("drifted", since)
        assert director.said[since:].count("\n") == 1, (what, director.said[since:])


SETTING = "net.ipv4.vs.expire_nodest_conn"


def test_b4_device_goes_and_comes_back_with_its_vips(lab: Lab, director: Director) -> None:
    """B32 in small: an interface that is deleted and made again gets its VIPs back unattended."""
    machine = director.machine
    machine.run("ip", "link", "add", "dummy0", "type", "dummy")
    director.start(FILE + VIP2.replace("eth0:2", "dummy0:2"))
    assert "10.0.0.6/24 dummy0:2" in director.addresses()
    machine.run("ip", "link", "del", "dummy0")
    director.wait_for(r"refused: ip address add 10\.0\.0\.6/24.*there is no device dummy0")
    machine.run("ip", "link", "add", "dummy0", "type", "dummy")
    until(director.addresses, lambda found: "10.0.0.6/24 dummy0:2" in found, REPAIRED_S)


@pytest.mark.parametrize("choice", ["keep", "empty"])
def test_b5_a_stop_leaves_all_or_nothing(director: Director, choice: str) -> None:
    director.file = "/etc/lvs/lvs.cf"
    director.start(big.lvs_cf(1000, 10), "--on-stop", choice)
    ipvsadm(director, *FOREIGN.split())
    whole, addresses = director.table(), director.addresses()
    assert len(whole) == 11_001
    if choice == "empty":
        cut_in_its_stop(director)
        assert {FOREIGN} < set(director.table()) < set(whole)
        assert held_in_part(director.table()) == set()
        assert director.addresses() == {"10.0.0.1/24 eth0"}, "no VIP without its service"
        director.start(None, "--on-stop", choice)
        assert (director.table(), director.addresses()) == (whole, addresses)
    director.stop()
    assert director.table() == (whole if choice == "keep" else [FOREIGN])
    assert director.addresses() == (addresses if choice == "keep" else {"10.0.0.1/24 eth0"})


def cut_in_its_stop(director: Director) -> None:
    """Have lvsd killed as it asks the kernel to remove the first services."""
    assert director.process is not None
    doom(director.machine, director.process.pid, "-D")
    director.process.signal(signal.SIGTERM)
    assert director.process.wait() == -signal.SIGKILL, director.said


def held_in_part(table: list[str]) -> set[str]:
    """Services that have lost some of their ten real servers; that are nowhere, and have some."""
    services = {line.split()[2] for line in table if line.startswith("-A")} - {FOREIGN.split()[2]}
    held = Counter(line.split()[2] for line in table if line.startswith("-a"))
    return {key for key in services | held.keys() if key not in services or held[key] != 10}


def test_b5_settings_are_put_back(director: Director) -> None:
    director.machine.sysctl(SETTING, 0)
    before = director.machine.sysctl("net.ipv4.ip_forward", 0)
    timeouts = ("ipvsadm", "-l", "--timeout")
    usual = director.machine.run(*timeouts, root="tree").out
    text = "tcp_timeout = 600\nudp_timeout = 77\n" + FILE.replace('"direct"', '"nat"')
    director.start(text, "--on-stop", "empty")
    assert "600 120 77" in director.machine.run(*timeouts, root="tree").out
    assert director.machine.sysctl(SETTING) == "1"
    assert director.machine.sysctl("net.ipv4.ip_forward") == "1"
    director.stop()
    assert director.machine.sysctl(SETTING) == "0"
    assert director.machine.sysctl("net.ipv4.ip_forward") == before
    assert director.machine.run(*timeouts, root="tree").out == usual
    assert director.table() == []
    assert director.addresses() == {"10.0.0.1/24 eth0"}


def test_b6_services_that_are_not_ours_are_left_alone(director: Director) -> None:
    foreign = [FOREIGN, "-a -t 10.9.9.9:99 -r 10.0.0.3:99 -m -w 4", "-A -f 5 -s wrr"]
    for line in foreign:
        ipvsadm(director, *line.split())
    director.machine.run("ip", "address", "add", "10.0.0.77/24", "dev", "eth0")
    director.start(FILE, "--on-stop", "empty")
    shown = director.lvsd("status")
    assert shown.count("not ours") >= 3
    director.save(FILE.replace("weight = 1", "weight = 2"))
    assert set(foreign) < set(director.table())
    director.stop()
    assert director.table() == sorted(foreign)
    assert director.addresses() == {"10.0.0.1/24 eth0", "10.0.0.77/24 eth0"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_b7_a_restart_adopts_the_running_table(lab: Lab, director: Director, number: signal.Signals) -> None:
    director.start(FILE)
    client = lab.machine("client")
    stream, requests = traffic(client, "stream", "10.0.0.5", 80), traffic(client, "tcp", "10.0.0.5", 80)
    witness = Witness(director.machine)
    assert director.process is not None
    director.process.signal(number)
    director.process.wait()
    director.start()
    assert witness.writes() == []
    assert (stream.stop().failed, requests.stop().failed) == (0, 0)


def test_b7_what_was_removed_from_the_file_meanwhile_is_removed(director: Director) -> None:
    director.start(FILE + VIP2)
    assert director.process is not None
    director.process.signal(signal.SIGKILL)
    director.process.wait()
    ipvsadm(director, *FOREIGN.split())
    director.start(FILE)
    until(director.table, lambda table: not any("10.0.0.6" in line for line in table))
    assert FOREIGN in director.table()
    assert director.addresses() == {"10.0.0.1/24 eth0", "10.0.0.5/24 eth0:1"}


def test_a_second_daemon_is_refused(director: Director) -> None:
    director.start(FILE)
    second = director.machine.run(LVSD, "run", "--config", director.file, check=False)
    assert second.rc == 6
    assert "another lvsd already runs here" in second.err
    assert len(director.table()) == 3


@pytest.mark.parametrize("right", ["net_admin", "net_raw"])
def test_without_rights_the_sentence_says_what_to_do(director: Director, right: str) -> None:
    director.machine.write(director.file, FILE)
    dropped = ("setpriv", f"--bounding-set=-{right}", f"--inh-caps=-{right}")
    run = (LVSD, "run", "--config", director.file, *director.options)
    result = director.machine.run(*dropped, *run, check=False)
    assert result.rc == 4
    assert f"CAP_{right.upper()}" in result.err
    assert "Traceback" not in result.err
    # What is in the kernel already goes on: without CAP_NET_RAW the table stood before that was seen.
    assert len(director.table()) == (0 if right == "net_admin" else 3)


def test_a_refused_operation_is_told_and_the_rest_is_done(director: Director) -> None:
    """A device that does not exist: the table is loaded, the other VIPs are up, a sentence names it."""
    director.start(FILE + VIP2.replace("eth0:2", "ehh0"))
    assert "there is no device ehh0" in director.said
    assert "2 refused" in director.said  # the address, and a setting of its device
    assert len(director.table()) == 5
    assert "10.0.0.5/24 eth0:1" in director.addresses()
    assert any("ehh0" in line for line in director.status()["refused"])
    assert director.said.count("refused: ip address add 10.0.0.6/24") == 1
    director.save(FILE)
    assert director.status()["refused"] == []


def test_a_full_disk_loses_nothing(director: Director) -> None:
    """The note of what is ours cannot be written: said, and served all the same."""
    machine = director.machine
    machine.run("mkdir", "-p", "/tmp/small")
    machine.run("mount", "-t", "tmpfs", "-o", "size=8k", "none", "/tmp/small")
    machine.write(director.file, FILE)
    director.spawn("--run-dir", "/tmp/small").expect(" applied: ", SLOWEST_S)
    machine.run("sh", "-c", "head -c 100000 /dev/zero >/tmp/small/fill || true")
    director.save(FILE + VIP2)
    director.wait_for(r"cannot write /tmp/small/owned\.json: no space left")
    assert len(director.table()) == 5


def test_no_configuration_at_start_changes_nothing_and_is_taken_when_it_comes(director: Director) -> None:
    ipvsadm(director, *FOREIGN.split())
    director.spawn().expect("cannot read", SLOWEST_S)
    assert director.table() == [FOREIGN]
    until(
        lambda: director.lvsd("status", check=False), lambda said: "waiting for a valid configuration" in said
    )
    assert " applied: " in director.save(FILE)
    assert len(director.table()) == 4


def test_commands_without_a_daemon_say_so(director: Director) -> None:
    for command in (("status",), ("plan",), ("reload",)):
        result = director.machine.run(LVSD, *command, check=False)
        assert result.rc == 3
        assert "no lvsd answers" in result.err
