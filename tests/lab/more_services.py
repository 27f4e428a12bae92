"""Services that real servers have beside the deployment's: web with TLS, mail, a database, a cache.

Debian's own nginx, Postfix, PostgreSQL and Redis out of the tree, with configurations cut to what a
check asks for. Each is started without waiting for it, so that several can start at once, and is
stopped and started again as often as a test likes. nginx gives away the name of its real server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from .machine import Machine, Process
from .paths import TREE
from .services import await_listening

AUTHORITY = TREE / "etc" / "lab-tls" / "ca.pem"  # made with the tree; see setup
CERTIFIED = "lab.example"  # the name in its certificates

NGINX_CONF = """\
daemon off;
master_process off;
user root;
pid /run/nginx.pid;
error_log stderr;
events {{ worker_connections 64; }}
http {{
  access_log off;
  default_type text/plain;
  server {{
    listen 80;
    listen 443 ssl;
    ssl_certificate /etc/lab-tls/good.pem;
    ssl_certificate_key /etc/lab-tls/good.key;
    location / {{ return 200 "{name}\\n"; }}
    location /health {{ root /srv/www; try_files $uri =503; }}
    location /old {{ return 301 /; }}
  }}
  server {{
    listen 8443 ssl;
    ssl_certificate /etc/lab-tls/expired.pem;
    ssl_certificate_key /etc/lab-tls/expired.key;
    location / {{ return 200 "{name}\\n"; }}
  }}
}}
"""

MAIN_CF = """\
compatibility_level = 3.6
queue_directory = /var/spool/postfix
myhostname = {name}.lab.example
mydestination =
mynetworks = 0.0.0.0/0
inet_interfaces = all
default_database_type = lmdb
alias_maps =
local_recipient_maps =
smtpd_tls_security_level = may
smtpd_tls_chain_files = /etc/lab-tls/good.key, /etc/lab-tls/good.pem
tls_random_source = dev:/dev/urandom
"""

# Not chrooted: there is one machine for it alone.
MASTER_CF = """\
smtp inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
rewrite unix - - n - - trivial-rewrite
anvil unix - - n - 1 anvil
tlsmgr unix - - n 1000? 1 tlsmgr
proxymap unix - - n - - proxymap
"""

START_POSTFIX = """\
cd /var/spool/postfix && mkdir -p pid private public active bounce corrupt defer deferred flush hold
mkdir -p incoming maildrop saved trace && chown postfix private public active incoming
mkdir -p /var/lib/postfix && chown postfix /var/lib/postfix
exec /usr/lib/postfix/sbin/master -c /etc/postfix -d
"""

PG_HBA = "host all all all trust\n"
POSTGRES = (
    "setpriv --reuid=postgres --regid=postgres --clear-groups /usr/lib/postgresql/17/bin/postgres "
    "-D /var/lib/postgresql/lab -c listen_addresses=* -c unix_socket_directories= -c hba_file=/etc/lab-hba "
    "-c fsync=off -c shared_buffers=1MB -c autovacuum=off -c jit=off"
)
REDIS = ("redis-server", "--port", "6379", "--bind", "*", "-::*", "--protected-mode", "no", "--save", "")


@dataclass
class Service:
    """One program of a real server, that is started and stopped."""

    machine: Machine
    ports: set[int]
    begin: Callable[[], Process]
    udp: set[int] = field(default_factory=set)
    process: Process | None = None

    def start(self) -> None:
        """Start it and wait until it listens."""
        self.process = self.begin()
        await_listening(self.machine, self.ports, self.udp)

    def stop(self) -> None:
        """Kill it with all its children, as a crash would."""
        assert self.process is not None
        self.process.signal(9, group=True)
        self.process.wait()


def nginx(machine: Machine) -> Service:
    """HTTP on 80, HTTPS on 443, with an expired certificate on 8443; /health needs its file."""
    machine.write("/etc/nginx/nginx.conf", NGINX_CONF.format(name=machine.name), root="tree")
    machine.write("/srv/www/health", "well\n", root="tree")
    return Service(machine, {80, 443, 8443}, lambda: machine.spawn("nginx", root="tree"))


def postfix(machine: Machine) -> Service:
    """SMTP on 25, with STARTTLS."""
    machine.write("/etc/postfix/main.cf", MAIN_CF.format(name=machine.name), root="tree")
    machine.write("/etc/postfix/master.cf", MASTER_CF, root="tree")
    return Service(machine, {25}, lambda: machine.spawn("sh", "-c", START_POSTFIX, root="tree"))


def postgresql(machine: Machine) -> Service:
    """PostgreSQL on 5432, which trusts everybody; its cluster was made with the tree."""
    machine.write("/etc/lab-hba", PG_HBA, root="tree")
    return Service(machine, {5432}, lambda: machine.spawn(*POSTGRES.split(), root="tree"))


def redis(machine: Machine) -> Service:
    """Redis on 6379."""
    return Service(machine, {6379}, lambda: machine.spawn(*REDIS, root="tree"))


def start_all(services: Iterable[Service]) -> None:
    """Start them side by side."""
    services = list(services)
    for one in services:
        one.process = one.begin()
    for one in services:
        await_listening(one.machine, one.ports, one.udp)


def authority() -> str:
    """The certificate that signed the others, as PEM."""
    return Path(AUTHORITY).read_text()
