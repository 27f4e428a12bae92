"""LDAP, IPP, LPD, databases, RADIUS, SIP, NNTP and clamd, against Debian's own servers on this host."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from lvs.checks import (
    Answer,
    Check,
    Ipp,
    Ldap,
    Lpd,
    Mysql,
    Pace,
    Postgresql,
    Radius,
    Reason,
    Sip,
    Target,
    Tls,
)
from lvs.io.failure import failure
from lvs.probes import dialogue
from lvs.probes.talks import talk_for
from probes.authority import Authority
from probes.drive import drive

from .native import Inetd, Server, as_nobody, environment, find, free_port, programs

pytestmark = [
    pytest.mark.native,
    pytest.mark.skipif(os.geteuid() != 0 or shutil.which("apt-get") is None, reason="needs root and apt-get"),
]

HERE = "127.0.0.1"
SECRETS = {"good": b"pencil", "wrong": b"eraser", "shared": b"between us"}
UP, REFUSED, DENIED, WRONG = Reason.ANSWERED, Reason.REFUSED, Reason.DENIED, Reason.WRONG_ANSWER
BASE = "dc=lab,dc=example"
USER = "monitor"


def ask(check: Check, port: int, *, chunk: int = 1 << 16, timeout_s: float = 10.0) -> Answer:
    """One probe, as the engine makes it."""
    target = Target(address=ip_address(HERE), port=port, check=check, pace=Pace(6, 10, 10))
    talk = talk_for(target, SECRETS, time.time)
    assert talk is not None
    udp = by_datagram(check)
    try:
        return drive(talk, HERE, port, udp=udp, chunk=chunk, timeout_s=timeout_s)
    except OSError as error:
        return failure(error.errno or 0, datagram=udp)


def by_datagram(check: Check) -> bool:
    return isinstance(check, Radius) or (isinstance(check, Sip) and check.udp)


def both(check: Check, port: int) -> Answer:
    """The same in one piece and a byte at a time."""
    answer = ask(check, port)
    if not by_datagram(check):
        assert ask(check, port, chunk=1) == answer
    return answer


def expect(check: Check, port: int, reason: Reason, text: str) -> None:
    """The reason, and an expression that the whole sentence matches."""
    answer = both(check, port)
    assert (answer.ok, answer.reason) == (reason is UP, reason), answer
    assert re.fullmatch(text, answer.text), answer.text


def stops(server: Server | Inetd, check: Check) -> None:
    """Down when it is stopped, and up when it is there again."""
    assert ask(check, server.port).ok
    server.stop()
    assert ask(check, server.port).reason is REFUSED
    server.start()
    assert ask(check, server.port).ok


@pytest.fixture(scope="module")
def root() -> Path:
    return programs()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("services")


@pytest.fixture(scope="module")
def authority(place: Path) -> Authority:
    return Authority(place)


@pytest.fixture(scope="module")
def certified(authority: Authority) -> Path:
    return authority.issue("server", f"IP:{HERE}")


# OpenLDAP

SLAPD_CONF = """\
include {root}/etc/ldap/schema/core.schema
modulepath {root}/usr/lib/ldap
moduleload back_mdb
pidfile {place}/pid
argsfile {place}/args
TLSCertificateFile {certificate}
TLSCertificateKeyFile {certificate}
TLSCACertificateFile {authority}
database mdb
maxsize 10485760
suffix "{base}"
directory {place}
dbnosync
rootdn "cn=monitor,{base}"
rootpw pencil
"""
DIRECTORY = """\
dn: {base}
objectClass: dcObject
objectClass: organization
dc: lab
o: lab

dn: cn=one,{base}
objectClass: device
cn: one

