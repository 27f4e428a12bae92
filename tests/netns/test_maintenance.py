"""B9, B10, B24 to B26: what is down or taken out stays so until it heals or the operator says otherwise."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

import pytest

from lab import Lab, Machine, Process
from lab.paths import LVSD
from lab.peers import echo, traffic
from lab.traffic import PATIENCE_S

from .director import Director, until
from .nlmon import Witness

pytestmark = pytest.mark.netns

VIP, SORRY = "10.0.0.5", "10.0.0.9"
ADDRESSES = {"real1": "10.0.0.3", "real2": "10.0.0.4"}
INTERVAL_S, LIMIT_S = 1.0, 0.8
LOOK_S = 30.0  # for what must come; whether it came in time is another question
IN_FLIGHT_S = 0.5  # a request that began so shortly before may be under way

FILE = f"""
serial_no = 1
primary = "10.0.0.1"
network = "direct"

[[virtual]]
name = "web"
address = "{VIP}"
device = "eth0:1"
port = 80
scheduler = "rr"
sorry_server = "{SORRY}"
check_interval = {INTERVAL_S}
check_limit = {LIMIT_S}
rise = 1
# more of web

[[virtual.server]]
name = "real1"
address = "10.0.0.3"
weight = 1

[[virtual.server]]
name = "real2"
address = "10.0.0.4"
weight = 1
"""
NAMES = """
[[virtual]]
name = "names"
address = "10.0.0.5"
device = "eth0:1"
protocol = "udp"
port = 53
scheduler = "rr"
send = "are you well?"
expect = "real"
check_interval = 1
check_limit = 0.8
rise = 1
[[virtual.server]]
name = "real1"
address = "10.0.0.3"
[[virtual.server]]
name = "real2"
address = "10.0.0.4"
"""


@dataclass
class Site:
    """A director that checks, two real servers, a sorry server, and a client."""

    lab: Lab
    director: Director
    servers: dict[str, Process]

    @property
    def client(self) -> Machine:
        return self.lab.machine("client")

    def start(self, text: str = FILE, *options: str) -> None:
        """Start lvsd, and wait until both real servers serve in all virtual servers."""
        self.director.start(text, *options)
        self.serving(2 * text.count("[[virtual]]"))

    def serving(self, count: int) -> list[str]:
        """Wait until so many destinations with a weight are in the table."""
        return until(
            self.director.table,
            lambda table: sum(re.search(r" -w [1-9]", line) is not None for line in table) == count,
            30,
        )

    def lose(self, name: str) -> None:
        """A real server's program dies; wait until it is out."""
        since = len(self.director.said)
        self.servers[name].signal(9)
        self.servers[name].wait()
        died = time.monotonic()
        self.director.wait_for(rf"real server {name} of web \S+ is down: connection refused", since)
        self.moved_in_time("web", name, died)
        until(self.weights, lambda found: ADDRESSES[name] not in found, LOOK_S)

    def heal(self, name: str) -> None:
        """It is back."""
        self.servers[name] = serve(self.lab.machine(name))

    def moved_in_time(self, virtual: str, name: str, since: float) -> None:
        """Hold the moment at which a real server came to be as it is to what the configuration promises."""
        assert not self.director.too_late([(virtual, name)], since, INTERVAL_S + LIMIT_S)

    def weights(self) -> dict[str, int]:
        """Weights in web, by address."""
        rows = [line for line in self.director.table() if line.startswith(f"-a -t {VIP}:80 ")]
        return {
            found[1]: int(found[2]) for row in rows if (found := re.search(r"-r (\S+):80 .*-w (\d+)", row))
        }


def serve(machine: Machine) -> Process:
    return echo(machine, tcp=(80,), udp=(53,))


@pytest.fixture
def site(lab: Lab) -> Site:
    members = {"d1": "10.0.0.1/24", "client": "10.0.0.100/24", "sorry": f"{SORRY}/24"}
    lab.segment("lan", members | {name: f"{address}/24" for name, address in ADDRESSES.items()})
    servers = {}
    for name in (*ADDRESSES, "sorry"):
        machine = lab.machine(name)
        machine.sysctl("net.ipv4.conf.all.arp_ignore", 1)
        machine.sysctl("net.ipv4.conf.all.arp_announce", 2)
        machine.run("ip", "address", "add", f"{VIP}/32", "dev", "lo")
        servers[name] = serve(machine)
    return Site(lab, Director(lab.machine("d1"), checked=True), servers)


