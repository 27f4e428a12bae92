"""The deployment's real services, small: printing, directory and names, each saying who answers.

Debian's own CUPS, OpenLDAP and BIND out of the tree, with configurations cut to what a check or a
client asks for. Each service gives away the name of its real server, so that a client behind a VIP
can see who answered: a queue's location, an entry's description, a TXT record.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass

from .channel import LabError
from .machine import Machine, Process

ZONE = "lab.example"
NAME_SERVER = f"ns.{ZONE}."
BASE_DN = "dc=lab,dc=example"
QUEUE = "office"

PORTS_TCP = {631, 515, 389, 53}
PORTS_UDP = {53}

CUPSD_CONF = """\
Listen *:631
Listen /run/cups/cups.sock
ServerAlias *
Browsing No
WebInterface No
LogLevel warn
DefaultAuthType None
<Location />
  Order allow,deny
  Allow all
</Location>
<Policy default>
  <Limit All>
    Order allow,deny
    Allow all
  </Limit>
</Policy>
"""

CUPS_FILES_CONF = """\
FileDevice Yes
SystemGroup root
AccessLog /dev/null
PageLog /dev/null
ErrorLog stderr
"""

PRINTERS_CONF = """\
<DefaultPrinter {queue}>
Info {name}
Location {name}
DeviceURI file:///dev/null
State Idle
Accepting Yes
Shared Yes
ErrorPolicy abort-job
</DefaultPrinter>
"""

SLAPD_CONF = """\
include /etc/ldap/schema/core.schema
modulepath /usr/lib/ldap
moduleload back_mdb
TLSCertificateFile /etc/lab-tls/good.pem
TLSCertificateKeyFile /etc/lab-tls/good.key
database mdb
maxsize 10485760
suffix "{base}"
directory /var/lib/ldap
dbnosync
"""

DIRECTORY = """\
dn: {base}
objectClass: dcObject
objectClass: organization
dc: lab
o: {name}

dn: cn=server,{base}
objectClass: device
cn: server
description: {name}
"""

NAMED_CONF = """\
options {{
  directory "/var/cache/bind";
  listen-on {{ any; }};
  listen-on-v6 {{ any; }};
  pid-file none;
  session-keyfile "/run/named.key";
  recursion no;
  notify no;
  dnssec-validation no;
  empty-zones-enable no;
}};
controls {{ }};
zone "{zone}" {{ type primary; file "/etc/bind/zone"; }};
"""

ZONE_FILE = """\
$TTL 0
@ SOA {server} admin 1 3600 600 86400 0
@ NS {server}
ns A 10.0.0.7
server TXT "{name}"
"""

# What deployment/lvs.cf calls /root/scripts/checkdns: %h is the real server. Runs dig out of the
# tree, for the director's own file system need not have it, and not by chroot: lvsd's check
# programs are not root's.
CHECKDNS = f"""\
#!/bin/sh
tree=/run/.lab/tree
lib=$tree/usr/lib/x86_64-linux-gnu
dig() {{ $lib/ld-linux-x86-64.so.2 --library-path $lib $tree/usr/bin/dig "$@"; }}
if dig +time=1 +tries=1 +short @"$1" {ZONE} SOA | grep -q '^{NAME_SERVER}'
then echo OK
else echo FAIL
fi
"""

# One shell for all of a real server's files and daemons would hide whose failure it was; one for the
# directory keeps the two steps that must follow each other together.
START_SLAPD = """\
mkdir -p /var/lib/ldap /run/slapd && rm -f /var/lib/ldap/* &&
slapadd -q -f /etc/ldap/slapd.conf -l /etc/ldap/base.ldif &&
exec slapd -f /etc/ldap/slapd.conf -h "ldap:/// ldaps:///" -d 0
"""


@dataclass(frozen=True)
class Services:
    """A real server's daemons."""

    machine: Machine
    cupsd: Process
    lpd: Process
    slapd: Process
    named: Process


def begin_services(machine: Machine) -> Services:
    """Configure and start all services of a real server, without waiting for them to answer."""
    name = machine.name
    files = {
        "/etc/bind/named.conf": NAMED_CONF.format(zone=ZONE),
        "/etc/bind/zone": ZONE_FILE.format(server=NAME_SERVER, name=name),
        "/etc/ldap/slapd.conf": SLAPD_CONF.format(base=BASE_DN),
        "/etc/ldap/base.ldif": DIRECTORY.format(base=BASE_DN, name=name),
        "/etc/cups/cupsd.conf": CUPSD_CONF,
        "/etc/cups/cups-files.conf": CUPS_FILES_CONF,
        "/etc/cups/printers.conf": PRINTERS_CONF.format(queue=QUEUE, name=name),
    }
    for path, text in files.items():
        machine.write(path, text, root="tree")
    return Services(
        machine, start_cupsd(machine), start_lpd(machine), start_slapd(machine), start_named(machine)
    )


def start_cupsd(machine: Machine) -> Process:
    """CUPS, IPP on 631."""
    return machine.spawn("/usr/sbin/cupsd", "-f", root="tree")


def start_lpd(machine: Machine) -> Process:
    """LPD on 515: a cups-lpd for each connection, as inetd would."""
    listen = "TCP6-LISTEN:515,ipv6only=0,reuseaddr,fork"
    return machine.spawn("socat", listen, "EXEC:/usr/lib/cups/daemon/cups-lpd,nofork", root="tree")


def start_slapd(machine: Machine) -> Process:
    """OpenLDAP on 389, within TLS on 636, its directory made anew."""
    return machine.spawn("sh", "-c", START_SLAPD, root="tree")


def start_named(machine: Machine) -> Process:
    """BIND on 53, TCP and UDP."""
    return machine.spawn("named", "-g", "-n", "1", "-c", "/etc/bind/named.conf", root="tree")


def await_services(machines: Iterable[Services], timeout: float = 60) -> None:
    """Wait until every service of every real server listens, and BIND has loaded its zone."""
    deadline = time.monotonic() + timeout
    for services in machines:
        await_listening(services.machine, PORTS_TCP, PORTS_UDP, deadline - time.monotonic())
        services.named.expect("running", deadline - time.monotonic())


def await_listening(machine: Machine, tcp: set[int], udp: set[int], timeout: float = 30) -> None:
    """Wait until all these ports are bound, by looking at the kernel's tables, not by knocking."""
    deadline = time.monotonic() + timeout
    while True:
        missing = (tcp - _bound(machine, "tcp", "0A")) | (udp - _bound(machine, "udp", "07"))
        if not missing:
            return
        if time.monotonic() > deadline:
            raise LabError(f"{machine.name}: nothing listens on {sorted(missing)}")
        time.sleep(0.1)


def _bound(machine: Machine, protocol: str, state: str) -> set[int]:
    """Local ports in a state, of both families (proc_net_tcp.rst: address:port, peer, state)."""
    tables = machine.run("cat", f"/proc/net/{protocol}", f"/proc/net/{protocol}6").out
    return {int(port, 16) for port in re.findall(rf":([0-9A-F]{{4}}) \S+ {state} ", tables)}
