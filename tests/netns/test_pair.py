"""B28 to B37 on real kernels: two directors that act as one, seen by a client.

One pair is started for all, and each test leaves it whole. Times are those of an emulated guest: deadtime
and what may come on top of it are named in `pair`.
"""

from __future__ import annotations

import hmac
import json
import random
import re
import struct
from collections import Counter
from collections.abc import Iterator
from ipaddress import IPv4Address

import pytest

from lab import Lab, Machine
from lab.peers import SCRIPT
from lab.segment import Segment
from lvs.io import pairkey
from lvs.model import Role
from lvs.pulse.wire import MAGIC, PROTOCOL
from lvs.pulse.wire import encode as beat_of
from lvs.pulse.words import Beat

from . import pair as pairs
from .chaos import Chaos
from .director import Director, until
from .nlmon import Witness
from .pair import DEADTIME_S, SLACK_S, TIMES, VIP, Client, Pair

pytestmark = pytest.mark.netns

PROMISE_S = DEADTIME_S + SLACK_S


@pytest.fixture(scope="module")
def started(running_lab: Lab) -> Iterator[Pair]:
    made = pairs.build(running_lab)
    try:
        made.start()
        yield made
    finally:
        print(made.said())
        running_lab.reset()


@pytest.fixture
def pair(started: Pair) -> Iterator[Pair]:
    """The pair, whole: both run, one is active."""
    started.repair()
    try:
        yield started
    finally:
        print(started.said())


PRIVATE = 'primary_private = "10.1.0.1"\nbackup_private = "10.1.0.2"\n'


@pytest.fixture
def cable(pair: Pair) -> Iterator[Segment]:
    """A second network, of the two directors alone."""
    made = pair.lab.segment("cable", {"director1": "10.1.0.1/24", "director2": "10.1.0.2/24"})
    yield made
    pair.lab.remove(made.switch.name)


# A client sees it: B28


def test_b28_power_off(pair: Pair) -> None:
    """Operators' orders outlive it, too: the heir has them, and tells them to the one that is back."""
    lost = pair.active
    heir = pair.other(lost)
    lost.lvsd("drain", "real1", "--virtual", "tcp", "--no-wait", "--for", "1h")
    lost.lvsd("disable", "real2", "--virtual", "udp")
    until(heir.table, lambda table: table == ORDERED)
    with Client(pair) as client:
        pair.power_off(lost)
        pair.became(heir, "active")
        assert pair.holders() == [heir.machine.name]
        assert heir.table() == ORDERED
        pair.power_on(lost)
        lost.spawn()
        assert pair.settled() is heir, "no failback is asked for"
    assert client.tally.longest_gap_s < PROMISE_S, client.tally
    for one in (heir, lost):
        until(one.table, lambda table: table == ORDERED)
        said = ordered(one)
        assert re.fullmatch(r"disabled \d+ \w+ ago by root", said.pop("udp real2"))
        drained = r"drain(ing|ed), ordered \d+ \w+ ago by root, until [\d:\- ]+"
        assert re.fullmatch(drained, said["tcp real1"]), said
        del said["tcp real1"]
        assert said == {}
        assert "; expires " in one.lvsd("explain", "real1", "--virtual", "tcp")
    for name in ("real1", "real2"):
        lost.lvsd("enable", name)
    until(lambda: [ordered(one) for one in (heir, lost)], lambda found: found == [{}, {}])


# real1 is drained in tcp, real2 disabled in udp.
ORDERED = [
    "-A -t 10.0.0.5:80 -s rr",
    "-A -u 10.0.0.5:80 -s rr",
    "-a -t 10.0.0.5:80 -r 10.0.0.3:80 -g -w 0",
    "-a -t 10.0.0.5:80 -r 10.0.0.4:80 -g -w 1",
    "-a -u 10.0.0.5:80 -r 10.0.0.3:80 -g -w 1",
]


def ordered(director: Director) -> dict[str, str]:
    """Real servers that operators have taken out, and how status says so."""
    return {
        f"{virtual['name']} {row['name']}": row["reason"]
        for virtual in director.status()["virtual_servers"]
        for row in virtual["real_servers"]
        if " by " in row["reason"]
    }


def test_b28_link_down(pair: Pair) -> None:
    lost = pair.active
    heir = pair.other(lost)
    with Client(pair) as client:
        pair.lan.cut(lost.machine.name)
        pair.became(heir, "active")
        pair.became(lost, "fault")
        until(pair.holders, lambda held: held == [heir.machine.name])
        assert "eth0 has no link" in lost.said
        pair.lan.mend(lost.machine.name)
        assert pair.settled() is heir
    assert client.tally.longest_gap_s < PROMISE_S, client.tally