# What an operator may edit meanwhile, and how many writes that is.
EDITS = (
    ("a remark", "# more of web", "# less of web", 0),
    ("a weight that is drained", 'address = "10.0.0.4"\nweight = 1', 'address = "10.0.0.4"\nweight = 3', 0),
    ("the scheduler", '"rr"', '"wrr"', 1),
    ("the check's time", f"check_interval = {INTERVAL_S}", "check_interval = 0.9", 0),
    ("the check", "# more of web", '[[virtual.check]]\ntype = "connect"\nport = 80', 0),
    ("another virtual server", "# more of web", "# more of web", 0),
)


def test_b9_down_stays_down_through_reloads_and_returns_when_it_heals(site: Site) -> None:
    director = site.director
    site.start()
    site.lose("real1")
    assert site.weights() == {"10.0.0.4": 1}
    director.lvsd("drain", "real2", "--no-wait")
    until(site.weights, lambda found: found.get("10.0.0.4") == 0)
    text, since = FILE, len(director.said)
    for what, old, new, count in EDITS:
        text = text.replace(old, new, 1)
        witness = Witness(director.machine)
        director.save(text + (NAMES.replace(VIP, "10.0.0.6") if what.startswith("another") else ""))
        time.sleep(2 * INTERVAL_S)  # a check that was made anew has had its answer
        writes = [one for one in witness.writes() if not what.startswith("another")]
        assert len(writes) == count, (what, writes, director.said[since:])
        weights = site.weights()
        assert "10.0.0.3" not in weights, what
        assert weights["10.0.0.4"] == 0, what
    assert " of web (10.0.0.3:80) is up" not in director.said[since:]
    site.heal("real1")
    healed = time.monotonic()
    until(site.weights, lambda found: found.get("10.0.0.3") == 1, LOOK_S)
    site.moved_in_time("web", "real1", healed)
    assert director.said[since:].count(" of web (10.0.0.3:80) is up") == 1
    director.lvsd("enable", "real2")
    until(site.weights, lambda found: found == {"10.0.0.3": 1, "10.0.0.4": 3})


def test_b9_down_and_drained_stay_so_through_a_restart(site: Site) -> None:
    director = site.director
    site.start()
    site.lose("real1")
    director.lvsd("drain", "real2", "--no-wait")
    until(site.weights, lambda found: found.get("10.0.0.4") == 0)
    before = director.table()
    director.stop()
    witness = Witness(director.machine)
    director.start()
    time.sleep(2 * INTERVAL_S)
    assert witness.writes() == []
    assert director.table() == before
    assert re.search(r"drained, ordered \d+ s ago by root", director.lvsd("explain", "real2"))
    director.lvsd("enable", "real2")
    site.heal("real1")
    until(site.weights, lambda found: found == {"10.0.0.3": 1, "10.0.0.4": 1})


def test_b10_the_sorry_server_stays_through_a_reload(site: Site) -> None:
    director = site.director
    site.start()
    for name in ADDRESSES:
        site.lose(name)
    until(site.weights, lambda found: found == {SORRY: 1}, 10)
    assert "sorry server serves" in director.lvsd("status")
    client = traffic(site.client, "tcp", VIP, 80)
    witness = Witness(director.machine)
    director.save(FILE.replace("# more", "# less"))
    director.lvsd("reload")
    director.save(FILE.replace("serial_no = 1", "serial_no = 2"))
    director.stop()
    director.start()
    time.sleep(2 * INTERVAL_S)
    assert witness.writes() == []
    assert site.weights() == {SORRY: 1}
    tally = client.stop()
    assert (tally.failed, list(tally.by)) == (0, ["sorry"])
    site.heal("real2")
    healed = time.monotonic()
    until(site.weights, lambda found: found == {"10.0.0.4": 1}, LOOK_S)
    site.moved_in_time("web", "real2", healed)


def test_b16_under_traffic_only_what_the_dead_one_was_given_fails(site: Site) -> None:
    site.start()
    client = traffic(site.client, "tcp", VIP, 80, period_s=0.05)
    began = site.client.clock()
    site.lose("real1")
    out = site.client.clock()
    after = traffic(site.client, "tcp", VIP, 80, count=40).tally()
    assert (after.failed, list(after.by)) == (0, ["real2"])
    site.heal("real1")
    healed = time.monotonic()
    until(site.weights, lambda found: len(found) == 2, LOOK_S)
    site.moved_in_time("web", "real1", healed)
    time.sleep(1.0)
    tally = client.stop()
    assert tally.failed > 0
    assert began - IN_FLIGHT_S <= min(tally.failed_at), (tally, began)
    assert max(tally.failed_at) <= out, (tally, out)
    # Round robin: every other one, until it was out. None waited: a closed port says so at once.
    assert tally.failed <= (out - began) / 0.05 / 2 + 1, (tally, out - began)
    assert tally.failed == tally.refused + tally.reset


