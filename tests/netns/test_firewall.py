"""The firewall with traffic: what the configuration needs passes, nothing else, and it stays that way."""

from __future__ import annotations

from pathlib import Path

import pytest

from config import golden
from lab import Lab, Machine
from lab.kernel_topology import PLANS, Family, Method, kernel_topology
from lab.paths import LVSD
from lab.peers import SCRIPT, echo, traffic

from . import pair as pairs
from .director import Director, until
from .test_traffic import MARKED, configuration, marks

pytestmark = pytest.mark.netns

CLOSED = 9999
TABLE = ("nft", "list", "table", "inet", "lvs")
# Asks all of `tcp|udp ADDRESS PORT ...` at once; a line each: who answered, or nobody.
ASK = """\
import socket, sys, threading
def ask(number, kind, address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM) as one:
        one.settimeout(4)
        try:
            one.connect((address, int(port)))
            one.send(b"?\\n")
            said[number] = one.recv(100).decode().split()[0]
        except OSError:
            pass
words = sys.argv[1:]
specs = [words[at:at + 3] for at in range(0, len(words), 3)]
said = ["nobody"] * len(specs)
threads = [threading.Thread(target=ask, args=(n, *spec)) for n, spec in enumerate(specs)]
[one.start() for one in threads]
[one.join() for one in threads]
print(*said)
"""


def asked(client: Machine, *specs: tuple[str, str, int]) -> list[str]:
    words = [str(word) for spec in specs for word in spec]
    return client.run(*SCRIPT, "-c", ASK, *words).out.split()


@pytest.mark.parametrize(("family", "method"), [(4, "nat"), (6, "nat"), (4, "dr")])
def test_what_is_needed_passes_and_nothing_else(lab: Lab, family: Family, method: Method) -> None:
    network, plan = kernel_topology(lab, family, method), PLANS[family]
    client, inside = network.client, network.addresses[0]
    own = plan.outside(1)
    for machine in network.real_servers:
        echo(machine, tcp=[MARKED], udp=[MARKED])
    echo(network.director, tcp=[22, CLOSED], udp=[CLOSED])
    client.run("ip", f"-{family}", "route", "add", f"{plan.inner}0/{plan.length}", "via", own)
    network.director.run("nft", "-f", "-", stdin=marks(family))
    closed = [(kind, own, CLOSED) for kind in ("tcp", "udp")]
    if method == "nat":  # others answer past the director
        closed += [(kind, inside, network.port) for kind in ("tcp", "udp")]
    before = asked(client, *closed)
    assert "nobody" not in before, "these are to be closed, so they must be open"

    director = Director(network.director, checked=True)
    director.start(configuration(network), "--firewall")
    until(director.table, lambda lines: sum(" -r " in line for line in lines) == 6)  # checks pass
    assert asked(client, *closed) == ["nobody"] * len(closed)
    served = [(kind, network.vip, port) for kind in ("tcp", "udp") for port in (network.port, MARKED)]
    answers = asked(client, *served, ("tcp", own, 22), ("tcp", network.vip, CLOSED))
    assert answers[-2:] == ["director", "nobody"]
    assert set(answers[:-2]) <= {"real1", "real2"}, answers
    tally = traffic(client, "tcp", network.vip, network.port, count=20).tally()
    assert (tally.failed, tally.by) == (0, {"real1": 10, "real2": 10})
    for address in (own, network.vip):
        client.run("ping", "-c", "1", "-W", "4", address, root="tree")
    # IPVS pays for no tracking, nor do checks.
    tracked = network.director.run("conntrack", "-L", "-f", f"ipv{family}", root="tree").out
    assert "tcp" not in tracked, tracked
    assert f"dport={network.port}" not in tracked, tracked


FILE = """
serial_no = {serial}
on_stop = "empty"
[[virtual]]
name = "web"
address = "10.0.0.5"
device = "eth0"
port = {port}
[[virtual.server]]
name = "one"
address = "10.0.0.3"
"""


def test_it_follows_the_file_is_repaired_and_goes(lab: Lab) -> None:
    lab.segment("lan", {"director": "10.0.0.1/24"})
    machine = lab.machine("director")
    director = Director(machine)
    machine.run("nft", "add", "table", "inet", "other")
    director.start(FILE.format(serial=1, port=80), "--firewall", "22,udp/161")
    assert "10.0.0.5 . tcp . 80" in machine.run(*TABLE).out
    assert "udp dport 161 accept" in machine.run(*TABLE).out

    said = director.save(FILE.format(serial=2, port=81))
    assert "lvsd firewall | nft" in said
    assert "10.0.0.5 . tcp . 81" in machine.run(*TABLE).out

    for harm in (("flush", "ruleset"), ("flush", "chain", "inet", "lvs", "input")):
        mark = len(director.said)
        machine.run("nft", *harm)
        assert "lvsd firewall | nft" in director.wait_for(r"put right[^\n]*\n|drift[^\n]*\n", mark)
        until(lambda: machine.run(*TABLE, check=False).out, lambda out: "10.0.0.5 . tcp . 81" in out)
        assert "tcp dport 22 accept" in machine.run(*TABLE).out
    machine.run("nft", "add", "table", "inet", "other")  # of somebody else
    plan = director.lvsd("plan", director.file)
    assert "nft" not in plan, plan

    director.stop()
    assert machine.run(*TABLE, check=False).rc != 0
    assert "table inet other" in machine.run("nft", "list", "tables").out

    # Kept by a stop that keeps, gone with the first start that does not want it.
    kept = FILE.format(serial=3, port=81).replace("empty", "keep")
    director.start(kept, "--firewall")
    director.stop()
    assert machine.run(*TABLE).rc == 0
    director.start(kept)
    until(lambda: machine.run(*TABLE, check=False).rc, lambda code: code != 0)


def test_a_pair_hears_shares_and_switches(lab: Lab) -> None:
    pair = pairs.build(lab)
    for one in pair.directors:
        one.machine.write(one.file, pairs.text())
        one.machine.write(pairs.KEY, pairs.key(), 0o600)
        one.spawn("--firewall")
    first = pair.settled()
    with pairs.Client(pair) as client:
        lasting = pair.lasting(period_s=0.02)
        pair.reload(pairs.TIMES + "announce_every = 30\n")
        pair.switch()
        assert pair.settled() is not first
        until(lambda: lasting.process.alive, bool)
    assert client.tally.failed == 0
    assert lasting.stop().failed == 0


def test_nft_takes_every_ruleset(lab: Lab) -> None:
    machine = lab.machine("director")
    names = sorted(path.name for path in golden.FIXTURES.glob("*.nft"))
    assert len(names) >= 4
    for name in names:
        machine.run("nft", "--check", "-f", "-", stdin=(golden.FIXTURES / name).read_text())
    example = Path(__file__).parents[2] / "lvs.toml.example"
    machine.write("/etc/lvs/lvs.toml", example.read_text())
    machine.run("nft", "-f", "-", stdin=machine.run(LVSD, "firewall").out)
    assert "chain forward" in machine.run(*TABLE).out
