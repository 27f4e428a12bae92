"""What the units, the firewall and the system's settings come to on booted images."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from lab.appliances import Site, risen, role
from lab.peers import SCRIPT

pytestmark = [pytest.mark.image, pytest.mark.long]

ROOT = Path(__file__).parents[2]
SYSCTLS = ROOT / "image/mkosi.extra/usr/lib/sysctl.d/50-lvs.conf"
# Whether a port takes a connection, refuses it, or does not answer at all.
KNOCK = """\
import socket, sys
for word in sys.argv[2:]:
    try:
        socket.create_connection((sys.argv[1], int(word)), 4).close()
        print("open")
    except TimeoutError:
        print("silent")
    except OSError as fault:
        print(fault.strerror)
"""
# Who runs it, and which capabilities it could ever have.
WHO = "#!/bin/sh\necho $(id -un) $(sed -n 's/^CapBnd:.//p' /proc/self/status)\n"
VIRTUAL = """
[[virtual]]
name = "who"
address = "10.0.0.5"
device = "eth0:1"
vip_nmask = "255.255.255.0"
port = 8631
send_program = "/etc/lvs/who"
expect = "lvs-check 0000000000000000"
reentry = 0

[[virtual.server]]
name = "real1"
address = "10.0.0.3"
"""


def test_lvsd_has_what_it_needs_and_no_more(appliances: Site) -> None:
    for director in appliances.directors:
        said = director.run("systemd-analyze security --no-pager lvs.service", check=False).out
        (exposure,) = re.findall(r"exposure level for lvs\.service: ([0-9.]+)", said)
        assert float(exposure) <= 3.6, said
        unprivileged = "journalctl -u lvs -o cat --no-pager EVENT=PulseUnprivileged"
        assert director.run(unprivileged, check=False).out == ""
        processes = director.run("ps -eo rtprio,args").out.splitlines()
        assert [line.split()[0] for line in processes if "lvsd pulse" in line] == ["20"], processes
        assert director.run("systemctl is-active lvs-checks@lvs-check.socket").out == "active\n"


def test_a_check_program_runs_in_a_unit_of_no_rights(appliances: Site) -> None:
    active = appliances.active()
    for director in appliances.directors:
        director.run("cat >/etc/lvs/who && chmod 755 /etc/lvs/who", stdin=WHO)
    before = active.run("cat /etc/lvs/lvs.toml").out
    active.run("cat >/etc/lvs/lvs.toml", stdin=risen(before) + VIRTUAL)
    active.run("lvsd reload")
    try:
        for director in appliances.directors:
            director.await_true("ipvsadm -Sn | grep -q -e '-a -t 10.0.0.5:8631 -r 10.0.0.3:8631'", 180)
            unit = director.run("systemctl status --no-pager lvs-checks@lvs-check.service", check=False).out
            assert "check-programs" in unit
    finally:
        active.run("cat >/etc/lvs/lvs.toml", stdin=risen(risen(before)))
        active.run("lvsd reload")
    appliances.await_settled()


def test_the_firewall_is_the_configurations(appliances: Site) -> None:
    active = appliances.active()
    # nft knows the names of protocols only where /etc/protocols is.
    assert re.search(r"10\.0\.0\.5 \. (tcp|6) \. 631", active.run("nft list table inet lvs").out)
    knocked = (*SCRIPT, "-c", KNOCK)
    said = appliances.client.run(*knocked, active.address, "22", "9999", "539").out.split("\n")
    assert said[:3] == ["open", "silent", "silent"]
    assert appliances.client.run(*knocked, "10.0.0.5", "631", "9999").out.split("\n")[:2] == [
        "open",
        "silent",
    ]
    active.run("nft flush ruleset")
    active.await_true("nft list table inet lvs | grep -Eq '10.0.0.5 . (tcp|6) . 631'", 30)
    assert active.run("conntrack -L -p tcp 2>/dev/null", check=False).out == ""


def test_settings_of_the_system(appliances: Site) -> None:
    director = appliances.directors[0]
    wanted = dict(re.findall(r"^-?([\w.]+) = (\d+)$", SYSCTLS.read_text(), re.MULTILINE))
    assert len(wanted) > 20
    found = director.run(f"sysctl {' '.join(wanted)}").out
    assert dict(re.findall(r"^([\w.]+) = (\d+)$", found, re.MULTILINE)) == wanted
    table = director.run("journalctl -k -o cat --no-pager -g 'Connection hash table configured'").out
    (size,) = re.findall(r"size=(\d+)", table)
    assert int(size) > 4096  # 2^18, or what a small memory leaves of it
    assert int(director.run("lsmod | grep -c '^ip_vs'").out) >= 16
    shown = director.run("systemd-analyze cat-config systemd/journald.conf", check=False).out
    assert "SystemMaxUse=64M" in shown
    assert director.run("ls -d /var/log/journal/*/").out


def test_a_daemon_that_is_killed_is_back_before_anybody_notices(appliances: Site) -> None:
    """With a deadtime that emulation can keep: there a director takes the deployment's 18 s to start."""
    active, standby = appliances.active(), appliances.standby()
    patient = active.run("cat /etc/lvs/lvs.toml").out.replace("deadtime = 18\n", "deadtime = 90\n")
    assert "deadtime = 90\n" in patient
    active.run("cat >/etc/lvs/lvs.toml", stdin=risen(patient))
    active.run("lvsd reload")
    appliances.await_settled()
    assert (role(active), role(standby)) == ("active", "standby")
    restarts = "systemctl show -P NRestarts lvs"
    before = int(active.run(restarts).out)
    killed_s = float(active.run("systemctl kill -s KILL lvs && cut -d' ' -f1 /proc/uptime").out)
    active.await_true(f"test $({restarts}) -gt {before} && lvsd status", 60)
    started = json.loads(active.run("journalctl -u lvs -o json --no-pager EVENT=Started | tail -n 1").out)
    print(f"lvsd was back {int(started['__MONOTONIC_TIMESTAMP']) / 1e6 - killed_s:.2f} s after it was killed")
    assert (role(active), role(standby)) == ("active", "standby")
    took = "journalctl -u lvs -o cat --no-pager --since -60s EVENT=BecameActive"
    assert standby.run(took, check=False).out == ""
