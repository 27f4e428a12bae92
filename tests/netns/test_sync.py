"""B31, B37 and the roles of a pair: what two directors hold, move and share, with traffic."""

from __future__ import annotations

import re
import shlex
import signal
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lab import Lab, Machine, Process
from lab.peers import SCRIPT, echo
from lvs.io import pairkey
from lvs.kernel import text
from lvs.kernel.state import BACKUP, MASTER, SYNC_GROUP, StartDaemon, SyncDaemon
from strategies import packed

from .director import Director, until
from .test_reload import real_server

pytestmark = pytest.mark.netns

DRIVER = str(Path(__file__).with_name("drive_sync.py"))
FILE = """
serial_no = 1
primary = "10.0.0.1"
backup = "10.0.0.2"
network = "direct"
syncdaemon = true
syncd_iface = "eth1"
syncd_id = 7

[[virtual]]
name = "web"
address = "10.0.0.5"
device = "eth0:1"
vip_nmask = 24
port = 80
scheduler = "rr"

[[virtual.server]]
name = "real1"
address = "10.0.0.3"

[[virtual.server]]
name = "real2"
address = "10.0.0.4"

# a director is its real server: in the table of the active director only
[[virtual]]
name = "local"
address = "10.0.0.6"
device = "eth0:2"
vip_nmask = 24
port = 80
scheduler = "rr"

[[virtual.server]]
name = "director1"
address = "10.0.0.1"
"""
SENT_S = 2.5  # more than the kernel keeps what it is to tell (IPVS_SYNC_FLUSH_TIME, net/netfilter/ipvs)
BACKUP_LINE = "ipvsadm --start-daemon backup --mcast-interface eth1 --syncid 7"
MASTER_LINE = "ipvsadm --start-daemon master --mcast-interface eth1 --syncid 7"

# One connection that is never given up: a line a request, and who answered since the last USR1.
CLIENT = """\
import signal, socket, sys, time
def tell(*_):
    print(sum(by.values()), *by, flush=True)
    by.clear()
by = {}
signal.signal(signal.SIGUSR1, tell)
line = socket.create_connection((sys.argv[1], 80), 60)
line.settimeout(120)
print("connected", flush=True)
while True:
    line.sendall(b"?\\n")
    answer = line.recv(100)
    assert answer, "closed"
    name = answer.decode().split()[0]
    by[name] = by.get(name, 0) + 1
    time.sleep(0.05)
"""
# Established, and then not a byte.
QUIET = """\
import signal, socket, sys
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
line = socket.create_connection((sys.argv[1], 80), 60)
print("connected", flush=True)
signal.sigwait({signal.SIGUSR1})
line.settimeout(60)
line.sendall(b"?\\n")
print("answered by", line.recv(100).decode(), flush=True)
"""


@pytest.fixture
def pair(lab: Lab) -> tuple[Machine, Machine]:
    lan = {"d1": "10.0.0.1/24", "d2": "10.0.0.2/24", "real1": "10.0.0.3/24", "real2": "10.0.0.4/24"}
    lab.segment("lan", {**lan, "client": "10.0.0.100/24"})
    lab.segment("wire", {"d1": ["10.9.0.1/24", "fd09::1/64"], "d2": ["10.9.0.2/24", "fd09::2/64"]})
    for name in ("real1", "real2"):
        real_server(lab.machine(name), ("10.0.0.5/32",))
    directors = lab.machine("d1"), lab.machine("d2")
    for director in directors:
        director.write("/etc/lvs/lvs.toml", FILE)
    return directors


def become(director: Machine, role: str) -> list[str]:
    """Put a director into a role; what was done."""
    result = director.run(sys.executable, DRIVER, "role", "/etc/lvs/lvs.toml", role, timeout=120)
    return result.out.splitlines()


def connections(director: Machine) -> set[str]:
    """`client port > real server state` of the kernel's connections to the first VIP."""
    rows = [line.split() for line in director.read("/proc/net/ip_vs_conn").splitlines()[1:]]
    return {
        f"{row[1]}:{row[2]} > {row[5]} {row[7]}" for row in rows if (row[3], row[0]) == ("0A000005", "TCP")
    }


def answers(client: Process) -> list[str]:
    """How many answers came since this was last asked, and from whom."""
    before = client.output()
    client.signal(signal.SIGUSR1)
    said = until(lambda: client.output().removeprefix(before), lambda said: said.endswith("\n"))
    return said.split()


def established(director: Machine) -> set[str]:
    return {one for one in connections(director) if one.endswith("ESTABLISHED")}


def wait_for_connections(director: Machine, count: int) -> set[str]:
    return until(lambda: established(director), lambda found: len(found) == count)