def test_b28_daemon_killed_and_started_within_deadtime(pair: Pair) -> None:
    """As systemd does: nobody takes over, and nobody notices. Also: a reload that changes deadtime."""
    pair.reload(TIMES.replace(f"deadtime = {DEADTIME_S}", "deadtime = 60"))
    one = pair.active
    before = pair.other(one).said.count("is active")
    with Client(pair) as client:
        pair.kill(one)
        one.spawn()
        assert pair.settled() is one
    assert "active before" in one.said
    assert pair.other(one).said.count("is active") == before
    assert client.tally.longest_gap_s < SLACK_S, client.tally
    pair.reload()


def test_b28_daemon_killed_and_not_started(pair: Pair) -> None:
    lost = pair.active
    heir = pair.other(lost)
    with Client(pair) as client:
        pair.kill(lost)
        pair.became(heir, "active")
        lost.spawn()
        assert pair.settled() is heir
    assert client.tally.longest_gap_s < PROMISE_S, client.tally


def test_b28_daemon_stopped_for_two_seconds(pair: Pair) -> None:
    lost = pair.active
    heir = pair.other(lost)
    with Client(pair) as client:
        since = pair.clock()
        lost.machine.pause()
        pair.became(heir, "active")
        until(pair.clock, lambda now: now - since >= 2)
        lost.machine.resume()
        assert pair.settled() is heir, "it was replaced while it did not run"
    assert client.tally.longest_gap_s < PROMISE_S, client.tally


def test_b28_one_way_loss_to_the_standby(pair: Pair) -> None:
    """It hears nothing and takes over; the other hears that, and gives up."""
    lost = pair.active
    heir = pair.other(lost)
    with Client(pair) as client:
        pair.deafen(heir)
        pair.became(heir, "active")
        pair.became(lost, "standby")
        until(pair.holders, lambda held: held == [heir.machine.name])
        pair.undeafen(heir)
        assert pair.settled() is heir
    assert client.tally.longest_gap_s < PROMISE_S, client.tally


def test_b28_one_way_loss_to_the_active(pair: Pair) -> None:
    """It hears nothing, and goes on: the other hears it."""
    one = pair.active
    other = pair.other(one)
    mark, marked, before = len(one.said), len(other.said), other.said.count("is active")
    with Client(pair) as client:
        pair.deafen(one)
        one.wait_for("the other director is not heard", mark)
        other.wait_for("one-way heartbeat", marked)
        pair.undeafen(one)
        one.wait_for("the other director is heard", mark)
    assert pair.settled() is one
    assert other.said.count("is active") == before
    assert client.tally.longest_gap_s < SLACK_S, client.tally


def test_b28_flapping_link(pair: Pair) -> None:
    lost = pair.active
    with Client(pair) as client:
        for _ in range(5):
            pair.lan.cut(lost.machine.name)
            pair.lan.mend(lost.machine.name)
        pair.settled()
    assert client.tally.longest_gap_s < PROMISE_S, client.tally


def test_b28_of_two_networks_both_have_to_be_silent(pair: Pair, cable: Segment) -> None:
    lost = pair.active
    heir = pair.other(lost)
    pair.reload(TIMES + PRIVATE)
    marks = {one.machine.name: len(one.said) for one in pair.directors}
    with Client(pair) as client:
        pair.deafen(heir, "eth0")
        silent = "no heartbeats arrive on the public network; the other director is heard elsewhere"
        heir.wait_for(silent, marks[heir.machine.name])
        since = pair.clock()
        until(pair.clock, lambda now: now - since >= DEADTIME_S)
        for one in pair.directors:
            assert not re.search("this director|is not heard", one.said[marks[one.machine.name] :]), one.said
        cable.cut(heir.machine.name)
        pair.became(heir, "active")
        assert "the other director is silent for" in heir.said[marks[heir.machine.name] :]
        pair.became(lost, "standby")
        pair.undeafen(heir)
        cable.mend(heir.machine.name)
        assert pair.settled() is heir
    assert client.tally.longest_gap_s < PROMISE_S, client.tally
    pair.reload()


# The configuration is another


VIP2 = """
[[virtual]]
name = "more"
address = "10.0.0.6"
device = "eth0:2"
vip_nmask = 24
port = 80
scheduler = "rr"

[[virtual.server]]
name = "real1"
address = "10.0.0.3"

[[virtual.server]]
name = "real2"
address = "10.0.0.4"
"""