dn: cn=two,{base}
objectClass: device
cn: two
"""
BIND = f"cn=monitor,{BASE}"


@pytest.fixture(scope="module")
def ldaps_port() -> int:
    """Where OpenLDAP speaks within TLS from the beginning."""
    return free_port()


@pytest.fixture(scope="module")
def slapd(
    root: Path, place: Path, authority: Authority, certified: Path, ldaps_port: int
) -> Iterator[Server]:
    directory = place / "slapd"
    directory.mkdir()
    settings, entries = directory / "slapd.conf", directory / "base.ldif"
    settings.write_text(
        SLAPD_CONF.format(
            root=root, place=directory, base=BASE, certificate=certified, authority=authority.pem
        )
    )
    entries.write_text(DIRECTORY.format(base=BASE))
    env = environment(root)
    subprocess.run((find(root, "usr/sbin/slapadd"), "-q", "-f", settings, "-l", entries), env=env, check=True)
    port = free_port()
    urls = f"ldap://{HERE}:{port} ldaps://{HERE}:{ldaps_port}"
    command = (find(root, "usr/sbin/slapd"), "-f", settings, "-h", urls, "-d", "0")
    server = Server(port, command, directory, env)
    server.start()
    yield server
    server.stop()


def test_ldap(slapd: Server, authority: Authority) -> None:
    port = slapd.port
    expect(Ldap(), port, UP, "anonymous bind: success")
    expect(Ldap(base=BASE), port, UP, f"search of {BASE}: an entry is found")
    expect(Ldap(base=BASE, scope="sub", filter="(&(objectClass=device)(!(cn=x*y*)))"), port, UP, ".*: an .*")
    expect(Ldap(base=BASE, scope="one", filter=r"(|(cn:caseIgnoreMatch:=ONE)(o=\2a))"), port, UP, ".*: an .*")
    expect(Ldap(bind=BIND, password="good", base=BASE), port, UP, ".*: an entry is found")
    expect(Ldap(bind=BIND, password="wrong"), port, DENIED, rf"bind as {BIND}: invalidCredentials \(49\)")
    expect(Ldap(base="cn=x"), port, WRONG, r"search of cn=x: noSuchObject \(32\)")
    expect(Ldap(base="x"), port, WRONG, r'search of x: invalidDNSyntax \(34\), "invalid DN"')
    expect(Ldap(base=BASE, filter="(cn=x)"), port, WRONG, ".*: no entry matches")
    expect(Ldap(bind=BIND), port, WRONG, r'bind as .*: unwillingToPerform \(53\), "unauth.*')
    trusted = Tls(authorities=str(authority.pem))
    expect(Ldap(bind=BIND, password="good", starttls=True, tls=trusted), port, UP, "bind as .*: success")
    named = Tls(authorities=str(authority.pem), name="elsewhere.example")
    assert ask(Ldap(starttls=True, tls=named), port).reason is Reason.CERTIFICATE
    stops(slapd, Ldap(base=BASE))


def test_ldaps(slapd: Server, ldaps_port: int, authority: Authority) -> None:
    trusted = Tls(authorities=str(authority.pem))
    expect(Ldap(tls=trusted), ldaps_port, UP, "anonymous bind: success")
    expect(Ldap(bind=BIND, password="good", base=BASE, tls=trusted), ldaps_port, UP, ".*: an entry is found")
    expect(Ldap(base="cn=x", tls=trusted), ldaps_port, WRONG, r"search of cn=x: noSuchObject \(32\)")
    unknown = "certificate: of an unknown authority"
    expect(Ldap(tls=Tls()), ldaps_port, Reason.CERTIFICATE, unknown)
    assert not ask(Ldap(), ldaps_port).ok
    assert not ask(Ldap(tls=trusted), slapd.port).ok
    slapd.stop()
    assert ask(Ldap(tls=trusted), ldaps_port).reason is REFUSED
    slapd.start()
    assert ask(Ldap(tls=trusted), ldaps_port).ok


# CUPS

CUPSD_CONF = """\
Listen {here}:{port}
ServerAlias *
Browsing No
WebInterface No
LogLevel warn
DefaultAuthType None
<Location />
  Order allow,deny
  Allow all