def test_roles_move_addresses_and_keep_connections(lab: Lab, pair: tuple[Machine, Machine]) -> None:
    """B31: a stream survives failover and failback; so does a connection after its handshake."""
    one, two = pair
    done = become(two, "standby")
    assert done[-1] == BACKUP_LINE
    assert not [line for line in done if "address add" in line or "10.0.0.6" in line or "refused" in line]
    done = become(one, "active")
    assert [line for line in done if "address add" in line or "daemon" in line] == [
        "ip address add 10.0.0.5/24 dev eth0 label eth0:1",
        "ip address add 10.0.0.6/24 dev eth0 label eth0:2",
        MASTER_LINE,
    ]

    machine = lab.machine("client")
    stream = machine.spawn(*SCRIPT, "-c", CLIENT, "10.0.0.5")
    stream.expect("connected")
    quiet = machine.spawn(*SCRIPT, "-c", QUIET, "10.0.0.5")
    quiet.expect("connected")
    known = wait_for_connections(one, 2)
    # The kernel tells within 3 s of its own time, which goes slowly under emulation.
    until(lambda: established(two), lambda found: found == known)
    [who] = answers(stream)[1:]

    for gives, takes in ((one, two), (two, one)):
        assert become(gives, "standby") == [
            "ip address del 10.0.0.5/24 dev eth0",
            "ip address del 10.0.0.6/24 dev eth0",
            "ipvsadm --stop-daemon master",
            BACKUP_LINE,
            "ipvsadm -D -t 10.0.0.6:80",
        ]
        done = become(takes, "active")
        assert done[-4:] == [
            "ip address add 10.0.0.5/24 dev eth0 label eth0:1",
            "ip address add 10.0.0.6/24 dev eth0 label eth0:2",
            "ipvsadm --stop-daemon backup",
            MASTER_LINE,
        ]
        answers(stream)  # the old director's, too
        heard = 0
        while heard < 20:
            count, *by = until(lambda: answers(stream), lambda said: int(said[0]) > 0)
            assert by == [who]
            heard += int(count)
        assert become(takes, "active") == []
        assert become(gives, "fault") == []
        wait_for_connections(gives, 2)
    assert stream.alive
    quiet.signal(signal.SIGUSR1)
    quiet.expect("answered by real")


OPTIONS = (
    SyncDaemon(MASTER, "eth1", 0, 1472, SYNC_GROUP, 8848, 1),
    SyncDaemon(BACKUP, "eth1", 255, 1024, packed("239.1.2.3"), 65535, 255),
    SyncDaemon(MASTER, "eth1", 1, 1, packed("224.0.0.99"), 1, 7),
    SyncDaemon(BACKUP, "eth1", 7, 1452, packed("ff02::81"), 8848, 1),
    SyncDaemon(MASTER, "eth1", 9, 65487, packed("ff05::1"), 9000, 30),
)


def listed(director: Machine) -> list[dict[str, Any]]:
    """As the independent ipvsadm reads it."""
    out = director.run("ipvsadm", "-l", "--daemon", root="tree").out
    found = []
    for line in out.splitlines():
        if match := re.fullmatch(r"(\w+) sync daemon \((.*)\)", line.strip()):
            fields = dict(part.split("=") for part in match[2].split(", "))
            found.append({"state": match[1], **fields})
    return found


def as_listed(daemon: SyncDaemon) -> dict[str, Any]:
    return {
        "state": text.DAEMON_NAME[daemon.state],
        "mcast": daemon.device,
        "syncid": str(daemon.sync_id),
        "maxlen": str(daemon.maxlen),
        "group": text.address(daemon.group),
        "port": str(daemon.port),
        "ttl": str(daemon.ttl),
    }


def running(director: Machine) -> list[SyncDaemon]:
    out = director.run(sys.executable, DRIVER, "daemons").out
    return msgspec.json.decode(out, type=list[SyncDaemon])


def test_every_option_of_sync_daemons(pair: tuple[Machine, Machine]) -> None:
    """What we write ipvsadm reads, what our line says ipvsadm takes, and what it writes we read."""
    one, _ = pair
    for daemon in OPTIONS:
        stdin = msgspec.msgpack.encode([daemon])
        assert one.run(sys.executable, DRIVER, "start", stdin=stdin).out == ""
        assert listed(one) == [as_listed(daemon)]
        assert running(one) == [daemon]
    one.run("ipvsadm", "--stop-daemon", text.DAEMON_NAME[OPTIONS[-1].state], root="tree")
    assert running(one) == []
    for daemon in OPTIONS:
        one.run(*shlex.split(text.line(StartDaemon(daemon))), root="tree")
        assert running(one) == [daemon]
        one.run("ipvsadm", "--stop-daemon", text.DAEMON_NAME[daemon.state], root="tree")

    both = sorted([OPTIONS[0], OPTIONS[3]])
    one.run(sys.executable, DRIVER, "start", stdin=msgspec.msgpack.encode(both))
    assert running(one) == both


