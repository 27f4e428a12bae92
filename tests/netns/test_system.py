"""What systemd and journald get: a real journald with our catalog, and a real notify socket."""

from __future__ import annotations

import json
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from lab import Lab
from lvs import events

from .director import SLOWEST_S, Director, until
from .test_reload import FILE

pytestmark = pytest.mark.netns

ROOT = Path(__file__).parents[2]
JOURNALD = "/usr/lib/systemd/systemd-journald"
LISTENER = str(Path(__file__).with_name("notify_listener.py"))


def entries(director: Director) -> list[dict[str, Any]]:
    """lvsd's entries in the journal, oldest first."""
    out = director.machine.run("journalctl", "-o", "json", "SYSLOG_IDENTIFIER=lvsd", check=False).out
    return [json.loads(line) for line in out.splitlines()]


def test_journal_has_fields_and_catalog(lab: Lab) -> None:
    machine = lab.machine("journal", overlaid=("/usr/local",))
    lab.segment("lan", {"journal": "10.0.0.1/24"})
    director = Director(machine)
    machine.write("/etc/machine-id", "0123456789abcdef0123456789abcdef\n")
    catalog = (ROOT / "appliance/usr/lib/systemd/catalog/lvs.catalog").read_text()
    machine.write("/usr/local/lib/systemd/catalog/lvs.catalog", catalog)
    machine.run("journalctl", "--update-catalog")
    machine.spawn(JOURNALD)
    until(
        lambda: machine.run("test", "-S", "/run/systemd/journal/socket", check=False).rc, lambda rc: rc == 0
    )
    machine.write(director.file, FILE)
    daemon = director.spawn("--log", "journal")
    by_id = {event.MESSAGE_ID: event for event in events.ALL}

    def applied(found: list[dict[str, Any]]) -> bool:
        return any(by_id.get(one["MESSAGE_ID"]) is events.ConfigApplied for one in found)

    found = until(lambda: entries(director), applied)
    kinds = {by_id[one["MESSAGE_ID"]]: one for one in found}
    added = kinds[events.RealServerAdded]
    assert (added["VIRTUAL_SERVER"], added["REAL_SERVER"], added["ADDRESS"]) == (
        "web",
        "real2",
        "10.0.0.4:80",
    )
    assert added["OPERATION"] == "ipvsadm -a -t 10.0.0.5:80 -r 10.0.0.4:80 -g -w 1"
    assert added["PRIORITY"] == str(int(events.RealServerAdded.PRIORITY))
    assert kinds[events.VipTaken]["PRIORITY"] == "5"
    assert kinds[events.ConfigApplied]["SERIAL"] == "1"
    machine.write(director.file, FILE.replace("weight = 1", "weight = -1", 1))

    def refused(found: list[dict[str, Any]]) -> bool:
        return any(by_id.get(one["MESSAGE_ID"]) is events.ConfigProblem for one in found)

    problem = until(lambda: entries(director), refused)[-1]
    assert (problem["LINE"], problem["PATH"]) == ("18", "virtual[0].server[0].weight")
    explained = machine.run("journalctl", "-x", "SYSLOG_IDENTIFIER=lvsd").out
    assert "Subject: The configuration file has problems and was not loaded" in explained
    assert "The file was not loaded. Line 18, key virtual[0].server[0].weight." in explained
    daemon.stop()


def test_systemd_is_told(lab: Lab) -> None:
    machine = lab.machine("d1")
    lab.segment("lan", {"d1": "10.0.0.1/24"})
    director = Director(machine)
    listener = machine.spawn(sys.executable, LISTENER, "/run/notify")
    listener.expect("listening")
    machine.write(director.file, FILE)
    environment = {"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": "2000000"}
    daemon = director.spawn(env=environment)

    def told() -> list[dict[str, Any]]:
        return [json.loads(line) for line in listener.output().splitlines()[1:]]

    first = until(told, lambda found: any("READY" in one for one in found), SLOWEST_S)
    (ready,) = [one for one in first if "READY" in one]
    assert ready["STATUS"] == "serving 1 virtual server"
    assert " applied: " in director.said
    found = until(told, lambda found: sum("WATCHDOG" in one for one in found) >= 4)
    petted = [one["at_usec"] for one in found if "WATCHDOG" in one]
    assert max(later - earlier for earlier, later in pairwise(petted)) < 2_000_000
    director.save(FILE.replace("weight = 1", "weight = 2"))
    found = until(told, lambda found: sum("READY" in one for one in found) == 2)
    kinds = [kind for one in found for kind in ("READY", "RELOADING") if kind in one]
    assert kinds == ["READY", "RELOADING", "READY"]
    (reloading,) = [one for one in told() if "RELOADING" in one]
    assert 0 <= reloading["at_usec"] - int(reloading["MONOTONIC_USEC"]) < 1_000_000
    daemon.stop()
    assert "STOPPING" in told()[-1]