</Location>
<Location /printers/private>
  AuthType Basic
  Require valid-user
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
User nobody
Group nogroup
AccessLog /dev/null
PageLog /dev/null
ErrorLog stderr
ServerRoot {place}
CacheDir {place}/cache
StateDir {place}/state
RequestRoot {place}/spool
TempDir {place}/spool
ServerBin {root}/usr/lib/cups
DataDir {root}/usr/share/cups
DocumentRoot {root}/usr/share/cups/doc-root
"""
QUEUE = "<Printer {name}>\nDeviceURI file:///dev/null\n{lines}\n</Printer>\n"
QUEUES = {
    "office": "State Idle\nAccepting Yes",
    "broken": "State Stopped\nReason paused\nAccepting Yes",
    "full": "State Idle\nAccepting No",
    "private": "State Idle\nAccepting Yes",
}


@pytest.fixture(scope="module")
def cupsd(root: Path, place: Path) -> Iterator[Server]:
    directory = place / "cups"
    for each in ("", "cache", "state", "spool"):
        (directory / each).mkdir()
    port = free_port()
    (directory / "cupsd.conf").write_text(CUPSD_CONF.format(here=HERE, port=port))
    (directory / "cups-files.conf").write_text(CUPS_FILES_CONF.format(place=directory, root=root))
    queues = [QUEUE.format(name=name, lines=lines) for name, lines in QUEUES.items()]
    (directory / "printers.conf").write_text("".join(queues))
    settings = ("-c", directory / "cupsd.conf", "-s", directory / "cups-files.conf")
    command = (find(root, "usr/sbin/cupsd"), "-f", *settings)
    server = Server(port, command, directory, environment(root))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def cups_lpd(root: Path, cupsd: Server) -> Iterator[Inetd]:
    env = environment(root) | {"CUPS_SERVER": f"{HERE}:{cupsd.port}"}
    server = Inetd(free_port(), (root / "usr/lib/cups/daemon/cups-lpd",), env)
    server.start()
    yield server
    server.stop()


def test_ipp(cupsd: Server) -> None:
    port = cupsd.port
    expect(Ipp(), port, UP, "print server: answers, no default printer")
    expect(Ipp(path="/printers/office"), port, UP, "printer /printers/office: idle")
    expect(Ipp(path="/printers/broken"), port, WRONG, 'printer /printers/broken: stopped, "paused"')
    expect(Ipp(path="/printers/full"), port, WRONG, "printer /printers/full: does not accept jobs")
    expect(Ipp(path="/printers/private"), port, DENIED, ".*: HTTP status 401, 200 expected")
    expect(Ipp(path="/printers/none"), port, WRONG, r".*: client-error-not-found \(0x0406\), \".*")
    stops(cupsd, Ipp(path="/printers/office"))


def test_lpd(cups_lpd: Inetd, cupsd: Server) -> None:
    port = cups_lpd.port
    expect(Lpd(queue="office"), port, UP, 'queue office: "office is ready"')
    expect(Lpd(queue="broken"), port, WRONG, 'queue broken: "broken is not ready"')
    expect(Lpd(queue="none"), port, WRONG, 'queue none: "Unable to get printer .*"')
    stops(cups_lpd, Lpd(queue="office"))
    cupsd.stop()  # cups-lpd is there all the same
    try:
        expect(Lpd(queue="office"), port, WRONG, 'queue office: "Unable to connect .*"')
    finally:
        cupsd.start()


# PostgreSQL

PG_HBA = """\
host all trusted 127.0.0.1/32 trust
host all clear 127.0.0.1/32 password
host all refused 127.0.0.1/32 reject
host all md5 127.0.0.1/32 md5
host all all 127.0.0.1/32 scram-sha-256
"""
ROLES = """\
create role monitor login password 'pencil';
create role clear login password 'pencil';
create role trusted login;
set password_encryption=md5;
create role md5 login password 'pencil';
"""


@pytest.fixture(scope="module")
def postgres(root: Path, place: Path, certified: Path) -> Iterator[Server]:
    directory = place / "postgres"
    directory.mkdir()
    os.chown(directory, 65534, 65534)
    data = directory / "data"
    program = find(root, "usr/lib/postgresql/*/bin/postgres")
    initdb = (
        program.with_name("initdb"),
        "-D",
        data,
        "-A",
        "trust",
        "--no-sync",
        "--no-locale",
        "-E",
        "UTF8",
    )
    single = as_nobody(program, "--single", "-D", data, "postgres")
    for words, said in ((as_nobody(*initdb, "-U", "postgres"), ""), (single, ROLES)):
        subprocess.run(
            words,
            input=said.encode(),
            cwd=directory,
            env=environment(root),
            stdout=subprocess.DEVNULL,
            check=True,
        )
    (data / "pg_hba.conf").write_text(PG_HBA)
    key = directory / "server.pem"
    shutil.copy(certified, key)
    os.chown(key, 65534, 65534)
    key.chmod(0o600)
    port = free_port()
    settings = {
        "listen_addresses": HERE,
        "port": port,
        "unix_socket_directories": "",
        "fsync": "off",
        "max_connections": 8,
        "shared_buffers": "1MB",
        "ssl": "on",
        "ssl_cert_file": key,
        "ssl_key_file": key,
    }
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]

    def ready() -> bool:
        return ask(Postgresql(user="trusted"), port).ok

    server = Server(port, as_nobody(program, "-D", data, *options), directory, environment(root), ready)
    server.start()
    yield server
    server.stop()


def test_postgresql(postgres: Server, authority: Authority) -> None:
    port = postgres.port
    logged_in = r'logged in as {}, version "[0-9]+.*"'
    expect(Postgresql(user=USER), port, UP, "asks monitor for a password")
    expect(Postgresql(user="nobody"), port, UP, "asks nobody for a password")  # it does not tell who is there
    noted = postgres.log.read_text()
    assert "FATAL" not in noted.split("ready to accept connections")[-1]  # nothing is noted of a good check
    expect(Postgresql(user="trusted"), port, UP, logged_in.format("trusted"))
    expect(Postgresql(user=USER, password="good"), port, UP, logged_in.format(USER))
    expect(Postgresql(user="md5", password="good"), port, UP, logged_in.format("md5"))
    for user in (USER, "md5"):
        expect(Postgresql(user=user, password="wrong"), port, DENIED, r'"password auth.*" \(28P01\)')
    expect(Postgresql(user="refused"), port, DENIED, r'"pg_hba.conf rejects .* \(28000\)')
    expect(Postgresql(user="clear", password="good"), port, DENIED, "asks for the password in clear, .*")
    expect(Postgresql(user="trusted", database="x"), port, WRONG, r'"database .x. does not exist" \(3D000\)')
    trusted = Tls(authorities=str(authority.pem))
    for user in (USER, "clear"):
        expect(Postgresql(user=user, password="good", tls=trusted), port, UP, logged_in.format(user))
    assert ask(Postgresql(tls=Tls(authorities=None)), port).reason is Reason.CERTIFICATE
    stops(postgres, Postgresql(user=USER))


def test_postgresql_that_is_full_or_shuts_down(postgres: Server) -> None:
    check = Postgresql(user="trusted")
    held = [session(postgres.port, "trusted") for _ in range(5)]  # all that are not an administrator's
    try:
        expect(check, postgres.port, WRONG, r'"(sorry|remaining connection).*" \(53300\)')
        postgres.signal(signal.SIGTERM)  # it waits for its sessions, and lets in no more
        wait_for(check, postgres.port, r'"the database system is shutting down" \(57P03\)')
    finally:
        for one in held:
            one.close()
        postgres.stop()
        postgres.start()


def wait_for(check: Check, port: int, text: str) -> None:
    """Wait for a sentence."""
    deadline = time.monotonic() + 10
    while not re.fullmatch(text, (answer := ask(check, port)).text):
        assert time.monotonic() < deadline, answer
        time.sleep(0.05)
    assert answer.reason is WRONG


def session(port: int, user: str) -> socket.socket:
    """A session that stays."""
    talk = talk_for(
        Target(address=ip_address(HERE), port=port, check=Postgresql(user=user), pace=Pace(6, 9, 9)),
        SECRETS,
        time.time,
    )
    assert talk is not None
    sock = socket.create_connection((HERE, port))
    sock.sendall(talk.begin())
    sock.settimeout(10)
    while not isinstance(talk.received(sock.recv(1 << 16)), Answer):
        pass
    return sock


# MariaDB

MARIADB_USERS = """\
flush privileges;
create user monitor@'%' identified by 'pencil';
create user bare@'%';
"""


@pytest.fixture(scope="module")
def mariadb(root: Path, place: Path, certified: Path) -> Iterator[Server]:
    directory = place / "mariadb"
    directory.mkdir()
    data, port, share = directory / "data", free_port(), find(root, "usr/share/mysql")
    data.mkdir()
    program = find(root, "usr/sbin/mariadbd")
    common = (program, "--no-defaults", "--user=root", f"--datadir={data}", f"--lc-messages-dir={share}")
    tables = ("mysql_system_tables.sql", "mysql_performance_tables.sql", "mysql_system_tables_data.sql")
    made = "".join((share / name).read_text() for name in tables)
    subprocess.run(
        (*common, "--bootstrap", "--innodb-flush-log-at-trx-commit=0"),
        input=f"create database mysql;\nuse mysql;\n{made}{MARIADB_USERS}".encode(),
        env=environment(root),
        stderr=subprocess.DEVNULL,
        check=True,
    )
    # Nobody is blocked who comes from 127.0.0.1 itself; the rest of 127.0.0.0/8 is like any other
    options = (
        "--bind-address=0.0.0.0",
        f"--port={port}",
        f"--socket={directory}/socket",
        f"--pid-file={directory}/pid",
        "--max-connect-errors=3",
        "--max-connections=10",
        f"--ssl-cert={certified}",
        f"--ssl-key={certified}",
    )
    server = Server(port, (*common, *options), directory, environment(root))
    server.start()
    yield server
    server.stop()


def test_mysql(mariadb: Server) -> None:
    port = mariadb.port
    expect(Mysql(), port, UP, r'greets, version "1[0-9]\..*-MariaDB.*"')
    expect(Mysql(user=USER, password="good"), port, UP, "logged in as monitor, .*")
    expect(Mysql(user="bare"), port, UP, "logged in as bare, .*")
    denied = r'"Access denied for user .monitor.@.localhost. \(using password: YES\)" \(1045\)'
    expect(Mysql(user=USER, password="wrong"), port, DENIED, denied)
    expect(Mysql(user="nobody"), port, DENIED, '"Access denied .*')
    stops(mariadb, Mysql(user=USER, password="good"))


def test_mysql_within_tls(mariadb: Server, authority: Authority) -> None:
    port, tls = mariadb.port, Tls(authorities=str(authority.pem))
    expect(Mysql(tls=tls), port, UP, r'greets, version "1[0-9]\..*-MariaDB.*"')
    expect(Mysql(user=USER, password="good", tls=tls), port, UP, "logged in as monitor, .*")
    expect(Mysql(user=USER, password="wrong", tls=tls), port, DENIED, '"Access denied .*')
    expect(Mysql(user=USER, password="good", tls=Tls()), port, Reason.CERTIFICATE, "certificate: .*")
    stops(mariadb, Mysql(user=USER, password="good", tls=tls))


def test_mysql_blocks_nobody_who_only_checks(mariadb: Server) -> None:
    def from_elsewhere(*, leaves: bool) -> Answer | None:
        """A probe from another address: one without a user, or one that ends after the greeting."""
        target = Target(address=ip_address(HERE), port=mariadb.port, check=Mysql(), pace=Pace(6, 9, 9))
        talk = talk_for(target, SECRETS, time.time)
        assert talk is not None
        talk.begin()
        with socket.create_connection((HERE, mariadb.port), 10, ("127.0.0.5", 0)) as sock:
            while True:
                said = talk.received(sock.recv(8192))
                if isinstance(said, Answer):
                    return said
                if leaves:
                    return None
                sock.sendall(said)

    for _ in range(6):
        answer = from_elsewhere(leaves=False)
        assert answer is not None
        assert answer.ok, answer
    for _ in range(4):
        blocked = from_elsewhere(leaves=True)
    time.sleep(0.1)
    blocked = from_elsewhere(leaves=False)
    assert blocked is not None
    assert (blocked.ok, blocked.reason) == (False, DENIED), blocked
    assert "is blocked because of many connection errors" in blocked.text
    assert ask(Mysql(), mariadb.port).ok


# FreeRADIUS

RADIUSD_CONF = """\
libdir = {root}/usr/lib/freeradius
logdir = {place}
run_dir = {place}
pidfile = {place}/pid
log {{ destination = stdout }}
security {{
  reject_delay = 0
  status_server = yes
}}
client director {{
  ipaddr = {client}
  secret = "between us"
}}
modules {{
  pap {{ }}
}}
server default {{
  listen {{
    type = auth
    ipaddr = {here}
    port = {port}
  }}
  authorize {{
    if (&User-Name == "monitor") {{
      update control {{ &Cleartext-Password := "pencil" }}
    }}
    pap
  }}
  authenticate {{
    pap
  }}
}}
"""


@pytest.fixture(scope="module")
def freeradius(root: Path, place: Path) -> Iterator[Server]:
    directory = place / "radius"
    directory.mkdir()
    port = free_port(socket.SOCK_DGRAM)
    (directory / "radiusd.conf").write_text(
        RADIUSD_CONF.format(root=root, place=directory, port=port, here=HERE, client=HERE)
    )
    dictionaries = find(root, "usr/share/freeradius")
    command = (
        *(find(root, "usr/sbin/freeradius"), "-f", "-l", "stdout"),
        *("-n", "radiusd", "-d", directory, "-D", dictionaries),
    )

    def ready() -> bool:
        return ask(Radius(secret="shared"), port, timeout_s=0.5).ok

    server = Server(port, command, directory, environment(root), ready)
    server.start()
    yield server
    server.stop()


def test_radius(freeradius: Server) -> None:
    port = freeradius.port
    expect(Radius(secret="shared"), port, UP, "Status-Server: Access-Accept.*")
    login = Radius(secret="shared", user=USER, password="good")
    expect(login, port, UP, "Access-Request of monitor: Access-Accept")
    expect(Radius(secret="shared", user=USER, password="wrong"), port, DENIED, ".*: Access-Reject")
    expect(Radius(secret="shared", user="nobody", password="good"), port, DENIED, ".*: Access-Reject")
    silent = ask(Radius(secret="wrong"), port, timeout_s=0.5)
    assert silent.reason is Reason.TIMED_OUT
    assert silent.text == "waiting for an answer to Status-Server; to a wrong secret there is none"
    stops(freeradius, login)


# Kamailio

KAMAILIO_CFG = """\
debug=0
log_stderror=yes
children=1
tcp_children=1
disable_core_dump=yes
listen=udp:{here}:{port}
listen=tcp:{here}:{port}
mpath="{modules}"
loadmodule "sl.so"
loadmodule "pv.so"
request_route {{
  if ($rU == "nobody") {{
    sl_send_reply("404", "Not Found");
    exit;
  }}
  sl_send_reply("200", "OK");
}}
"""


@pytest.fixture(scope="module")
def kamailio(root: Path, place: Path) -> Iterator[Server]:
    directory = place / "sip"
    directory.mkdir()
    port = free_port()
    modules = find(root, "usr/lib/*/kamailio/modules")
    settings = directory / "kamailio.cfg"
    settings.write_text(KAMAILIO_CFG.format(here=HERE, port=port, modules=modules))
    program = find(root, "usr/sbin/kamailio")
    command = (program, "-f", settings, "-L", modules, "-Y", directory, "-DD", "-E", "-m", "16", "-M", "4")
    server = Server(port, command, directory, environment(root), lambda: ask(Sip(), port, timeout_s=0.5).ok)
    server.start()
    yield server
    server.stop()


def test_sip(kamailio: Server) -> None:
    port = kamailio.port
    for udp in (True, False):
        expect(Sip(udp=udp), port, UP, "status 200")
        unknown = Sip(uri="sip:nobody@lab.example", udp=udp)
        expect(unknown, port, WRONG, "status 404.*, 200 to 299 expected")
        expect(Sip(uri=unknown.uri, status=((404, 404),), udp=udp), port, UP, "status 404.*")
        stops(kamailio, Sip(udp=udp))


# sn, a small news server


def test_news(root: Path, place: Path) -> None:
    directory = place / "news"
    (directory / ".outgoing").mkdir(parents=True)
    (directory / ".serial").touch()
    program = find(root, "usr/sbin/snntpd.bin")
    env = environment(root) | {"SNROOT": str(directory), "TCPREMOTEIP": HERE}
    server = Inetd(free_port(), (program,), env)
    server.start()
    try:
        expect(dialogue.nntp(), server.port, UP, 'nntp: answered "205 bye"')
        expect(dialogue.smtp(), server.port, WRONG, "smtp: answered .201 Hi.*")
        stops(server, dialogue.nntp())
    finally:
        server.stop()


# ClamAV, with one signature, its own test's

CLAMD_CONF = """\
TCPSocket {port}
TCPAddr {here}
DatabaseDirectory {place}/signatures
TemporaryDirectory {place}
Foreground yes
SelfCheck 0
"""
SIGNATURE = "44d88612fea8a8f36de82e1278abb02f:68:Eicar-Test-Signature\n"


def test_virus_scanner(root: Path, place: Path) -> None:
    directory = place / "clamd"
    (directory / "signatures").mkdir(parents=True)
    (directory / "signatures" / "own.hdb").write_text(SIGNATURE)
    port = free_port()
    settings = directory / "clamd.conf"
    settings.write_text(CLAMD_CONF.format(here=HERE, port=port, place=directory))
    server = Server(port, (find(root, "usr/sbin/clamd"), "-c", settings), directory, environment(root))
    server.start()
    try:
        expect(dialogue.clamd(), port, UP, 'clamd: answered "PONG"')
        expect(dialogue.redis(), port, WRONG, "redis: answered .PONG., .*")
        stops(server, dialogue.clamd())
    finally:
        server.stop()