def holder(site: Site, virtual: int = 0) -> str:
    """The real server that has a connection."""

    def look() -> list[str]:
        rows = site.director.status()["virtual_servers"][virtual]["real_servers"]
        return [row["name"] for row in rows if row["active_connections"] or row["inactive_connections"]]

    (name,) = until(look, lambda found: len(found) == 1)
    return name


def test_b24_a_stream_survives_a_drain_to_its_own_end(site: Site) -> None:
    director = site.director
    site.start()
    stream = traffic(site.client, "stream", VIP, 80)
    drained = holder(site)
    (other,) = set(ADDRESSES) - {drained}
    watched = director.machine.spawn(LVSD, "drain", drained)
    until(site.weights, lambda found: found.get(ADDRESSES[drained]) == 0)
    fresh = traffic(site.client, "tcp", VIP, 80, count=20).tally()
    assert (fresh.failed, list(fresh.by)) == (0, [other])
    watched.expect(f"{drained}: 1 session left", 30)
    assert watched.alive
    assert "draining" in director.lvsd("explain", drained)
    tally = stream.stop()
    assert (tally.failed, tally.reset, list(tally.by)) == (0, 0, [drained])
    assert tally.answered > 50
    # Its entry goes once the kernel has seen the connection end.
    assert watched.wait(180) == 0
    assert f"{drained}: drained, no session is left" in watched.output()
    director.wait_for(r"real server \S+ \(\S+\) is drained: no session is left")
    assert site.weights() == {ADDRESSES[drained]: 0, ADDRESSES[other]: 1}


def test_b24_a_deadline_ends_what_is_left(site: Site) -> None:
    director = site.director
    site.start()
    stream = traffic(site.client, "stream", VIP, 80)
    drained = holder(site)
    (other,) = set(ADDRESSES) - {drained}
    began = time.monotonic()
    director.lvsd("drain", drained, "--no-wait", "--deadline", "6s")
    director.wait_for("is drained: its deadline came")
    assert time.monotonic() - began >= 6
    until(site.weights, lambda found: found == {ADDRESSES[other]: 1}, 30)
    time.sleep(3)  # the client's patience with an answer is half of that
    tally = stream.stop()
    assert set(tally.by) == {drained, other}
    assert tally.failed <= 2
    assert "drained" in director.lvsd("explain", drained)


def test_b25_a_steady_udp_sender_leaves_a_dead_real_server(site: Site) -> None:
    """One socket that never falls silent: its entry in the table would live for ever."""
    director = site.director
    site.start(FILE + NAMES)
    sender = traffic(site.client, "udp", VIP, 53, period_s=0.02)
    lost = holder(site, 1)
    (other,) = set(ADDRESSES) - {lost}
    site.lab.machine("segment-lan").run("ip", "link", "set", "dev", lost, "down")
    began = time.monotonic()
    until(
        director.table,
        lambda table: not any(f"-u {VIP}:53 -r {ADDRESSES[lost]}" in line for line in table),
        LOOK_S,
    )
    out_s = time.monotonic() - began
    site.moved_in_time("names", lost, began)
    time.sleep(PATIENCE_S + 1.0)  # it may just have begun to wait for an answer
    tally = sender.stop()
    assert tally.by.get(other, 0) > 0, tally
    # It sticks to the dead one until the check tells; no longer than a second and its own patience.
    assert tally.longest_gap_s < out_s + 1.0 + PATIENCE_S, (tally, out_s)


def test_b25_a_steady_udp_sender_leaves_a_drained_real_server(site: Site) -> None:
    director = site.director
    site.start(FILE + NAMES)
    sender = traffic(site.client, "udp", VIP, 53, period_s=0.02)
    drained = holder(site, 1)
    (other,) = set(ADDRESSES) - {drained}
    director.lvsd("drain", drained, "--no-wait")
    until(
        director.table,
        lambda table: not any(f"-u {VIP}:53 -r {ADDRESSES[drained]}" in line for line in table),
        5,
    )
    time.sleep(PATIENCE_S + 1.0)
    tally = sender.stop()
    assert tally.by.get(other, 0) > 0, tally
    assert tally.longest_gap_s < PATIENCE_S + 1.0  # one answer in flight, that it waits for


