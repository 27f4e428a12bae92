"""B39: both directors of a pair of images updated one after the other, under load."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from lab import updates
from lab.appliance import Appliance, network_file, public_key
from lab.lab import Lab
from lab.machine import Machine
from lab.peers import begin_echo, traffic
from lvs.io import pairkey

pytestmark = [pytest.mark.image, pytest.mark.long]

VIP, PORT = "10.0.0.5", 80
DIRECTORS = {"director1": "10.0.0.1", "director2": "10.0.0.2"}
SERVERS = {"real1": "10.0.0.3", "real2": "10.0.0.4"}
GATEWAY, CLIENT = "10.0.0.254", "10.0.0.100"
CONFIG = f"""\
serial_no = 1
primary = "10.0.0.1"
backup = "10.0.0.2"
network = "direct"
keepalive = 1
deadtime = 6
syncdaemon = true
[[virtual]]
name = "echo"
address = "{VIP}"
device = "eth0:1"
vip_nmask = 24
port = {PORT}
scheduler = "rr"
""" + "".join(f'[[virtual.server]]\nname = "{name}"\naddress = "{it}"\n' for name, it in SERVERS.items())
WHOLE_S = 1200.0  # two starts of emulated machines, side by side


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[list[Appliance], Machine]]:
    """Both directors, settled, and a client."""
    with Lab.start("local") as lab:
        members = SERVERS | {"client": CLIENT, "gateway": GATEWAY}
        lan = lab.segment("lan", {name: f"{it}/24" for name, it in members.items()}, gateway=GATEWAY)
        for name in SERVERS:
            machine = lab.machine(name)
            for setting, value in (("arp_ignore", 1), ("arp_announce", 2)):
                machine.sysctl(f"net.ipv4.conf.all.{setting}", value)
            machine.run("ip", "address", "add", f"{VIP}/32", "dev", "lo")
            begin_echo(machine, tcp=[PORT], udp=[PORT]).expect("serving")
        updates.PLACE.mkdir(parents=True, exist_ok=True)
        serve = ("python3", "-m", "http.server", "8000", "--directory", str(updates.PLACE))
        lab.machine("gateway").spawn(*serve)
        key = pairkey.make().text
        directors = []
        try:
            for name, address in DIRECTORS.items():
                one = Appliance(lan, name, address, memory_mb=640)
                directors.append(one)
                one.credentials = {
                    "lvs.toml": CONFIG.encode(),
                    "lvs.pair.key": key,
                    "lvs.hostname": name.encode(),
                    "ssh.authorized_keys.root": f"{public_key()}\n".encode(),
                    "network.network.10-lan": network_file(f"{address}/24", GATEWAY),
                }
                one.power_on()
            for one in directors:
                one.await_up()
            for one in directors:
                one.await_true("lvsd healthy && lvsd pair status | grep -q '^same'", 240)
            yield directors, lab.machine("client")
        finally:
            for one in directors:
                one.close()


def role(director: Appliance) -> str:
    return str(json.loads(director.run("lvsd status --json").out)["pair"]["role"])


def test_both_are_updated_without_a_failed_request(pair: tuple[list[Appliance], Machine]) -> None:
    directors, client = pair
    update = updates.build("0.2.0")
    active = next(one for one in directors if role(one) == "active")
    standby = next(one for one in directors if one is not active)
    requests = traffic(client, "tcp", VIP, PORT, period_s=0.05)
    lasting = traffic(client, "lasting", VIP, PORT, period_s=0.2)
    url = f"http://{GATEWAY}:8000/{update.relative_to(updates.PLACE)}"
    # The connection goes with it.
    told = active.run(f"lvsd update --pair {url}", check=False, timeout=WHOLE_S)
    print(told.out)
    assert "this director goes on after its start" in told.out, told.err
    for one in directors:
        one.forget()
    active.await_true("journalctl -t lvsd -u lvs-update-pair -o json | grep -q PairUpdated", WHOLE_S)
    for one in directors:
        shown = json.loads(one.run("lvsd update --status --json").out)
        assert shown["running"]["version"] == "0.2.0"
        assert shown["note"]["last"]["end"] == "proved"
    assert (role(active), role(standby)) == ("standby", "active")
    counted, long = requests.stop(), lasting.stop()
    print(counted, long)
    assert counted.failed == 0
    assert long.failed == 0
    assert counted.answered > 500
