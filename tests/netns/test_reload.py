"""B3, B8, B11, B13, B14, B15: what a saved file does to the kernel, and what it leaves alone."""

from __future__ import annotations

import hashlib
import json
import re
import signal
import time
from pathlib import Path

import pytest

import big
from lab import Lab, Machine
from lab.paths import LVSD
from lab.peers import echo, traffic
from lvs.config.load import load

from .director import Director, until
from .nlmon import Witness

pytestmark = pytest.mark.netns

ROOT = Path(__file__).parents[2]

FILE = """
serial_no = 1
primary = "10.0.0.1"
network = "direct"

[[virtual]]
name = "web"
address = "10.0.0.5"
device = "eth0:1"
vip_nmask = "255.255.255.0"
port = 80
scheduler = "wlc"
persistent = 60

[[virtual.server]]
name = "real1"
address = "10.0.0.3"
weight = 1

[[virtual.server]]
name = "real2"
address = "10.0.0.4"
weight = 1
"""
WEB = "-A -t 10.0.0.5:80 -s wlc -p 60"
REAL1, REAL2 = (f"-a -t 10.0.0.5:80 -r 10.0.0.{number}:80 -g -w 1" for number in (3, 4))
VIP2 = """
[[virtual]]
name = "other"
address = "10.0.0.6"
device = "eth0:2"
vip_nmask = 24
port = 80
[[virtual.server]]
name = "real1"
address = "10.0.0.3"
"""


@pytest.fixture
def director(lab: Lab) -> Director:
    """A director, two real servers that answer on the VIPs, and a client."""
    lab.segment(
        "lan",
        {"d1": "10.0.0.1/24", "real1": "10.0.0.3/24", "real2": "10.0.0.4/24", "client": "10.0.0.100/24"},
    )
    for name in ("real1", "real2"):
        real_server(lab.machine(name), ("10.0.0.5/32", "10.0.0.6/32"))
    return Director(lab.machine("d1"))


def real_server(machine: Machine, vips: tuple[str, ...]) -> None:
    """A real server for direct routing: it holds the VIPs and does not answer ARP for them."""
    machine.sysctl("net.ipv4.conf.all.arp_ignore", 1)
    machine.sysctl("net.ipv4.conf.all.arp_announce", 2)
    for vip in vips:
        machine.run("ip", "address", "add", vip, "dev", "lo")
    echo(machine, tcp=(80,))


FIXTURES = ROOT / "tests" / "fixtures"
EXAMPLES = {
    "lvs.cf": sorted(FIXTURES.glob("*.cf")),
    "lvs.toml": [ROOT / "lvs.toml.example", FIXTURES / "everything.toml"],
}


@pytest.mark.parametrize("file", EXAMPLES)
def test_b3_plan_is_empty_after_apply(director: Director, file: str) -> None:
    """Of every example that is not one of problems, with one director."""
    machine = director.machine
    for primary in ("192.0.2.1/24", "192.0.2.11/24"):
        machine.run("ip", "address", "add", primary, "dev", "eth0")
    for device in ("eth1", "eth2", "bond0"):
        machine.run("ip", "link", "add", device, "type", "dummy")
    own = director.addresses()
    director.file = f"/etc/lvs/{file}"
    for path in EXAMPLES[file]:
        text = path.read_bytes().replace(b"backup_active = 1", b"backup_active = 0")
        text = text.replace(b"backup_active = true", b"backup_active = false")
        config = load(text, file).config
        if config is None:
            continue
        if director.process is None:
            director.start(text)
        else:
            director.save(text)
        assert "refused" not in director.said, path
        planned = json.loads(director.ask({"type": "plan"}))
        assert planned["out"] == ["# nothing to change"], (path, planned)
        vips = {str(one.vip.address) for one in config.virtual_servers if one.active and one.vip is not None}
        router = {str(config.nat_router.address)} if config.nat_router else set()
        assert {one.partition("/")[0] for one in director.addresses() - own} == vips | router, path


def test_b3_plan_is_empty_for_every_kind_of_option(director: Director) -> None:
    director.start(EVERYTHING)
    assert "refused" not in director.said
    assert "192.168.7.254/24 eth0:9" in director.addresses()
    assert "# nothing to change" in director.lvsd("plan")
    assert "applied" not in director.lvsd("reload")


