"""B16: the types of checks whose servers the deployment does not have, by lvsd on real IPVS.

The servers are those of test_protocols*.py, as processes of a machine: it shares the host's files.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import Lab, Machine
from lab.more_services import AUTHORITY, CERTIFIED
from lab.paths import PYTHON
from lab.services import await_listening

from .director import Director, until
from .native import environment, find, programs
from .test_checks import HEAD, awaited, virtual
from .test_protocols import DOVECOT, VSFTPD
from .test_protocols_b import CLAMD_CONF, KAMAILIO_CFG, RADIUSD_CONF, SIGNATURE

pytestmark = pytest.mark.netns

DIRECTOR, REAL = "10.0.0.1", "10.0.0.3"
PLACE = "/tmp/services"
EVERY_S = 6.0
PACE = f"check_interval = {EVERY_S}\ncheck_limit = {EVERY_S - 0.5}\nrise = 1\n"
TLS = f'server_name = "{CERTIFIED}"\nca_file = "/etc/lvs/ca.pem"\n'
SECURE, LATER = f"tls = true\n{TLS}", f"starttls = true\n{TLS}"
USER = 'user = "monitor"\npassword_from = "/etc/lvs/password"\n'
SECRET = 'secret_from = "/etc/lvs/secret"\n'

# Name: port and check. All are answered as they should be.
CHECKS: dict[str, tuple[int, str]] = {
    "mysql": (3306, 'type = "mysql"\n'),
    "mysql user": (3306, 'type = "mysql"\n' + USER),
    "mysql tls": (3306, 'type = "mysql"\n' + USER + SECURE),
    "radius": (1812, 'type = "radius"\n' + SECRET),
    "radius user": (1812, 'type = "radius"\n' + SECRET + USER),
    "sip": (5060, 'type = "sip"\nudp = true\n'),
    "sip tcp": (5060, 'type = "sip"\nudp = false\n'),
    "imap": (1143, 'type = "imap"\n'),
    "imap starttls": (1143, 'type = "imap"\n' + LATER),
    "pop3": (1110, 'type = "pop3"\n'),
    "pop3 tls": (1995, 'type = "pop3"\n' + SECURE),
    "lmtp": (1024, 'type = "lmtp"\n'),
    "ftp": (2121, 'type = "ftp"\n'),
    "nntp": (1119, 'type = "nntp"\n'),
    "clamd": (3310, 'type = "clamd"\n'),
    "memcached": (11211, 'type = "memcached"\n'),
}
INETD = """\
import socket, subprocess, sys
listening = socket.create_server(("", int(sys.argv[1])))
while True:
    connection, _ = listening.accept()
    with connection:
        subprocess.Popen(sys.argv[2:], stdin=connection.fileno(), stdout=connection.fileno())
"""


def serve_all(machine: Machine, root: Path) -> None:
    """Start all of them, and wait until they listen.

    MariaDB lets everybody in, and has no tables: to make them takes an emulated processor a minute.
    """
    env = {"LD_LIBRARY_PATH": environment(root)["LD_LIBRARY_PATH"]}
    certificate = b"".join((AUTHORITY.with_name("good." + kind)).read_bytes() for kind in ("pem", "key"))
    modules = find(root, "usr/lib/*/kamailio/modules")
    chain = f"{PLACE}/chain.pem"
    files: dict[str, str | bytes] = {
        "chain.pem": certificate,
        "dovecot.conf": DOVECOT.format(place=PLACE, BOXES=REAL, chain=chain),
        "vsftpd.conf": VSFTPD.format(place=PLACE, FILES=REAL),
        "banner": "Welcome.\n",
        "kamailio.cfg": KAMAILIO_CFG.format(here=REAL, port=5060, modules=modules),
        "radiusd.conf": RADIUSD_CONF.format(root=root, place=PLACE, port=1812, here=REAL, client=DIRECTOR),
        "clamd.conf": CLAMD_CONF.format(here=REAL, port=3310, place=PLACE),
        "signatures/own.hdb": SIGNATURE,
        "news/.serial": "",
    }
    for name, content in files.items():
        machine.write(f"{PLACE}/{name}", content)
    machine.run("mkdir", "-p", *(f"{PLACE}/{name}" for name in ("empty", "mysql", "news/.outgoing")))
    mysql = "--no-defaults --user=root --skip-grant-tables --skip-innodb --default-storage-engine=Aria "
    mysql += f"--bind-address=0.0.0.0 --datadir={PLACE}/mysql --socket={PLACE}/mysql/socket "
    mysql += f"--pid-file={PLACE}/mysql/pid --ssl-cert={chain} --ssl-key={chain} "
    mysql += f"--lc-messages-dir={find(root, 'usr/share/mysql')}"
    for program, words in (
        ("usr/sbin/mariadbd", mysql),
        (
            "usr/sbin/freeradius",
            f"-f -l stdout -n radiusd -d {PLACE} -D {find(root, 'usr/share/freeradius')}",
        ),
        ("usr/sbin/kamailio", f"-f {PLACE}/kamailio.cfg -L {modules} -Y {PLACE} -DD -E -m 16 -M 4"),
        ("usr/sbin/clamd", f"-c {PLACE}/clamd.conf"),
        ("usr/sbin/dovecot", f"-F -c {PLACE}/dovecot.conf"),
        ("usr/sbin/vsftpd", f"{PLACE}/vsftpd.conf"),
        ("usr/bin/memcached", f"-u root -l {REAL} -U 0"),
    ):
        machine.spawn(str(find(root, program)), *words.split(), env=env)
    news = {"SNROOT": f"{PLACE}/news", "TCPREMOTEIP": DIRECTOR}
    machine.spawn(PYTHON, "-c", INETD, "1119", str(find(root, "usr/sbin/snntpd.bin")), env=env | news)
    tcp = {port for name, (port, _) in CHECKS.items() if name not in ("radius", "radius user")}
    await_listening(machine, tcp, {1812, 5060}, timeout=120)


def test_b16_more_real_services(lab: Lab) -> None:
    """They are found well, and dead when they are killed."""
    root = programs()
    lab.segment("lan", {"d1": f"{DIRECTOR}/24", "real1": f"{REAL}/24"})
    director, real1 = Director(lab.machine("d1"), checked=True), lab.machine("real1")
    serve_all(real1, root)
    director.machine.write("/etc/lvs/ca.pem", AUTHORITY.read_bytes())
    director.machine.write("/etc/lvs/password", "pencil\n", 0o600)
    director.machine.write("/etc/lvs/secret", "between us\n", 0o600)
    blocks = [
        virtual(name, 7000 + number, f"{check}port = {port}", more=PACE)
        for number, (name, (port, check)) in enumerate(CHECKS.items())
    ]
    director.start(HEAD + "".join(blocks))
    awaited(director, dict.fromkeys(CHECKS, "answered"), 120)
    until(director.table, lambda table: len(table) == 2 * len(CHECKS))
    real1.kill()
    # One that was under way when it died was cut.
    awaited(director, dict.fromkeys(CHECKS, "refused/reset/closed/tls"))
    until(director.table, lambda table: len(table) == len(CHECKS))
