"""lvs.service's rights are enough: its capabilities and limits; a unit of no rights for check programs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lab import Lab
from lab.paths import LVSD
from lab.peers import SCRIPT

from . import pair as pairs
from .director import Director, until

pytestmark = pytest.mark.netns

UNIT = Path(__file__).parents[2] / "appliance/usr/lib/systemd/system/lvs.service"
FILE = """
serial_no = 1
primary = "10.0.0.1"
backup = "10.0.0.2"
backup_active = true
check_user = "nobody"

[[virtual]]
name = "web"
address = "10.0.0.5"
device = "eth0"
port = 80
scheduler = "mh"
send_program = "/etc/lvs/check %h"
expect = "nobody 0000000000000000"
timeout = 20

[[virtual.server]]
name = "one"
address = "10.0.0.3"
"""
# Who runs it, and which capabilities it could ever have.
CHECK = "#!/bin/sh\necho $(id -un) $(sed -n 's/^CapBnd:.//p' /proc/self/status)\n"
# As systemd does it for lvs-checks@nobody.
SOCKET_UNIT = """\
import os, select, socket, subprocess, sys
os.mkdir("/run/lvs-checks")
listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
listening.bind("/run/lvs-checks/nobody")
os.chmod("/run/lvs-checks/nobody", 0o600)
listening.listen()
os.dup2(listening.fileno(), 3)
print("listening", flush=True)
while True:
    select.select([listening], [], [])
    subprocess.run(sys.argv[1:], pass_fds=(3,), env={**os.environ, "LISTEN_FDS": "1"})
"""


def setting(name: str) -> str:
    return " ".join(re.findall(rf"^{name}=(.*)$", UNIT.read_text(), re.MULTILINE))


def test_the_units_rights_suffice(lab: Lab) -> None:
    lab.segment("lan", {"director": "10.0.0.1/24"})
    machine = lab.machine("director")
    machine.write("/etc/lvs/check", CHECK, 0o755)
    machine.write(pairs.KEY, pairs.key(), 0o600)
    nobody = ("--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs", "--bounding-set=-all")
    unit = machine.spawn(*SCRIPT, "-c", SOCKET_UNIT, "setpriv", *nobody, LVSD, "check-programs")
    unit.expect("listening")

    director = Director(machine, checked=True)
    machine.write(director.file, FILE)
    limits = ("prlimit", f"--rtprio={setting('LimitRTPRIO')}", "--memlock=unlimited")
    assert setting("LimitMEMLOCK") == "infinity"
    granted = setting("CapabilityBoundingSet").lower().replace("cap_", "+").split()
    rights = ("setpriv", f"--bounding-set=-all,{','.join(granted)}", "--no-new-privs")
    options = ("--config", director.file, *director.options, "--firewall")
    director.process = machine.spawn(*limits, *rights, LVSD, "run", *options)
    until(director.table, lambda lines: any(" -r 10.0.0.3:80 " in line for line in lines))
    until(director.addresses, lambda found: any(one.startswith("10.0.0.5/") for one in found))
    said = director.said
    assert "refused" not in said, said
    assert "CAP_" not in said, said
    processes = machine.run("ps", "-eo", "rtprio,args", root="tree").out.splitlines()
    assert [line.split()[0] for line in processes if "lvs.pulsing" in line] == ["20"], processes
    director.stop()
