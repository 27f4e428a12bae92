"""The image's first boot, by each route: what a machine is told is what it is, and what it lacks it says."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from firstboot.given import TOML
from lab import Lab
from lab.appliance import Appliance, flashed, network_file, public_key, workplace
from lab.channel import LabError
from lab.segment import Segment
from lvs import events
from lvs.io import pairkey

pytestmark = [pytest.mark.image, pytest.mark.long]

ADDRESS, GATEWAY = "10.0.0.1", "10.0.0.254"
NETWORK = network_file(f"{ADDRESS}/24", GATEWAY)
BROKEN = TOML.replace("port = 80", "port = 80000")
CARD = "/dev/disk/by-label/LVS-CONFIG"


@pytest.fixture
def lan() -> Iterator[Segment]:
    with Lab.start("local") as lab:
        yield lab.segment("lan", {"gateway": f"{GATEWAY}/24"})


def shown(machine: Appliance, text: str, limit_s: float = 480) -> None:
    """Wait until the console has shown a text."""
    deadline = time.monotonic() + limit_s
    while text not in machine.console():
        if time.monotonic() > deadline:
            raise LabError(f"the console never said {text!r}\n{machine.console()[-4000:]}")
        time.sleep(0.5)


def told(machine: Appliance, event: type[events.Event]) -> list[dict[str, str]]:
    """What lvs-firstboot has told of one kind, since this boot."""
    command = f"journalctl -b -o json -u lvs-firstboot MESSAGE_ID={event.MESSAGE_ID}"
    return [json.loads(line) for line in machine.run(command).out.splitlines()]


def again(machine: Appliance) -> None:
    machine.run("sync")
    machine.forget()
    machine.power_off()
    machine.power_on()
    machine.await_up()


def test_by_the_partition(lan: Segment) -> None:
    key = pairkey.make()
    files = {
        "LVS.TOML": TOML.encode(),
        "authorized_keys": f"{public_key()}\n".encode(),
        "pair.key": key.text,
        "hostname": b"director1\r\n",
        "network/lan.network": NETWORK,
        "lvs.toml.txt": b"forgotten",
    }
    machine = Appliance(lan, "director1", ADDRESS, disk=flashed(workplace() / "card", files))
    try:
        machine.power_on()
        machine.await_up()
        run = machine.run
        assert run("hostname").out == "director1\n"
        assert run("cat /etc/lvs/lvs.toml").out == TOML
        assert run("stat -c '%a %U' /etc/lvs/pair.key").out == "600 root\n"
        assert run("systemctl --failed --no-legend").out == ""
        assert [one["FILE"] for one in told(machine, events.SecretWiped)] == ["LVS-CONFIG/pair.key"]
        assert {one["FILE"] for one in told(machine, events.TakenOver)} == {
            *("/etc/lvs/lvs.toml", "/etc/lvs/pair.key", "/etc/hostname", "/etc/systemd/network/lan.network"),
            "/etc/ssh/authorized_keys.d/root",
        }
        assert "did you mean lvs.toml?" in told(machine, events.GivenWarning)[0]["MESSAGE"]
        explained = run(f"journalctl -x MESSAGE_ID={events.SecretWiped.MESSAGE_ID}").out
        assert "was overwritten and removed there" in explained
        # nowhere on the partition any more
        assert run(f"grep -ac 'PRIVATE KEY' {CARD}", check=False).out == "0\n"
        assert (
            "Wiped from here" in run(f"mount -o ro {CARD} /mnt && cat /mnt/taken-over.txt; umount /mnt").out
        )
        # only keys, only one host key, and its fingerprint stands on the console
        assert run("ls /etc/ssh/ssh_host_*key").out == "/etc/ssh/ssh_host_ed25519_key\n"
        fingerprint = run("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub").out.split()[1]
        shown(machine, fingerprint)
        shown(machine, "serial 7, 1 virtual server")
        settings = run("sshd -T -C user=root,host=x,addr=10.0.0.9").out
        assert "passwordauthentication no\n" in settings
        assert "authorizedkeysfile /etc/ssh/authorized_keys.d/%u\n" in settings
        of_lvs = run("sshd -T -C user=lvs,host=x,addr=10.0.0.9").out
        assert "disableforwarding yes\n" in of_lvs
        assert "permittty no\n" in of_lvs
        # the director serves by it
        machine.await_true("ipvsadm -Ln | grep -q 192.0.2.1:80")

        # what is edited here stays over a boot, until the card says something new
        run("sed -i 's/serial_no = 7/serial_no = 8/' /etc/lvs/lvs.toml")
        again(machine)
        assert "serial_no = 8" in run("cat /etc/lvs/lvs.toml").out
        assert told(machine, events.TakenOver) == []
        assert run("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub").out.split()[1] == fingerprint
        run(f"mount {CARD} /mnt && sed -i 's/serial_no = 7/serial_no = 9/' /mnt/LVS.TOML; umount /mnt")
        again(machine)
        assert "serial_no = 9" in run("cat /etc/lvs/lvs.toml").out
        assert "serial_no = 8" in run("cat /etc/lvs/lvs.toml.replaced").out
    finally:
        machine.close()


def test_by_nothing(lan: Segment) -> None:
    machine = Appliance(lan, "director1", ADDRESS)
    try:
        machine.power_on()
        shown(machine, "this director serves nothing: a configuration, lvs.toml or lvs.cf")
        shown(machine, "This director is not configured. Press Enter within 30 s")
        shown(machine, "NOT CONFIGURED")
        shown(machine, "login:")
        at = machine.console().index
        assert at("Press Enter within") < at("NOT CONFIGURED") < at("login:")
    finally:
        machine.close()


def test_by_credentials_with_a_card_that_is_wrong_and_a_disk_that_is_full(lan: Segment) -> None:
    disk = flashed(
        workplace() / "card",
        {"lvs.toml": BROKEN.encode(), "authorized_keys": b"-----BEGIN PRIVATE KEY-----\n"},
    )
    machine = Appliance(lan, "director1", ADDRESS, disk=disk)
    machine.credentials = {
        "ssh.authorized_keys.root": public_key().encode(),
        "lvs.network.lan.network": NETWORK,
        "lvs.hostname": b"by-credential",
    }
    problem = "LVS-CONFIG/lvs.toml:7: virtual[0].port: 1 to 65535, got 80000"
    try:
        machine.power_on()
        machine.await_up()
        run = machine.run
        assert run("hostname").out == "by-credential\n"
        assert [one["MESSAGE"] for one in told(machine, events.GivenRefused)] == [problem]
        assert told(machine, events.NotConfigured) != []
        shown(machine, problem)
        assert "lvs-firstboot.service" in run("systemctl --failed --no-legend").out
        assert run("test -e /etc/lvs/lvs.toml", check=False).rc == 1
        assert re.findall("^(TCP|UDP|FWM)", run("ipvsadm -Ln").out, re.MULTILINE) == []

        # mended, but there is no room for it: said, and nothing is changed
        run(f"mount {CARD} /mnt && sed -i 's/80000/80/' /mnt/lvs.toml; umount /mnt")
        run("dd if=/dev/zero of=/var/filler bs=1M; dd if=/dev/zero of=/var/rest bs=512", check=False)
        full = run("lvsd firstboot", check=False)
        assert full.rc == 1
        assert "no space left on device; make room on the state partition" in full.err
        assert run("test -e /etc/lvs/lvs.toml", check=False).rc == 1
        run("rm /var/filler /var/rest")
        assert run("lvsd firstboot").rc == 0
        machine.await_true("ipvsadm -Ln | grep -q 192.0.2.1:80")
    finally:
        machine.close()


def seed(place: Path, files: dict[str, str]) -> Path:
    """As cloud-localds(1) and most hypervisors make them: ISO 9660 with Rock Ridge and Joliet."""
    (folder := place / "seed").mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    made = place / "seed.iso"
    command = ("genisoimage", "-quiet", "-volid", "cidata", "-joliet", "-rock", "-output", made, folder)
    subprocess.run(command, check=True)
    return made


def test_by_a_cloud_disk(lan: Segment) -> None:
    machine = Appliance(lan, "director1", ADDRESS)
    user_data = {
        "ssh_authorized_keys": [public_key()],
        "users": ["default"],
        "write_files": [{"path": "/etc/lvs/lvs.toml", "content": TOML}],
    }
    files = {
        "meta-data": "instance-id: i-1\nlocal-hostname: cloudy\n",
        "user-data": f"#cloud-config\n{json.dumps(user_data)}\n",
        "network-config": json.dumps(
            {"version": 2, "ethernets": {"eth0": {"addresses": [f"{ADDRESS}/24"], "gateway4": GATEWAY}}}
        ),
    }
    machine.seeds = [seed(workplace() / "seed", files)]
    try:
        machine.power_on()
        machine.await_up()
        run = machine.run
        assert run("hostname").out == "cloudy\n"
        assert run("cat /etc/lvs/lvs.toml").out == TOML
        assert f"Address={ADDRESS}/24" in run("cat /etc/systemd/network/50-eth0.network").out
        said = [one["MESSAGE"] for one in told(machine, events.GivenWarning)]
        assert said == [
            "CIDATA/user-data:2: warning: users[0]: there is no user default here: only root and lvs"
        ]
        machine.await_true("ipvsadm -Ln | grep -q 192.0.2.1:80")
    finally:
        machine.close()
