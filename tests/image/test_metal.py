"""The image for servers: it finds a disk and a network card that are no hypervisor's, and serves."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from firstboot.given import TOML
from lab import Lab
from lab.appliance import OUT, Appliance, network_file, public_key
from lab.paths import CHECKOUT

pytestmark = [pytest.mark.image, pytest.mark.long]

ADDRESS, GATEWAY = "10.0.0.1", "10.0.0.254"


@pytest.fixture(scope="module")
def server() -> Iterator[Appliance]:
    subprocess.run((CHECKOUT / ".ci" / "image", "metal", "raw"), check=True, cwd=CHECKOUT)
    with Lab.start("local") as lab:
        lan = lab.segment("lan", {"gateway": f"{GATEWAY}/24"})
        machine = Appliance(lan, "director1", ADDRESS, disk=OUT / "lvs-metal.raw", metal=True)
        machine.credentials = {
            "lvs.toml": TOML.encode(),
            "ssh.authorized_keys.root": f"{public_key()}\n".encode(),
            "network.network.10-lan": network_file(f"{ADDRESS}/24", GATEWAY),
        }
        try:
            machine.power_on()
            machine.await_up()
            yield machine
        finally:
            machine.close()


def test_its_kernel_drives_what_servers_have(server: Appliance) -> None:
    assert "DRIVER=e1000e" in server.run("cat /sys/class/net/eth0/device/uevent").out.split()
    assert "nvme0n1" in server.run("lsblk -no NAME --list").out.split()
    assert "VARIANT_ID=metal" in server.run("cat /etc/os-release").out.split()


def test_it_serves(server: Appliance) -> None:
    server.await_true("lvsd healthy", 120)
    assert "TCP  192.0.2.1:80" in server.run("ipvsadm -Ln").out
    assert server.run("systemctl --failed --no-legend").out == ""