def test_b8_unchanged_file_under_traffic_writes_nothing(lab: Lab, director: Director) -> None:
    director.start(FILE)
    client = traffic(lab.machine("client"), "tcp", "10.0.0.5", 80)
    witness = Witness(director.machine)
    for _ in range(3):
        assert "nothing to change" in director.save(FILE)
    assert "nothing to change" in director.save("# a remark\n" + FILE)
    assert witness.writes() == []
    tally = client.stop()
    assert tally.failed == 0
    assert tally.answered > 10


# The edit, the writes, and what `ipvsadm -Sn` shows before and after them.
EDITS = {
    "weight": ("weight = 1\n\n", "weight = 5\n\n", ["-e"], {REAL1: f"{REAL1[:-1]}5"}),
    # It is of all real servers of a virtual server; everything else is one write.
    "forwarding method": (
        'name = "web"',
        'name = "web"\nforwarding = "tunnel"',
        ["-e", "-e"],
        {one: f"{one.replace('-g', '-i')} --tun-type ipip" for one in (REAL1, REAL2)},
    ),
    "scheduler": ('"wlc"', '"sed"', ["-E"], {WEB: WEB.replace("wlc", "sed")}),
    "persistence": ("persistent = 60", "persistent = 90", ["-E"], {WEB: WEB.replace("60", "90")}),
    "persistence mask": (
        "persistent = 60",
        'persistent = 60\npmask = "255.255.255.0"',
        ["-E"],
        {WEB: f"{WEB} -M 255.255.255.0"},
    ),
    "thresholds": ("weight = 1\n\n", "weight = 1\nupper_threshold = 500\n\n", ["-e"], {}),  # not shown
    "check": ('name = "web"', 'name = "web"\ncheck_interval = 3', [], {}),
}


def test_b11_one_edit_changes_one_field_and_connections_stay(lab: Lab, director: Director) -> None:
    director.start(FILE)
    stream = traffic(lab.machine("client"), "stream", "10.0.0.5", 80)
    before = director.table()
    assert before == [WEB, REAL1, REAL2]
    assert thresholds(director) == {"10.0.0.3:80": (0, 0), "10.0.0.4:80": (0, 0)}
    for what, (old, new, letters, changed) in EDITS.items():
        witness = Witness(director.machine)
        said = director.save(FILE.replace(old, new, 1))
        assert witness.writes() == letters, (what, said)
        assert director.table() == sorted(changed.get(line, line) for line in before), what
        upper = 500 if what == "thresholds" else 0
        assert thresholds(director) == {"10.0.0.3:80": (upper, 0), "10.0.0.4:80": (0, 0)}, what
        director.save(FILE)
        assert director.table() == before, what
    tally = stream.stop()
    assert (tally.failed, tally.reset) == (0, 0)


def thresholds(director: Director) -> dict[str, tuple[int, int]]:
    """The upper and the lower one of each real server, which `ipvsadm -Sn` does not write."""
    shown = director.machine.run("ipvsadm", "-Ln", "--thresholds", root="tree").out
    rows = re.findall(r"-> (\d\S+) +(\d+) +(\d+) ", shown)
    return {address: (int(upper), int(lower)) for address, upper, lower in rows}


def test_b12_one_write_whatever_the_size(director: Director) -> None:
    """And in a time that grows as the size does, well below that of a start; `make bench` has it exactly."""
    director.file = "/etc/lvs/lvs.cf"
    grown_s, took_s = 0.0, dict[int, float]()
    for services in (100, 1000, 4000):
        text = big.lvs_cf(services, 10)
        began = time.monotonic()
        if director.process is None:
            director.start(text)
        else:
            director.save(text)
        grown_s = time.monotonic() - began
        witness = Witness(director.machine)
        began = time.monotonic()
        said = director.save(text.replace("weight = 1\n", "weight = 9\n", 1))
        took_s[services] = time.monotonic() - began
        assert witness.writes() == ["-e"], said
        assert sum("-w 9" in line for line in director.table()) == 1
    assert took_s[4000] < 2 * 4 * took_s[1000], took_s
    assert took_s[4000] < grown_s, (took_s, grown_s)


def test_b13_a_vip_comes_and_goes_without_a_ripple(lab: Lab, director: Director) -> None:
    director.start(FILE)
    first, both = {"10.0.0.5/24 eth0:1"}, {"10.0.0.5/24 eth0:1", "10.0.0.6/24 eth0:2"}
    own = {"10.0.0.1/24 eth0"}
    stream = traffic(lab.machine("client"), "stream", "10.0.0.5", 80)
    witness = Witness(director.machine)
    for text, held in ((FILE + VIP2, both), (FILE, first), (FILE + VIP2, both)):
        director.save(text)
        assert director.addresses() == own | held
    writes = witness.writes()
    assert [write for write in writes if write.startswith("address")] == [
        "address add",
        "address del",
        "address add",
    ]
    assert traffic(lab.machine("client"), "tcp", "10.0.0.6", 80, count=5).tally().failed == 0
    tally = stream.stop()
    assert (tally.failed, tally.reset) == (0, 0)