def test_b13_a_vip_comes_and_goes_and_who_is_active_stays_so(pair: Pair) -> None:
    """Saved on the active director, and taken out again on the other."""
    one = pair.active
    for name in ("real1", "real2"):
        pair.lab.machine(name).run("ip", "address", "replace", "10.0.0.6/32", "dev", "lo")
    before = pair.told()
    requests = pairs.traffic(pair.client, "tcp", VIP, pairs.PORT, period_s=0.05)
    with Client(pair) as client:
        pair.reload(blocks=VIP2)
        assert pair.holders("10.0.0.6/24 eth0:2") == [one.machine.name]
        assert pairs.traffic(pair.client, "tcp", "10.0.0.6", pairs.PORT, count=5).tally().failed == 0
        assert pair.files() == [pair.content] * 2
        pair.reload(on=pair.other(one))
        assert pair.holders("10.0.0.6/24 eth0:2") == []
        assert pair.files() == [pair.content] * 2
    assert pair.settled() is one
    assert pair.told() == before
    assert (client.tally.failed, requests.stop().failed) == (0, 0)
    assert client.tally.longest_gap_s < SLACK_S, client.tally


CROWD = """
[[virtual]]
name = "at{port}"
address = "10.0.0.5"
device = "eth0:1"
vip_nmask = 24
port = {port}
"""
ONE = """
[[virtual.server]]
name = "{number}"
address = "10.9.{port}.{number}"
"""


def crowd() -> str:
    """Virtual servers at further ports of the VIP, with 10,000 real servers."""
    blocks = []
    for port in range(100, 140):
        blocks.append(CROWD.format(port=port))
        blocks += [ONE.format(port=port, number=number) for number in range(1, 251)]
    return "".join(blocks)


def test_b12_a_reload_of_10_000_real_servers_delays_no_heartbeat(pair: Pair) -> None:
    """They come to both kernels and go again, and neither director is late or hears the other too late."""
    one = pair.active
    before = pair.told()
    with Client(pair) as client:
        pair.reload(blocks=crowd())
        pair.reload()
    assert pair.settled() is one
    assert pair.told() == before
    assert client.tally.longest_gap_s < SLACK_S, client.tally


# Planned


def test_switchover_under_traffic(pair: Pair) -> None:
    """No connection that was there is lost, and no datagram.

    One that is opened in the very moment may be reset, for the kernel tells the other one of it too late.
    """
    before = pair.active
    after = pair.other(before)
    lasting = pair.lasting(period_s=0.05)
    requests = pairs.traffic(pair.client, "tcp", VIP, pairs.PORT, period_s=0.05)
    with Client(pair) as client:
        for _ in range(2):
            pair.switch()
            assert pair.settled() is after
            before, after = after, before
    kept, opened = lasting.stop(), requests.stop()
    print(kept, opened)
    assert (kept.failed, client.tally.failed) == (0, 0), (kept, client.tally)
    assert opened.failed == opened.reset <= 2, opened
    assert client.tally.longest_gap_s < SLACK_S, client.tally


def test_stop_of_the_active_hands_over_first(pair: Pair) -> None:
    lost = pair.active
    heir = pair.other(lost)
    with Client(pair) as client:
        said = lost.stop()
        assert pair.holders() == [heir.machine.name]
    assert "is on standby: handed over" in said
    assert client.tally.longest_gap_s < SLACK_S, client.tally
    said = heir.stop()  # nobody is left: what serves goes on
    assert pair.holders() == [heir.machine.name]
    assert "left serving: 2 services, 1 VIP" in said
    heir.spawn()
    pair.became(heir, "active")
    lost.spawn()
    assert pair.settled() is heir


# Waking, booting, returning


def test_b29_a_paused_active_director_wakes(pair: Pair) -> None:
    """As a snapshot of a virtual machine does it: nothing runs, nothing comes in or goes out."""
    lost = pair.active
    heir, name = pair.other(lost), lost.machine.name
    with Client(pair) as client:
        pair.lan.isolate(name)
        lost.machine.pause()
        pair.became(heir, "active")
        pair.client.run("ip", "neigh", "flush", "dev", "eth0")  # it asks when both answer
        lost.machine.resume()
        pair.lan.mend(name)
        woke = pair.clock()
        seen: list[tuple[float, bool]] = []
        right = heir.mac()

        def look() -> float:
            seen.append((pair.clock() - woke, right in pair.client.run("ip", "neigh", "show", VIP).out))
            return seen[-1][0]

        until(look, lambda passed: passed > 3)
        assert pair.settled() is heir
    assert all(good for passed, good in seen if passed > 1), seen
    assert client.tally.longest_gap_s < PROMISE_S, client.tally