@pytest.mark.parametrize("policy", ["leave", "stay"])
def test_b26_a_persistent_client_leaves_or_stays_by_the_policy(site: Site, policy: str) -> None:
    director = site.director
    site.start(FILE.replace("# more of web", f'persistent = 120\ndrain = "{policy}"'))
    first = traffic(site.client, "tcp", VIP, 80, count=5).tally()
    (bound,) = first.by
    (other,) = set(ADDRESSES) - {bound}
    director.lvsd("drain", bound, "--no-wait")
    until(site.weights, lambda found: found.get(ADDRESSES[bound]) == 0)
    wanted = "1" if policy == "leave" else "0"
    until(
        lambda: director.machine.sysctl("net.ipv4.vs.expire_quiescent_template"), lambda now: now == wanted, 5
    )
    then = traffic(site.client, "tcp", VIP, 80, count=20).tally()
    assert (then.failed, list(then.by)) == (0, [other if policy == "leave" else bound])


def test_orders_of_an_operator(site: Site) -> None:
    """disable and enable, by name and by address, in one virtual server; what is refused; what expires."""
    director = site.director
    site.start(FILE + NAMES)
    assert "real1: disabled" in director.lvsd("disable", "real1", "--virtual", "web")
    until(site.weights, lambda found: found == {"10.0.0.4": 1}, 30)
    assert any(f"-u {VIP}:53 -r 10.0.0.3:53 -g -w 1" in line for line in director.table())
    assert re.search(r"disabled \d+ s ago by root", director.lvsd("status"))
    director.lvsd("enable", "10.0.0.3", "--virtual", "web")
    until(site.weights, lambda found: found == {"10.0.0.3": 1, "10.0.0.4": 1}, 30)
    assert "was not taken out" in director.lvsd("enable", "real1")
    for wrong in (
        ("drain", "real9"),
        ("disable", "real1", "--virtual", "none"),
        ("drain", "real1", "--for", "soon"),
    ):
        result = director.machine.run(LVSD, *wrong, check=False)
        assert result.rc == 2, wrong
        assert result.err.count("\n") == 1, result.err
    began = time.monotonic()
    director.lvsd("disable", "real2", "--for", "40s")
    until(site.weights, lambda found: found == {"10.0.0.3": 1}, 30)
    # The time goes on while lvsd does not run.
    director.stop()
    director.start()
    assert site.weights() == {"10.0.0.3": 1}
    assert "expires" in director.lvsd("explain", "real2") or time.monotonic() - began > 40
    until(site.weights, lambda found: found == {"10.0.0.3": 1, "10.0.0.4": 1}, 60)
    assert time.monotonic() - began >= 40
    director.wait_for("order expired")
    # A real server that has left the configuration takes its order along, which is still to be seen.
    director.lvsd("drain", "real2", "--no-wait")
    director.save(FILE[: FILE.rindex("[[virtual.server]]")])
    assert [order["address"] for order in director.status()["orders"]] == ["10.0.0.4"]
    assert "Order: 10.0.0.4, not configured: drain by root, " in director.lvsd("status")
    assert "10.0.0.4: enabled" in director.lvsd("enable", "10.0.0.4")
    assert director.status()["orders"] == []


HOOK = '#!/bin/sh\necho "$LVS_EVENT $LVS_VIRTUAL_SERVER $LVS_REAL_SERVER $LVS_ADDRESS" >>/tmp/told\n'
HOOKS = "\n".join(f'{one} = "/etc/lvs/tell"' for one in ("notify_cmd", "quorum_up_cmd", "quorum_down_cmd"))


def test_hooks_run_once_and_in_order(site: Site) -> None:
    director = site.director
    director.machine.write("/etc/lvs/tell", HOOK, 0o755)
    director.machine.write("/tmp/told", "")
    site.start(FILE.replace("# more of web", HOOKS))

    def told() -> list[str]:
        return [line.strip() for line in director.machine.read("/tmp/told").splitlines()]

    first = until(told, lambda found: len(found) == 2)
    assert sorted(first) == ["up web real1 10.0.0.3", "up web real2 10.0.0.4"]
    site.lose("real1")
    until(told, lambda found: len(found) == 3)
    director.lvsd("reload")
    site.lose("real2")
    until(told, lambda found: len(found) == 5)
    site.heal("real2")
    found = until(told, lambda found: len(found) == 7)
    assert found[2:] == [
        "down web real1 10.0.0.3",
        "down web real2 10.0.0.4",
        "quorum_down web",
        "up web real2 10.0.0.4",
        "quorum_up web",
    ]
    time.sleep(2 * INTERVAL_S)
    assert len(told()) == 7