def test_b13_first_vip_of_a_subnet_goes_and_the_others_stay(lab: Lab) -> None:
    """The kernel drops a subnet's other addresses with its first one, unless told otherwise."""
    lab.segment("lan", {"d1": "192.0.2.1/24", "client": "192.0.2.100/24"})
    director = Director(lab.machine("d1"))
    director.start(FILE + VIP2)
    director.save(VIP2.join(("serial_no = 2\n", "")))
    assert director.addresses() == {"192.0.2.1/24 eth0", "10.0.0.6/24 eth0:2"}
    assert "drifted" not in director.said


def refused(director: Director, text: str, last: str) -> str:
    """Save a bad file; what lvsd says of it up to its last problem."""
    since = len(director.said)
    director.save(text)
    return director.wait_for(last, since)


def test_b14_a_bad_file_is_refused_with_place_and_suggestion(lab: Lab, director: Director) -> None:
    director.start(FILE)
    before = director.table()
    client = traffic(lab.machine("client"), "tcp", "10.0.0.5", 80)
    bad = FILE.replace('scheduler = "wlc"', 'scheduler = "rrr"\nprotocol = "TPC"\nwieght = 1')
    said = refused(director, bad, "wieght")
    for place, suggestion in (
        ("virtual[0].scheduler", '"rr"'),
        ("virtual[0].protocol", '"tcp"'),
        ("virtual[0].wieght", '"weight", which belongs in [[virtual.server]]'),
    ):
        (line,) = [line for line in said.splitlines() if place in line]
        assert re.search(r"lvs\.toml:\d+: ", line), line
        assert suggestion in line
    twice = refused(director, FILE + FILE[FILE.index("[[virtual]]") :].replace('"web"', '"again"'), "web")
    assert re.search(r"lvs\.toml:\d+: virtual\[1\]", twice), twice
    assert "web" in twice
    assert director.table() == before
    assert director.machine.run(LVSD, "check", director.file, check=False).rc == 2
    assert client.stop().failed == 0
    assert " applied: " in director.save(FILE.replace("weight = 1", "weight = 3", 1))


def test_b15_what_was_validated_is_what_is_applied(director: Director) -> None:
    """Two files take turns faster than they can be loaded; each digest applied is that of one of them."""
    one, other = FILE.replace("weight = 1", "weight = 11"), FILE.replace("weight = 1", "weight = 22")
    director.start(one)
    director.machine.write("/etc/lvs/one", one)
    director.machine.write("/etc/lvs/other", other)
    swap = "; ".join(
        f"cp /etc/lvs/{name} /etc/lvs/n; mv /etc/lvs/n {director.file}" for name in ("one", "other")
    )
    director.machine.run("sh", "-c", f"for round in $(seq 30); do {swap}; done")
    until(director.table, lambda table: sum("-w 22" in line for line in table) == 2)
    director.lvsd("reload")
    digests = {hashlib.blake2b(text.encode(), digest_size=8).hexdigest() for text in (one, other)}
    status = json.loads(director.machine.run(LVSD, "status", "--json").out)
    assert status["digest"] == hashlib.blake2b(other.encode(), digest_size=8).hexdigest()
    assert status["digest"] in digests
    # A mix of both would be a table with two different weights; lvsd names every change it made.
    weights = re.findall(r"real1 .* -w (\d+)\n.*real2 .* -w (\d+)\n", director.said)
    assert weights
    assert all(pair in (("11", "11"), ("22", "22")) for pair in weights)