def test_b30_a_rebooting_standby_never_owns_the_vip(pair: Pair) -> None:
    """Without the pair's key neither, which comes later."""
    one = pair.active
    other = pair.other(one)
    mark = len(one.said)
    with Client(pair) as client:
        pair.power_off(other)
        one.wait_for("the other director is not heard", mark)
        pair.power_on(other)
        watch = other.machine.spawn("stdbuf", "-oL", "ip", "-timestamp", "monitor", "address")

        def seen() -> str:
            for verb in ("add", "del"):
                other.machine.run("ip", "address", verb, "10.7.7.7/32", "dev", "lo")
            return watch.output()

        until(seen, lambda said: "10.7.7.7" in said)  # it sees what happens
        other.machine.run("rm", pairs.KEY)
        other.spawn()
        pair.became(other, "fault")
        assert f"no heartbeat: {pairs.KEY}" in other.said
        other.machine.write(pairs.KEY, pairs.key(), 0o600)
        assert pair.settled() is one
        other.wait_for("applied: ")
    watch.stop()
    assert VIP not in watch.output(), watch.output()
    assert client.tally.longest_gap_s < SLACK_S, client.tally


def test_b31_failback_after_the_connection_table_caught_up(pair: Pair) -> None:
    primary, backup = pair.directors
    pair.prefer(primary)
    pair.reload(TIMES + 'failback = "synced"\n')
    lasting = pair.lasting(period_s=0.1)
    with Client(pair) as client:
        pair.power_off(primary)
        pair.became(backup, "active")
        pair.power_on(primary)
        primary.spawn()
        pair.became(primary, "active")
        assert pair.knows(primary)
        assert pair.settled() is primary
        # B37
        until(lambda: {*shared(primary), *shared(backup)}, lambda seen: len(seen) == 1 and 0 not in seen)
    tally = lasting.stop()
    assert (tally.failed, tally.reset) == (0, 0), tally
    assert client.tally.longest_gap_s < PROMISE_S, client.tally
    pair.reload()


def shared(director: Director) -> tuple[int, int]:
    """What status shows of established connections: here, and on the other director."""
    status = director.status()
    rows = [row for one in status["virtual_servers"] for row in one["real_servers"]]
    return sum(row["active_connections"] for row in rows), status["pair"]["other"]["connections"]


# Others meddle


def test_b32_addresses_are_flushed_and_put_back(pair: Pair) -> None:
    """What a network manager does when it is restarted."""
    machine = pair.active.machine
    own = f"{pairs.DIRECTORS[machine.name]}/24"
    with Client(pair) as client:
        machine.run("sh", "-c", f"ip address flush dev eth0; ip address add {own} dev eth0")
        pair.settled()
    assert client.tally.longest_gap_s < PROMISE_S, client.tally


def test_b32_the_interface_is_deleted_and_made_again(pair: Pair) -> None:
    name = pair.active.machine.name
    with Client(pair) as client:
        pair.lan.remove(name)
        pair.lan.join(name, f"{pairs.DIRECTORS[name]}/24")
        pair.settled()
    assert client.tally.longest_gap_s < PROMISE_S, client.tally


FORGE = """\
import json, socket, sys
source, target, port, datagrams = json.load(sys.stdin)
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
for one in map(bytes.fromhex, datagrams):
    udp = port.to_bytes(2, "big") + (539).to_bytes(2, "big") + (8 + len(one)).to_bytes(2, "big") + bytes(2)
    head = bytearray(bytes.fromhex("4500" "0000" "0000" "0000" "4011" "0000"))
    head += socket.inet_aton(source) + socket.inet_aton(target)
    raw.sendto(bytes(head) + udp + one, (target, 539))
"""


def forge(machine: Machine, source: str, target: str, datagrams: list[bytes], port: int = 539) -> None:
    """Send datagrams to a director's heartbeat, with any sender's address."""
    wanted = json.dumps([source, target, port, [one.hex() for one in datagrams]])
    machine.run(*SCRIPT, "-c", FORGE, stdin=wanted)


def heard_beats(director: Director, source: str, number: int) -> list[bytes]:
    """Heartbeats as they come in."""
    wanted = f"src host {source} and udp dst port 539"
    arguments = ("-i", "eth0", "-c", str(number), "-U", "-w", "/tmp/beats.pcap", "-Z", "root", wanted)
    director.machine.run("tcpdump", *arguments, root="tree")
    data, at, found = director.machine.read_bytes("/tmp/beats.pcap", root="tree"), 24, list[bytes]()
    while at + 16 <= len(data):
        size = struct.unpack_from("<I", data, at + 8)[0]
        found.append(data[at + 16 + 14 + 20 + 8 : at + 16 + size])
        at += 16 + size
    return found


