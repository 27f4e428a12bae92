"""Updates of the booted image: what is refused, what is interrupted, what falls back, what stays."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import updates
from lab.appliance import Appliance, network_file, public_key
from lab.lab import Lab
from lab.machine import Result

pytestmark = [pytest.mark.image, pytest.mark.long]

ADDRESS = "10.0.0.21"
VIP, SERVER = "10.0.0.80", "10.0.0.30"
CONFIG = f"""\
serial_no = 7
network = "direct"
[[virtual]]
name = "web"
address = "{VIP}"
device = "eth0:1"
port = 80
[[virtual.server]]
name = "real1"
address = "{SERVER}"
"""
FALLBACK_S = 900.0  # three tries and the way back, emulated


@pytest.fixture(scope="module")
def director() -> Iterator[Appliance]:
    """One director with a configuration, up and healthy."""
    with Lab.start("local") as lab:
        lan = lab.segment("lan", {"real1": f"{SERVER}/24", "gateway": "10.0.0.254/24"}, gateway="10.0.0.254")
        one = Appliance(lan, "director1", ADDRESS, cpus=2, memory_mb=768)
        one.credentials = {
            "lvs.toml": CONFIG.encode(),
            "ssh.authorized_keys.root": f"{public_key()}\n".encode(),
            "network.network.10-lan": network_file(f"{ADDRESS}/24", "10.0.0.254"),
        }
        updates.PLACE.mkdir(parents=True, exist_ok=True)
        lab.machine("real1").spawn("python3", "-m", "http.server", "8000", "--directory", str(updates.PLACE))
        one.power_on()
        try:
            one.await_up()
            one.await_true("lvsd healthy", 120)
            yield one
        finally:
            one.close()


def standing(director: Appliance) -> dict[str, Any]:
    """What `lvsd update --status --json` says."""
    found: dict[str, Any] = json.loads(director.run("lvsd update --status --json").out)
    return found


def version(director: Appliance) -> str:
    return str(standing(director)["running"]["version"])


def url(update: Path) -> str:
    return f"http://{SERVER}:8000/{update.relative_to(updates.PLACE)}"


def install(director: Appliance, update: Path, *options: str, check: bool = True) -> Result:
    """From a web server."""
    return director.run(f"lvsd update {url(update)} {' '.join(options)}", check=check, timeout=400)


def await_version(director: Appliance, wanted: str, limit_s: float) -> None:
    """Wait for a version to be up, whatever is started meanwhile."""
    deadline = time.monotonic() + limit_s
    while True:
        director.forget()
        director.await_up(max(1.0, deadline - time.monotonic()))
        found = director.run("lvsd update --status --json", check=False, timeout=60)
        if not found.rc and json.loads(found.out)["running"]["version"] == wanted:
            return
        assert time.monotonic() < deadline, f"{found.out}\n{director.console()[-3000:]}"
        time.sleep(3)


def last(director: Appliance) -> dict[str, Any]:
    """How the last update ended, once that is known."""
    director.await_true("systemctl show -P SubState lvs-healthy | grep -qx -e exited -e failed", 240)
    found: dict[str, Any] = standing(director)["note"]["last"]
    return found


def serves(director: Appliance) -> bool:
    table = director.run("ipvsadm -Ln", check=False).out
    return f"TCP  {VIP}:80" in table


def test_it_comes_up_proved(director: Appliance) -> None:
    shown = standing(director)
    assert shown["running"] | {"version": ""} == {
        "image": "lvs",
        "version": "",
        "architecture": "x86-64",
        "variant": "vm",
        "firmware": "uefi",
    }
    assert shown["own"]["left"] is None
    assert serves(director)


def test_truncated_and_unsigned_updates_are_refused(director: Appliance) -> None:
    update = updates.build("0.2.0")
    content = update.read_bytes()
    (directory := updates.PLACE / "spoilt").mkdir(exist_ok=True)
    before = standing(director)
    for name, spoilt, said in (
        ("half", content[: len(content) // 2], "truncated"),
        (
            "unsigned",
            content.replace(b"-----BEGIN SSH", b"-----BEGIN NOT", 1),
            "not signed by anybody who may",
        ),
        ("changed", content.replace(b'"0.2.0"', b'"0.2.9"', 1), "not signed by anybody who may"),
        ("damaged", content[:5_000_000] + bytes(100) + content[5_000_100:], "is not what was signed"),
    ):
        (directory / name).write_bytes(spoilt)
        refused = install(director, directory / name, check=False)
        assert refused.rc == 1
        assert said in refused.err, refused.err
    after = standing(director)
    assert (after["running"], after["own"], after["other"]) == (
        before["running"],
        before["own"],
        before["other"],
    )
    assert "UpdateRefused" in director.run("journalctl -t lvsd -o json | grep -o UpdateRefused").out
    assert not director.run("ls /var/lib/lvs-updates/parts", check=False).out


def test_power_is_cut_while_it_is_written(director: Appliance) -> None:
    before = version(director)
    director.run(f"systemd-run --unit=cut lvsd update {url(updates.build('0.2.0'))}")
    director.await_true("journalctl -u cut | grep -q 'Importing.*root\\.'", 120)
    director.power_off()
    director.power_on()
    await_version(director, before, 240)
    assert last(director)["end"] == "interrupted"
    assert (
        "UpdateInterrupted"
        in director.run("journalctl -u lvs-healthy -o json | grep -o UpdateInterrupted").out
    )
    assert serves(director)


def test_an_lvsd_that_does_not_start_falls_back(director: Appliance) -> None:
    before = version(director)
    broken = updates.build("0.3.0", {"usr/lib/lvs/lvsd": "#!/bin/sh\nexit 1\n"})
    install(director, broken)
    assert standing(director)["next"] == "0.3.0"
    director.run("systemctl reboot", check=False)
    time.sleep(5)
    await_version(director, before, FALLBACK_S)
    ended = last(director)
    assert (ended["version"], ended["before"], ended["end"]) == ("0.3.0", before, "fell back")
    assert standing(director)["other"]["left"] == 0
    assert "0.3.0 was given up" in director.run("lvsd status").out
    told = director.run("journalctl -u lvs-healthy -x").out
    assert "An update was given up, the version before runs again" in told
    assert serves(director)


def test_a_root_that_is_corrupted_falls_back(director: Appliance) -> None:
    before = version(director)
    install(director, updates.build("0.2.0"))
    director.run("dd if=/dev/urandom of=/dev/disk/by-partlabel/lvs_0.2.0 bs=64K count=32 conv=fsync")
    director.run("systemctl reboot", check=False)
    time.sleep(5)
    await_version(director, before, FALLBACK_S)
    assert last(director)["end"] == "fell back"
    assert serves(director)


def test_a_good_one_stays_and_so_do_settings(director: Appliance) -> None:
    before = version(director)
    director.run(
        "echo mine > /etc/lvs/marker; echo mine > /etc/issue; cat /etc/machine-id > /root/machine-id"
    )
    going = install(director, updates.build("0.2.0"), "--reboot", check=False)  # the connection goes with it
    assert "starting 0.2.0" in going.out, going.err
    time.sleep(5)
    await_version(director, "0.2.0", 300)
    ended = last(director)
    assert (ended["version"], ended["before"], ended["end"]) == ("0.2.0", before, "proved")
    director.await_true('lvsd update --status --json | grep -q \'"file": "lvs_0.2.0.efi"\'', 60)
    director.run("grep -qx mine /etc/lvs/marker && cmp /etc/machine-id /root/machine-id")
    assert standing(director)["note"]["shadowed"] == ["/etc/issue"]
    assert serves(director)
    refused = install(director, updates.build("0.2.0"), check=False)
    assert "0.2.0 runs already" in refused.err