def test_saved_in_place_by_rename_and_by_symlink(director: Director) -> None:
    """However editors, git and configuration management write a file, it is seen."""
    director.start(FILE)
    machine = director.machine
    machine.write("/etc/lvs/data1/lvs.toml", FILE.replace("weight = 1", "weight = 4"))
    machine.write("/etc/lvs/data2/lvs.toml", FILE.replace("weight = 1", "weight = 5"))
    steps = (
        ("printf '%s' \"$TEXT\" > /etc/lvs/lvs.toml", 2),
        ("printf '%s' \"$TEXT\" > /etc/lvs/t; mv /etc/lvs/t /etc/lvs/lvs.toml", 3),
        ("cd /etc/lvs; ln -s data1 ..data; ln -s ..data/lvs.toml t; mv -T t lvs.toml", 4),
        ("cd /etc/lvs; ln -s data2 ..new; mv -T ..new ..data", 5),
        ("cd /etc/lvs; ln -sfn data1 ..data", 4),
    )
    for script, weight in steps:
        text = FILE.replace("weight = 1", f"weight = {weight}")
        machine.run("sh", "-c", script, env={"TEXT": text})
        until(director.table, lambda table, w=weight: sum(f"-w {w}" in line for line in table) == 2)  # type: ignore[misc]


def test_plan_counts_the_connections_that_a_change_would_touch(lab: Lab, director: Director) -> None:
    director.start(FILE)
    stream = traffic(lab.machine("client"), "stream", "10.0.0.5", 80)
    other = FILE.replace("serial_no = 1", "serial_no = 2").replace("weight = 1", "weight = 0")
    director.machine.write("/tmp/other.toml", other)
    table = director.table()

    def active(planned: str) -> int:
        return sum(map(int, re.findall(r"-w 0  # real\d of web: (\d+) active", planned)))

    planned = until(lambda: director.lvsd("plan", "/tmp/other.toml"), lambda said: active(said) == 1)
    assert [line.split("  #")[0] for line in planned.splitlines()] == [
        "ipvsadm -e -t 10.0.0.5:80 -r 10.0.0.3:80 -g -w 0",
        "ipvsadm -e -t 10.0.0.5:80 -r 10.0.0.4:80 -g -w 0",
    ]
    director.machine.write("/tmp/other.toml", "nonsense")
    assert director.machine.run(LVSD, "plan", "/tmp/other.toml", check=False).rc == 2
    assert director.table() == table
    assert stream.stop().failed == 0


def test_serial_unchanged_with_other_content_is_told(director: Director) -> None:
    director.start(FILE)
    said = director.save(FILE.replace("weight = 1", "weight = 2"))
    assert "serial_no is still 1" in said
    assert "serial_no is still" not in director.save(FILE.replace("serial_no = 1", "serial_no = 2"))


def test_hangup_and_reload_do_the_same(director: Director) -> None:
    director.start(FILE)
    assert "nothing to change" in director.lvsd("reload")
    since = len(director.said)
    assert director.process is not None
    director.process.signal(signal.SIGHUP)
    director.wait_for("nothing to change", since)
    director.machine.write(director.file, "weight = ")
    result = director.machine.run(LVSD, "reload", check=False)
    assert result.rc == 2
    assert "lvs.toml:1" in result.err


EVERYTHING = """
serial_no = 2
primary = "10.0.0.1"
network = "nat"
nat_router = "192.168.7.254"
nat_router_device = "eth0:9"
nat_nmask = "255.255.255.0"
tcp_timeout = 600
udp_timeout = 100
conntrack = true

[[virtual]]
name = "mark"
fwmark = 7
scheduler = "mh"
scheduler_flags = ["mh-fallback", "mh-port"]
address = "10.0.0.5"
device = "eth0:1"
port = 80
[[virtual.server]]
name = "a"
address = "10.0.0.3"
[[virtual.server]]
name = "b"
address = "10.0.0.4"
upper_threshold = 100
lower_threshold = 50

[[virtual]]
name = "six"
address = "2001:db8::5"
vip_nmask = 64
device = "eth0"
port = 53
protocol = "udp"
scheduler = "sh"
scheduler_flags = ["sh-fallback", "sh-port", "one-packet"]
forwarding = "direct"
[[virtual.server]]
name = "a"
address = "2001:db8::3"

[[virtual]]
name = "gue"
address = "10.0.0.6"
device = "eth0:2"
port = 5060
protocol = "udp"
scheduler = "twos"
persistent = 300
pmask = 24
persistence_engine = "sip"
forwarding = "tunnel"
tunnel = "gue"
tunnel_port = 6080
tunnel_checksum = "csum"
[[virtual.server]]
name = "a"
address = "10.0.0.3"
weight = 0

[[virtual]]
name = "sctp"
address = "10.0.0.6"
device = "eth0:2"
port = 80
protocol = "sctp"
scheduler = "ovf"
[[virtual.server]]
name = "a"
address = "10.0.0.3"
port = 8080
"""