def test_b33_forged_replayed_and_garbled_heartbeats(pair: Pair) -> None:
    """From a machine of the segment, with the other director's address too."""
    one = pair.active
    other = pair.other(one)
    ours, theirs = (pairs.DIRECTORS[it.machine.name] for it in (one, other))
    before = pair.roles()
    mark = len(one.said)
    secret = pairkey.parse(pairs.key(), "pair.key").heartbeat
    recorded = heard_beats(one, theirs, 3)
    assert all(beat.startswith(MAGIC) for beat in recorded)
    heard_beats(one, theirs, 8)  # meanwhile they grow old
    usurper = beat_of(Beat(7, 7, role=Role.ACTIVE, term=1000, holding=True, able=True), b"x" * 32)
    body = MAGIC + bytes([PROTOCOL]) + b"\xc1 no message"
    garbled = body + hmac.digest(secret, body, "sha256")
    cut = recorded[0][: len(recorded[0]) // 2]
    forge(pair.client, theirs, ours, [usurper] * 20 + [garbled] * 10 + [cut] * 5 + [b"\xbd\xad\xdb\xda"] * 2)
    forge(pair.client, "10.0.0.100", ours, recorded * 2)
    forge(pair.client, theirs, ours, recorded)

    def counted() -> Counter[str]:
        counts = Counter[str]()
        for told in re.findall(r"no heartbeats of the other director were ignored: (.*)", one.said[mark:]):
            counts.update({kind: int(number) for number, kind in re.findall(r"(\d+) (\w+)", told)})
        return counts

    sent = {"forged": 25, "garbled": 10, "piranha": 2, "address": 6, "replayed": 3}
    until(counted, lambda seen: seen == sent)
    one.wait_for("heartbeats of the past were heard again", mark)
    assert pair.roles() == before
    assert pair.settled() is one


def test_b34_both_active_is_an_alarm_and_heals(pair: Pair) -> None:
    lost = pair.active
    heir = pair.other(lost)
    marks = {one.machine.name: len(one.said) for one in pair.directors}
    with Client(pair) as client:
        for one in pair.directors:
            pair.deafen(one)
        pair.became(heir, "active")
        until(pair.holders, lambda held: len(held) == 2)
        for one in pair.directors:
            pair.undeafen(one)
        assert pair.settled() is heir, "who took over later has the clients"
    said = [one.said[marks[one.machine.name] :] for one in (lost, heir)]
    assert any("both directors are active, one gives up now: terms" in one for one in said), said
    assert any("one director is active again" in one for one in said), said
    assert client.tally.longest_gap_s < PROMISE_S, client.tally


def test_b35_services_then_addresses_then_arp_again_and_again(pair: Pair) -> None:
    """Of a director that boots into an empty place: its table, the VIP, and what the neighbours hear."""
    lost = pair.active
    heir = pair.other(lost)
    pair.power_off(heir)
    pair.power_on(heir)
    witness = Witness(heir.machine)
    wire = pair.client.spawn(
        *("tcpdump", "-i", "eth0", "--immediate-mode", "-l", "-n", "-tt", "-Z", "root"),
        *("ether", "src", heir.mac(), "and", "arp[14:4]", "=", str(int(IPv4Address(VIP)))),
        *("and", "arp[24:4]", "=", "arp[14:4]"),
        root="tree",
    )
    wire.expect("listening on")
    heir.spawn()
    pair.settled()
    pair.power_off(lost)
    pair.became(heir, "active")
    until(wire.output, lambda said: len(announced(said)) >= 12)  # two frames each time
    writes = witness.timed()
    wire.stop()
    names = [name for _, name in writes]
    assert names.count("address add") == 1, names
    assert names.index("-A") < names.index("-a") < names.index("address add"), names
    assert "-A" not in names[names.index("address add") :], names
    taken = next(at for at, name in writes if name == "address add")
    heard = announced(wire.output())
    assert heard[0] >= taken
    assert heard[-1] - heard[0] > 3, "they are told again"
    pair.power_on(lost)
    lost.spawn()
    pair.settled()


def announced(said: str) -> list[float]:
    """When the VIP was announced."""
    return [float(line.split()[0]) for line in said.splitlines() if "ARP" in line]


# Whatever may come


def test_a_minute_of_chaos(pair: Pair) -> None:
    """`make chaos` goes on for as long as you like."""
    chaos = Chaos(pair, random.Random(4))
    chaos.run(60.0)
    assert len(chaos.injected) > 2
