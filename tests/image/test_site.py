"""The deployment on two booted images: served, configured by git push, cut off from power."""

from __future__ import annotations

import json
import re

import pytest

from lab.appliance import Appliance
from lab.appliances import Site, introduce, risen, role
from lab.clients import ask_directory, ask_names, ask_printing
from lab.machine import Result

pytestmark = pytest.mark.image

VIPS = {"10.0.0.5", "10.0.0.6", "10.0.0.7"}


def held(director: Appliance) -> set[str]:
    """The VIPs that a director has."""
    listed = json.loads(director.run("ip -json -4 address show").out)
    return {one["local"] for link in listed for one in link["addr_info"]} & VIPS


def ask_all(site: Site) -> None:
    """Every service answers through its VIP; LabError else."""
    client = site.client
    answers = {
        ask_printing(client, "10.0.0.5"),
        ask_directory(client, "10.0.0.6"),
        ask_names(client, "10.0.0.7"),
        ask_names(client, "10.0.0.7", tcp=True),
    }
    assert answers <= set(site.real_servers)


def test_flashed_machines_are_who_they_were_told(appliances: Site) -> None:
    for director in appliances.directors:
        assert director.run("hostname").out.strip() == director.name
        assert director.run("systemctl --failed --no-legend").out == ""
        # The key of the pair was taken over, and wiped where it lay.
        assert director.run("stat -c '%a %U' /etc/lvs/pair.key").out.split() == ["600", "root"]
        partition = director.run(
            "mkdir -p /run/card && mount -o ro /dev/disk/by-label/LVS-CONFIG /run/card && ls /run/card; "
            "grep -c 'PRIVATE KEY' /dev/disk/by-label/LVS-CONFIG; umount /run/card",
            check=False,
        ).out.split()
        assert "pair.key" not in partition
        assert "taken-over.txt" in partition
        assert partition[-1] == "0"


def test_the_root_is_verified_and_not_written(appliances: Site) -> None:
    director = appliances.directors[0]
    assert director.run("findmnt -no SOURCE /").out.strip() == "/dev/mapper/root"
    mapped = director.run("cat /sys/block/dm-*/dm/name /sys/block/dm-*/dm/uuid").out.split()
    assert mapped[0] == "root"
    assert mapped[1].startswith("CRYPT-VERITY-")
    assert director.run("touch /usr/here", check=False).rc != 0
    assert director.run("command -v python3 perl apt dpkg gcc", check=False).out == ""


def test_one_serves_with_the_real_services(appliances: Site) -> None:
    assert held(appliances.active()) == VIPS
    assert held(appliances.standby()) == set()
    ask_all(appliances)


def test_the_journal_has_fields_and_catalog(appliances: Site) -> None:
    director = appliances.active()
    lines = director.run("journalctl -u lvs -o json --no-pager EVENT=BecameActive | tail -n 1").out
    entry = json.loads(lines)
    assert int(entry["TERM"]) >= 1
    assert entry["_SYSTEMD_UNIT"] == "lvs.service"
    explained = director.run("journalctl -u lvs -x --no-pager EVENT=BecameActive | tail -n 12").out
    assert "Defined-By: lvs" in explained


class Clone:
    """An operator's clone of a director's repository, on the client."""

    def __init__(self, site: Site, director: Appliance) -> None:
        introduce(site, site.client)
        self._client, self._place = site.client, f"/tmp/clone-of-{director.name}"
        self._client.run("rm", "-rf", self._place)
        self._client.run("git", "clone", "-q", f"lvs@{director.name}:config.git", self._place, timeout=180)

    def git(self, *argv: str, check: bool = True) -> Result:
        env = {"GIT_CONFIG_GLOBAL": "/dev/null"}
        return self._client.run("git", *argv, cwd=self._place, check=check, timeout=300, env=env)

    def read(self) -> str:
        return self._client.read(f"{self._place}/lvs.toml")

    def push(self, text: str, *options: str) -> Result:
        """Commit a text and push it; what git says of it."""
        self._client.write(f"{self._place}/lvs.toml", text)
        self.git("commit", "-q", "-a", "-m", "a change")
        return self.git("push", *options, "origin", "HEAD:main", check=False)

    def undo(self) -> None:
        self.git("fetch", "-q")
        self.git("reset", "-q", "--hard", "origin/main")


def test_a_push_is_refused_or_on_both(appliances: Site) -> None:
    """B38."""
    clone = Clone(appliances, appliances.standby())
    text = clone.read()
    wrong = clone.push(risen(text).replace("weight = 1", "weight = -4", 1))
    assert wrong.rc != 0
    assert re.search(r"lvs\.toml:\d+: virtual\[0\]\.server\[0\]\.weight: 0 to 65535, got -4", wrong.err), (
        wrong.err
    )
    clone.undo()
    assert clone.read() == text

    good = clone.push(risen(text).replace("weight = 1", "weight = 3", 1))
    assert good.rc == 0, good.err
    assert "ipvsadm -e -t 10.0.0.5:631 -r 10.0.0.3:631 -g -w 3" in good.err
    assert "director2 runs it, too" in good.err or "director1 runs it, too" in good.err
    for director in appliances.directors:
        assert re.search(r"-a -t 10\.0\.0\.5:631 -r 10\.0\.0\.3:631 -g -w 3", director.run("ipvsadm -Sn").out)
    heads = {
        director.run("lvsd history -n 1").out.splitlines()[1].split()[0] for director in appliances.directors
    }
    assert len(heads) == 1
    ask_all(appliances)


def test_vips_return_when_the_network_manager_starts_anew(appliances: Site) -> None:
    """B32."""
    director = appliances.active()
    director.run("systemctl restart systemd-networkd")
    director.run("networkctl reload && networkctl reconfigure eth0")
    director.await_true("test $(ip -4 address show dev eth0 | grep -c 'eth0:[0-9]') = 3", 30)
    assert held(director) == VIPS
    assert role(director) == "active"
    ask_all(appliances)


def test_a_standby_that_boots_never_has_a_vip(appliances: Site) -> None:
    """B30: each answer of the neighbour's table is the active director's, all through the boot."""
    standby, active = appliances.standby(), appliances.active()
    mac = active.run("cat /sys/class/net/eth0/address").out.strip()
    watch = appliances.client.spawn("tcpdump", "-lnei", "eth0", "arp", root="tree")
    watch.expect("listening", 10)
    standby.reboot()
    appliances.await_settled()
    watch.stop()
    claims = [
        line
        for line in watch.output().splitlines()
        if re.search(r"(Reply|Request who-has) (10\.0\.0\.[567]) (is-at|.*tell \2)", line)
    ]
    assert not [line for line in claims if mac not in line], claims
    assert appliances.active() is active


def test_the_power_of_the_active_one_goes(appliances: Site) -> None:
    before = appliances.active()
    text = before.run("cat /etc/lvs/lvs.toml").out
    before.power_off()
    other = next(one for one in appliances.directors if one is not before)
    other.await_true("lvsd status | grep -q ' active '", 90)
    ask_all(appliances)
    before.power_on()
    before.await_up()
    appliances.await_settled()
    assert before.run("cat /etc/lvs/lvs.toml").out == text
    assert appliances.standby() is before
    assert before.run("systemctl --failed --no-legend").out == ""