def test_why_a_sync_daemon_does_not_run(pair: tuple[Machine, Machine]) -> None:
    one, _ = pair
    one.run("ip", "link", "add", "bare0", "mtu", "1279", "up", "type", "dummy")  # too small for IPv6
    nowhere = msgspec.structs.replace(OPTIONS[0], device="eth9")
    without_ipv6 = msgspec.structs.replace(OPTIONS[3], device="bare0")
    for daemon, why in (
        (nowhere, "there is no device eth9 to share connections by (ENODEV)"),
        (without_ipv6, "or IPv6 is off on bare0 (EINVAL)"),
    ):
        said = one.run(sys.executable, DRIVER, "start", stdin=msgspec.msgpack.encode([daemon])).out
        assert why in said


def test_b4_a_sync_daemon_that_drifted_is_put_right(lab: Lab) -> None:
    """Stopped, changed, or deaf since its device was deleted and made again; and what a stop leaves."""
    lab.segment("lan", {"d1": "10.0.0.1/24"})
    machine = lab.machine("d1")
    director = Director(machine)

    def device() -> None:
        machine.run("ip", "link", "add", "eth1", "up", "type", "dummy")
        machine.run("ip", "address", "add", "10.9.0.1/24", "dev", "eth1")

    def daemon() -> list[dict[str, Any]]:
        return listed(machine)

    device()
    machine.write("/etc/lvs/pair.key", pairkey.make().text, 0o600)
    director.start(FILE)
    director.wait_for("connections are sent by eth1")  # the other director is not there
    assert "refused" not in director.said
    right = [as_listed(SyncDaemon(MASTER, "eth1", 7, 1472, SYNC_GROUP, 8848, 1))]
    assert daemon() == right
    other = "ipvsadm --start-daemon master --mcast-interface eth1 --syncid 8"
    machine.run("sh", "-c", f"ipvsadm --stop-daemon master && {other}", root="tree")
    until(daemon, lambda found: found == right, 5.0)
    director.wait_for("drifted")

    machine.run("ip", "link", "del", "eth1")
    director.wait_for(r"refused: ipvsadm --start-daemon master .*there is no device eth1")
    assert daemon() == []
    device()
    until(daemon, lambda found: found == right)
    before = len(director.said)
    machine.run("ip", "link", "del", "eth1")
    device()  # sooner than anybody looks: the kernel's daemon runs on, and sends to nowhere
    director.wait_for("--start-daemon master", before)
    assert daemon() == right

    director.stop()
    assert daemon() == right
    director.start(None, "--on-stop", "empty")
    assert "--start-daemon" not in director.said  # adopted
    director.stop()
    assert daemon() == []


def test_b37_established_connections_of_both_sides_are_counted(
    lab: Lab, pair: tuple[Machine, Machine]
) -> None:
    """But for those to a director's own server, which the other one has no service for."""
    one, two = pair
    become(two, "standby")
    become(one, "active")
    echo(one, tcp=(80,))
    client = lab.machine("client")
    for vip in ("10.0.0.5", "10.0.0.5", "10.0.0.6"):
        client.spawn(*SCRIPT, "-c", QUIET, vip).expect("connected")

    def counted() -> list[str]:
        return [
            director.run(sys.executable, DRIVER, "entries", "/etc/lvs/lvs.toml").out.strip()
            for director in pair
        ]

    until(counted, lambda said: said == ["2 established"] * 2)


@pytest.mark.parametrize("group", ["224.0.0.81", "ff02::81"])
def test_b31_a_standby_that_came_late_is_told_of_idle_connections(
    lab: Lab, pair: tuple[Machine, Machine], group: str
) -> None:
    """The kernel tells of a connection with a packet of it only, and here there is none."""
    one, two = pair
    for director in pair:
        director.write("/etc/lvs/lvs.toml", f'syncd_group = "{group}"\n{FILE}')
    become(one, "active")
    idle = lab.machine("client").spawn(*SCRIPT, "-c", QUIET, "10.0.0.5")
    idle.expect("connected")
    known = wait_for_connections(one, 1)
    time.sleep(SENT_S)
    become(two, "standby")
    assert established(two) == set()
    said = one.run(sys.executable, DRIVER, "tell", "/etc/lvs/lvs.toml").out
    assert said == "1 told\n"
    until(lambda: established(two), lambda found: found == known)
    entries = two.run(sys.executable, DRIVER, "entries", "/etc/lvs/lvs.toml").out
    assert entries == "1 established\n"  # its real server counts it: it is bound

    become(one, "standby")
    become(two, "active")
    idle.signal(signal.SIGUSR1)
    idle.expect("answered by real")
